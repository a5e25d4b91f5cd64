"""The data of the page's cutoff explorer: a slider per rule, and the prediction at each step."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import numpy as np

from aoi.cutoff.rule import RULES, Rule, parse_rule, rule_of_policy, statistics
from aoi.errors import DataError
from aoi.evaluation.operating_points import operating_points
from aoi.netx.metadata import CutoffPolicy
from aoi.report.thresholds import reached, thresholds

# Title on the page, and what the threshold applies to. Integer rules are shown only if the file is calibrated for one.
_WORDS = {
    "confidence": ("Confidence", "the largest class probability"),
    "entropy": ("Entropy", "1 minus the normalised entropy"),
    "gap": ("Gap", "the lead of the best class over the second"),
    "conformal": ("Conformal", "the coverage at which the prediction set has one class"),
    "patience": ("Patience", "the number of steps with the same prediction"),
    "fixed": ("Fixed step", "the step"),
    "int-confidence": ("Integer confidence", "the largest class probability"),
    "int-gap": ("Integer gap", "the lead of the best class over the second"),
}


def rules_for(policy: CutoffPolicy | None, steps: int) -> list[Rule]:
    """The rules that can run with a network file's calibration, the calibrated one first; rules that lack a scale or
    quantiles are left out. ``steps``: T."""
    own = rule_of_policy(policy) if policy else None
    rules = [own] if own else []
    for name in _WORDS:
        if name in RULES and not name.startswith("int-") and (own is None or own.name != name):
            try:
                example = min(RULES[name].example, steps)
                rules.append(parse_rule(f"{name}:{example!r}", policy))
            except DataError:
                continue
    return rules


def explorer(rules: list[Rule], scores: np.ndarray, labels: np.ndarray) -> list[dict[str, Any]]:
    """One entry per rule; ``scores``: accumulated readout (samples, classes, T), ``labels``: int (samples,).

    ``thresholds``: texts, one per position of the slider; ``reached``: base64 uint8 (samples, T); ``start``: position
    of the rule's own threshold; ``curve``: [mean decision step, accuracy] at each position.
    """
    return [_entry(rule, scores, labels) for rule in rules]


def _entry(rule: Rule, scores: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    statistic = statistics(rule, scores)
    texts = thresholds(rule, statistic)
    values = np.array([float(text) for text in texts])
    points = operating_points(statistic, values, scores, labels)
    title, of = _WORDS.get(rule.name, (rule.name, "its statistic"))
    return {
        "name": rule.name,
        "title": title,
        "of": of,
        "share": rule.max_threshold == 1.0,
        "thresholds": texts,
        "start": int(np.flatnonzero(values == rule.threshold)[0]),
        "reached": base64(reached(statistic, texts)),
        "curve": np.stack([points.mean_decision_step, points.accuracy], axis=1).tolist(),
    }


def answers(scores: np.ndarray) -> np.ndarray:
    """The prediction at each step, (samples, classes, T) → uint8 or uint16 (samples, T)."""
    kind = np.uint8 if scores.shape[1] <= 256 else np.uint16
    return scores.argmax(axis=1).astype(kind)


def base64(array: np.ndarray) -> str:
    """The bytes of an array, little-endian, in row-major order, as base64."""
    return b64encode(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()).decode()
