"""Events and files of every format, for the tests of this folder."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from aoi.events.recording import make_events


def some_events(count: int, seed: int = 0, size: int = 34, duration: int = 300_000) -> np.ndarray:
    """Random events, ascending in time."""
    random = np.random.default_rng(seed)
    x, y = random.integers(0, size, (2, count))
    return make_events(x, y, np.sort(random.integers(0, duration, count)), random.integers(0, 2, count))


def relaid(events: np.ndarray, fields: list[tuple[str, str]]) -> np.ndarray:
    """The same events with fields in another order and of other types."""
    array = np.empty(len(events), dtype=fields)
    for name, _ in fields:
        array[name] = events[name]
    return array


def bin_bytes(events: np.ndarray) -> bytes:
    """N-MNIST's five bytes per event, with no clock overflow."""
    rows = np.empty((len(events), 5), dtype=np.uint8)
    rows[:, 0], rows[:, 1] = events["x"], events["y"]
    rows[:, 2] = events["p"].astype(int) << 7 | events["t"] >> 16
    rows[:, 3], rows[:, 4] = events["t"] >> 8 & 255, events["t"] & 255
    return rows.tobytes()


_STREAMS = (
    '<dv version="2.0"><node name="outInfo"><node name="0"><attr key="typeIdentifier">EVTS</attr>'
    '<node name="info"><attr key="sizeX">34</attr><attr key="sizeY">34</attr></node></node></node></dv>'
)


def aedat4_bytes(packets: list[np.ndarray], compression: int = 0, compress=lambda data: data) -> bytes:
    """AEDAT4: flatbuffers assembled by hand."""
    text = _STREAMS.encode()
    header = struct.pack("<I4s5H6x", 24, b"IOHE", 10, 24, 4, 8, 16)
    header += struct.pack("<iiqI4xI", 16, compression, -1, 8, len(text)) + text + b"\0"
    data = b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(header)) + header
    for events in packets:
        elements = np.zeros(len(events), [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("on", "u1"), ("pad", "V3")])
        for name, source in zip(("t", "x", "y", "on"), "txyp", strict=True):
            elements[name] = events[source]
        body = struct.pack("<I4s3H2xiI4xI", 16, b"EVTS", 6, 8, 4, 8, 8, len(events)) + elements.tobytes()
        body = compress(struct.pack("<I", len(body)) + body)
        data += struct.pack("<ii", 0, len(body)) + body
    return data


def write_folder(root: Path, recordings: dict[str, int], count: int = 50) -> Path:
    """``{"Train/3": 5, …}`` → that many different ``.bin`` recordings per folder."""
    for seed, (folder, number) in enumerate(recordings.items()):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for index in range(number):
            (root / folder / f"{index:05d}.bin").write_bytes(bin_bytes(some_events(count, seed=1000 * seed + index)))
    return root
