"""Operating points equal single decisions; the front and the steps at equal drop equal their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aoi.cutoff.rule import RULES, ConfidenceRule, Rule, candidates, decide, statistics
from aoi.cutoff.rules import EntropyRule, FixedRule, GapRule, PatienceRule
from aoi.evaluation.bootstrap import Bootstrap, interval
from aoi.evaluation.operating_points import OperatingPoints, earliest_within_drop, operating_points, pareto_front
from tests.evaluation.streams import streams

PLAIN = (FixedRule(1.0), ConfidenceRule(1.0, 0.5), EntropyRule(1.0, 0.5), GapRule(1.0), PatienceRule(1.0))


def swept(rule: Rule, seed: int = 0, samples: int = 300) -> tuple[OperatingPoints, np.ndarray, np.ndarray]:
    scores, labels = streams(samples, seed=seed)
    thresholds = candidates(rule, scores.shape[-1])
    return operating_points(statistics(rule, scores), thresholds, scores, labels), scores, labels


@pytest.mark.parametrize("rule", PLAIN, ids=lambda rule: rule.name)
def test_each_point_equals_decide(rule: Rule) -> None:
    points, scores, labels = swept(rule)
    assert rule.name in RULES
    for index in range(0, len(points.thresholds), 7):
        decisions = decide(rule.with_threshold(points.thresholds[index]), scores)
        assert (points.step[index] == decisions.step).all()
        assert points.accuracy[index] == (decisions.prediction == labels).mean()
        assert points.mean_decision_step[index] == decisions.step.mean()
    assert points.step.min() < scores.shape[-1]


def test_runs_of_one_step() -> None:
    scores, labels = streams(20, steps=1)
    points = operating_points(statistics(FixedRule(1.0), scores), np.array([1.0]), scores, labels)
    assert (points.step == 1).all()
    assert points.accuracy_drop.tolist() == [0.0]


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=1, max_size=25))
def test_front_as_defined(points: list[tuple[int, int]]) -> None:
    steps, accuracy = np.array(points, dtype=np.float64).T
    dominated = [any((s <= a and b >= q and (s < a or b > q)) for s, b in points) for a, q in points]
    assert pareto_front(steps, accuracy).tolist() == [not d for d in dominated]


def test_accuracy_rises_along_the_front() -> None:
    points, _, _ = swept(ConfidenceRule(1.0, 0.5))
    order = np.argsort(points.mean_decision_step[points.front])
    assert (np.diff(points.accuracy[points.front][order]) >= 0).all()
    assert 3 < points.front.sum() < len(points.thresholds)


@pytest.mark.parametrize("max_drop", [0.003, 0.02, 0.1])
def test_the_fewest_steps_within_the_drop(max_drop: float) -> None:
    points, scores, labels = swept(ConfidenceRule(1.0, 0.5), samples=1000)
    found = earliest_within_drop(points, max_drop)
    assert found.threshold is not None
    decisions = decide(ConfidenceRule(found.threshold, 0.5), scores)
    full = (decide(None, scores).prediction == labels).mean()
    assert found.mean_decision_step == decisions.step.mean()
    assert found.accuracy_drop == pytest.approx(full - (decisions.prediction == labels).mean())
    assert found.accuracy_drop <= max_drop + 1e-9
    cheaper = points.mean_decision_step < found.mean_decision_step
    assert (points.accuracy_drop[cheaper] > max_drop).all()
    low, high = interval(found.draws)
    assert low < found.mean_decision_step < high


def test_each_draw_chooses_its_own_threshold() -> None:
    points, _, _ = swept(ConfidenceRule(1.0, 0.5), samples=200)
    resamples = Bootstrap(200, resamples=5, seed=4)
    found = earliest_within_drop(points, 0.01, resamples)
    generator = np.random.default_rng(4)
    for draw, chosen in zip(found.draws, generator.integers(0, 200, (5, 200)), strict=True):
        lost = points.full_correct[chosen].mean() - points.correct[:, chosen].mean(axis=1)
        assert draw == pytest.approx(points.step[:, chosen].mean(axis=1)[lost <= 0.01 + 1e-9].min())


def test_full_inference_if_every_threshold_loses_too_much() -> None:
    full = np.ones(50, dtype=bool)
    points = OperatingPoints(np.array([0.5]), np.full((1, 50), 3), np.zeros((1, 50), dtype=bool), full, steps=8)
    found = earliest_within_drop(points, 0.01)
    assert (found.threshold, found.mean_decision_step, found.accuracy_drop) == (None, 8.0, 0.0)
    assert (found.draws == 8).all()
