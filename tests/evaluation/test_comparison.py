"""Compared rules: each row equals the rule's own operating points, all on the same resamples."""

from __future__ import annotations

import json

import numpy as np
import pytest

from aoi.cutoff.rule import ConfidenceRule, candidates, decide, statistics
from aoi.cutoff.rules import EntropyRule, FixedRule
from aoi.evaluation.bootstrap import Bootstrap, interval
from aoi.evaluation.comparison import compare_rules
from aoi.evaluation.operating_points import earliest_within_drop, operating_points
from tests.evaluation.streams import streams


def test_rows() -> None:
    scores, labels = streams(500)
    rules = (ConfidenceRule(0.1, 0.5), EntropyRule(0.1, 0.5), FixedRule(1.0))
    compared = compare_rules(rules, scores, labels, 0.02)
    for rule, each in zip(rules, compared, strict=True):
        row = each.summary()
        alone = earliest_within_drop(
            operating_points(statistics(rule, scores), candidates(rule, 20), scores, labels), 0.02, Bootstrap(500)
        )
        assert (row["rule"], row["threshold"]) == (rule.name, alone.threshold)
        assert row["mean_decision_step"] == alone.mean_decision_step
        assert row["interval"] == list(interval(alone.draws))
        assert row["accuracy"] == (decide(rule.with_threshold(row["threshold"]), scores).prediction == labels).mean()
        assert row["speedup_steps"] == pytest.approx(20 / row["mean_decision_step"])
        assert len(row["points"]) == len(candidates(rule, 20))
        chosen = next(point for point in row["points"] if point["threshold"] == row["threshold"])
        assert chosen["mean_decision_step"] == row["mean_decision_step"]
        assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_a_rule_that_looks_at_its_samples_beats_one_that_does_not() -> None:
    scores, labels = streams(1000)
    confidence, fixed = compare_rules((ConfidenceRule(0.9, 0.5), FixedRule(1.0)), scores, labels, 0.02)
    low, _ = interval(fixed.best.draws - confidence.best.draws)
    assert low > 0
    apart = np.ptp(interval(fixed.best.draws)) + np.ptp(interval(confidence.best.draws))
    assert np.ptp(interval(fixed.best.draws - confidence.best.draws)) < apart
