"""Traces of Lava against the engine, and against a network run by stock Lava."""

from __future__ import annotations

import importlib.metadata
import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from aoi.engine import Engine
from aoi.netx import Cuba, Dense, NetworkDescription, NetworkFile, read_network, write_network
from aoi_deploy.lava.trace import lava_trace
from tests.aoi_deploy.lava_networks import Make, spikes

SHIPPED = Path(str(importlib.metadata.distribution("lava-dl").locate_file("tests/lava/lib/dl/netx")))


def _run_stock_lava(file: NetworkFile, sample: np.ndarray, output: Connection) -> None:
    """Output spikes (T, *shape in Lava's order) with stock Lava only: its processes, models, runtime and channels."""
    from lava.lib.dl.netx import hdf5
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc import io

    network = hdf5.Network(net_config=str(file.path), skip_layers=file.skip_layers)
    steps = sample.shape[-1] + len(network)
    data = np.zeros((*network.inp.shape, steps))
    frames = sample.transpose(2, 1, 0, 3) if len(network.inp.shape) == 3 else sample.reshape(-1, sample.shape[-1])
    data[..., : sample.shape[-1]] = frames
    source = io.source.RingBuffer(data=data)
    sink = io.sink.RingBuffer(shape=network.out.shape, buffer=steps)
    source.s_out.connect(network.inp)
    network.out.connect(sink.a_in)
    network.run(condition=RunSteps(num_steps=steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    output.send(np.moveaxis(sink.data.get(), -1, 0)[len(network) :])
    network.stop()


@pytest.mark.parametrize("kind", ["dense", "delay", "recurrent", "voltage", "conv", "wide"])
def test_every_layer_and_step_equals_the_engine(make: Make, kind: str) -> None:
    file = make(kind)
    samples = spikes(file, 8, 32)
    begin = time.monotonic()
    traces = lava_trace(file, samples)
    assert time.monotonic() - begin < 20
    expected = Engine(file.description).run(samples, return_traces=True).traces
    assert [t.name for t in traces] == [t.name for t in expected]
    for ours, theirs in zip(traces, expected, strict=True):
        np.testing.assert_array_equal(ours.s, theirs.s)
        np.testing.assert_array_equal(ours.u, theirs.u)
        np.testing.assert_array_equal(ours.v, theirs.v)
    assert all(0.01 < t.s.mean() < 0.9 for t in traces[:-1])


def test_recurrent_output_that_never_fires(tmp_path: Path) -> None:
    """Its voltage cannot be the readout, and its spikes say nothing; its states can be compared all the same."""
    rng = np.random.default_rng(0)
    weight, weight_rec = (2 * rng.integers(-60, 60, (3, size), dtype=np.int32) for size in (8, 3))
    layer = Dense("0", weight, Cuba(1 << 17, 300, 20), weight_rec=weight_rec)
    write_network(tmp_path / "recurrent.net", NetworkDescription((8,), (layer,)))
    file = read_network(tmp_path / "recurrent.net")
    samples = (rng.random((2, 8, 12)) < 0.4).astype(np.uint8)
    (ours,), (theirs,) = lava_trace(file, samples), Engine(file.description).run(samples, return_traces=True).traces
    assert ours.v.any()
    np.testing.assert_array_equal(ours.u, theirs.u)
    np.testing.assert_array_equal(ours.v, theirs.v)


def test_samples_do_not_affect_one_another(make: Make) -> None:
    file = make("delay")
    samples = spikes(file, 4, 10)
    forward = lava_trace(file, samples)
    backward = lava_trace(file, samples[::-1])
    for a, b in zip(forward, backward, strict=True):
        np.testing.assert_array_equal(a.v, b.v[::-1])


@pytest.mark.parametrize("kind", ["delay", "conv"])
def test_output_equals_stock_lava(make: Make, kind: str) -> None:
    file = make(kind)
    samples = spikes(file, 2, 12)
    traced = lava_trace(file, samples)[-1].s[1]
    reader, writer = multiprocessing.Pipe(duplex=False)
    stock = multiprocessing.get_context("fork").Process(target=_run_stock_lava, args=(file, samples[1], writer))
    stock.start()
    assert reader.poll(60)
    np.testing.assert_array_equal(traced.T, reader.recv())
    stock.join(20)
    assert traced.any()


@pytest.mark.skipif(not SHIPPED.is_dir(), reason="lava-dl is installed without its test networks")
@pytest.mark.parametrize("name", ["mnist.net", "tiny.net"])
def test_networks_shipped_with_lava_dl(name: str) -> None:
    """One has a voltage readout, the other biases and a convolution at its end; both begin with an input block."""
    file = read_network(SHIPPED / name)
    samples = spikes(file, 2, 16)
    traces = lava_trace(file, samples)
    for ours, theirs in zip(traces, Engine(file.description).run(samples, return_traces=True).traces, strict=True):
        assert ours.name == theirs.name
        np.testing.assert_array_equal(ours.s, theirs.s)
        np.testing.assert_array_equal(ours.v, theirs.v)
