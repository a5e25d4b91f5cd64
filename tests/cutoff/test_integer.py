"""The integer rules against big integers in plain Python, and against the rules of real numbers."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aoi.cutoff.integer import (
    SHARE_BITS,
    TABLE_LENGTH,
    exp_table,
    gap_limits,
    gap_unit,
    share_limit,
    share_stops,
    share_total,
)
from aoi.cutoff.rule import decide, statistics, stop_steps
from aoi.cutoff.rules import ConfidenceRule, GapRule, IntegerConfidenceRule, IntegerGapRule


def confidence_stops(scores: np.ndarray, threshold: float, scale: float) -> np.ndarray:
    """Python integers without a limit; scores (samples, classes) → bool (samples,)."""
    shift, table = exp_table(scale)
    entries = np.array([int(value) for value in table], dtype=object)
    z = scores.astype(object)
    distance = (z.max(axis=1, keepdims=True) - z) // (1 << shift)
    place = np.minimum(distance, len(table) - 1).astype(np.int64)
    total = entries[place].sum(axis=1)
    limit = ceil(Fraction(threshold) * 2**SHARE_BITS)
    return np.array(total * limit <= 2 ** (2 * SHARE_BITS), dtype=bool)


def gap_stops(scores: np.ndarray, threshold: float, unit: float) -> np.ndarray:
    z = np.sort(scores, axis=1).astype(object)
    limit = ceil(Fraction(threshold) * 2**16) * ceil(Fraction(unit) * 2**8)
    return np.array((z[:, -1] - z[:, -2]) * 2**24 >= limit, dtype=bool)


@settings(max_examples=200, deadline=None)
@given(scale=st.floats(2**-40, 100))
def test_the_table_is_the_exponential_rounded_up_in_4_kb(scale: float) -> None:
    shift, table = exp_table(scale)
    assert len(table) <= TABLE_LENGTH
    assert table[0] == 1 << SHARE_BITS
    assert table[-1] == 1
    assert (np.diff(table) <= 0).all()
    assert table.max() < 2**32
    exact = 2.0**SHARE_BITS * np.exp(-scale * (np.arange(len(table), dtype=np.float64) * 2.0**shift))
    assert (table >= exact * (1 - 1e-12)).all()
    assert (table <= exact * (1 + 1e-12) + 1).all()
    assert shift == 0 or exp_table(scale)[1].nbytes >= 0.4 * 8 * TABLE_LENGTH  # no coarser than need be


def streams(generator: np.random.Generator, samples: int, classes: int, steps: int, kind: str) -> np.ndarray:
    if kind == "spikes":
        rate = generator.uniform(0, 1, (samples, classes, 1))
        return (generator.random((samples, classes, steps)) < rate).cumsum(axis=-1)
    return generator.integers(-(2**23), 2**23, (samples, classes, steps))


def compare(samples: int, seed: int) -> dict[str, float]:
    """Whole random streams decided by the rules, by C's comparisons and by big integers; shares equal to real ones."""
    generator = np.random.default_rng(seed)
    alike: dict[str, list[np.ndarray]] = {}
    blocks = 20
    for block in range(blocks):
        kind = "spikes" if block % 4 else "voltage"
        classes, steps = int(generator.integers(2, 11)), int(generator.integers(2, 6))
        scores = streams(generator, samples // blocks, classes, steps, kind)
        spread = steps if kind == "spikes" else 2.0**23
        scale, threshold = float(generator.uniform(0.5, 20) / spread), float(generator.uniform(0.3, 0.999))
        units = tuple(float(each) for each in generator.uniform(0.05, 0.7, steps) * spread)
        factor = float(generator.uniform(0.5, 2))
        confidence, gap = IntegerConfidenceRule(threshold, scale), IntegerGapRule(factor, 1.0, units=units)
        table, limits = exp_table(scale), gap_limits(factor, units)
        steps_of = {rule.name: stop_steps(statistics(rule, scores), rule.threshold) for rule in (confidence, gap)}
        for t in range(steps):
            z = scores[..., t]
            reference = confidence_stops(z, threshold, scale)
            assert (share_stops(share_total(z, *table), share_limit(threshold)) == reference).all()
            assert ((confidence.measure(z, t + 1, None)[0] >= threshold) == reference).all()
            reference = gap_stops(z, factor, units[t])
            ordered = np.sort(z, axis=1)
            assert ((ordered[:, -1] - ordered[:, -2] >= limits[t]) == reference).all()
            assert ((gap.measure(z, t + 1, None)[0] >= factor) == reference).all()
        for rule, real in ((confidence, ConfidenceRule(threshold, scale)), (gap, GapRule(factor, units=units))):
            of_real = decide(real, scores).step
            alike.setdefault(f"{rule.name} {kind}", []).append(steps_of[rule.name] == of_real)
            assert (steps_of[rule.name] >= of_real).all()  # never before the rule of real numbers
    return {name: float(np.concatenate(parts).mean()) for name, parts in alike.items()}


def test_decisions_equal_those_of_big_integers() -> None:
    assert_alike(compare(20_000, seed=0))


@pytest.mark.slow
def test_decisions_are_those_of_big_integers_on_a_million_streams() -> None:
    assert_alike(compare(1_000_000, seed=1))


def assert_alike(shares: dict[str, float]) -> None:
    """Whole streams decided as by the real rule; a voltage's table is coarser than a spike count's."""
    print(shares)
    assert shares["int-confidence spikes"] > 0.9999
    assert shares["int-confidence voltage"] > 0.99
    assert shares["int-gap spikes"] > 0.9999
    assert shares["int-gap voltage"] > 0.9999


@settings(max_examples=100, deadline=None)
@given(unit=st.floats(1e-3, 1e6), threshold=st.floats(1e-3, 1e3))
def test_gap_limits_round_up(unit: float, threshold: float) -> None:
    (limit,) = gap_limits(threshold, (unit,))
    assert limit >= Fraction(threshold) * Fraction(unit)
    assert limit - 1 < Fraction(ceil(threshold * 2**16), 2**16) * Fraction(gap_unit(unit), 2**8)
