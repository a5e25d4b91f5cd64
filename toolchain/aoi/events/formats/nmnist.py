"""``.bin``: N-MNIST and N-Caltech101 (https://www.garrickorchard.com/datasets/n-mnist)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aoi.errors import DataError
from aoi.events.recording import check_size, make_events

SENSOR_SIZE = (34, 34, 2)
_OVERFLOW_ROW = 240
_OVERFLOW_US = 2**13


def read_bin(path: Path) -> np.ndarray:
    """Events (n,) of a file of five bytes per event: x, y, one bit of polarity, 23 bits of time (µs), big-endian.

    An "event" in row 240 marks an overflow of the clock: what follows is 2**13 µs later, and the mark is dropped. Tests
    compare with ``tonic.io.read_mnist_file``, which is quadratic in the number of marks and imports torch. Raises
    DataError if the file is truncated.
    """
    check_size(path)
    data = np.fromfile(path, dtype=np.uint8)
    if data.size % 5:
        raise DataError(f"{path}: {data.size} bytes is not a multiple of 5 (one event); the file is truncated")
    x, y, high, middle, low = data.reshape(-1, 5).T.astype(np.int64)
    mark = y == _OVERFLOW_ROW
    t = ((high & 0x7F) << 16 | middle << 8 | low) + np.cumsum(mark) * _OVERFLOW_US
    return make_events(x, y, t, high >> 7)[~mark]
