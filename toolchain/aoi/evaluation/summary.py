"""All numbers of an evaluation, with bootstrap intervals: the JSON of ``aoi evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from aoi.cutoff.rule import Decisions
from aoi.evaluation.anytime import anytime_result, correct_at
from aoi.evaluation.bootstrap import Bootstrap, interval
from aoi.evaluation.confusion import confusion_matrix
from aoi.evaluation.cost import activation_sparsity, sum_until
from aoi.evaluation.decision_steps import per_class, percentiles
from aoi.evaluation.oracle import earliest_correct, optimal_cutoff
from aoi.evaluation.reliability import BINS, bin_index, reliability, reliability_at


def summarise(
    scores: np.ndarray,
    labels: np.ndarray,
    decisions: Decisions,
    confidence: np.ndarray,
    classes: Sequence[str],
    *,
    spikes: np.ndarray,
    operations: np.ndarray,
    neurons: Sequence[int],
) -> dict[str, Any]:
    """Plain numbers, lists and dicts for JSON.

    Args:
        scores: accumulated readout, int64 (samples, outputs, T).
        labels: indices into ``classes``, int (samples,).
        decisions: of the rule.
        confidence: at each step, float (samples, T).
        classes: their names.
        spikes: of each layer at each step, int64 (samples, layers, T).
        operations: synaptic operations of each layer at each step, int64 (samples, layers, T).
        neurons: number of neurons of each layer.
    """
    correct = correct_at(scores, labels)
    full = np.full(len(labels), correct.shape[1])
    cost = {
        "spikes": (sum_until(spikes, decisions.step), sum_until(spikes, full)),
        "operations": (sum_until(operations, decisions.step), sum_until(operations, full)),
    }
    diagrams = reliability_at(confidence, correct)
    at_decision = reliability(decisions.confidence, decisions.prediction == labels)
    oct_, earliest = optimal_cutoff(scores, labels), earliest_correct(scores, labels)
    summary = anytime_result(scores, labels, decisions).summary()
    summary |= {
        "decision_step_percentiles": {str(k): v for k, v in percentiles(decisions.step).items()},
        "oct_mean": float(oct_.mean()),
        "average_earliest_step": float(earliest.mean()),
        "mean_confidence": float(decisions.confidence.mean()),
        "ece": at_decision.error,
        "ece_at": [diagram.error for diagram in diagrams],
        "reliability": _diagram(at_decision),
        "reliability_at": [_diagram(diagram) for diagram in diagrams],
        "classes": list(classes),
        "confusion": confusion_matrix(labels, decisions.prediction, len(classes)).tolist(),
        "per_class": [
            {"class": name, **asdict(result)}
            for name, result in zip(classes, per_class(labels, decisions, len(classes)), strict=True)
        ],
        **{name: _cost(*pair) for name, pair in cost.items()},
    }
    summary["spikes"] |= {
        "activation_sparsity": activation_sparsity(spikes, neurons, decisions.step),
        "activation_sparsity_full": activation_sparsity(spikes, neurons, full),
    }
    summary["intervals"] = _intervals(correct, labels, decisions, oct_, earliest, cost)
    return summary


def _diagram(diagram: Any) -> dict[str, list[float]]:
    return {name: getattr(diagram, name).tolist() for name in ("count", "confidence", "accuracy")}


def _cost(decided: np.ndarray, full: np.ndarray) -> dict[str, Any]:
    """Means over the samples; both (samples, layers)."""
    return {
        "until_decision": float(decided.sum(axis=1).mean()),
        "full": float(full.sum(axis=1).mean()),
        "ratio": _ratio(float(decided.sum()), float(full.sum())),
        "layers_until_decision": decided.mean(axis=0).tolist(),
        "layers_full": full.mean(axis=0).tolist(),
    }


def _ratio(part: Any, whole: Any) -> Any:
    """``part / whole``; 1 if the whole is 0, since nothing can be saved."""
    return np.divide(part, whole, out=np.ones_like(whole, dtype=np.float64), where=whole > 0) + 0.0


def _intervals(
    correct: np.ndarray,
    labels: np.ndarray,
    decisions: Decisions,
    oct_: np.ndarray,
    earliest: np.ndarray,
    cost: dict[str, tuple[np.ndarray, np.ndarray]],
) -> dict[str, Any]:
    """95 % bootstrap intervals [low, high] by name of the number, all on the same resamples."""
    steps = correct.shape[1]
    correct_decision = decisions.prediction == labels
    # For the calibration error: what each sample adds to its bin. As an absolute value, its draws are biased upwards.
    gaps = np.zeros((len(labels), BINS))
    gaps[np.arange(len(labels)), bin_index(decisions.confidence)] = correct_decision - decisions.confidence
    columns = {
        "accuracy_at": correct,
        "gaps": gaps,
        "accuracy": correct_decision,
        "step": decisions.step,
        "oct": oct_,
        "earliest": earliest,
        "confidence": decisions.confidence,
    }
    for name, pair in cost.items():
        columns |= {f"{name}_decided": pair[0].sum(axis=1), f"{name}_full": pair[1].sum(axis=1)}
    wide = [column.reshape(len(labels), -1) for column in columns.values()]
    ends = np.cumsum([column.shape[1] for column in wide])[:-1]
    drawn = Bootstrap(len(labels)).means(np.concatenate(wide, axis=1))
    draws = {
        name: part if part.shape[1] > 1 else part[:, 0]
        for name, part in zip(columns, np.split(drawn, ends, axis=1), strict=True)
    }
    at = draws["accuracy_at"].reshape(-1, steps)
    numbers = {
        "full_accuracy": at[:, -1],
        "accuracy": draws["accuracy"],
        "accuracy_drop": at[:, -1] - draws["accuracy"],
        "accuracy_drop_peak": at.max(axis=1) - draws["accuracy"],
        "mean_decision_step": draws["step"],
        "speedup_steps": steps / draws["step"],
        "oct_mean": draws["oct"],
        "average_earliest_step": draws["earliest"],
        "mean_confidence": draws["confidence"],
        "ece": np.abs(draws["gaps"]).sum(axis=1),
        **{f"{name}_until_decision": draws[f"{name}_decided"] for name in cost},
        **{f"{name}_full": draws[f"{name}_full"] for name in cost},
        **{f"{name}_ratio": _ratio(draws[f"{name}_decided"], draws[f"{name}_full"]) for name in cost},
    }
    return {name: list(interval(values)) for name, values in numbers.items()} | {
        "accuracy_at": [list(interval(at[:, t])) for t in range(steps)]
    }
