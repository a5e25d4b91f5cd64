"""What the page's cutoff explorer needs: each rule's slider, and the answer at each step."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import numpy as np

from aoi.cutoff.rule import RULES, Rule, parse_rule, rule_of_policy, statistics
from aoi.errors import DataError
from aoi.evaluation.operating_points import operating_points
from aoi.netx.metadata import CutoffPolicy
from aoi.report.thresholds import reached, thresholds

# Name on the page, and what the threshold is of. The integer forms are shown where a file is calibrated for one.
_WORDS = {
    "confidence": ("Confidence", "the largest class probability"),
    "entropy": ("Entropy", "certainty, 1 minus the normalised entropy,"),
    "gap": ("Gap", "the lead of the best class over the second"),
    "conformal": ("Conformal", "the coverage at which only one class is left"),
    "patience": ("Patience", "the number of steps with the same answer"),
    "fixed": ("Fixed step", "the step"),
    "int-confidence": ("Integer confidence", "the largest class probability"),
    "int-gap": ("Integer gap", "the lead of the best class over the second"),
}


def rules_for(policy: CutoffPolicy | None, steps: int) -> list[Rule]:
    """The rules that a network file has the numbers for, its own first: those that lack a calibrated scale or
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
    """One entry a rule; ``scores`` (samples, classes, T), ``labels`` (samples,).

    ``thresholds``: texts, one a position of the slider; ``reached``: base64 uint8 (samples, T); ``start``: the position
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
    """The answer at each step, (samples, classes, T) → uint8 or uint16 (samples, T)."""
    kind = np.uint8 if scores.shape[1] <= 256 else np.uint16
    return scores.argmax(axis=1).astype(kind)


def base64(array: np.ndarray) -> str:
    """The array's bytes, little-endian, row by row."""
    return b64encode(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()).decode()
