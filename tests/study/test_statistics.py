"""The statistics of a study on runs with known results."""

from __future__ import annotations

import numpy as np
import pytest

from aoi.study.statistics import cell_result, compare_arms, mean_interval, steps_for


def sure_from(steps: list[int], total: int) -> tuple[np.ndarray, np.ndarray]:
    """Readout of samples that predict class 1 from a step on (class 0 before), with rising confidence."""
    scores = np.zeros((len(steps), 2, total), np.int64)
    for row, first in enumerate(steps):
        scores[row, 1, first - 1 :] = 10 * np.arange(1, total - first + 2)
    return scores, np.ones(len(steps), np.int64)


def test_steps_at_the_drop_are_the_first_correct_ones() -> None:
    scores, labels = sure_from([2, 4] * 50, 8)
    result = cell_result(scores, labels, scores, labels, 0.005)
    assert result["accuracy_at"] == [0.0, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert result["peak"] == result["accuracy"] == 1.0
    assert result["steps_at_drop"] == pytest.approx(3.0)
    assert steps_for(result, 1.0) == pytest.approx(3.0)
    assert steps_for(result, 1.1) == 8


def test_the_peak_is_reached_by_a_threshold() -> None:
    """Half of the samples turn wrong at step 5 with unchanged confidence: no threshold reaches the accuracy of step
    4."""
    scores, labels = sure_from([4] * 40, 8)
    scores[:20, 0, 4:] = 200
    scores[:, 0, :3] = 500  # wrong and sure before
    result = cell_result(scores, labels, scores, labels, 0.005)
    assert max(result["accuracy_at"]) == 1.0
    assert result["peak"] == max(result["points"]["accuracy"]) < 1.0
    assert result["accuracy"] >= result["peak"] - 0.005


def test_arms_are_compared_on_the_seeds_that_both_have() -> None:
    def cell(first: list[int]) -> dict[str, object]:
        scores, labels = sure_from(first * 20, 8)
        return cell_result(scores, labels, scores, labels, 0.005)

    results = {("a", 0): cell([2]), ("a", 1): cell([4]), ("b", 0): cell([3]), ("b", 1): cell([6]), ("b", 2): cell([7])}
    a, b = compare_arms(results, ["a", "b", "c"], ["a"])
    assert a["against"] == {}
    assert a["steps_at_drop"]["mean"] == pytest.approx(3.0)
    assert b["seeds"] == [0, 1, 2]
    against = b["against"]["a"]
    assert against["seeds"] == [0, 1]
    assert against["steps"]["mean"] == pytest.approx(1.5)
    assert against["steps_share"] == pytest.approx({"mean": 1.5, "low": 1.5, "high": 1.5})
    assert against["steps_at_equal_accuracy"]["mean"] == pytest.approx(1.5)


def test_the_interval_is_students() -> None:
    found = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found["mean"] == 3.0
    assert found["high"] == pytest.approx(3 + 2.776445 * np.sqrt(2.5 / 5), rel=1e-6)
    assert mean_interval([2.0]) == {"mean": 2.0, "low": None, "high": None}
