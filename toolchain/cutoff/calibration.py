"""Fits the confidence's scale and chooses the threshold, on recordings that neither train nor report."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import beta, binom

from toolchain.cutoff.rule import ConfidenceRule, decide
from toolchain.errors import DataError

# The share of max_drop that the confidences may promise to lose where nothing can be certified; the rest is a margin,
# because a threshold chosen as the best of many on few recordings is partly chosen by luck.
_MARGIN = 0.5
# Thresholds tried, most careful first: fine where confidence is high.
_CANDIDATES = np.concatenate([[1.0], 1 - np.geomspace(1e-6, 0.7, 120)])


@dataclass(frozen=True)
class Calibration:
    """A threshold and its evidence. Drops are in accuracy against all T steps, on the calibration split."""

    threshold: float
    scale: float
    certified: bool  # with probability 1 - risk over the calibration data, the drop is at most max_drop
    bound: float  # upper bound of the drop at this threshold, at confidence 1 - risk
    max_drop: float
    risk: float
    samples: int
    samples_needed: int  # the fewest that can certify max_drop at this risk, when no sample is lost
    accuracy_drop: float
    expected_drop: float
    mean_decision_step: float
    full_accuracy: float

    @property
    def temperature(self) -> float:
        return 1.0 / self.scale

    @property
    def rule(self) -> ConfidenceRule:
        return ConfidenceRule(self.threshold, self.scale)

    def evidence(self) -> dict[str, Any]:
        return asdict(self)


def fit_scale(scores: np.ndarray, labels: np.ndarray) -> float:
    """The one scale that minimises the cross entropy of ``softmax(scale * z[t])`` over the steps where runs may stop.

    ``scores`` (samples, classes, T), accumulated readout. One scale for all steps exits earlier than one a step. The
    last third of the steps is left out: few runs get there, and evidence that piles up without being new makes a few
    wrong answers there so certain that they would blur the confidence of all others.
    """
    steps = scores.shape[-1]
    z = np.moveaxis(scores[..., : max(1, 2 * steps // 3)], 1, -1).astype(np.float64)
    z = z - z.max(axis=-1, keepdims=True)
    spread = max(float(-z.min()), 1e-12)
    right = np.take_along_axis(z, np.broadcast_to(labels[:, None, None], (*z.shape[:2], 1)), axis=-1)[..., 0]

    def loss(log_scale: float) -> float:
        scale = math.exp(log_scale)
        return float((np.log(np.exp(scale * z).sum(axis=-1)) - scale * right).mean())

    bounds = (math.log(1e-3 / spread), math.log(1e4 / spread))
    return math.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4}).x)


def check_request(max_drop: float, risk: float) -> None:
    """Raises DataError where ``max_drop`` or ``risk`` is no probability."""
    if not 0 < max_drop < 1:
        raise DataError(f"--max-drop {max_drop}: the largest accuracy drop lies between 0 and 1; 0.005 is half a point")
    if not 0 < risk < 1:
        raise DataError(f"--risk {risk}: the risk lies between 0 and 1; 0.05 certifies with 95 % confidence")


def calibrate(scores: np.ndarray, labels: np.ndarray, *, max_drop: float = 0.005, risk: float = 0.05) -> Calibration:
    """Chooses the smallest threshold whose accuracy drop stays within ``max_drop``.

    Thresholds are tried from the most careful down and the search ends at the first that fails, so that the test is
    valid for the one it ends on (fixed-sequence testing, Learn-then-Test, arXiv 2110.01052): a threshold is certified
    while the binomial p-value of "a run that all T steps get right is lost in more than max_drop of cases" is at most
    ``risk``. Where too few samples can certify anything, the threshold is the smallest for which two estimates stay
    small, as they do at all higher ones: the drop counted on the samples stays within max_drop, and the drop that
    the confidences themselves promise, a finer ruler than whole samples, within half of it.
    """
    check_request(max_drop, risk)
    samples = len(labels)
    scale = fit_scale(scores, labels)
    full = decide(None, scores).prediction == labels
    final_confidence = ConfidenceRule(1.0, scale).confidence(scores[..., -1])

    def measure(threshold: float) -> tuple[int, float, float, float]:
        chosen = decide(ConfidenceRule(threshold, scale), scores)
        right = chosen.prediction == labels
        promised = float((final_confidence - chosen.confidence).mean())
        return int((full & ~right).sum()), float(full.mean() - right.mean()), promised, float(chosen.step.mean())

    careful = float(_CANDIDATES[0])
    certified = empirical = careful
    may_certify = may_choose = True
    for candidate in _CANDIDATES:
        lost, drop, promised, _ = measure(float(candidate))
        may_certify = may_certify and binom.cdf(lost, samples, max_drop) <= risk
        may_choose = may_choose and drop <= max_drop and promised <= _MARGIN * max_drop
        if may_certify:
            certified = float(candidate)
        if may_choose:
            empirical = float(candidate)
        if not (may_certify or may_choose):
            break
    is_certified = binom.cdf(measure(careful)[0], samples, max_drop) <= risk
    threshold = certified if is_certified else empirical
    lost, drop, promised, mean_step = measure(threshold)
    return Calibration(
        threshold=threshold,
        scale=scale,
        certified=bool(is_certified),
        bound=1.0 if lost == samples else float(beta.ppf(1 - risk, lost + 1, samples - lost)),
        max_drop=max_drop,
        risk=risk,
        samples=samples,
        samples_needed=math.ceil(math.log(risk) / math.log1p(-max_drop)),
        accuracy_drop=drop,
        expected_drop=promised,
        mean_decision_step=mean_step,
        full_accuracy=float(full.mean()),
    )
