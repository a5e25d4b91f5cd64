"""Applies stopping rules to whole runs; makes rules from text and from the policy of a network file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from aoi.cutoff.rules import RULES, ConfidenceRule, Rule, softmax_peak
from aoi.errors import DataError

if TYPE_CHECKING:
    from aoi.netx.metadata import CutoffPolicy

__all__ = [
    "RULES",
    "ConfidenceRule",
    "Decisions",
    "Rule",
    "candidates",
    "decide",
    "make_rule",
    "parse_rule",
    "rule_of_policy",
    "softmax_peak",
    "statistics",
    "stop_steps",
]


@dataclass(frozen=True)
class Decisions:
    """What a rule decides about whole runs, arrays (samples,)."""

    step: np.ndarray  # int64, decision steps 1..T
    prediction: np.ndarray  # int64, class indices
    confidence: np.ndarray  # float64, calibrated softmax confidence of the prediction, for every rule


def statistics(rule: Rule, scores: np.ndarray) -> np.ndarray:
    """The rule's statistic at each step of whole runs: scores (samples, classes, T) → float64 (samples, T)."""
    samples, _, steps = scores.shape
    by_step = np.ascontiguousarray(np.moveaxis(scores, -1, 0))
    result, memory = np.empty((samples, steps)), rule.begin(samples)
    for t in range(steps):
        result[:, t], memory = rule.measure(by_step[t], t + 1, memory)
    return result


def stop_steps(statistic: np.ndarray, threshold: float) -> np.ndarray:
    """First step, from 1, at which ``statistic`` (samples, T) reaches ``threshold``, otherwise T: int64 (samples,)."""
    stops = statistic >= threshold
    stops[:, -1] = True
    return stops.argmax(axis=1) + 1


def decide(rule: Rule | None, scores: np.ndarray) -> Decisions:
    """Applies ``rule`` to whole runs: each stops at the first step where the rule says so, otherwise at T.

    ``scores``: accumulated readout (samples, classes, T). A tie between classes goes to the smaller index. Without a
    rule (None) all T steps run.
    """
    samples, _, steps = scores.shape
    if rule is None:
        step = np.full(samples, steps, dtype=np.int64)
    else:
        step = stop_steps(statistics(rule, scores), rule.threshold)
    final = scores[np.arange(samples), :, step - 1]
    confidence = rule.confidence(final, step) if rule else softmax_peak(final)
    return Decisions(step, final.argmax(axis=-1), confidence)


def candidates(rule: Rule, steps: int) -> np.ndarray:
    """Thresholds of ``rule`` to try on runs of ``steps`` steps, float64, most conservative (latest stops) first."""
    return rule.candidates(steps)


def make_rule(name: str, threshold: float, scale: float = 1.0, params: dict[str, Any] | None = None) -> Rule:
    """The rule ``name`` with these numbers; lists become tuples. Raises DataError if they make no valid rule."""
    try:
        return _checked_rule(name, threshold, scale, params or {})
    except DataError as error:
        raise DataError(f"rule {name}: {error}") from None


def _checked_rule(name: str, threshold: float, scale: float, params: dict[str, Any]) -> Rule:
    kind = RULES.get(name)
    if kind is None:
        raise DataError(f"there is no such rule; choose one of {', '.join(RULES)}")
    known = {f.name: str(f.type) for f in fields(kind) if f.name not in ("threshold", "scale")}
    unknown = [key for key in params if key not in known]
    if unknown:
        raise DataError(f"has no parameter {unknown[0]!r}, only {', '.join(known)}")
    try:
        given = {key: _field_value(known[key], value) for key, value in params.items()}
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"the parameters {', '.join(known)} must be numbers or lists of numbers") from None
    rule = kind(float(threshold), float(scale), **given)
    problem = rule.validation_error()
    if problem:
        raise DataError(problem)
    return rule


def rule_of_policy(policy: CutoffPolicy) -> Rule:
    """The rule in a network file. Raises DataError if its numbers make no valid rule."""
    try:
        return make_rule(policy.rule, policy.threshold, policy.scale, policy.params)
    except DataError as error:
        raise DataError(f"the network file's cutoff: {error}; run 'aoi calibrate' again") from None


def parse_rule(text: str, policy: CutoffPolicy | None = None) -> Rule:
    """``name:THRESHOLD[:SCALE][:key=v,v;v,v]…`` → the rule.

    What the text leaves out comes from ``policy``: the scale from any policy, other parameters from a policy of the
    same rule. Raises DataError.
    """
    name, *numbers = text.split(":")
    params = dict(policy.params) if policy and policy.rule == name else {}
    if policy and "scales" in policy.params:
        params["scales"] = policy.params["scales"]
    try:
        if name not in RULES:
            raise DataError(f"there is no such rule; choose one of {', '.join(RULES)}")
        plain = [float(number) for number in numbers if "=" not in number]
        given = {key: _split_rows(value) for key, _, value in (each.partition("=") for each in numbers if "=" in each)}
        if not 1 <= len(plain) <= 2:
            raise ValueError
        if len(plain) == 2:
            params.pop("scales", None)
        scale = plain[1] if len(plain) == 2 else policy.scale if policy else None
        if scale is None and RULES[name].needs_scale:
            raise DataError(f"there is no calibrated scale; run 'aoi calibrate' or add one: {text}:0.5")
        return _checked_rule(name, plain[0], 1.0 if scale is None else scale, params | given)
    except ValueError:
        raise DataError(
            f"rule {text}: expected {name}:THRESHOLD or {name}:THRESHOLD:SCALE, as in {name}:{RULES[name].example:g}"
        ) from None
    except DataError as error:
        raise DataError(f"rule {text}: {error}") from None


def _split_rows(text: str) -> list[Any]:
    """``1,2;3,4`` → [["1", "2"], ["3", "4"]]; a single row → ["1", "2"]."""
    rows = [row.split(",") for row in text.split(";")]
    return rows if len(rows) > 1 else rows[0]


def _field_value(kind: str, value: Any) -> Any:
    """A value from text or JSON as a field of type ``kind``: an integer, a tuple of numbers, or a tuple of those."""
    if kind == "int":
        return int(value[0] if isinstance(value, list | tuple) else value)
    if not isinstance(value, list | tuple):
        raise TypeError
    if kind == "tuple[float, ...]":
        return tuple(float(each) for each in value)
    rows = value if not value or isinstance(value[0], list | tuple) else [value]
    return tuple(tuple(float(each) for each in row) for row in rows)
