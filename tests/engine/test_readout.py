"""What is read of the output layer where nobody says it, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aoi.cutoff.rules import PatienceRule
from aoi.engine import Engine
from aoi.errors import DataError
from aoi.netx import Cuba, Metadata, NetworkDescription, read_network, write_network


@pytest.fixture
def spikes() -> np.ndarray:
    return (np.random.default_rng(2).random((5, 30, 16)) < 0.3).astype(np.uint8)


@pytest.fixture
def firing(networks) -> NetworkDescription:
    return networks.mlp(30, 20, 4)


@pytest.fixture
def integrator(firing) -> NetworkDescription:
    """Its output layer never fires."""
    last = replace(firing.layers[1], neuron=Cuba(1 << 17, 4096, 0))
    return replace(firing, layers=(firing.layers[0], last))


def test_an_output_that_never_fires_is_read_through_its_voltage(integrator, spikes):
    """In every way of running, without being told."""
    engine, rule = Engine(integrator), PatienceRule(3)
    run = engine.run(spikes, return_traces=True)
    assert run.scores.any()
    np.testing.assert_array_equal(run.scores, run.traces[-1].v)
    np.testing.assert_array_equal(engine.run_stream(5, lambda indices: spikes[indices], chunk=2).scores, run.scores)
    found = engine.run_until(5, lambda indices: spikes[indices], rule)
    np.testing.assert_array_equal(found.scores, run.scores[np.arange(5), :, found.step - 1])
    state, scores = engine.start(5), np.zeros((5, 4), np.int64)
    for t in range(16):
        scores = engine.accumulate(scores, engine.step(state, spikes[..., t]))
        np.testing.assert_array_equal(scores, run.scores[..., t])
    assert engine.pipeline_fill().shape == (2, 4)


def test_spikes_of_an_output_that_never_fires_are_refused(integrator, spikes):
    engine = Engine(integrator)
    state, scores = engine.start(5), np.zeros((5, 4), np.int64)
    for work in (
        lambda: engine.run(spikes, readout="spikes"),
        lambda: engine.run_stream(5, lambda indices: spikes[indices], readout="spikes"),
        lambda: engine.run_until(5, lambda indices: spikes[indices], PatienceRule(3), readout="spikes"),
        lambda: engine.step(state, spikes[..., 0], readout="spikes"),
        lambda: engine.accumulate(scores, scores, "spikes"),
        lambda: engine.pipeline_fill("spikes"),
    ):
        with pytest.raises(DataError, match=r"layer dense, the output, never fires.*read its 'voltage'"):
            work()
    assert state.clock == 0


def test_an_output_that_fires_counts_its_spikes(firing, spikes):
    engine = Engine(firing)
    run = engine.run(spikes, return_traces=True)
    assert run.scores.any()
    np.testing.assert_array_equal(run.scores, run.traces[-1].s.cumsum(axis=-1))
    np.testing.assert_array_equal(engine.run(spikes, readout="voltage").scores, run.traces[-1].v)


def test_messages_have_no_voltage(networks):
    engine = Engine(networks.mixed(graded=True, values=True))
    values = np.ones((1, 2, 7, 6, 3), np.int32)
    assert engine.readout == "spikes"
    engine.run(values)
    with pytest.raises(DataError, match=r"sends messages and has no voltage; read its 'spikes'"):
        engine.run(values, readout="voltage")


def test_a_file_says_what_is_read(networks, integrator, spikes, tmp_path):
    """Also against the description's own readout; without the group /aoi that one counts."""
    path = tmp_path / "network.net"
    fired = networks.mlp(30, 20, 4)
    for description, metadata, readout in (
        (fired, Metadata(readout="voltage"), "voltage"),
        (fired, Metadata(), "spikes"),
        (fired, None, "spikes"),
        (integrator, None, "voltage"),
    ):
        write_network(path, description, metadata)
        file = read_network(path)
        engine = Engine(file)
        assert engine.readout == file.readout == readout
        expected = Engine(file.description).run(spikes, readout=readout).scores
        np.testing.assert_array_equal(engine.run(spikes).scores, expected)


def test_refuses_what_is_no_network_or_no_readout(firing, spikes):
    with pytest.raises(DataError, match="runs no str; give it a NetworkDescription"):
        Engine("network.net")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="readout = 'currents' is not one of 'spikes', 'voltage'"):
        Engine(firing).run(spikes, readout="currents")  # type: ignore[arg-type]
