"""Every rule: step by step, batched and over whole arrays it makes the same decisions, and its text form reads back."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aoi.cutoff.rule import (
    RULES,
    candidates,
    decide,
    make_rule,
    parse_rule,
    rule_of_policy,
    statistics,
    stop_steps,
)
from aoi.cutoff.rules import ConfidenceRule, ConformalRule, EntropyRule, GapRule, PatienceRule, Rule
from aoi.errors import DataError
from aoi.netx.metadata import CutoffPolicy
from tests.cutoff.some_rules import ANY_RULE

SCORES = hnp.arrays(
    np.int64,
    st.tuples(st.integers(1, 9), st.integers(2, 12), st.integers(1, 20)),
    elements=st.integers(-5, 5) | st.integers(-(2**23), 2**23),
).map(lambda increments: increments.cumsum(axis=-1))


@settings(max_examples=600, deadline=None)
@given(rule=ANY_RULE, scores=SCORES)
def test_step_by_step_batched_and_whole_arrays_decide_the_same(rule: Rule, scores: np.ndarray) -> None:
    whole, table = decide(rule, scores), statistics(rule, scores)
    samples, _, steps = scores.shape
    assert table.dtype == np.float64
    assert (whole.step == stop_steps(table, rule.threshold)).all()
    for sample in range(samples):
        memory = rule.begin(1)
        for t in range(1, steps + 1):
            statistic, memory = rule.measure(scores[sample : sample + 1, :, t - 1], t, memory)
            assert statistic[0] == table[sample, t - 1]  # the same bits
            if statistic[0] >= rule.threshold or t == steps:
                break
        at_decision = scores[sample, :, t - 1]
        assert whole.step[sample] == t
        assert whole.prediction[sample] == at_decision.argmax()
        assert whole.confidence[sample] == rule.confidence(at_decision, t)
    running, memory = np.arange(samples), rule.begin(samples)
    for t in range(1, steps + 1):  # finished samples leave the batch
        statistic, memory = rule.measure(scores[running, :, t - 1], t, memory)
        stops = (statistic >= rule.threshold) | (t == steps)
        assert (whole.step[running[stops]] == t).all()
        running, memory = running[~stops], rule.select(memory, ~stops)
    assert running.size == 0


@settings(max_examples=200, deadline=None)
@given(rule=ANY_RULE)
def test_text_file_and_pipe_give_back_an_equal_rule(rule: Rule) -> None:
    assert rule.validation_error() is None
    assert parse_rule(rule.spec()) == rule
    assert pickle.loads(pickle.dumps(rule)) == rule  # how it reaches the Lava monitor
    policy = CutoffPolicy(rule=rule.name, threshold=rule.threshold, scale=rule.scale, params=rule.params())
    again = CutoffPolicy.model_validate_json(policy.model_dump_json())
    assert rule_of_policy(again) == rule


@settings(max_examples=200, deadline=None)
@given(rule=ANY_RULE, scores=SCORES)
def test_candidates_go_from_late_to_early_stops(rule: Rule, scores: np.ndarray) -> None:
    steps = scores.shape[-1]
    tried = candidates(rule, steps)
    assert (np.diff(tried) < 0).all()
    assert (tried > 0).all()
    table = statistics(rule, scores)
    stopped = np.stack([stop_steps(table, threshold) for threshold in tried])
    assert (np.diff(stopped, axis=0) <= 0).all()


@settings(max_examples=100, deadline=None)
@given(scores=SCORES, scale=st.floats(1e-5, 10))
def test_statistics_match_their_definitions(scores: np.ndarray, scale: float) -> None:
    from scipy.special import softmax
    from scipy.stats import entropy

    by_step = np.moveaxis(scores, 1, -1).astype(float)
    p = softmax(scale * by_step, axis=-1)
    assert np.allclose(statistics(ConfidenceRule(0.5, scale), scores), p.max(axis=-1), rtol=1e-9)
    expected = 1 - entropy(p, axis=-1) / np.log(p.shape[-1])
    assert np.allclose(statistics(EntropyRule(0.5, scale), scores), expected, atol=1e-9)
    ordered = np.sort(by_step, axis=-1)
    assert (statistics(GapRule(1.0), scores) == ordered[..., -1] - ordered[..., -2]).all()


def test_patience_counts_the_steps_of_a_prediction_and_waits_for_one() -> None:
    scores = np.array([[[0, 0, 1, 1, 1, 4], [0, 0, 0, 2, 2, 2], [0, 0, 0, 0, 0, 3]]])
    assert statistics(PatienceRule(2), scores).tolist() == [[0, 0, 1, 1, 2, 1]]
    assert decide(PatienceRule(2), scores).step.tolist() == [5]
    assert decide(PatienceRule(2), scores).prediction.tolist() == [1]


def test_gap_units_are_thresholds_per_step() -> None:
    scores = np.array([[[1, 2, 3, 4], [0, 0, 0, 0]]])
    assert decide(GapRule(1.0, units=(2.0, 3.0, 3.0, 1.0)), scores).step.tolist() == [3]
    assert decide(GapRule(1.0, units=(2.0, 3.0)), scores).step.tolist() == [3]  # the last goes on


def test_a_scale_for_each_step() -> None:
    scores = np.array([[[2, 2, 2], [0, 0, 0]]])
    rule = ConfidenceRule(0.9, 1.0, scales=(0.1, 1.0, 3.0))
    chosen = decide(rule, scores)
    assert chosen.step.tolist() == [3]
    assert chosen.confidence[0] == pytest.approx(1 / (1 + np.exp(-6)))


def test_conformal_sets_cover_with_bonferroni_and_not_without() -> None:
    """Where the run stops, the true class is in the set in at least the promised share of runs: the set at level
    α / T covers at all steps at once."""
    from aoi.cutoff.fitting import fit_quantiles

    generator = np.random.default_rng(0)

    def runs(samples: int) -> tuple[np.ndarray, np.ndarray]:
        labels = generator.integers(0, 4, samples)
        rate = np.full((samples, 4), 0.3)
        rate[np.arange(samples), labels] = 0.6
        return generator.poisson(rate[..., None], (samples, 4, 12)).cumsum(axis=-1), labels

    coverage, wrong = 0.8, []
    for _ in range(30):
        fit_scores, fit_labels = runs(500)
        quantiles = fit_quantiles(fit_scores, fit_labels, [0.8] * 12)
        rule = ConformalRule(coverage, 0.8, quantiles=quantiles, samples=500)
        scores, labels = runs(2000)
        chosen = decide(rule, scores)
        stopped = statistics(rule, scores).max(axis=1) >= coverage  # at T without a small set nothing is promised
        wrong.append((stopped & (chosen.prediction != labels)).mean())
    assert np.mean(wrong) <= 1 - coverage
    assert np.mean(wrong) > 0


def test_without_a_rule_all_steps_run() -> None:
    scores = np.array([[[0, 5], [1, 2]]])
    decisions = decide(None, scores)
    assert decisions.step.tolist() == [2]
    assert decisions.prediction.tolist() == [0]


def test_what_the_text_omits_comes_from_the_file() -> None:
    policy = CutoffPolicy(rule="gap", threshold=1.5, scale=0.3, params={"units": [3, 2.5], "scales": [0.2, 0.4]})
    assert parse_rule("gap:2", policy) == GapRule(2.0, 0.3, (0.2, 0.4), (3.0, 2.5))
    assert parse_rule("confidence:0.9", policy) == ConfidenceRule(0.9, 0.3, (0.2, 0.4))
    assert parse_rule("confidence:0.9:0.5", policy) == ConfidenceRule(0.9, 0.5)
    assert parse_rule("patience:3") == PatienceRule(3.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("guess:1", "choose one of fixed, confidence"),
        ("confidence", "expected confidence:THRESHOLD"),
        ("confidence:high:1", "as in confidence:0.9"),
        ("confidence:2:1", "at most 1"),
        ("confidence:0:1", "above 0"),
        ("confidence:nan:1", "above 0"),
        ("confidence:0.9:-1", "scale must be a positive number"),
        ("confidence:0.9", "aoi calibrate"),
        ("fixed:2.5", "whole number"),
        ("patience:0", "above 0"),
        ("gap:1:1:units=0,1", "units must be positive"),
        ("gap:1:1:units=", "numbers"),
        ("int-gap:1:1:units=1e300", "at most 1.07374e"),
        ("int-gap:1:1:units=nan", "units must be positive"),
        ("gap:1:1:unit=3", "no parameter 'unit', only scales, units"),
        ("conformal:0.9:1", "aoi calibrate.*conformal"),
        ("conformal:0.9:1:quantiles=1,2:samples=9", "descending"),
        ("int-confidence:0.9:1:scales=1,2", "one scale"),
        ("confidence:0.9:1:2", "expected"),
    ],
)
def test_texts_that_are_not_rules_are_refused(text: str, words: str) -> None:
    with pytest.raises(DataError, match=words) as error:
        parse_rule(text)
    assert f"rule {text}" in str(error.value)


@pytest.mark.parametrize(
    "policy",
    [
        {"rule": "guess", "threshold": 0.5},
        {"rule": "confidence", "threshold": 1.5},
        {"rule": "confidence", "threshold": 0.5, "params": {"scales": "fast"}},
        {"rule": "confidence", "threshold": 0.5, "params": {"scales": [0.0]}},
        {"rule": "gap", "threshold": 1, "params": {"units": 3}},
        {"rule": "conformal", "threshold": 0.5, "params": {"quantiles": [[1, 2]], "samples": 3}},
        {"rule": "conformal", "threshold": 0.5, "params": {"quantiles": {"a": 1}, "samples": 3}},
    ],
)
def test_policies_of_damaged_files_are_refused(policy: dict[str, object]) -> None:
    with pytest.raises(DataError, match="the network file's cutoff: rule"):
        rule_of_policy(CutoffPolicy.model_validate_json(json.dumps({"scale": 1.0} | policy)))


def test_policies_of_earlier_files_are_still_read() -> None:
    old = '{"rule": "confidence", "threshold": 0.9, "scale": 0.25, "evidence": {"samples": 3}}'
    assert rule_of_policy(CutoffPolicy.model_validate_json(old)) == ConfidenceRule(0.9, 0.25)


def test_every_rule_is_registered() -> None:
    for name, kind in RULES.items():
        assert kind.name == name
        assert kind.__doc__
    with pytest.raises(DataError, match="no such rule"):
        make_rule("none", 1.0)
