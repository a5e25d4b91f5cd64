"""Differences are counted and located."""

from __future__ import annotations

import numpy as np
import pytest

from aoi.evaluation.equality import compare


def traces() -> list[dict[str, np.ndarray]]:
    generator = np.random.default_rng(0)
    return [
        {"s": generator.random((3, 2, 4, 4, 6)) < 0.5, "u": generator.integers(-9, 9, (3, 2, 4, 4, 6))},
        {"s": generator.random((3, 5, 6)) < 0.5},
    ]


def test_equal_traces() -> None:
    result = compare(traces(), traces())
    assert result.mismatches == 0
    assert result.first is None
    assert result.compared == 2 * 3 * 32 * 6 + 3 * 5 * 6


def test_the_earliest_step_is_named() -> None:
    other = traces()
    other[0]["u"][2, 1, 3, 0, 5] += 7
    other[1]["s"][1, 4, 2] ^= True
    result = compare(traces(), other)
    assert result.mismatches == 2
    assert result.first is not None
    assert (result.first.layer, result.first.sample, result.first.step, result.first.neuron) == (1, 1, 3, (4,))
    assert "layer 1, step 3, neuron (4,), sample 1: spike" in str(result.first)


def test_only_what_both_recorded_is_compared() -> None:
    other = traces()
    del other[0]["u"]
    assert compare(traces(), other).compared == 3 * 32 * 6 + 3 * 5 * 6


def test_shapes_and_layers_must_agree() -> None:
    with pytest.raises(ValueError, match="1 layers"):
        compare(traces(), traces()[:1])
    other = traces()
    other[1]["s"] = other[1]["s"][..., :-1]
    with pytest.raises(ValueError, match="layer 1"):
        compare(traces(), other)
