"""Arms pooled over seeds, on runs with known results."""

from __future__ import annotations

import numpy as np
import pytest

from aoi.study.pooled import CellScores, arm_summary, compare_pooled, pool_cells


def late(step: int, samples: int = 80, wrong: int = 4, steps: int = 12) -> CellScores:
    """Correct and confident from ``step`` on, except ``wrong`` samples that are always wrong."""
    scores = np.zeros((samples, 2, steps), np.int64)
    scores[wrong:, 1, step - 1 :] = 40
    scores[:wrong, 0] = 1
    return CellScores(scores, np.ones(samples, np.int64), 0.2)


def test_an_earlier_network_needs_a_smaller_share_of_steps() -> None:
    early, slow = (pool_cells({0: late(step), 1: late(step)}, 200) for step in (3, 6))
    found = compare_pooled(early, slow, 0.01)
    # Correct samples stop at their step; the 4 wrong ones lose nothing by stopping at once.
    assert found["steps"]["mean"] == pytest.approx((76 * 3 + 4) / 80)
    assert found["reference_steps"]["mean"] == pytest.approx((76 * 6 + 4) / 80)
    assert found["share"]["low"] is not None
    assert found["share"]["low"] <= found["share"]["mean"] <= found["share"]["high"] < 1  # type: ignore[operator]
    assert found["accuracy"] == {"mean": 0.0, "low": 0.0, "high": 0.0}  # paired: the same recordings are wrong


def test_a_network_that_never_reaches_the_accuracy_takes_all_steps() -> None:
    good, bad = (pool_cells({0: late(3, wrong=wrong)}, 50) for wrong in (2, 40))
    assert good.steps_for(np.full(51, 0.97))[0] < 4
    assert bad.steps_for(np.full(51, 0.97))[0] == 12
    assert arm_summary(bad, 0.005)["full_accuracy"]["mean"] == pytest.approx(0.5)
    # Compared at an accuracy that both reach.
    found = compare_pooled(good, bad, 0.005)
    assert found["steps"]["mean"] < 4
    assert found["reference_steps"]["mean"] < 12


def test_the_top_threshold_stops_hardly_any_run() -> None:
    generator = np.random.default_rng(0)
    counts = generator.poisson(0.3, (200, 4, 20))
    counts[:, 0] += generator.poisson(0.6, (200, 20))
    arm = pool_cells({0: CellScores(counts.cumsum(axis=-1), np.zeros(200, np.int64), 1.0)}, 5)
    assert arm.steps[0, 0] > 19
    assert arm.steps[0, -1] < 3


def test_intervals_are_as_wide_as_chance() -> None:
    """Always correct in 64 of 80: the interval of the accuracy is binomial."""
    found = arm_summary(pool_cells({0: late(1, wrong=16)}, 4000), 0.005)["full_accuracy"]
    assert found["mean"] == pytest.approx(0.8)
    half = 1.96 * np.sqrt(0.8 * 0.2 / 80)
    assert found["high"] - 0.8 == pytest.approx(half, rel=0.15)  # type: ignore[operator]
    assert 0.8 - found["low"] == pytest.approx(half, rel=0.15)  # type: ignore[operator]


def test_renderings_of_a_recording_are_drawn_together() -> None:
    """Three copies of each recording add no information: means and resamples stay the same."""
    once = late(3, wrong=16)
    renderings = CellScores(np.tile(once.scores, (3, 1, 1)), np.tile(once.labels, 3), once.scale, cameras=3)
    single, copied = pool_cells({0: once}, 50), pool_cells({0: renderings}, 50)
    assert np.allclose(single.accuracy, copied.accuracy)
    assert np.allclose(single.steps, copied.steps)


def test_the_peak_is_reached_by_a_threshold() -> None:
    cell = late(4)
    cell.scores[:40, 0, 4:] = 200  # half of them turn wrong
    cell.scores[:, 0, :3] = 500  # wrong and confident before
    arm = pool_cells({0: cell}, 20)
    assert arm.at[0].max() == pytest.approx(0.95)
    assert arm.peak[0] == max(arm.accuracy[0].max(), arm.at[0, -1]) < 0.95


def test_seeds_weigh_the_same_whatever_their_number_of_recordings() -> None:
    both = pool_cells({0: late(3, samples=20, wrong=0), 1: late(3, samples=200, wrong=100)}, 20)
    assert both.at[0, -1] == pytest.approx(0.75)
