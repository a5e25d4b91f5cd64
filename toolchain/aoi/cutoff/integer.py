"""The confidence and gap rules in integer arithmetic for an embedded processor: tables and comparisons.

This is the definition, on int64; the C version makes bit-identical decisions. Both tables round so that the integer
rule never stops before the floating-point rule would (up to that rule's own rounding).
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Context, Decimal
from functools import lru_cache
from math import ceil

import numpy as np

TABLE_LENGTH = 1024
"""Largest number of table entries: 4 KB of 32-bit words."""
SHARE_BITS = 28
"""Probabilities are multiples of 2^-28. For up to 256 classes all products stay below 2^64."""
GAP_BITS = 16
"""Gap thresholds are multiples of 2^-16."""
UNIT_BITS = 8
"""A step's gap unit is a multiple of 2^-8."""

_CONTEXT = Context(prec=40)  # Decimal rounds exp correctly: the same table on every machine


@lru_cache(maxsize=32)
def exp_table(scale: float) -> tuple[int, np.ndarray]:
    """(shift, table): ``table[i] = ceil(2^28 * exp(-scale * (i << shift)))``, int64 (n,), n up to 1024.

    The last entry is 1 and holds for all larger distances. ``shift`` is the smallest for which n is at most 1024: 0
    for spike counts, more for voltages, whose distances it rounds down.
    """
    reach = SHARE_BITS * np.log(2.0) / scale  # distance at which the exponential is 2^-28
    shift = 0
    while ceil(reach / 2.0**shift) + 1 > TABLE_LENGTH:
        shift += 1
    exact = Decimal(scale)
    values = []
    for index in range(ceil(reach / 2.0**shift) + 1):
        power = _CONTEXT.exp(_CONTEXT.multiply(-exact, Decimal(index << shift)))
        share = _CONTEXT.multiply(power, Decimal(1 << SHARE_BITS))
        values.append(int(share.to_integral_value(rounding=ROUND_CEILING)))
    table = np.array(values, dtype=np.int64)
    table.setflags(write=False)
    return shift, table


def share_total(scores: np.ndarray, shift: int, table: np.ndarray) -> np.ndarray:
    """Sum over classes of the table at the distance from the best class: int64 (samples, classes) → int64
    (samples,)."""
    peak = scores.max(axis=-1)
    total = np.zeros(len(scores), dtype=np.int64)
    last = np.uint64(len(table) - 1)
    for k in range(scores.shape[-1]):
        distance = (peak - scores[:, k]).view(np.uint64)  # unsigned: exact for any two numbers
        total += table[np.minimum(distance >> np.uint64(shift), last).astype(np.int64)]
    return total


def share_limit(threshold: float) -> int:
    """The confidence threshold K in units of 2^-28, rounded up: stop where ``total * K <= 2^56``."""
    return ceil(threshold * (1 << SHARE_BITS))


def share_stops(total: np.ndarray, limit: int) -> np.ndarray:
    """Which totals, int64 (samples,), stop: bool (samples,). By multiplication only; for up to 256 classes."""
    product = total.astype(np.uint64) * np.uint64(limit)
    return product <= np.uint64(1 << (2 * SHARE_BITS))


def gap_share(gap: np.ndarray, unit: int) -> np.ndarray:
    """``floor(gap * 2^24 / unit)``, exact below 2^62, otherwise at least 2^62: uint64 (samples,) → uint64 (samples,).

    ``unit``: from :func:`gap_unit`, at most 2^38.
    """
    bits = np.uint64(GAP_BITS + UNIT_BITS)
    whole, rest = np.divmod(gap, np.uint64(unit))
    return (np.minimum(whole, np.uint64(1 << 38)) << bits) + (rest << bits) // np.uint64(unit)


def gap_unit(unit: float) -> int:
    """A step's unit in multiples of 2^-8, rounded up."""
    return ceil(unit * (1 << UNIT_BITS))


def gap_limits(threshold: float, units: tuple[float, ...]) -> np.ndarray:
    """Smallest gap that stops at each step, int64 (T,): ``ceil(K * unit / 2^24)``, K the threshold in 2^-16.

    Stop where ``top1 - top2 >= limits[t - 1]``.
    """
    threshold_units = ceil(threshold * (1 << GAP_BITS))
    bits = GAP_BITS + UNIT_BITS
    return np.array([-(-(threshold_units * gap_unit(unit)) >> bits) for unit in units], dtype=np.int64)
