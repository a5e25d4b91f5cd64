"""Spikes and operations until the decision, against loops and NeuroBench's definition on the spikes themselves."""

from __future__ import annotations

import numpy as np
import pytest

from aoi.evaluation.cost import activation_sparsity, sum_until


def test_sums_until_the_step_of_each_sample() -> None:
    generator = np.random.default_rng(0)
    events = generator.integers(0, 9, (50, 3, 12))
    step = generator.integers(1, 13, 50)
    found = sum_until(events, step)
    assert found.dtype == np.int64
    for sample in range(50):
        assert found[sample].tolist() == events[sample, :, : step[sample]].sum(axis=-1).tolist()
    assert (sum_until(events, np.full(50, 12)) == events.sum(axis=-1)).all()


def test_sparsity_is_the_share_of_zeros() -> None:
    generator = np.random.default_rng(1)
    neurons = (7, 4)
    fired = [generator.random((30, n, 9)) < rate for n, rate in zip(neurons, (0.1, 0.6), strict=True)]
    step = generator.integers(1, 10, 30)
    seen = [layer[sample, :, : step[sample]] for layer in fired for sample in range(30)]
    zeros, activations = sum(np.count_nonzero(~part) for part in seen), sum(part.size for part in seen)
    spikes = np.stack([layer.sum(axis=1) for layer in fired], axis=1)
    assert activation_sparsity(spikes, neurons, step) == pytest.approx(zeros / activations)
    assert activation_sparsity(np.zeros((2, 2, 9), dtype=np.int64), neurons, np.array([3, 9])) == 1.0
