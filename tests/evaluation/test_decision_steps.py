"""Percentiles and classes."""

from __future__ import annotations

import numpy as np

from aoi.cutoff.rule import Decisions
from aoi.evaluation.decision_steps import ClassResult, per_class, percentiles


def test_a_percentile_is_the_first_step_that_decides_that_share() -> None:
    step = np.random.default_rng(0).integers(1, 30, 333)
    for percent, value in percentiles(step).items():
        assert (step <= value).mean() >= percent / 100
        assert (step <= value - 1).mean() < percent / 100
    assert percentiles(np.array([3, 3, 3, 9]), (50, 75, 76)) == {50: 3, 75: 3, 76: 9}


def test_class_by_class() -> None:
    labels = np.array([0, 2, 2, 2])
    decisions = Decisions(np.array([4, 1, 2, 9]), np.array([0, 2, 0, 2]), np.ones(4))
    assert per_class(labels, decisions, 3) == (
        ClassResult(1, 1.0, 4.0, 4),
        ClassResult(0, None, None, None),
        ClassResult(3, 2 / 3, 4.0, 2),
    )
