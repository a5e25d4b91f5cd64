"""Events in transit: frames, each small enough for a datagram, or one after another in a pipe.

A frame is a little-endian header of 24 bytes and its events, 8 bytes each:

====== ======= ==================================================================================
offset type    meaning
====== ======= ==================================================================================
0      4 bytes ``AOIE``
4      u8      version, 1
5      u8      bit 0: the recording ends with this frame
6      u16     number of events
8      u32     sequence: 0, 1, 2, … (modulo 2**32), by which a receiver detects losses
12     u32     recording: 1, 2, …; 0 for a continuous stream
16     i64     base time of the events' offsets, µs
====== ======= ==================================================================================

An event: u16 column x, u16 row y, u32 with the polarity in its highest bit (1 is ON) and the µs since the base time in
the others. Events ascend in time, within a frame and from frame to frame of a recording.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from aoi.errors import DataError
from aoi.events.recording import TIME_LIMIT, make_events

MAX_EVENTS = 181  # they fill an Ethernet packet of 1,500 bytes
_HEADER = struct.Struct("<4sBBHIIq")
_MAGIC, _VERSION, _LAST = b"AOIE", 1, 1
_PACKED = np.dtype([("x", "<u2"), ("y", "<u2"), ("t", "<u4")])
_POLARITY = np.uint32(1 << 31)


@dataclass(frozen=True, eq=False)
class Frame:
    """Some events of a recording."""

    sequence: int
    recording: int
    events: np.ndarray  # (n,) as aoi.events.recording.EVENT
    last: bool  # the recording ends with this frame


class BadFrame(DataError):
    """Bytes that are not a frame."""


def pack(frame: Frame) -> bytes:
    """The bytes of a frame. Raises DataError if its events do not fit the format."""
    events = frame.events
    if len(events) > 0xFFFF:
        raise DataError(f"a frame has {len(events)} events; the limit is 65,535: split it")
    begin = int(events["t"][0]) if len(events) else 0
    offset = events["t"].astype(np.int64) - begin
    if len(events) and (offset.min() < 0 or offset.max() >= 1 << 31):
        raise DataError("the events of a frame must ascend in time and span less than 35 minutes")
    packed = np.empty(len(events), _PACKED)
    packed["x"], packed["y"] = events["x"], events["y"]
    packed["t"] = offset.astype(np.uint32) | np.where(events["p"], _POLARITY, np.uint32(0))
    head = _HEADER.pack(
        _MAGIC, _VERSION, _LAST * frame.last, len(events), frame.sequence & 0xFFFFFFFF, frame.recording, begin
    )
    return head + packed.tobytes()


def unpack(data: bytes) -> Frame:
    """A frame from the bytes of a datagram. Raises BadFrame."""
    if len(data) < _HEADER.size:
        raise BadFrame(f"{len(data)} bytes are too few for a frame header of {_HEADER.size} bytes")
    magic, version, flags, count, sequence, recording, begin = _HEADER.unpack_from(data)
    if magic != _MAGIC or version != _VERSION:
        raise BadFrame(f"begins with {magic!r}, version {version}; a frame begins with {_MAGIC!r}, version {_VERSION}")
    if flags & ~_LAST or abs(begin) > TIME_LIMIT:
        raise BadFrame(f"flags {flags:#x} or time {begin} µs are not valid")
    if len(data) != _HEADER.size + count * _PACKED.itemsize:
        raise BadFrame(f"{len(data)} bytes do not match the {count} events that the header states")
    packed = np.frombuffer(data, _PACKED, offset=_HEADER.size)
    offset = (packed["t"] & ~_POLARITY).astype(np.int64)
    if (np.diff(offset) < 0).any() or (packed["x"] > 0x7FFF).any() or (packed["y"] > 0x7FFF).any():
        raise BadFrame("events do not ascend in time, or have coordinates beyond 32,767")
    events = make_events(packed["x"], packed["y"], offset + begin, (packed["t"] & _POLARITY) != 0)
    return Frame(sequence, recording, events, bool(flags & _LAST))


def split_frames(
    events: np.ndarray, recording: int, sequence: int = 0, *, max_events: int = MAX_EVENTS
) -> Iterator[Frame]:
    """Events (n,) of a recording, n > 0, in any order → its frames, numbered from ``sequence``."""
    ordered = events[np.argsort(events["t"], kind="stable")]
    for number, begin in enumerate(range(0, len(ordered), max_events)):
        last = begin + max_events >= len(ordered)
        yield Frame(sequence + number, recording, ordered[begin : begin + max_events], last)


def read_frames(file: BinaryIO) -> Iterator[bytes]:
    """The bytes of each frame from a pipe. Raises BadFrame at the first damage: what follows cannot be located."""
    while head := _read_exactly(file, _HEADER.size):
        if len(head) < _HEADER.size or head[: len(_MAGIC)] != _MAGIC:
            raise BadFrame(f"found {head[:8]!r} in the pipe where a frame should begin")
        body = _HEADER.unpack(head)[3] * _PACKED.itemsize
        data = head + _read_exactly(file, body)
        if len(data) < _HEADER.size + body:
            raise BadFrame("the pipe ends in the middle of a frame")
        yield data


def _read_exactly(file: BinaryIO, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = file.read(count - len(data))
        if not more:
            break
        data += more
    return data
