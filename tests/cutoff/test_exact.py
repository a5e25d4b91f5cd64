"""The exact paired test: its level, enumerated; its power, against the binomial test."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from aoi.cutoff.exact import _binomial_limit, _Level, losses_allowed, samples_needed, shows_drop_at_most


def rejected(samples: int, allowed: np.ndarray, lost: float, gained: float) -> float:
    """Probability of a rejection, summed over every pair of counts: losses given the gains are binomial."""
    gains = np.arange(samples + 1)
    limit = allowed[np.minimum(gains, len(allowed) - 1)]
    return float(binom.pmf(gains, samples, gained) @ binom.cdf(limit, samples - gains, min(1.0, lost / (1 - gained))))


@settings(max_examples=60, deadline=None)
@given(
    samples=st.integers(20, 250),
    max_drop=st.floats(0.005, 0.3),
    risk=st.sampled_from([0.01, 0.05, 0.1, 0.2]),
    gained=st.just(0.0) | st.floats(1e-12, 1),  # scipy's binomial overflows next to 0
    beyond=st.just(0.0) | st.floats(0, 0.3),
)
def test_the_level_holds_wherever_the_drop_is_too_large(
    samples: int, max_drop: float, risk: float, gained: float, beyond: float
) -> None:
    gained *= (1 - max_drop) / 2
    lost = min(gained + max_drop + beyond, 1 - gained)
    allowed = losses_allowed(samples, max_drop, risk)
    assert rejected(samples, allowed, lost, gained) <= risk + 1e-9


@pytest.mark.parametrize(("samples", "max_drop"), [(120, 0.05), (250, 0.02), (250, 0.1)])
def test_the_level_is_nearly_used_up(samples: int, max_drop: float) -> None:
    """On a fine line of null hypotheses: never above, and somewhere close, so the test is not needlessly
    conservative."""
    allowed = losses_allowed(samples, max_drop, 0.05)
    line = [rejected(samples, allowed, b + max_drop, b) for b in np.concatenate([[0], np.geomspace(1e-6, 0.3, 150)])]
    assert max(line) <= 0.05
    assert max(line) >= 0.03


@pytest.mark.parametrize(("samples", "max_drop"), [(598, 0.005), (1000, 0.01), (4000, 0.01), (20_000, 0.005)])
def test_it_allows_what_the_binomial_test_allows_and_more_with_gains(samples: int, max_drop: float) -> None:
    allowed = losses_allowed(samples, max_drop, 0.05)
    assert binom.cdf(allowed[0], samples, max_drop) <= 0.05
    assert binom.cdf(allowed[0] + 1, samples, max_drop) > 0.05
    inner = allowed[:100]
    assert (np.diff(inner) >= 0).all()
    assert inner[40] >= inner[0] + 25
    assert allowed[-1] == allowed[0]


def test_samples_needed() -> None:
    assert samples_needed(0.005, 0.05) == 598
    assert shows_drop_at_most(0, 0, 598, 0.005, 0.05)
    assert not shows_drop_at_most(0, 0, 597, 0.005, 0.05)
    assert not shows_drop_at_most(1, 0, 598, 0.005, 0.05)


@settings(deadline=None)
@given(max_drop=st.floats(1e-4, 0.5), risk=st.floats(1e-6, 0.5))
def test_samples_needed_suffice(max_drop: float, risk: float) -> None:
    """The limit without gains is what the whole test allows at least, and quick for any number of recordings."""
    assert _binomial_limit(samples_needed(max_drop, risk), max_drop, risk) >= 0


@pytest.mark.parametrize(("max_drop", "risk"), [(0.5, 0.5), (0.05, 1e-6), (0.3, 0.09)])
def test_samples_needed_suffice_in_the_whole_test(max_drop: float, risk: float) -> None:
    assert shows_drop_at_most(0, 0, samples_needed(max_drop, risk), max_drop, risk)


@pytest.mark.parametrize("allowed_beyond", [0, 1, 2])
def test_the_bound_of_the_level_covers_what_lies_between_grid_points(allowed_beyond: int) -> None:
    """Where no loss is allowed without gains, the probability has its peak inside an interval of the grid."""
    samples, max_drop = 20, 0.05
    gains = np.arange(samples + 1)
    allowed = np.where(gains >= 2, np.minimum(allowed_beyond, samples - gains), -1)
    bound = _Level(samples, max_drop, -1, gains, 0.05).of(allowed)
    fine = np.geomspace(1e-4, 0.45, 2000)
    assert bound >= max(rejected(samples, allowed, b + max_drop, b) for b in fine)


@pytest.mark.parametrize(
    ("samples", "max_drop", "risk"),
    [(1, 0.5, 0.5), (30, 0.9, 0.05), (50, 0.001, 1e-12), (40, 0.3, 0.999), (5, 1e-9, 0.05)],
)
def test_extreme_requests_have_a_result(samples: int, max_drop: float, risk: float) -> None:
    allowed = losses_allowed(samples, max_drop, risk)
    assert allowed.min() >= -1
    for gained in (0.0, 0.1 * (1 - max_drop), 0.49 * (1 - max_drop)):
        assert rejected(samples, allowed, gained + max_drop, gained) <= risk + 1e-9
