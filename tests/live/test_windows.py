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


def steady(count: int, recording: int = 1) -> list[Frame]:
    """Frames with an event every 10 µs; the last ends the recording."""
    return [Frame(n, recording, at(10 * n), n == count - 1) for n in range(count)]


def test_a_repeated_frame_is_counted_as_that() -> None:
    windows = Windows(ENCODING)
    frames = steady(8)
    bins = fed(windows, [*frames[:3], frames[2], *frames[3:], frames[7]])
    assert len(bins) == 4
    assert (windows.counts.lost_frames, windows.counts.duplicates, windows.counts.windows) == (0, 1 + 1, 1)
    assert windows.counts.events == 8


def test_swapped_frames_are_not_lost() -> None:
    windows = Windows(ENCODING)
    frames = steady(8)
    frames[1], frames[2] = frames[2], frames[1]
    bins = fed(windows, frames)
    assert (windows.counts.lost_frames, windows.counts.reordered, windows.counts.late) == (0, 1, 0)
    np.testing.assert_array_equal(stacked(bins), encode(np.concatenate([f.events for f in frames]), ENCODING))


def test_a_late_frame_of_an_earlier_recording_opens_no_window() -> None:
    windows = Windows(ENCODING)
    first, second = steady(4), [Frame(4 + n, 2, at(10 * n), n == 3) for n in range(4)]
    fed(windows, [first[0], first[1], first[3], second[0], first[2], *second[1:]])
    assert (windows.counts.windows, windows.counts.lost_frames, windows.counts.duplicates) == (2, 0, 1)


def test_a_sender_that_starts_again() -> None:
    windows = Windows(ENCODING)
    fed(windows, [Frame(100_000 + n, 1, at(10 * n), n == 3) for n in range(4)])
    fed(windows, steady(4))
    fed(windows, steady(4))  # 0 again after few frames, but after the end of a recording
    assert (windows.counts.windows, windows.counts.lost_frames, windows.counts.duplicates) == (3, 0, 0)


def test_sequence_numbers_overflow() -> None:
    windows = Windows(ENCODING)
    fed(windows, [Frame((2**32 - 2 + n) % 2**32, 0, at(n), False) for n in (0, 1, 2, 4, 5)])
    assert (windows.counts.lost_frames, windows.counts.duplicates) == (1, 0)


def test_a_clock_that_falls_back_starts_a_new_window() -> None:
    windows = Windows(ENCODING)
    late = fed(windows, [Frame(n, 0, at(1_000_000 + 30 * n), False) for n in range(3)])
    bins = fed(windows, [Frame(3 + n, 0, at(30 * n), False) for n in range(8)])
    assert len(late) == 2
    assert len({each.window for each in bins}) >= 2
    assert (windows.counts.clock_resets, windows.counts.late) == (1, 0)


@pytest.mark.parametrize("denoise", [None, 20])
def test_memory_does_not_grow_with_frames_of_one_time(denoise: int | None) -> None:
    windows = Windows(Encoding(sensor_size=SENSOR, window_us=100, bins=4, denoise_us=denoise))
    events = np.repeat(make_events(*(np.arange(5) for _ in "xy"), np.zeros(5), np.zeros(5)), 200)
    fed(windows, [Frame(n, 0, events, False) for n in range(800)])  # 800,000 events, 10 MB
    held = sum(each.nbytes for each in windows._pending)
    assert held < 7_000_000
    (first, *_), *_ = [list(windows.feed(Frame(800, 0, at(60), False)))]
    assert first.spikes.sum() == (5 if denoise is None else 0)  # pixels without a neighbour


@pytest.mark.parametrize("size", [(-5, 4, 2), (0, 4, 2), (5, 4, 3), (40_000, 4, 2), (32_768, 32_768, 2)])
def test_sensors_that_cannot_be(size: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"sensor_size|spikes \(C, H, W, T\)"):
        Encoding(sensor_size=size, window_us=100, bins=8)
