"""Rules and runs for the tests."""

from __future__ import annotations

from hypothesis import strategies as st

from aoi.cutoff.rules import (
    ConfidenceRule,
    ConformalRule,
    EntropyRule,
    FixedRule,
    GapRule,
    IntegerConfidenceRule,
    IntegerGapRule,
    PatienceRule,
    Rule,
)

_SHARES = st.floats(0.05, 1.0)
_SCALES = st.floats(1e-5, 10)
_BY_STEP = st.lists(st.floats(1e-3, 5), max_size=6).map(tuple)
_UNITS = st.lists(st.floats(0.01, 100), max_size=6).map(tuple)
_ROW = st.lists(st.floats(0, 30), min_size=1, max_size=5).map(lambda row: tuple(sorted(row, reverse=True)))
_STEPS = st.integers(1, 25).map(float)

ANY_RULE: st.SearchStrategy[Rule] = st.one_of(
    st.builds(FixedRule, threshold=_STEPS, scale=_SCALES),
    st.builds(ConfidenceRule, threshold=_SHARES, scale=_SCALES, scales=_BY_STEP),
    st.builds(EntropyRule, threshold=_SHARES, scale=_SCALES, scales=_BY_STEP),
    st.builds(GapRule, threshold=st.floats(0.01, 50), scale=_SCALES, units=_UNITS),
    st.builds(
        ConformalRule,
        threshold=_SHARES,
        scale=_SCALES,
        quantiles=st.lists(_ROW, min_size=1, max_size=6).map(tuple),
        samples=st.integers(5, 200),
    ),
    st.builds(PatienceRule, threshold=_STEPS, scale=_SCALES),
    st.builds(IntegerConfidenceRule, threshold=_SHARES, scale=_SCALES),
    st.builds(IntegerGapRule, threshold=st.floats(0.01, 50), scale=_SCALES, units=_UNITS),
)
