"""The summary equals the single metrics, and every interval contains its number."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from aoi.cutoff.rule import ConfidenceRule, decide
from aoi.evaluation.anytime import anytime_result
from aoi.evaluation.bootstrap import Bootstrap, interval
from aoi.evaluation.oracle import earliest_correct, optimal_cutoff
from aoi.evaluation.reliability import reliability
from aoi.evaluation.robustness import compare_with_clean
from aoi.evaluation.summary import summarise
from tests.evaluation.streams import streams

RULE = ConfidenceRule(0.6, 0.5)
CLASSES = ("a", "b", "c", "d", "e", "never seen")
NEURONS = (40, 5)


def inputs(samples: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    scores, labels = streams(samples)
    generator = np.random.default_rng(0)
    spikes, operations = generator.integers(0, 5, (2, samples, 2, scores.shape[-1]))
    return scores, labels, spikes, operations * 10


def summary_of(scores: np.ndarray, labels: np.ndarray, spikes: np.ndarray, operations: np.ndarray) -> dict[str, Any]:
    confidence = RULE.confidence(np.moveaxis(scores, -1, 1))
    return summarise(
        scores, labels, decide(RULE, scores), confidence, CLASSES, spikes=spikes, operations=operations, neurons=NEURONS
    )


def test_numbers() -> None:
    scores, labels, spikes, operations = inputs()
    decisions = decide(RULE, scores)
    summary = summary_of(scores, labels, spikes, operations)
    assert anytime_result(scores, labels, decisions).summary().items() <= summary.items()
    assert summary["oct_mean"] == optimal_cutoff(scores, labels).mean()
    assert summary["average_earliest_step"] == earliest_correct(scores, labels).mean()
    right = decisions.prediction == labels
    assert summary["ece"] == reliability(decisions.confidence, right).error
    assert len(summary["ece_at"]) == summary["steps"] == 20
    assert (
        summary["ece_at"][-1]
        == reliability(RULE.confidence(scores[..., -1]), scores[..., -1].argmax(axis=1) == labels).error
    )
    assert np.trace(summary["confusion"]) == right.sum()
    assert [row["samples"] for row in summary["per_class"]] == [*np.bincount(labels).tolist(), 0]
    assert summary["per_class"][-1] == {
        "class": "never seen", "samples": 0, "accuracy": None, "mean_decision_step": None, "median_decision_step": None
    }  # fmt: skip
    steps = summary["decision_step_percentiles"]
    assert steps["50"] == np.median(decisions.step)
    for name, events in (("spikes", spikes), ("operations", operations)):
        by_hand = np.array([each[:, :step].sum() for each, step in zip(events, decisions.step, strict=True)])
        assert summary[name]["until_decision"] == pytest.approx(by_hand.mean())
        assert summary[name]["full"] == pytest.approx(events.sum(axis=(1, 2)).mean())
        assert summary[name]["ratio"] == pytest.approx(by_hand.sum() / events.sum())
        assert sum(summary[name]["layers_until_decision"]) == pytest.approx(by_hand.mean())
    assert summary["spikes"]["activation_sparsity_full"] == pytest.approx(1 - spikes.sum() / (300 * 20 * 45))
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_intervals() -> None:
    scores, labels, spikes, operations = inputs()
    summary = summary_of(scores, labels, spikes, operations)
    intervals = summary["intervals"]
    at = intervals.pop("accuracy_at")
    for (low, high), value in zip(at, summary["accuracy_at"], strict=True):
        assert low <= value <= high
    for name, (low, high) in intervals.items():
        group, _, key = name.partition("_")
        value = summary[group][key] if group in ("spikes", "operations") else summary[name]
        assert low < value < high, name
    decided = decide(RULE, scores).prediction == labels
    full = scores[..., -1].argmax(axis=1) == labels
    resamples = Bootstrap(len(labels))
    paired = interval(resamples.means(full) - resamples.means(decided))
    assert intervals["accuracy_drop"] == pytest.approx(list(paired))
    more = summary_of(*inputs(2700))["intervals"]
    for name in ("accuracy", "mean_decision_step", "operations_until_decision"):
        assert np.ptp(more[name]) == pytest.approx(np.ptp(intervals[name]) / 3, rel=0.35)


def test_a_silent_network_costs_nothing_and_saves_nothing() -> None:
    scores, labels, spikes, operations = inputs(50)
    summary = summary_of(scores, labels, spikes * 0, operations * 0)
    assert summary["operations"]["until_decision"] == 0.0
    assert summary["operations"]["ratio"] == 1.0
    assert summary["intervals"]["spikes_ratio"] == [1.0, 1.0]
    assert summary["spikes"]["activation_sparsity"] == 1.0


def test_changes_from_clean_recordings() -> None:
    clean, labels = streams(400, drift=0.35)
    worse = clean.copy()
    worse[:, :, 5:] = worse[:, :, 4:5]  # nothing arrives any more after step 5
    before, after = (clean, decide(RULE, clean)), (worse, decide(RULE, worse))
    level = compare_with_clean(before, after, labels)
    assert level.accuracy == (after[1].prediction == labels).mean()
    assert level.full_accuracy == (clean[..., 4].argmax(axis=1) == labels).mean()
    assert level.mean_decision_step == after[1].step.mean()
    assert level.change["mean_confidence"] == pytest.approx(after[1].confidence.mean() - before[1].confidence.mean())
    assert level.intervals["full_accuracy"][1] < 0 < level.intervals["mean_decision_step"][0]
    for name, (low, high) in level.intervals.items():
        assert low < level.change[name] < high
    same = compare_with_clean(before, before, labels)
    assert set(same.change.values()) == {0.0}
    assert set(same.intervals.values()) == {(0.0, 0.0)}
