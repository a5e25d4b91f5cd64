"""A recording: a structured array of events, as in tonic."""

from __future__ import annotations

import hashlib

import numpy as np

EVENT = np.dtype([("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "?")])
"""One event: column, row, time in µs, polarity (True is ON); ``tonic.io.events_struct``."""

TIME_LIMIT = 2**61
"""Largest absolute time, µs: the difference of two times fits 64 bits."""


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
