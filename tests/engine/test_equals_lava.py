"""The engine against stock Lava: every layer, every neuron, every step."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from aoi.engine import Engine
from aoi.netx import Cuba, Dense, NetworkDescription, read_network
from aoi.netx.write import _write_layer, write_network

pytestmark = pytest.mark.timeout(180)
STEPS = 32


def spikes_for(description: NetworkDescription, seed: int, rate: float = 0.1, steps: int = STEPS) -> np.ndarray:
    shape = (*description.input_shape, steps)
    return (np.random.default_rng(seed).random(shape) < rate).astype(np.uint8)


def assert_equal(file, lava_traces, seed: int = 0, rate: float = 0.1, steps: int = STEPS, quiet: bool = False) -> None:
    spikes = spikes_for(file.description, seed, rate, steps)
    run = Engine(file.description).run(spikes[None], return_traces=True)
    expected = lava_traces(file, spikes)
    assert len(expected) == len(run.traces)
    for trace, (s, u, v) in zip(run.traces, expected, strict=True):
        np.testing.assert_array_equal(trace.u[0], u, err_msg=f"u of layer {trace.name}")
        np.testing.assert_array_equal(trace.v[0], v, err_msg=f"v of layer {trace.name}")
        np.testing.assert_array_equal(trace.s[0], s, err_msg=f"spikes of layer {trace.name}")
        assert u.any(), "a layer that nothing reaches proves nothing"
    assert quiet or run.traces[0].s.any()
    if file.readout == "spikes":
        counts = expected[-1][0].reshape(file.description.outputs, -1).cumsum(axis=-1)
        np.testing.assert_array_equal(run.scores[0], counts)
    voltages = Engine(file.description).run(spikes[None], readout="voltage").scores[0]
    np.testing.assert_array_equal(voltages, expected[-1][2].reshape(voltages.shape))


def written(tmp_path: Path, description: NetworkDescription, **options):
    write_network(tmp_path / "network.net", description, **options)
    return read_network(tmp_path / "network.net")


def raw(tmp_path: Path, description: NetworkDescription):
    """As :func:`written`, past the rules of the export: for what others' files may hold."""
    with h5py.File(tmp_path / "raw.net", "w") as file:
        for index, layer in enumerate(description.layers):
            group = file.create_group(f"layer/{index}")
            group["type"] = "dense_rec" if getattr(layer, "weight_rec", None) is not None else layer.kind
            _write_layer(group, layer)
    return read_network(tmp_path / "raw.net")


@pytest.mark.parametrize("seed", [0, 1])
def test_dense(seed, tmp_path, networks, lava_traces):
    assert_equal(written(tmp_path, networks.mlp(40, 30, 20, 10)), lava_traces, seed, rate=0.2)


def test_dense_with_delays(tmp_path, networks, lava_traces):
    assert_equal(written(tmp_path, networks.mlp(40, 30, 10, delays=True)), lava_traces, rate=0.2)


def test_dense_with_biases(tmp_path, networks, lava_traces):
    file = written(tmp_path, networks.mlp(40, 30, 20, 10, biases=True), waive=("no_bias",))
    assert_equal(file, lava_traces, rate=0.1)


@pytest.mark.slow
def test_synaptic_delays_biases_and_odd_weights_of_others(tmp_path, networks, lava_traces):
    rng = networks.rng
    first = networks.dense(20, 12, delay=rng.integers(0, 10, (12, 20), dtype=np.int32), bias=networks.bias(12))
    odd = Dense("odd", rng.integers(-100, 100, (6, 12), dtype=np.int32), Cuba(30, 2000, 100))
    negative = Dense("negative", -rng.integers(1, 127, (5, 6), dtype=np.int32) * 2, Cuba(0, 300, 10))
    positive = Dense("positive", rng.integers(0, 256, (4, 12), dtype=np.int32) % 255, Cuba(300, 300, 10))
    assert_equal(raw(tmp_path, NetworkDescription((20,), (first, odd, negative))), lava_traces, rate=0.3)
    assert_equal(raw(tmp_path, NetworkDescription((20,), (first, positive))), lava_traces, rate=0.3)


def test_recurrent(tmp_path, networks, lava_traces):
    layer = networks.dense(30, 16, weight_rec=networks.weight(16, 16))
    description = NetworkDescription((30,), (layer, networks.dense(16, 8)))
    assert_equal(written(tmp_path, description), lava_traces, rate=0.2)


def test_conv_flatten_dense(tmp_path, networks, lava_traces):
    first = networks.conv((2, 11, 8), 4, (3, 2), stride=(2, 1), padding=(1, 0))
    second = networks.conv(first.shape, 6, (2, 3), dilation=(2, 1), padding=(0, 1), groups=2)
    size = int(np.prod(second.shape))
    description = NetworkDescription((2, 11, 8), (first, second, networks.dense(size, 5)))
    assert_equal(written(tmp_path, description), lava_traces)


def test_states_at_their_limits(tmp_path, lava_traces):
    """512 spikes of weight 128 are 2**22 in the state: u meets 2**23 exactly and wraps, v clips."""
    weight = np.tile(np.array([[254], [-256], [128], [-128], [64], [-64]], np.int32), (1, 512))
    reader = Dense("1", np.array([[254, 128, 64, 2, 254, 2], [-256, -2, -64, -2, 0, 2]], np.int32), Cuba(1 << 17, 0, 0))
    file = raw(tmp_path, NetworkDescription((512,), (Dense("0", weight, Cuba(4095, 0, 0)), reader)))
    assert_equal(file, lava_traces, rate=1.1)
    trace = Engine(file.description).run(np.ones((1, 512, STEPS), np.uint8), return_traces=True).traces[0]
    assert trace.u.max() == 1 << 23
    assert trace.u.min() > -(1 << 23)
    assert trace.v.min() == 1 - (1 << 23)
    assert_equal(file, lava_traces, rate=0.5)
