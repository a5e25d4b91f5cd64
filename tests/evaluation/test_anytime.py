"""Accuracy over time and the cost of a cutoff, on runs small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aoi.cutoff.rule import ConfidenceRule, decide
from aoi.evaluation.anytime import anytime_result

# Sample 0 (label 0) is right from step 1; sample 1 (label 1) is right at steps 2 and 3 only.
SCORES = np.array([[[5, 9, 9, 9], [0, 0, 0, 0]], [[1, 1, 1, 9], [0, 5, 9, 8]]])
LABELS = np.array([0, 1])


def test_curve_and_drops() -> None:
    result = anytime_result(SCORES, LABELS, decide(ConfidenceRule(0.9, 1.0), SCORES))
    assert result.accuracy_at.tolist() == [0.5, 1.0, 1.0, 0.5]
    assert result.decisions.step.tolist() == [1, 2]
    summary = result.summary()
    assert summary["samples"] == 2
    assert summary["steps"] == 4
    assert summary["full_accuracy"] == 0.5
    assert summary["accuracy"] == 1.0
    assert summary["accuracy_drop"] == -0.5
    assert summary["accuracy_drop_peak"] == 0.0
    assert summary["mean_decision_step"] == 1.5
    assert summary["speedup_steps"] == pytest.approx(4 / 1.5)


def test_without_a_cutoff_nothing_is_gained_or_lost() -> None:
    summary = anytime_result(SCORES, LABELS, decide(None, SCORES)).summary()
    assert summary["speedup_steps"] == 1.0
    assert summary["accuracy_drop"] == 0.0
    assert summary["accuracy_drop_peak"] == 0.5
