"""Scale and threshold: fitted on streams whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from toolchain.cutoff.calibration import calibrate, fit_scale
from toolchain.cutoff.rule import decide
from toolchain.errors import DataError


def streams(samples: int, seed: int, classes: int = 5, steps: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Poisson spike counts: the right class fires more often. Accumulated (samples, classes, T) and labels."""
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


def test_calibrated_drop_holds_on_new_recordings() -> None:
    result = calibrate(*streams(3000, 0), max_drop=0.01, risk=0.05)
    assert result.certified
    assert result.bound <= 0.02
    scores, labels = streams(20_000, 1)
    full = (decide(None, scores).prediction == labels).mean()
    chosen = decide(result.rule, scores)
    assert full - (chosen.prediction == labels).mean() <= 0.01
    assert chosen.step.mean() < 24


def test_too_few_recordings_certify_nothing_and_it_says_how_many_it_takes() -> None:
    result = calibrate(*streams(100, 0), max_drop=0.005, risk=0.05)
    assert not result.certified
    assert result.samples_needed == 598
    assert result.accuracy_drop <= 0.005
    assert result.expected_drop <= 0.0025


def test_a_larger_drop_stops_earlier() -> None:
    careful = calibrate(*streams(3000, 0), max_drop=0.005)
    bold = calibrate(*streams(3000, 0), max_drop=0.05)
    assert bold.threshold < careful.threshold
    assert bold.mean_decision_step < careful.mean_decision_step


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_what_is_no_probability_is_refused(value: float) -> None:
    with pytest.raises(DataError, match="--max-drop"):
        calibrate(*streams(20, 0), max_drop=value)
    with pytest.raises(DataError, match="--risk"):
        calibrate(*streams(20, 0), risk=value)


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
