"""Windows of a stream against ``encode`` of the whole recording."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aoi.events.encode import encode
from aoi.events.encoding import Encoding
from aoi.events.recording import EVENT, make_events
from aoi.events.stream import Frame, split_frames
from aoi.live.windows import Bin, Windows

SENSOR = (7, 5, 2)
encodings = st.builds(
    Encoding,
    sensor_size=st.just(SENSOR),
    window_us=st.integers(1, 200),
    bins=st.integers(1, 9),
    merge_polarities=st.booleans(),
    downsample=st.integers(1, 3),
    denoise_us=st.none() | st.integers(1, 40),
)
recordings = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 4), st.integers(0, 250), st.booleans()), min_size=1, max_size=60
).map(lambda rows: np.array(rows, dtype=EVENT))


def fed(windows: Windows, frames: list[Frame]) -> list[Bin]:
    return [each for frame in frames for each in windows.feed(frame)]


def stacked(bins: list[Bin]) -> np.ndarray:
    return np.stack([each.spikes for each in bins], axis=-1)


@settings(max_examples=300)
@given(st.lists(recordings, min_size=1, max_size=3), encodings, st.integers(1, 20))
def test_every_recording_is_one_window_encoded_as_by_encode(
    streams: list[np.ndarray], encoding: Encoding, most: int
) -> None:
    windows = Windows(encoding)
    sequence = 0
    for number, events in enumerate(streams, 1):
        frames = list(split_frames(events, number, sequence, max_events=most))
        sequence += len(frames)
        bins = fed(windows, frames)
        assert [(each.window, each.recording, each.step) for each in bins] == [
            (number - 1, number, step) for step in range(1, encoding.bins + 1)
        ]
        np.testing.assert_array_equal(stacked(bins), encode(events, encoding))
    counts = windows.counts
    assert (counts.windows, counts.events) == (len(streams), sum(map(len, streams)))
    assert (counts.late, counts.off_sensor, counts.lost_frames) == (0, 0, 0)
    assert counts.beyond == sum(int((s["t"] - s["t"].min() >= encoding.window_us).sum()) for s in streams)


ENCODING = Encoding(sensor_size=SENSOR, window_us=100, bins=4)


def at(*times: int, **fields: object) -> np.ndarray:
    n = len(times)
    return make_events(*(np.full(n, fields.get(name, 0)) for name in "xy"), np.array(times), np.zeros(n))


def test_a_bin_is_yielded_as_soon_as_it_is_complete() -> None:
    windows = Windows(ENCODING)
    assert list(windows.feed(Frame(0, 1, at(0, 24), False))) == []
    assert [each.step for each in windows.feed(Frame(1, 1, at(25), False))] == [1]
    assert [each.step for each in windows.feed(Frame(2, 1, at(99), False))] == [2, 3]
    assert [each.step for each in windows.feed(Frame(3, 1, at(), True))] == [4]


def test_a_continuous_stream() -> None:
    """A window starts with the first event after the previous one."""
    windows = Windows(ENCODING)
    bins = fed(windows, [Frame(n, 0, at(t), False) for n, t in enumerate((0, 50, 130, 229, 230, 500))])
    bins += list(windows.finish())
    assert [each.window for each in bins] == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    active = [int(each.spikes.sum()) for each in bins]
    assert active == [1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0]
    assert windows.counts.beyond == 0


def test_dropped_events_and_frames_are_counted() -> None:
    windows = Windows(ENCODING)
    fed(windows, [Frame(0, 1, at(0, 60), False), Frame(3, 1, at(30, 70), False)])  # 30 is late, two frames are missing
    fed(windows, [Frame(4, 1, at(70, 71, x=7), False), Frame(5, 1, at(72, y=5), False)])
    assert (windows.counts.late, windows.counts.lost_frames, windows.counts.off_sensor) == (1, 2, 3)
    assert windows.counts.events == 7


def test_a_lost_end_ends_with_the_next_recording() -> None:
    windows = Windows(ENCODING)
    first = fed(windows, [Frame(0, 1, at(0, 40), False)])
    second = fed(windows, [Frame(1, 2, at(7), False)])
    assert [(each.recording, each.step) for each in first + second] == [(1, 1), (1, 2), (1, 3), (1, 4)]
    assert [each.recording for each in windows.finish()] == [2] * 4
    assert list(windows.finish()) == []


def test_the_same_number_may_come_again() -> None:
    windows = Windows(ENCODING)
    for _ in range(2):
        assert len(fed(windows, [Frame(0, 1, at(0, 99), True)])) == 4
    assert windows.counts.windows == 2


def test_an_empty_recording_has_no_window() -> None:
    windows = Windows(ENCODING)
    assert fed(windows, [Frame(0, 1, np.empty(0, EVENT), True)]) == []
    assert windows.counts.windows == 0


@pytest.mark.parametrize(("merge", "lost"), [(False, 1), (True, 0)])
def test_a_camera_of_one_polarity(merge: bool, lost: int) -> None:
    windows = Windows(Encoding(sensor_size=(7, 5, 1), window_us=100, bins=4, merge_polarities=merge))
    fed(windows, [Frame(0, 1, make_events([0, 1], [0, 0], [0, 1], [False, True]), True)])
    assert windows.counts.off_sensor == lost
