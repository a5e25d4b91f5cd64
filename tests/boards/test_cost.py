"""The cost of a decision: counts against the engine stopped by hand, estimates against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aoi.boards.board import load_board
from aoi.boards.cost import COUNTED, estimate, share, workload
from aoi.boards.fit import place
from aoi.engine import Engine, Run
from aoi.netx import Cuba, Dense, NetworkDescription

NEURON = Cuba(threshold=2, current_decay=4096, voltage_decay=128)


@pytest.fixture(scope="module")
def network() -> NetworkDescription:
    generator = np.random.default_rng(0)

    def dense(name: str, inputs: int, outputs: int) -> Dense:
        return Dense(name, 2 * generator.integers(-4, 8, (outputs, inputs), dtype=np.int32), NEURON)

    return NetworkDescription((20,), (dense("a", 20, 30), dense("b", 30, 15), dense("c", 15, 5)))


@pytest.fixture(scope="module")
def run(network: NetworkDescription) -> Run:
    spikes = np.random.default_rng(1).random((6, 20, 12)) < 0.3
    return Engine(network).run(spikes)


def test_the_pipeline_is_ahead_of_the_decision(network: NetworkDescription, run: Run) -> None:
    """At the decision of step t, t + 3 chip steps are over, of which layer d has executed t + 3 - d."""
    step = np.array([1, 2, 5, 9, 11, 12])
    done = workload(network, run.spikes, run.operations, step)
    for sample, t in enumerate(step):
        for layer, depth in enumerate((1, 2, 3)):
            expected = run.operations[sample, layer, : t + 3 - depth].sum()
            assert done.operations[sample, layer].sum() == expected
            assert done.spikes[sample, layer].sum() == run.spikes[sample, layer, : t + 3 - depth].sum()
    assert done.steps.tolist() == (step + 3).tolist()
    assert done.counts["updates"] == np.mean(step + 3) * 50
    assert np.isclose(sum(done.layers["operations"]), done.counts["operations"])


def test_all_steps_count_every_operation(network: NetworkDescription, run: Run) -> None:
    whole = workload(network, run.spikes, run.operations, np.full(6, 12))
    assert whole.operations.sum() == run.operations.sum()
    assert whole.spikes.sum() == run.spikes.sum()
    assert share(whole, whole).low == share(whole, whole).high == 1


def test_a_decision_costs_less(network: NetworkDescription, run: Run) -> None:
    some = workload(network, run.spikes, run.operations, np.full(6, 4))
    whole = workload(network, run.spikes, run.operations, np.full(6, 12))
    part = share(some, whole)
    assert part.low <= 7 / 15 <= part.high < 1
    for name in ("oheogulch", "nahuku"):
        less, more = (estimate(network, each, load_board(name)) for each in (some, whole))
        assert less.dynamic_j.low < more.dynamic_j.low
        assert less.dynamic_j.high < more.dynamic_j.high
        assert less.latency_s.high < more.latency_s.high


def test_loihi_1_by_hand(network: NetworkDescription, run: Run) -> None:
    """Three layers on a core each, SANA-FE's figures."""
    board = load_board("nahuku")
    assert [placed.cores for placed in place(network, board.chip)] == [1, 1, 1]
    whole = workload(network, run.spikes, run.operations, np.full(6, 12))
    found = estimate(network, whole, board)
    operations, spikes = run.operations.sum() / 6, run.spikes.sum() / 6
    low = operations * 33.6 + 50 * 15 * 51.2 + spikes * (69.3 + 111)
    high = operations * 35.5 + 50 * 15 * (51.2 + 21.6) + spikes * (69.3 + 111 + 10 * 4.2)
    assert np.isclose(found.dynamic_j.low, low * 1e-12)
    assert np.isclose(found.dynamic_j.high, high * 1e-12)
    assert found.static_j is None
    own = whole.operations * 4.7 + whole.spikes * 35.1 + np.array([30, 15, 5])[:, None] * 9.7
    assert np.isclose(found.latency_s.high, (own.max(axis=1) + 1800).sum() / 6 * 1e-9)
    assert found.latency_s.low < found.latency_s.high


def test_loihi_2_lies_between_the_ratios_of_the_counts(network: NetworkDescription, run: Run) -> None:
    """Whatever constants explain the measurement, their result lies within the range."""
    board = load_board("oheogulch")
    anchor = board.chip.anchor
    assert anchor is not None
    done = workload(network, run.spikes, run.operations, np.full(6, 8))
    found = estimate(network, done, board)
    generator = np.random.default_rng(0)
    for _ in range(200):
        constants = generator.random(4) ** 8
        explained = sum(c * getattr(anchor.counts, name) for c, name in zip(constants, COUNTED, strict=True))
        here = sum(c * done.counts[name] for c, name in zip(constants, COUNTED, strict=True))
        joule = here / explained * anchor.dynamic_j
        assert found.dynamic_j.low * (1 - 1e-9) <= joule <= found.dynamic_j.high * (1 + 1e-9)
    assert found.static_j is not None
    assert found.static_j.high == pytest.approx(found.latency_s.high * 0.567e-3 / (16 * 153e-6))
