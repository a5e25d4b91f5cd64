"""Calibration of rule and threshold, on runs with known truth."""

from __future__ import annotations

import numpy as np
import pytest

from aoi.cutoff import exact
from aoi.cutoff.calibration import calibrate
from aoi.cutoff.exact import losses_allowed
from aoi.cutoff.fitting import fit_scale, fit_scale_decay, fit_scales, fit_units
from aoi.cutoff.rule import RULES, candidates, decide
from aoi.errors import DataError


def streams(samples: int, seed: int, classes: int = 5, steps: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Poisson spike counts: the true class fires more often. Accumulated (samples, classes, T) and labels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, samples)
    rates = np.full((samples, classes), 0.2)
    rates[np.arange(samples), labels] = generator.uniform(0.25, 1.0, samples)
    return generator.poisson(rates[..., None], (samples, classes, steps)).cumsum(axis=-1), labels


def test_scale_finds_the_temperature_that_made_the_labels() -> None:
    generator = np.random.default_rng(1)
    scores = generator.normal(0, 3, (40_000, 4, 1))
    logits = 0.7 * scores[..., 0]
    odds = np.exp(logits - logits.max(1, keepdims=True))
    labels = np.array([generator.choice(4, p=p) for p in odds / odds.sum(1, keepdims=True)])
    assert fit_scale(scores, labels) == pytest.approx(0.7, rel=0.03)
    assert fit_scale(scores * 1000, labels) == pytest.approx(0.0007, rel=0.03)


def test_the_scale_decay_is_0_for_new_evidence_and_1_for_repeated() -> None:
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 4, 4000)
    evidence = generator.normal(0, 1, (4000, 4, 12))
    evidence[np.arange(4000), labels] += 0.5
    new = evidence.cumsum(axis=-1)
    again = evidence[..., :1] * np.arange(1, 13)
    assert fit_scale_decay(new, labels) == pytest.approx(0, abs=0.1)
    assert fit_scale_decay(again, labels) == pytest.approx(1, abs=0.02)
    assert fit_scale_decay(new[..., :1], labels) == 0
    assert 0 <= fit_scale_decay(new[:1], labels[:1]) <= 2


def test_repeated_evidence_stops_earlier_with_a_decaying_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    """All evidence comes at the first step; one scale for all steps makes later ones overconfident and expects a
    drop."""
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 4, 150)
    evidence = generator.normal(0, 1, (150, 4, 1))
    evidence[np.arange(150), labels] += 1.5
    falling = calibrate(evidence * np.arange(1, 13), labels, max_drop=0.005)
    assert falling.lost == 0  # the promise alone decides
    monkeypatch.setattr("aoi.cutoff.calibration.fit_scale_decay", lambda *_: 0.0)
    level = calibrate(evidence * np.arange(1, 13), labels, max_drop=0.005)
    assert falling.mean_decision_step < level.mean_decision_step


@pytest.mark.parametrize("rule", list(RULES))
def test_a_silent_network_certifies_nothing(rule: str) -> None:
    scores = np.zeros((700, 10, 24), np.int64)
    result = calibrate(scores, np.arange(700) % 10, rule=rule)
    assert not result.certified
    assert result.scale == 1.0
    assert result.mean_decision_step == 24
    scores[:, 3, 5:] = 1  # a stray spike
    assert (decide(result.rule, scores).step > 6).all()


def test_a_network_that_fires_late_has_a_scale() -> None:
    scores = np.zeros((700, 3, 9), np.int64)
    labels = np.arange(700) % 3
    scores[np.arange(700), labels, 7:] = [4, 8]
    scores[:70, :, 7:] = np.roll(scores[:70, :, 7:], 1, axis=1)  # a tenth is wrong
    assert calibrate(scores, labels).rule.scale < 10


def test_calibrated_drop_holds_on_new_recordings() -> None:
    result = calibrate(*streams(3000, 0), max_drop=0.01, risk=0.05)
    assert result.certified
    assert result.bound == 0.01
    assert (result.fit_samples, result.test_samples) == (600, 2400)
    assert result.lost <= losses_allowed(2400, 0.01, 0.05)[result.gained]
    scores, labels = streams(20_000, 1)
    full = (decide(None, scores).prediction == labels).mean()
    chosen = decide(result.rule, scores)
    assert full - (chosen.prediction == labels).mean() <= 0.01
    assert chosen.step.mean() < 24


def test_too_few_recordings_certify_nothing_and_the_number_needed_is_given() -> None:
    result = calibrate(*streams(100, 0), max_drop=0.005, risk=0.05)
    assert not result.certified
    assert result.samples_needed == 648  # 598 to test the threshold on, 50 to fit the scale on
    assert (result.fit_samples, result.test_samples) == (100, 100)  # nothing is given away where nothing is gained
    assert result.accuracy_drop <= 0.005
    assert result.expected_drop is not None
    assert result.expected_drop <= 0.0025


def test_a_larger_drop_stops_earlier() -> None:
    careful = calibrate(*streams(3000, 0), max_drop=0.005)
    bold = calibrate(*streams(3000, 0), max_drop=0.05)
    assert bold.threshold < careful.threshold
    assert bold.mean_decision_step < careful.mean_decision_step


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_numbers_that_are_not_probabilities_are_refused(value: float) -> None:
    with pytest.raises(DataError, match="max_drop"):
        calibrate(*streams(20, 0), max_drop=value)
    with pytest.raises(DataError, match="risk"):
        calibrate(*streams(20, 0), risk=value)


@pytest.mark.slow
def test_the_uncertified_choice_keeps_its_drop_on_new_recordings() -> None:
    """60 calibrations on 200 recordings each: the drop on new ones stays within max_drop in nine of ten."""
    scores, labels = streams(20_000, 5)
    full = (decide(None, scores).prediction == labels).mean()
    outcomes = []
    for seed in range(60):
        chosen = decide(calibrate(*streams(200, 100 + seed), max_drop=0.01).rule, scores)
        outcomes.append((full - (chosen.prediction == labels).mean(), chosen.step.mean()))
    drops, steps = np.array(outcomes).T
    assert (drops <= 0.01).mean() >= 0.9
    assert steps.mean() < 24


def test_the_number_needed_certifies() -> None:
    """Runs that are decided at the first step lose nothing."""
    labels = np.arange(648) % 5
    scores = np.zeros((648, 5, 6), dtype=np.int64)
    scores[np.arange(648), labels] = np.arange(10, 70, 10)
    assert calibrate(scores, labels, max_drop=0.005).certified
    one_less = calibrate(scores[1:], labels[1:], max_drop=0.005)
    assert not one_less.certified
    assert one_less.samples_needed == 648
    patience = calibrate(scores[:598], labels[:598], max_drop=0.005, rule="patience")  # has nothing to fit
    assert patience.certified
    assert not calibrate(scores[:597], labels[:597], max_drop=0.005, rule="patience").certified


@pytest.mark.parametrize("rule", list(RULES))
def test_every_rule_can_be_calibrated(rule: str) -> None:
    scores, labels = streams(20_000, 1)
    full = (decide(None, scores).prediction == labels).mean()
    certified = calibrate(*streams(3000, 0), max_drop=0.02, rule=rule)
    assert certified.certified
    assert certified.rule.name == rule
    chosen = decide(certified.rule, scores)
    assert full - (chosen.prediction == labels).mean() <= 0.02
    assert chosen.step.mean() <= 26
    few = calibrate(*streams(100, 0), max_drop=0.02, rule=rule)
    assert not few.certified
    assert few.accuracy_drop <= 0.02


def test_one_temperature_per_step() -> None:
    scores, labels = streams(3000, 0)
    result = calibrate(scores, labels, max_drop=0.01, temperature="step")
    assert result.certified
    assert len(result.rule.scales) == 30
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 3, (20_000, 4, 3))
    sharp = np.array([0.5, 1.0, 2.0])
    truth = logits.mean(axis=-1)
    odds = np.exp(truth - truth.max(1, keepdims=True))
    labels = np.array([generator.choice(4, p=p) for p in odds / odds.sum(1, keepdims=True)])
    assert fit_scales(truth[..., None] / sharp, labels) == pytest.approx(sharp, rel=0.06)


def test_gap_units_are_the_smallest_gaps_that_keep_the_accuracy_at_t() -> None:
    scores = np.zeros((4, 2, 2), dtype=np.int64)
    scores[:, 0, 0] = [5, 3, 3, 1]
    scores[:, 1, 1] = [0, 0, 9, 9]  # the last two change their minds, and are right to
    scores[:, 0, 1] = 5
    labels = np.array([0, 0, 1, 1])
    assert fit_units(scores, labels) == (5.0, 4.0)
    assert fit_units(scores, labels, share=0.6) == (3.0, 4.0)


def test_an_unreachable_drop_is_not_certified() -> None:
    """Early answers are wrong at random and nothing indicates it: the only choice is T."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 2000)
    scores = np.zeros((2000, 2, 4), dtype=np.int64)
    scores[np.arange(2000), generator.integers(0, 2, 2000), :3] = 5
    scores[np.arange(2000), labels, 3] = 5
    result = calibrate(scores, labels, max_drop=0.01)
    assert result.certified
    assert result.mean_decision_step == 4


def test_without_a_passing_threshold_nothing_is_certified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough recordings do not suffice to certify."""
    monkeypatch.setattr(exact, "shows_drop_at_most", lambda *_: False)
    result = calibrate(*streams(3000, 0), max_drop=0.01)
    assert result.samples >= result.samples_needed
    assert result.certified is False
    assert result.bound != 0.01


def test_the_search_ends_at_the_first_threshold_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thresholds beyond it were not tested at a level that accounts for the failure."""
    outcomes = iter([True, False])
    monkeypatch.setattr(exact, "shows_drop_at_most", lambda *_: next(outcomes, True))
    result = calibrate(*streams(3000, 0), max_drop=0.01, rule="fixed")
    assert result.certified is True
    assert result.threshold == candidates(result.rule, 30)[0]


@pytest.mark.parametrize("risk", [1e-7, 1e-300])
def test_risks_below_what_the_test_resolves_are_refused(risk: float) -> None:
    with pytest.raises(DataError, match=f"risk {risk}: .*1e-06"):
        calibrate(*streams(20, 0), risk=risk)


def test_recordings_that_cannot_be_used_are_refused() -> None:
    scores, labels = streams(20, 0)
    with pytest.raises(DataError, match="no recordings"):
        calibrate(scores[:0], labels[:0])
    with pytest.raises(DataError, match="label 7 of the recordings is not one of the network's 5 classes"):
        calibrate(scores, np.where(np.arange(20) == 3, 7, labels))
    with pytest.raises(DataError, match="rule hope"):
        calibrate(scores, labels, rule="hope")
    with pytest.raises(DataError, match="temperature warm"):
        calibrate(scores, labels, temperature="warm")
