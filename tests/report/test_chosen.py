"""Recordings that are shown one by one."""

from __future__ import annotations

import numpy as np
import pytest

from aoi.cutoff.rule import Decisions
from aoi.report.chosen import choose, frames, max_recordings, pooling, sensor


def test_wrong_ones_by_confidence_then_slow_ones_then_the_fastest_of_each_class() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2, 2, 0])
    decisions = Decisions(
        step=np.array([3, 9, 2, 8, 4, 1, 5, 6]),
        prediction=np.array([0, 0, 1, 1, 2, 0, 0, 0]),
        confidence=np.array([0.9, 0.9, 0.9, 0.9, 0.9, 0.6, 0.8, 0.9]),
    )
    groups: dict[str, list[int]] = {}
    for index, group in choose(decisions, labels, 24):
        groups.setdefault(group, []).append(index)
    assert groups == {"Wrong": [6, 5], "Slowest": [1, 3, 7], "Fastest of each class": [0, 2, 4]}
    assert [group for _, group in choose(decisions, labels, 3)] == list(groups)  # one of each where room is scarce


def test_frames_hold_every_event() -> None:
    spikes = (np.random.default_rng(0).random((2, 10, 12, 5)) < 0.2).astype(np.uint8)
    assert sensor(spikes.shape) == [2, 10, 12]
    bits = np.unpackbits(frames(spikes))[: spikes.size].reshape(5, 2, 10, 12)
    np.testing.assert_array_equal(np.moveaxis(bits, 0, -1), spikes)


def test_a_large_sensor_is_shown_at_a_lower_resolution() -> None:
    spikes = np.zeros((2, 130, 100, 3), np.uint8)
    spikes[1, 129, 99, 2] = 1
    assert pooling(spikes.shape) == 3
    channels, height, width = sensor(spikes.shape)
    assert (channels, height, width) == (2, 44, 34)
    bits = np.unpackbits(frames(spikes))[: 3 * channels * height * width].reshape(3, channels, height, width)
    assert np.argwhere(bits).tolist() == [[2, 1, 43, 33]]


@pytest.mark.parametrize("shape", [(2, 16, 16, 24), (2, 34, 34, 30), (2, 480, 640, 100), (2, 128, 128, 4096)])
def test_large_recordings_still_fit_on_the_page(shape: tuple[int, int, int, int]) -> None:
    most = max_recordings(shape, layers=5, rules=6, classes=11)
    assert most >= 2
