"""Dense layers as matrices of bytes: the same integers as by adding up events, whatever unit multiplies."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aoi.cutoff.rules import ConfidenceRule
from aoi.engine import Engine, plan
from aoi.engine.processor import MatrixUnit, matrix_units
from aoi.errors import DataError
from aoi.netx import Cuba, Dense, NetworkDescription
from tests.engine.drawn_networks import Case, cases

UNITS = [
    pytest.param(unit, marks=pytest.mark.skipif(unit not in matrix_units(), reason=f"this processor has no {unit}"))
    for unit in ("tiles", "vectors")
]


@pytest.fixture
def always(monkeypatch) -> None:
    """However little spikes, the matrix is taken."""
    monkeypatch.setattr(plan, "_MATRIX_WEIGHT_NS", {"tiles": 0.0, "vectors": 0.0})


def _equal(description: NetworkDescription, spikes: np.ndarray, unit: MatrixUnit) -> Engine:
    events = Engine(description, unit="none").run(spikes, return_traces=True)
    matrix = Engine(description, unit=unit)
    for _ in range(2):  # buffers of the first run are used again
        run = matrix.run(spikes, return_traces=True)
        for name in ("scores", "spikes", "operations"):
            np.testing.assert_array_equal(getattr(run, name), getattr(events, name), name)
        for ours, theirs in zip(run.traces, events.traces, strict=True):
            for name in "uvs":
                np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), f"{ours.name}.{name}")
    return matrix


@st.composite
def _wide(draw: st.DrawFn) -> Case:
    """Dense layers with fan-outs of several digits, inputs that fill no block, extreme weights."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = draw(st.lists(st.integers(1, 300), min_size=2, max_size=4))
    low, high = draw(st.sampled_from([(-256, 254), (-20, 20), (0, 254), (-128, 127)]))
    zeros = draw(st.sampled_from([0.0, 0.5, 1.0]))
    layers = []
    for fed, size in pairwise(sizes):
        weight = rng.integers(low, high + 1, (size, fed), dtype=np.int32)
        weight[rng.random(weight.shape) < zeros] = 0
        if high == 254:
            weight &= ~1
        neuron = Cuba(int(rng.integers(0, 2000)), int(rng.integers(0, 4097)), int(rng.integers(0, 4097)))
        layers.append(Dense(f"dense {size}", weight, neuron))
    samples, steps = draw(st.integers(1, 5)), draw(st.integers(1, 40))
    spikes = rng.random((samples, sizes[0], steps)) < draw(st.sampled_from([0.0, 0.05, 0.5, 1.0]))
    return Case(NetworkDescription((sizes[0],), tuple(layers)), spikes.astype(np.uint8))


@pytest.mark.parametrize("unit", UNITS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=_wide())
def test_wide_networks(unit: MatrixUnit, always: None, case: Case) -> None:
    _equal(case.description, case.inputs, unit)


@pytest.mark.parametrize("unit", UNITS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases())
def test_networks_of_all_kinds(unit: MatrixUnit, always: None, case: Case) -> None:
    _equal(case.description, case.inputs, unit)


@pytest.mark.parametrize("unit", UNITS)
def test_every_layer_that_can_be_is_a_matrix(unit: MatrixUnit, always: None, networks) -> None:
    """Otherwise the tests above compare events with events."""
    description = networks.mlp(70, 60, 50, 10)
    spikes = (networks.rng.random((4, 70, 17)) < 0.4).astype(np.uint8)
    engine = _equal(description, spikes, unit)
    worker = engine._idle_workers.get_nowait()
    assert worker._source.spike_bytes.size
    assert all(sent.any() for sent in worker._sent_bytes)
    assert Engine(description, unit="none").plans[0].matrix is None


@pytest.mark.parametrize("unit", UNITS)
def test_samples_that_stop(unit: MatrixUnit, always: None, networks) -> None:
    """Rows that do not follow one another are gathered first."""
    description = networks.mlp(70, 40, 10)
    spikes = (networks.rng.random((150, 70, 24)) < 0.3).astype(np.uint8)
    rule = ConfidenceRule(0.9, 1e-3)
    results = [
        Engine(description, unit=each, threads=1).run_until(
            150, lambda indices: spikes[indices], rule, readout="voltage"
        )
        for each in (unit, "none")
    ]
    assert len(set(results[0].step.tolist())) > 3
    for name in ("step", "scores", "spikes", "operations"):
        np.testing.assert_array_equal(getattr(results[0], name), getattr(results[1], name), name)


def test_quiet_layers_stay_events(networks) -> None:
    """By measured activity: what hardly spikes is not multiplied."""
    if not matrix_units():
        pytest.skip("this processor multiplies no matrices of bytes")
    description = networks.mlp(256, 256, 256)
    quiet = replace(description.layers[0], neuron=Cuba(4000, 4096, 4096))
    engine = Engine(NetworkDescription((256,), (quiet, description.layers[1])), threads=1)
    for rate, matrix in ((0.5, True), (0.001, False)):
        engine.run((networks.rng.random((8, 256, 16)) < rate).astype(np.uint8))
        worker = engine._idle_workers.get_nowait()
        assert bool(worker._source.spike_bytes.size) is matrix
        engine._idle_workers.put(worker)
    assert worker._rates[0] < engine.plans[1].matrix_rate


def test_a_unit_that_is_not_there(networks) -> None:
    with pytest.raises(DataError, match="this machine has"):
        Engine(networks.mlp(4, 3), unit="quantum")  # type: ignore[arg-type]
