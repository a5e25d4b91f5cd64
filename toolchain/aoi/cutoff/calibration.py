"""Fits a rule and chooses its threshold, on recordings used neither for training nor for reporting.

**With a guarantee**, given enough recordings (Learn-then-Test, arXiv 2110.01052). One part of the recordings fits what
the rule needs besides the threshold. On the other part, thresholds are tested in a fixed order, from the most
conservative down, each at level ``risk`` against the null hypothesis "the drop is max_drop or more". The search ends
at the first that is not rejected. The first truly bad threshold of the order passes with probability at most ``risk``,
and so does any beyond it. Hence, with probability at least 1 - risk over the calibration recordings, the drop against
full inference is at most max_drop. The test is that of ``aoi.cutoff.exact``, on paired outcomes: correct at T and
wrong where the run stops (lost), or the reverse (gained).

**Without a guarantee**, given fewer recordings: the last threshold, from the most conservative down, up to which two
estimates on all recordings stay small. First, the share of lost recordings is at most max_drop; gains do not offset it,
because on few recordings they are luck. Second, the drop expected from the confidences, which has a finer resolution
than whole recordings, is at most half of max_drop. For this estimate the scale decays with time, by half of the
best-fitting power: one scale for all steps overestimates late confidences and hence the drop; the whole power, fitted
on few recordings, often underestimates it. Such a result is marked as uncertified.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.stats import beta

from aoi.choices import RuleName, Temperature
from aoi.cutoff import exact
from aoi.cutoff.checks import check_request
from aoi.cutoff.fitting import fit_quantiles, fit_scale, fit_scale_decay, fit_scales, fit_units
from aoi.cutoff.rule import RULES, Decisions, Rule, candidates, make_rule, statistics, stop_steps
from aoi.errors import DataError

# Without a certificate, the largest expected drop as a share of max_drop. The rest is a margin: the best of many
# thresholds on few recordings is partly chosen by luck.
_EXPECTED_SHARE = 0.5
_DECAY_SHARE = 0.5  # of the fitted power, in the confidences of the expected drop
# Recordings that fit a rule before others test its threshold: a fifth, within limits.
_FIT_SHARE, _FIT_MIN, _FIT_MAX = 0.2, 50, 2000


@dataclass(frozen=True)
class Calibration:
    """A rule with its threshold, and the evidence for it. Drops are losses of accuracy against all T steps."""

    rule: Rule
    certified: bool  # with probability 1 - risk over the calibration recordings, the drop is at most max_drop
    bound: float
    """Upper bound of the drop at confidence 1 - risk: max_drop if certified; otherwise the Clopper-Pearson bound of the
    share of lost recordings, which ignores that the threshold was chosen among many."""
    max_drop: float
    risk: float
    samples: int  # all recordings
    fit_samples: int  # recordings that fitted the rule
    test_samples: int  # recordings that chose the threshold; if not certified, all recordings do both
    samples_needed: int  # the fewest that can certify max_drop at this risk, if none is lost
    lost: int  # test recordings correct at T and wrong where the run stops
    gained: int  # test recordings wrong at T and correct where the run stops
    accuracy_drop: float  # on the test recordings
    expected_drop: float | None  # from the confidences; None if certified
    mean_decision_step: float
    full_accuracy: float

    @property
    def threshold(self) -> float:
        return self.rule.threshold

    @property
    def scale(self) -> float:
        return self.rule.scale

    @property
    def temperature(self) -> float:
        """Of the confidence: 1 / scale."""
        return 1.0 / self.rule.scale

    def evidence(self) -> dict[str, Any]:
        """All fields as plain numbers for JSON, without the rule's own parameters."""
        mine = {key: value for key, value in vars(self).items() if key != "rule"}
        return {"rule": self.rule.name, "threshold": self.threshold, "scale": self.scale, **mine}


def calibrate(
    scores: np.ndarray,
    labels: np.ndarray,
    *,
    max_drop: float = 0.005,
    risk: float = 0.05,
    rule: RuleName = "confidence",
    temperature: Temperature = "shared",
    seed: int = 0,
) -> Calibration:
    """Fits ``rule`` and chooses the threshold that stops earliest while the accuracy drop stays within ``max_drop``.

    A silent network loses nothing by stopping at once. That is no evidence: it gets the most conservative threshold,
    uncertified.

    Args:
        scores: accumulated readout (samples, classes, T), any real dtype.
        labels: true classes, int (samples,).
        max_drop: largest accepted drop of accuracy against full inference, in (0, 1).
        risk: largest probability that a certified drop is exceeded, in (0, 1).
        rule: name of the rule.
        temperature: "shared", one scale of the confidence for all steps, or "step", one per step.
        seed: of the random division of the recordings into two parts.

    Raises:
        DataError: an argument is out of range, there are no recordings, or a label is not a class of the network.
    """
    check_request(max_drop, risk, rule, temperature)
    samples = len(labels)
    if not samples:
        raise DataError("there are no recordings to calibrate on; add some to the calibration split")
    if labels.min() < 0 or labels.max() >= scores.shape[1]:
        bad = labels.max() if labels.max() >= scores.shape[1] else labels.min()
        raise DataError(f"label {bad} of the recordings is not one of the network's {scores.shape[1]} classes")
    needed = exact.samples_needed(max_drop, risk)
    needs_fit = RULES[rule].fitted
    enough = needed + (_FIT_MIN if needs_fit else 0)
    silent = is_silent(scores)
    if samples >= enough and not silent:
        fit, test = _divide(samples, needed, seed) if needs_fit else (np.arange(samples), np.arange(samples))
        fitted_rule = fit_rule(rule, scores[fit], labels[fit], temperature)
        search = _ThresholdSearch(fitted_rule, scores[test], labels[test])
        certified = search.certify(max_drop, risk)
        if certified is not None:
            return search.result(certified, True, max_drop, risk, samples, len(fit), enough)
    fitted_rule = fit_rule(rule, scores, labels, temperature)
    search = _ThresholdSearch(fitted_rule, scores, labels)
    chosen = fitted_rule.threshold if silent else search.uncertified(max_drop)
    return search.result(chosen, False, max_drop, risk, samples, samples, enough)


def is_silent(scores: np.ndarray) -> bool:
    """Whether all outputs are equal at every step of every recording. ``scores`` (samples, classes, T)."""
    return not bool((scores != scores[:, :1]).any())


def fit_rule(name: str, scores: np.ndarray, labels: np.ndarray, temperature: Temperature = "shared") -> Rule:
    """The rule ``name`` with the most conservative threshold and all other parameters fitted.

    ``scores``: accumulated readout (samples, classes, T); ``labels``: int (samples,). Raises DataError.
    """
    scale = fit_scale(scores, labels)
    params: dict[str, Any] = {"scales": fit_scales(scores, labels)} if temperature == "step" else {}
    if name in ("gap", "int-gap"):
        params["units"] = fit_units(scores, labels)
    if name == "conformal":
        scales = params.get("scales") or (scale,) * scores.shape[-1]
        params |= {"quantiles": fit_quantiles(scores, labels, scales), "samples": len(labels)}
    plain = make_rule(name, 1.0, scale, params)
    return plain.with_threshold(candidates(plain, scores.shape[-1])[0])


def _divide(samples: int, needed: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random, ascending indices of the recordings to fit on and of those, at least ``needed``, to test on."""
    fit = int(np.clip(_FIT_SHARE * samples, _FIT_MIN, min(_FIT_MAX, samples - needed)))
    order = np.random.default_rng(seed).permutation(samples)
    return np.sort(order[:fit]), np.sort(order[fit:])


class _ThresholdSearch:
    """Tries the candidate thresholds of a fitted rule on recordings."""

    def __init__(self, rule: Rule, scores: np.ndarray, labels: np.ndarray) -> None:
        self._rule, self._scores, self._labels = rule, scores, labels
        self._thresholds = candidates(rule, scores.shape[-1])
        self._statistics = statistics(rule, scores)
        self._correct = scores.argmax(axis=1) == labels[:, None]  # (samples, T)
        self._full_correct = self._correct[:, -1]

    def _decide(self, threshold: float) -> Decisions:
        step = stop_steps(self._statistics, threshold)
        rows = np.arange(len(step))
        final = self._scores[rows, :, step - 1]
        return Decisions(step, final.argmax(axis=-1), self._rule.confidence(final, step))

    def _counts(self, step: np.ndarray) -> tuple[int, int]:
        """Recordings lost and gained by stopping at ``step`` (samples,)."""
        correct = self._correct[np.arange(len(step)), step - 1]
        return int((self._full_correct & ~correct).sum()), int((correct & ~self._full_correct).sum())

    def _expected_drop(self, chosen: Decisions) -> float:
        rows = np.arange(len(chosen.step))
        return float((self._confidence[:, -1] - self._confidence[rows, chosen.step - 1]).mean())

    @cached_property
    def _confidence(self) -> np.ndarray:
        """float64 (samples, T), with a decaying scale; it equals the shared one at 2 T / 3, where that fit ends."""
        steps = self._scores.shape[-1]
        subset = slice(None, None, -(-len(self._labels) // _FIT_MAX))
        decay = _DECAY_SHARE * fit_scale_decay(self._scores[subset], self._labels[subset])
        scales = fit_scale(self._scores, self._labels) * (1.5 * np.arange(1, steps + 1) / steps) ** -decay
        scaled = make_rule("confidence", 1.0, 1.0, {"scales": tuple(scales.tolist())})
        return np.stack([scaled.confidence(self._scores[..., t], t + 1) for t in range(steps)], axis=1)

    def certify(self, max_drop: float, risk: float) -> float | None:
        """The last threshold of the fixed order before the first whose drop is not shown to be at most ``max_drop``."""
        passed = None
        for threshold in self._thresholds:
            counts = self._counts(stop_steps(self._statistics, threshold))
            if not exact.shows_drop_at_most(*counts, len(self._labels), max_drop, risk):
                break
            passed = float(threshold)
        return passed

    def uncertified(self, max_drop: float) -> float:
        """The last threshold, from the most conservative down, before losses or expected drop exceed their limits."""
        passed = float(self._thresholds[0])
        for threshold in self._thresholds:
            chosen = self._decide(threshold)
            lost, _ = self._counts(chosen.step)
            if lost > max_drop * len(self._labels) or self._expected_drop(chosen) > _EXPECTED_SHARE * max_drop:
                break
            passed = float(threshold)
        return passed

    def result(
        self, threshold: float, certified: bool, max_drop: float, risk: float, samples: int, fit: int, needed: int
    ) -> Calibration:
        chosen, tested = self._decide(threshold), len(self._labels)
        lost, gained = self._counts(chosen.step)
        lost_bound = 1.0 if lost == tested else float(beta.ppf(1 - risk, lost + 1, tested - lost))
        return Calibration(
            rule=self._rule.with_threshold(threshold),
            certified=certified,
            bound=max_drop if certified else lost_bound,
            max_drop=max_drop,
            risk=risk,
            samples=samples,
            fit_samples=fit,
            test_samples=tested,
            samples_needed=needed,
            lost=lost,
            gained=gained,
            accuracy_drop=(lost - gained) / tested,
            expected_drop=None if certified else self._expected_drop(chosen),
            mean_decision_step=float(chosen.step.mean()),
            full_accuracy=float(self._full_correct.mean()),
        )
