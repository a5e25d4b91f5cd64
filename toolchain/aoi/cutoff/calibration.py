"""Fits a rule and chooses its threshold, on recordings that neither train nor report.

**With a guarantee** where the recordings suffice (Learn-then-Test, arXiv 2110.01052): what the rule needs besides the
threshold is fitted on one part; on the other, thresholds are tested from the most careful down, each at level ``risk``
against "the drop is max_drop or more", and the search ends before the first that fails to reject it. The first truly
bad threshold of that fixed order is passed with probability at most ``risk``, and so is any beyond it: with probability
at least 1 - risk over the calibration recordings, the drop against full inference is at most max_drop. The test is
that of ``aoi.cutoff.exact``, on pairs: right at T and wrong where the run stops (lost), or the reverse (gained).

**Without** where they do not: the smallest threshold, chosen on all recordings, for which two estimates stay small as
they do at all more careful ones. The share of recordings lost stays within max_drop, what is gained not set against it:
on few recordings that is luck. And the drop that the confidences promise, a finer ruler than whole recordings, stays
within half of max_drop. For this ruler the scale falls with time, by half of the power that fits best: one scale for
all steps makes late confidences too high, and so the drop; the whole power, fitted on few recordings, often promises
too little. Marked as uncertified.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.stats import beta

from aoi.cutoff import exact
from aoi.cutoff.fitting import fit_fall, fit_quantiles, fit_scale, fit_scales, fit_units
from aoi.cutoff.rule import RULES, Decisions, Rule, candidates, make_rule, statistics, stop_steps
from aoi.errors import DataError

# The share of max_drop that the confidences may promise to lose where nothing can be certified; the rest is a margin,
# because a threshold chosen as the best of many on few recordings is partly chosen by luck.
_MARGIN = 0.5
_FALL = 0.5  # of the fitted power, in the confidences that promise
# Recordings that a rule is fitted on before its threshold is tested on others: a fifth, within limits.
_FIT_SHARE, _FIT_LEAST, _FIT_MOST = 0.2, 50, 2000
_DROP_LEAST, _RISK_MOST = 1e-6, 0.5


@dataclass(frozen=True)
class Calibration:
    """A rule with its threshold, and its evidence. Drops are in accuracy against all T steps."""

    rule: Rule
    certified: bool  # with probability 1 - risk over the calibration recordings, the drop is at most max_drop
    bound: float
    """Upper bound of the drop at confidence 1 - risk: max_drop where it is certified; otherwise that of the share of
    lost recordings (Clopper-Pearson), which holds for this threshold taken alone."""
    max_drop: float
    risk: float
    samples: int  # recordings in all
    fit_samples: int  # those that the rule was fitted on
    test_samples: int  # those that the threshold was chosen on; all in both roles where nothing is certified
    samples_needed: int  # the fewest that can certify max_drop at this risk, when no recording is lost
    lost: int  # of the test samples, right at T and wrong where the run stops
    gained: int  # the reverse
    accuracy_drop: float  # of the test samples
    expected_drop: float | None  # as the confidences promise; not asked for where the drop is certified
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
        """1 / scale of the confidence."""
        return 1.0 / self.rule.scale

    def evidence(self) -> dict[str, Any]:
        """All of it as JSON holds it, without the rule's own parameters."""
        mine = {key: value for key, value in vars(self).items() if key != "rule"}
        return {"rule": self.rule.name, "threshold": self.threshold, "scale": self.scale, **mine}


def check_max_drop(max_drop: float) -> None:
    """Raises DataError where it is no share of recordings that could be lost."""
    if not 0 < max_drop < 1:
        raise DataError(f"max_drop {max_drop}: the largest accuracy drop lies between 0 and 1; 0.005 is half a point")


def check_request(max_drop: float, risk: float, rule: str = "confidence", temperature: str = "shared") -> None:
    """Raises DataError where ``max_drop`` or ``risk`` cannot be tested, or the rule or temperature is unknown."""
    check_max_drop(max_drop)
    if max_drop < _DROP_LEAST:
        raise DataError(
            f"max_drop {max_drop}: no number of recordings shows so little; ask for {_DROP_LEAST:g} or more"
        )
    if not 0 < risk < 1:
        raise DataError(f"risk {risk}: the risk lies between 0 and 1; 0.05 certifies with 95 % confidence")
    if risk > _RISK_MOST:
        raise DataError(f"risk {risk}: a promise that holds in fewer than half of all cases is none; 0.05 is usual")
    if risk < exact.RISK_LEAST:
        raise DataError(f"risk {risk}: the exact test resolves risks of {exact.RISK_LEAST:g} and more; ask for less")
    if rule not in RULES:
        raise DataError(f"rule {rule}: there is no such rule to calibrate; choose one of {', '.join(RULES)}")
    if temperature not in ("shared", "step"):
        raise DataError(f"temperature {temperature}: choose shared, or step for one a step")
    if temperature == "step" and rule == "int-confidence":
        raise DataError("temperature step: the integer form has one scale for all steps; use shared")


def calibrate(
    scores: np.ndarray,
    labels: np.ndarray,
    *,
    max_drop: float = 0.005,
    risk: float = 0.05,
    rule: str = "confidence",
    temperature: str = "shared",
    seed: int = 0,
) -> Calibration:
    """Fits ``rule`` and chooses the threshold of the earliest stops whose accuracy drop stays within ``max_drop``.

    A network that says nothing loses nothing by stopping at once; that certifies nothing, and the most careful
    threshold is taken.

    Args:
        scores: accumulated readout (samples, classes, T), any real dtype.
        labels: int (samples,), true classes.
        max_drop: largest drop wanted against full inference, in (0, 1).
        risk: largest probability that a certified drop is exceeded, in (0, 1).
        rule: name of the rule.
        temperature: "shared", one scale of the confidence for all steps, or "step", one a step.
        seed: of the division of the recordings into two parts.

    Raises:
        DataError: max_drop or risk is no probability, there are no recordings, or labels the network does not know.
    """
    check_request(max_drop, risk, rule, temperature)
    samples = len(labels)
    if not samples:
        raise DataError("there are no recordings to calibrate on; add some to the calibration split")
    if labels.min() < 0 or labels.max() >= scores.shape[1]:
        bad = labels.max() if labels.max() >= scores.shape[1] else labels.min()
        raise DataError(f"label {bad} of the recordings is none of the network's {scores.shape[1]} classes")
    needed = exact.samples_needed(max_drop, risk)
    fitted = RULES[rule].fitted
    enough = needed + (_FIT_LEAST if fitted else 0)
    nothing_said = silent(scores)
    if samples >= enough and not nothing_said:
        fit, test = _parts(samples, needed, seed) if fitted else (np.arange(samples), np.arange(samples))
        plain = fit_rule(rule, scores[fit], labels[fit], temperature)
        trial = _Trial(plain, scores[test], labels[test])
        certified = trial.certified(max_drop, risk)
        if certified is not None:
            return trial.result(certified, True, max_drop, risk, samples, len(fit), enough)
    plain = fit_rule(rule, scores, labels, temperature)
    trial = _Trial(plain, scores, labels)
    chosen = plain.threshold if nothing_said else trial.empirical(max_drop)
    return trial.result(chosen, False, max_drop, risk, samples, samples, enough)


def silent(scores: np.ndarray) -> bool:
    """Are all outputs equal at every step of every recording? ``scores`` (samples, classes, T)."""
    return not bool((scores != scores[:, :1]).any())


def fit_rule(name: str, scores: np.ndarray, labels: np.ndarray, temperature: str = "shared") -> Rule:
    """A rule of its name with all but the threshold fitted; the threshold is the most careful one."""
    scale = fit_scale(scores, labels)
    params: dict[str, Any] = {"scales": fit_scales(scores, labels)} if temperature == "step" else {}
    if name in ("gap", "int-gap"):
        params["units"] = fit_units(scores, labels)
    if name == "conformal":
        scales = params.get("scales") or (scale,) * scores.shape[-1]
        params |= {"quantiles": fit_quantiles(scores, labels, scales), "samples": len(labels)}
    plain = make_rule(name, 1.0, scale, params)
    return plain.at(candidates(plain, scores.shape[-1])[0])


def _parts(samples: int, needed: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the recordings to fit on and of those to test on, at random; at least ``needed`` of the latter."""
    fit = int(np.clip(_FIT_SHARE * samples, _FIT_LEAST, min(_FIT_MOST, samples - needed)))
    order = np.random.default_rng(seed).permutation(samples)
    return np.sort(order[:fit]), np.sort(order[fit:])


class _Trial:
    """The candidates of a fitted rule, tried on recordings."""

    def __init__(self, rule: Rule, scores: np.ndarray, labels: np.ndarray) -> None:
        self._rule, self._scores, self._labels = rule, scores, labels
        self._thresholds = candidates(rule, scores.shape[-1])
        self._statistics = statistics(rule, scores)
        self._right = scores.argmax(axis=1) == labels[:, None]  # (samples, T)
        self._full = self._right[:, -1]

    def _decide(self, threshold: float) -> Decisions:
        step = stop_steps(self._statistics, threshold)
        rows = np.arange(len(step))
        final = self._scores[rows, :, step - 1]
        return Decisions(step, final.argmax(axis=-1), self._rule.confidence(final, step))

    def _counts(self, step: np.ndarray) -> tuple[int, int]:
        right = self._right[np.arange(len(step)), step - 1]
        return int((self._full & ~right).sum()), int((right & ~self._full).sum())

    def _promised(self, chosen: Decisions) -> float:
        rows = np.arange(len(chosen.step))
        return float((self._confidence[:, -1] - self._confidence[rows, chosen.step - 1]).mean())

    @cached_property
    def _confidence(self) -> np.ndarray:
        """(samples, T), with the scale that falls: the shared one where its fit ends, two thirds of the way."""
        steps = self._scores.shape[-1]
        some = slice(None, None, -(-len(self._labels) // _FIT_MOST))
        fall = _FALL * fit_fall(self._scores[some], self._labels[some])
        scales = fit_scale(self._scores, self._labels) * (1.5 * np.arange(1, steps + 1) / steps) ** -fall
        scaled = make_rule("confidence", 1.0, 1.0, {"scales": tuple(scales.tolist())})
        return np.stack([scaled.confidence(self._scores[..., t], t + 1) for t in range(steps)], axis=1)

    def certified(self, max_drop: float, risk: float) -> float | None:
        """The last threshold of the fixed order before the first that is not shown to keep ``max_drop``."""
        passed = None
        for threshold in self._thresholds:
            counts = self._counts(stop_steps(self._statistics, threshold))
            if not exact.shows_drop_at_most(*counts, len(self._labels), max_drop, risk):
                break
            passed = float(threshold)
        return passed

    def empirical(self, max_drop: float) -> float:
        """The last threshold, from the most careful down, whose lost recordings and promised drop stay few."""
        passed = float(self._thresholds[0])
        for threshold in self._thresholds:
            chosen = self._decide(threshold)
            lost, _ = self._counts(chosen.step)
            if lost > max_drop * len(self._labels) or self._promised(chosen) > _MARGIN * max_drop:
                break
            passed = float(threshold)
        return passed

    def result(
        self, threshold: float, certified: bool, max_drop: float, risk: float, samples: int, fit: int, needed: int
    ) -> Calibration:
        chosen, tested = self._decide(threshold), len(self._labels)
        lost, gained = self._counts(chosen.step)
        alone = 1.0 if lost == tested else float(beta.ppf(1 - risk, lost + 1, tested - lost))
        return Calibration(
            rule=self._rule.at(threshold),
            certified=certified,
            bound=max_drop if certified else alone,
            max_drop=max_drop,
            risk=risk,
            samples=samples,
            fit_samples=fit,
            test_samples=tested,
            samples_needed=needed,
            lost=lost,
            gained=gained,
            accuracy_drop=(lost - gained) / tested,
            expected_drop=None if certified else self._promised(chosen),
            mean_decision_step=float(chosen.step.mean()),
            full_accuracy=float(self._full.mean()),
        )
