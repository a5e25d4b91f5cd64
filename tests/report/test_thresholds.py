"""The slider's positions decide bit-identically to the rules and have exact texts."""

from __future__ import annotations

import numpy as np
import pytest

from aoi.cutoff.rule import RULES, ConfidenceRule, Rule, decide, parse_rule, statistics
from aoi.netx.metadata import CutoffPolicy
from aoi.report.explorer import rules_for
from aoi.report.thresholds import MAX_POSITIONS, reached, thresholds

STEPS = 20
POLICY = CutoffPolicy(rule="confidence", threshold=0.9873456789012345, scale=0.7)


def scores(samples: int = 60, classes: int = 4, steps: int = STEPS) -> np.ndarray:
    generator = np.random.default_rng(5)
    labels = generator.integers(0, classes, samples)
    rates = np.where(np.arange(classes) == labels[:, None], 0.6, 0.2)
    return (generator.random((samples, classes, steps)) < rates[..., None]).cumsum(-1)


def test_rules_that_the_file_is_calibrated_for() -> None:
    assert {rule.name for rule in rules_for(None, STEPS)} == {"gap", "patience", "fixed"}
    offered = rules_for(POLICY, STEPS)
    assert offered[0] == ConfidenceRule(POLICY.threshold, POLICY.scale)
    assert {rule.name for rule in offered} == {"confidence", "entropy", "gap", "patience", "fixed"}
    assert max(rule.threshold for rule in rules_for(POLICY, 2)) <= 2


@pytest.mark.parametrize("rule", rules_for(POLICY, STEPS), ids=lambda rule: rule.name)
def test_every_position_decides_as_the_rule_given_by_its_text(rule: Rule) -> None:
    z = scores()
    statistic = statistics(rule, z)
    texts = thresholds(rule, statistic)
    counts = reached(statistic, texts)
    assert 5 < len(texts) <= MAX_POSITIONS
    assert [float(text) for text in texts] == sorted({float(text) for text in texts})
    for position, text in enumerate(texts):
        named = parse_rule(f"{rule.name}:{text}", POLICY)
        assert named.threshold == float(text)
        assert named.validation_error() is None
        stops = counts > position
        stops[:, -1] = True
        np.testing.assert_array_equal(stops.argmax(axis=1) + 1, decide(named, z).step)
    earliest, latest = (parse_rule(f"{rule.name}:{text}", POLICY) for text in (texts[0], texts[-1]))
    assert decide(earliest, z).step.mean() < 0.3 * STEPS
    assert decide(latest, z).step.mean() > 0.95 * STEPS


def test_values_on_a_threshold_reach_it_and_those_one_bit_below_do_not() -> None:
    texts = ("0.1", "0.7", "0.99")
    on = np.array([[float(text) for text in texts]])
    np.testing.assert_array_equal(reached(on, texts), [[1, 2, 3]])
    np.testing.assert_array_equal(reached(np.nextafter(on, 0), texts), [[0, 1, 2]])
    np.testing.assert_array_equal(reached(np.array([[np.nan, np.inf, -np.inf]]), texts), [[0, 3, 0]])


@pytest.mark.parametrize("name", ["fixed", "patience"])
def test_many_steps_still_fit(name: str) -> None:
    rule = RULES[name](1234.0)
    texts = thresholds(rule, np.tile(np.arange(1.0, 2001.0), (2, 1)))
    assert len(texts) <= MAX_POSITIONS
    assert "1234" in texts
    assert texts[-1] == "2000"


def test_gaps_of_spike_counts_are_whole_numbers() -> None:
    rule = RULES["gap"](2.0)
    assert thresholds(rule, np.array([[0.0, 1, 3], [1, 2, 2]])) == ("1", "2", "3")
    units = RULES["gap"](2.5)
    assert "2.5" in thresholds(units, np.array([[0.0, 1, 3], [1, 2, 2]]))


def test_gaps_of_a_voltage_readout() -> None:
    rule = RULES["gap"](1.0)
    statistic = np.random.default_rng(0).integers(0, 1 << 22, (50, 30)).astype(np.float64)
    texts = thresholds(rule, statistic)
    assert 100 < len(texts) <= MAX_POSITIONS
    assert float(texts[-1]) > statistic[:, :-1].max()
