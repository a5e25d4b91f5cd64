"""A recording: a structured array of events, as in tonic."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from aoi.errors import DataError

EVENT = np.dtype([("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "?")])
"""One event: column, row, time in µs, polarity (True is ON); ``tonic.io.events_struct``."""

TIME_LIMIT = 2**61
"""Largest absolute time, µs: the difference of two times fits 64 bits."""


MAX_EVENTS = 1 << 26
"""Most events of one recording: 872 MB as an array. ``AOI_MAX_EVENTS`` sets another limit."""


def max_events() -> int:
    """The limit on the events of a recording: ``AOI_MAX_EVENTS``, or :data:`MAX_EVENTS`. Raises DataError."""
    text = os.environ.get("AOI_MAX_EVENTS", "")
    if not text:
        return MAX_EVENTS
    if not text.isascii() or not text.isdecimal() or len(text) > 12 or int(text) < 1:
        raise DataError(f"AOI_MAX_EVENTS={text[:40]}: has to be a positive whole number")
    return int(text)


def check_count(path: object, events: int) -> None:
    """Raises DataError, which names ``path``, for more events than a recording may have."""
    if events > max_events():
        raise DataError(
            f"{path}: holds more than {max_events()} events; split the recording, or raise the limit with "
            "AOI_MAX_EVENTS"
        )


def check_size(path: Path) -> None:
    """Refuses a file that is larger than 16 bytes an event of the largest recording, before it is read."""
    size = path.stat().st_size
    if size > 16 * max_events():
        raise DataError(
            f"{path}: has {size} bytes, at most {16 * max_events()} are read; split the recording, or raise the limit "
            "with AOI_MAX_EVENTS"
        )


def make_events(x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Four arrays of shape (n,) → events (n,) of dtype :data:`EVENT`."""
    events = np.empty(len(x), dtype=EVENT)
    events["x"], events["y"], events["t"], events["p"] = x, y, t, p
    return events


def fingerprint(events: np.ndarray) -> int:
    """64-bit hash of events (n,): equal for copies under other names and in other file formats."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update(len(events).to_bytes(8, "little"))
    for field, dtype in (("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "u1")):
        digest.update(np.ascontiguousarray(events[field]).astype(dtype).tobytes())
    return int.from_bytes(digest.digest(), "little")


def set_fingerprint(fingerprints: np.ndarray) -> str:
    """12 hexadecimal digits for uint64 fingerprints (n,): equal for the same recordings in any order."""
    return hashlib.blake2b(np.sort(fingerprints).astype("<u8").tobytes(), digest_size=6).hexdigest()
