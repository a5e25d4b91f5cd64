"""Thresholds with short decimal texts, and which of them the statistic of each sample reaches.

A browser cannot reproduce a rule bit-exactly, since its exponential differs, and does not have to. A rule stops where
its statistic reaches the threshold. So the page gets, for each sample and step, how many thresholds of an ascending
list the statistic reaches; position k of the slider stops where that number exceeds k. This is the rule's own decision,
made here, at every position. Each threshold is a decimal text that ``parse_rule`` reads as the same float64.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from aoi.cutoff.rule import Rule

MAX_POSITIONS = 255  # positions of the slider; the number reached fits uint8
_DIGITS = 3  # significant digits of a threshold without an upper limit


def thresholds(rule: Rule, statistic: np.ndarray) -> tuple[str, ...]:
    """Ascending decimal texts, at most 255, from "all stop at step 1" to "nearly all run to T" as far as the rule
    allows.

    ``rule.threshold`` is one of them. ``statistic``: float64 (samples, T). The thresholds are integers for counts of
    steps or spikes; shares, denser towards 1, for rules whose threshold is at most 1; otherwise three-digit numbers in
    a geometric sequence.
    """
    if rule.integer_threshold:
        texts = _integers(statistic.shape[1])
    elif rule.max_threshold == 1.0:
        texts = _shares()
    elif _is_count(statistic):
        texts = _integers(int(statistic.max()) + 1)
    else:
        texts = _ratios(statistic)
    texts = [text for text in texts if rule.with_threshold(float(text)).validation_error() is None]
    own = _plain(Decimal(repr(rule.threshold)))
    known = {float(text): text for text in [*_within(texts, statistic), own]}
    return tuple(known[value] for value in sorted(known))


def reached(statistic: np.ndarray, texts: tuple[str, ...]) -> np.ndarray:
    """How many of the thresholds ``texts`` each value reaches: float64 (samples, T) → uint8 (samples, T).

    ``reached > k`` if and only if ``statistic >= float(texts[k])``.
    """
    count = np.searchsorted(np.array([float(text) for text in texts]), statistic, side="right")
    count[np.isnan(statistic)] = 0  # NaN reaches nothing, as in the rule
    return count.astype(np.uint8)


def _integers(most: int) -> list[str]:
    """Integers from 1 to ``most``, a subset if they are too many."""
    values = np.unique(np.linspace(1, most, min(most, MAX_POSITIONS - 1)).astype(int))
    return [str(value) for value in values]


def _is_count(statistic: np.ndarray) -> bool:
    return bool(np.all(statistic == np.floor(statistic)) and statistic.max() < MAX_POSITIONS - 1)


def _shares() -> list[str]:
    """0.02 to 0.9, then to 0.99, 0.999, 0.9999 and 0.99999 in steps ten times finer each, then 1."""
    texts = [_plain(Decimal(i) / 50) for i in range(1, 45)]
    for nines in range(1, 5):
        start, step = 1 - Decimal(1).scaleb(-nines), Decimal(2).scaleb(-nines - 2)
        texts += [_plain(start + i * step) for i in range(45)]
    return [*texts, "0.99999", "1"]


def _ratios(statistic: np.ndarray) -> list[str]:
    """A geometric sequence of three-digit numbers between the smallest and the largest positive value."""
    positive = statistic[np.isfinite(statistic) & (statistic > 0)]
    if not positive.size:
        return ["1"]
    values = np.geomspace(positive.min(), positive.max() * 1.01, MAX_POSITIONS - 15)
    return list(dict.fromkeys(_plain(Decimal(f"{value:.{_DIGITS - 1}e}")) for value in values))


def _within(texts: list[str], statistic: np.ndarray) -> list[str]:
    """Without redundant thresholds: keeps one that all samples reach at step 1 and one that none reaches before T."""
    values = np.array([float(text) for text in texts])
    before = statistic[:, :-1] if statistic.shape[1] > 1 else statistic
    first = max(int((values <= np.nanmin(statistic[:, 0])).sum()) - 1, 0)
    last = int((values <= np.nanmax(before)).sum()) + 1
    return texts[first : max(last, first + 1)]


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
