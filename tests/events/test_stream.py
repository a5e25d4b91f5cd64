"""Frames: unpacking restores what was packed, and damage is detected."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aoi.errors import DataError
from aoi.events.recording import EVENT, TIME_LIMIT, make_events
from aoi.events.stream import MAX_EVENTS, BadFrame, Frame, pack, read_frames, split_frames, unpack

recordings = st.lists(
    st.tuples(st.integers(0, 0x7FFF), st.integers(0, 0x7FFF), st.integers(-(2**30), 2**30 - 1), st.booleans()),
    min_size=1,
    max_size=400,
).map(lambda rows: np.array(rows, dtype=EVENT))


def some_frame(**changes: object) -> Frame:
    events = make_events([1, 2], [3, 4], [10, 20], [True, False])
    return Frame(**{"sequence": 5, "recording": 7, "events": events, "last": False} | changes)  # type: ignore[arg-type]


@given(events=recordings, sequence=st.integers(0, 2**32 - 1))
def test_a_recording_survives_packing_and_unpacking(events: np.ndarray, sequence: int) -> None:
    frames = list(split_frames(events, 3, sequence))
    back = [unpack(pack(frame)) for frame in frames]
    np.testing.assert_array_equal(
        np.concatenate([frame.events for frame in back]), events[np.argsort(events["t"], kind="stable")]
    )
    assert [frame.last for frame in back] == [False] * (len(back) - 1) + [True]
    assert [frame.sequence for frame in back] == [(sequence + n) % 2**32 for n in range(len(back))]
    assert {frame.recording for frame in back} == {3}
    assert all(len(pack(frame)) <= 1472 for frame in frames)  # an Ethernet packet's room for a datagram
    assert len(frames) == -(-len(events) // MAX_EVENTS)


def test_an_empty_frame_may_end_a_recording() -> None:
    back = unpack(pack(some_frame(events=np.empty(0, EVENT), last=True)))
    assert back.last
    assert len(back.events) == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:23],
        lambda data: b"AOIF" + data[4:],
        lambda data: data[:4] + b"\x02" + data[5:],
        lambda data: data[:5] + b"\x80" + data[6:],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[:16] + (TIME_LIMIT + 1).to_bytes(8, "little") + data[24:],
        lambda data: data[:24] + b"\xff\xff" + data[26:],  # a column of 65,535
        lambda data: data[:28] + (30).to_bytes(4, "little") + data[32:],  # the second event is older
    ],
)
def test_invalid_frames_are_refused(damage) -> None:
    data = pack(some_frame())
    assert unpack(data).sequence == 5
    with pytest.raises(BadFrame):
        unpack(damage(data))


@given(data=st.binary(max_size=64) | st.binary(max_size=40).map(lambda tail: b"AOIE\x01" + tail))
def test_random_bytes_are_a_frame_or_refused(data: bytes) -> None:
    try:
        unpack(data)
    except BadFrame:
        return
    assert data.startswith(b"AOIE")


@pytest.mark.parametrize(
    "events",
    [
        make_events([0, 0], [0, 0], [5, 4], [0, 0]),
        make_events([0, 0], [0, 0], [0, 1 << 31], [0, 0]),
        np.zeros(70_000, EVENT),
    ],
)
def test_events_that_do_not_fit_a_frame_are_refused(events: np.ndarray) -> None:
    with pytest.raises(DataError):
        pack(some_frame(events=events))


def test_a_pipe() -> None:
    data = [pack(some_frame(sequence=n)) for n in range(3)]
    assert list(read_frames(io.BytesIO(b"".join(data)))) == data
    with pytest.raises(BadFrame, match="in the middle"):
        list(read_frames(io.BytesIO(b"".join(data)[:-1])))
    with pytest.raises(BadFrame, match="should begin"):
        list(read_frames(io.BytesIO(data[0] + b"nonsense" * 4)))
