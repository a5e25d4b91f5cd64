"""Networks that take values: sigma-delta encoders, input blocks of CUBA neurons; sigma outputs and output groups."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from aoi.cutoff.rule import ConfidenceRule
from aoi.engine import Engine
from aoi.errors import DataError, NetXError
from aoi.netx import (
    Conv,
    Cuba,
    Delta,
    Dense,
    Input,
    NetworkDescription,
    NetworkFile,
    Neuron,
    Sigma,
    SigmaDelta,
    read_network,
)
from aoi.netx.write import _write_blocks
from aoi_deploy.lava.session import LavaSession
from aoi_deploy.lava.trace import lava_trace

SHAPE, STEPS = (2, 6, 5), 12


def built(path: Path, kind: str, output: Neuron | None = None, average: int | None = None) -> NetworkFile:
    """``kind``: "sdnn" or "cuba"; input block, convolution, recurrent and dense layer with biases."""
    rng = np.random.default_rng(5)

    def weight(*shape: int, high: int = 40) -> np.ndarray:
        return (2 * rng.integers(-high, high + 1, shape)).astype(np.int32)

    bias = rng.integers(-30, 31, 8, dtype=np.int32)
    if kind == "sdnn":
        encoder, first, second, last = Delta(3), SigmaDelta(5), SigmaDelta(0), output or Sigma()
    else:
        encoder = Cuba(np.array([20, 60], np.int32), 4096, 300)
        first, second, last = Cuba(90, 1000, 300), Cuba(100, 2000, 100), output or Cuba(120, 1000, 500)
    conv = Conv("1", SHAPE, weight(4, 1, 3, 2), first, (2, 1), (1, 0), groups=2, bias=bias[:4])
    loop = weight(8, 8, high=4)
    hidden = Dense("3", weight(8, int(np.prod(conv.shape))), second, bias, weight_rec=loop)
    layers = (Input("0", SHAPE, encoder), conv, hidden, Dense("4", weight(6, 8), last))
    with h5py.File(path, "w") as file:
        _write_blocks(file, NetworkDescription(SHAPE, layers, average))
    return read_network(path, input_block=True)


def values(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-80, 81, (samples, *SHAPE, STEPS), dtype=np.int32)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sdnn", "cuba"])
def test_every_layer_and_step_equals_the_engine(kind: str, tmp_path: Path) -> None:
    file = built(tmp_path / "values.net", kind)
    samples = values(3)
    traces = lava_trace(file, samples)
    for ours, theirs in zip(traces, Engine(file.description).run(samples, return_traces=True).traces, strict=True):
        assert ours.name == theirs.name
        assert ours.s.dtype == theirs.s.dtype == (np.int32 if kind == "sdnn" else np.uint8)
        for quantity in ("u", "v", "s"):
            np.testing.assert_array_equal(getattr(ours, quantity), getattr(theirs, quantity))
        assert ours.s.any()


@pytest.mark.parametrize("kind", ["sdnn", "cuba"])
def test_samples_do_not_affect_one_another(kind: str, tmp_path: Path) -> None:
    """Also if the samples before were stopped early, with activity in flight."""
    file = built(tmp_path / "values.net", kind)
    samples = values(6)
    with LavaSession(file, steps=STEPS, model="stock") as session:
        alone = [r.scores for r in session.run(samples[3:4])]
    with LavaSession(file, steps=STEPS, rule=ConfidenceRule(threshold=1e-9, scale=1.0), model="stock") as session:
        assert [r.decision_step for r in session.run(samples[:3])] == [1, 1, 1]
        session.rule = None
        np.testing.assert_array_equal([r.scores for r in session.run(samples[3:4])], alone)


@pytest.mark.parametrize(
    ("kind", "output", "readout"),
    [
        ("sdnn", None, "spikes"),
        ("sdnn", SigmaDelta(4), "spikes"),
        ("sdnn", Cuba(1 << 17, 4096, 0), "voltage"),
        ("cuba", None, "spikes"),
        ("cuba", Cuba(1 << 17, 4096, 0), "voltage"),
    ],
)
@pytest.mark.parametrize("average", [None, 3])
def test_readout_equals_the_engine(kind, output, readout, average, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Sigma outputs are already sums, messages of sigma-delta outputs are added up, and groups are summed."""
    file = built(tmp_path / "values.net", kind, output, average)
    samples = values(3)
    expected = Engine(file.description).run(samples, readout=readout).scores[..., -1]
    with LavaSession(file, steps=STEPS, readout=readout, model="stock") as session:
        results = list(session.run(samples))
    np.testing.assert_array_equal([r.scores for r in results], expected)
    assert expected.shape == (3, average or 6)
    assert np.any(expected)
    assert {r.steps_executed for r in results} == {STEPS + 3}, "an input block adds no latency"


def test_values_out_of_range_and_wrong_readouts_are_refused(tmp_path: Path) -> None:
    cuba, sdnn = built(tmp_path / "cuba.net", "cuba"), built(tmp_path / "sdnn.net", "sdnn")
    with pytest.raises(NetXError, match=r"readout='spikes'"):
        LavaSession(sdnn, steps=STEPS, readout="voltage", model="stock")
    for file, low, high in ((cuba, -4096, 4095), (sdnn, -(1 << 19), (1 << 19) - 1)):
        with LavaSession(file, steps=STEPS, model="stock") as session:
            for wrong in (low - 1, high + 1):
                sample = values(1)[0]
                sample[0, 0, 0, 0] = wrong
                with pytest.raises(DataError, match=rf"sample 0 holds .*takes values of {low}\.\.{high}"):
                    list(session.run([sample]))
            assert len(list(session.run(values(1)))) == 1
