"""The statistics of a study: the result of each cell, and arms compared with each other, paired by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aoi.cutoff.fitting import fit_scale
from aoi.cutoff.rule import candidates, make_rule, statistics
from aoi.evaluation.anytime import accuracy_at, correct_at
from aoi.evaluation.operating_points import operating_points
from aoi.evaluation.reliability import reliability, reliability_at

_SLACK = 1e-9  # rounding: 5 of 1000 is at most 0.005


def cell_result(
    scores: np.ndarray, labels: np.ndarray, fit_scores: np.ndarray, fit_labels: np.ndarray, max_drop: float
) -> dict[str, Any]:
    """The result of one network, for JSON.

    ``scores``, accumulated readout (samples, classes, T), and ``labels``, int (samples,), of the evaluated recordings;
    ``fit_scores`` and ``fit_labels``, of others, fit the scale of the confidence. All thresholds are tried on the
    evaluated recordings: a look-back, the same for all arms. ``peak`` is the best accuracy over the thresholds and full
    inference; ``steps_at_drop`` the fewest mean steps with an accuracy of at least ``peak - max_drop``.

    ``peak`` is not the accuracy at the best fixed step, because possibly no threshold reaches that one.
    """
    rule = make_rule("confidence", 1.0, fit_scale(fit_scores, fit_labels), {})
    points = operating_points(statistics(rule, scores), candidates(rule, scores.shape[-1]), scores, labels)
    at = accuracy_at(scores, labels)
    steps, accuracy = points.mean_decision_step, points.accuracy
    peak = max(float(accuracy.max()), float(at[-1]))
    within = np.flatnonzero(accuracy >= peak - max_drop - _SLACK)
    chosen = int(within[steps[within].argmin()]) if len(within) else None
    confidence = np.stack([rule.confidence(scores[..., t], t + 1) for t in range(scores.shape[-1])], axis=1)
    last = np.full(len(labels), scores.shape[-1])
    decided = last if chosen is None else points.step[chosen]
    index = (np.arange(len(labels)), decided - 1)
    return {
        "samples": len(labels),
        "steps": points.steps,
        "accuracy_at": at.tolist(),
        "full_accuracy": float(at[-1]),
        "peak": peak,
        "max_drop": max_drop,
        "scale": rule.scale,
        "threshold": None if chosen is None else float(points.thresholds[chosen]),
        "steps_at_drop": float(decided.mean()),
        "accuracy": float(correct_at(scores, labels)[index].mean()),
        "ece": reliability(confidence[index], correct_at(scores, labels)[index]).error,
        "ece_at": [each.error for each in reliability_at(confidence, correct_at(scores, labels))],
        "points": {
            "threshold": points.thresholds.tolist(),
            "mean_decision_step": steps.tolist(),
            "accuracy": accuracy.tolist(),
        },
    }


def steps_for(result: Mapping[str, Any], accuracy: float) -> float:
    """The fewest mean steps of a cell's operating points with at least ``accuracy``; T if there is none."""
    points = result["points"]
    enough = [
        step
        for step, have in zip(points["mean_decision_step"], points["accuracy"], strict=True)
        if have >= accuracy - _SLACK
    ]
    return float(min(enough, default=result["steps"]))


def mean_interval(values: Sequence[float]) -> dict[str, float | None]:
    """The mean and its 95 % interval by Student's t; ``low`` and ``high`` are None for fewer than two values."""
    from scipy.stats import t

    mean = float(np.mean(values))
    if len(values) < 2:
        return {"mean": mean, "low": None, "high": None}
    half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return {"mean": mean, "low": mean - half, "high": mean + half}


_MEASURES = ("full_accuracy", "peak", "steps_at_drop", "accuracy", "ece")


def compare_arms(
    results: Mapping[tuple[str, int], Mapping[str, Any]], arms: Sequence[str], references: Sequence[str]
) -> list[dict[str, Any]]:
    """One row per arm with at least one cell; ``results``: (arm, seed) → :func:`cell_result`.

    ``against``: reference → comparison over the seeds of both: ``steps`` (difference, each at its own peak less the
    drop), ``accuracy`` (difference at T), ``steps_share`` (ratio of steps, mean over seeds) and
    ``steps_at_equal_accuracy`` (difference, both at the lower of the two peaks less the drop).
    """
    rows = []
    for arm in arms:
        mine = {seed: result for (name, seed), result in results.items() if name == arm}
        if not mine:
            continue
        row: dict[str, Any] = {"arm": arm, "seeds": sorted(mine)}
        row |= {measure: mean_interval([result[measure] for result in mine.values()]) for measure in _MEASURES}
        row["against"] = {}
        for reference in references:
            theirs = {seed: result for (name, seed), result in results.items() if name == reference}
            seeds = sorted(mine.keys() & theirs.keys())
            if reference == arm or not seeds:
                continue
            pairs = [(mine[seed], theirs[seed]) for seed in seeds]
            row["against"][reference] = {
                "seeds": seeds,
                "steps": mean_interval([a["steps_at_drop"] - b["steps_at_drop"] for a, b in pairs]),
                "steps_share": mean_interval([a["steps_at_drop"] / b["steps_at_drop"] for a, b in pairs]),
                "accuracy": mean_interval([a["full_accuracy"] - b["full_accuracy"] for a, b in pairs]),
                "steps_at_equal_accuracy": mean_interval([_difference_at_equal_accuracy(a, b) for a, b in pairs]),
            }
        rows.append(row)
    return rows


def _difference_at_equal_accuracy(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    target = min(a["peak"], b["peak"]) - a["max_drop"]
    return steps_for(a, target) - steps_for(b, target)
