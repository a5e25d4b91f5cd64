"""The bootstrap: exact means, correct coverage, paired and reproducible draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from aoi.evaluation import bootstrap
from aoi.evaluation.bootstrap import Bootstrap, interval


def test_means_are_those_of_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random((40, 2, 3))
    whole = Bootstrap(40, resamples=300).means(values)
    assert whole.shape == (300, 2, 3)
    monkeypatch.setattr(bootstrap, "_CHUNK", 40 * 7)  # drawn in many pieces, they are the same
    assert np.allclose(Bootstrap(40, resamples=300).means(values), whole)
    assert np.allclose(whole.mean(axis=0), values.mean(axis=0), atol=0.02)
    assert (whole.min(axis=0) > values.min(axis=0)).all()
    assert not np.allclose(Bootstrap(40, resamples=300, seed=1).means(values), whole)


def test_interval_as_scipys_percentile_bootstrap() -> None:
    values = np.random.default_rng(3).exponential(size=200)
    found = interval(Bootstrap(200, resamples=4000).means(values))
    expected = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=4000, random_state=0)
    assert found == pytest.approx(tuple(expected.confidence_interval), abs=0.015)


def test_coverage_of_an_accuracy() -> None:
    """95 % of the intervals contain the truth, as far as 400 repetitions can tell."""
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        low, high = interval(Bootstrap(300, resamples=600).means(generator.random(300) < 0.8))
        held += low <= 0.8 <= high
    assert stats.binomtest(held, 400, 0.95).pvalue > 0.01


def test_paired_draws_are_narrower() -> None:
    generator = np.random.default_rng(0)
    before = generator.normal(size=500)
    after = before + 0.1 + 0.01 * generator.normal(size=500)
    resamples = Bootstrap(500)
    low, high = interval(resamples.means(after) - resamples.means(before))
    assert 0.09 < low < 0.1 < high < 0.11
    alone = interval(resamples.means(after))
    assert alone[1] - alone[0] > 20 * (high - low)
