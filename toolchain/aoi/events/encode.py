"""Events → spikes, by an :class:`~aoi.events.encoding.Encoding`."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from aoi.errors import DataError
from aoi.events.encoding import Encoding
from aoi.events.recording import TIME_LIMIT

_NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))


def encode(events: np.ndarray, encoding: Encoding) -> np.ndarray:
    """Events (n,) with fields x, y, t, p → spikes 0/1, uint8 (C, H, W, T). No events give no spikes.

    The first event defines t = 0. Events may come in any order. Raises DataError if an event is outside the sensor.

    Equals tonic's ``Denoise``, ``MergePolarities``, ``Downsample(spatial_factor=1 / factor)`` and ``ToFrame`` in this
    order, with counts limited to 1; tests compare the two. Tonic's transforms are not used because they are not exact
    (``Downsample`` multiplies by 1/factor in floats, ``ToFrame`` bins the duration of the recording or whole µs) and
    up to 100 times slower.
    """
    spikes = np.zeros(encoding.shape, dtype=np.uint8)
    if len(events) == 0:
        return spikes
    x, y, t, p = (events[field].astype(np.int64) for field in "xytp")
    _check(x, y, p, encoding)
    if (np.diff(t) < 0).any():
        order = np.argsort(t, kind="stable")
        x, y, t, p = x[order], y[order], t[order], p[order]
    if encoding.denoise_us is not None:
        kept = _has_neighbour(x, y, t, encoding.sensor_size[0], encoding.denoise_us)
        x, y, p, times = x[kept], y[kept], p[kept], t[kept]
    else:
        times = t
    step = np.searchsorted(bin_edges(encoding.window_us, encoding.bins), times - t[0], side="right") - 1
    _, height, width, bins = spikes.shape
    if encoding.merge_polarities:
        p = np.zeros_like(p)
    pixel = (p * height + y // encoding.downsample) * width + x // encoding.downsample
    inside = step < bins
    spikes.reshape(-1)[pixel[inside] * bins + step[inside]] = 1
    return spikes


@lru_cache(maxsize=16)
def bin_edges(window_us: int, bins: int) -> np.ndarray:
    """Start of each bin and end of the last, in whole µs, int64 (bins + 1,). Exact for any window."""
    edges = [min(-(-step * window_us // bins), 2 * TIME_LIMIT + 1) for step in range(bins + 1)]
    return np.array(edges, dtype=np.int64)


def _check(x: np.ndarray, y: np.ndarray, p: np.ndarray, encoding: Encoding) -> None:
    for name, values, size in zip("xyp", (x, y, p), encoding.sensor_size, strict=True):
        low, high = int(values.min()), int(values.max())
        if name == "p" and encoding.merge_polarities:
            continue
        if low < 0 or high >= size:
            raise DataError(
                f"an event has {name} = {low if low < 0 else high}, outside the encoding's sensor "
                f"{encoding.sensor_size} (width, height, polarities); use recordings of that sensor"
            )


def _has_neighbour(x: np.ndarray, y: np.ndarray, t: np.ndarray, width: int, within_us: int) -> np.ndarray:
    """Whether one of the four neighbour pixels had an event less than ``within_us`` µs before each event; bool (n,).

    ``t`` ascends. As tonic's ``Denoise``, which however treats every pixel as active at t = 0.
    """
    count = len(t)
    stride = width + 1  # one extra column, so that the end of a row is no neighbour of the next row
    # One sortable number per event: pixel first, then position in the stream.
    pixel = (y + 1) * stride + x
    place = np.arange(count)
    keys = np.sort(pixel * count + place)
    kept = np.zeros(count, dtype=bool)
    for dx, dy in _NEIGHBOURS:
        neighbour = pixel + dy * stride + dx
        before = np.searchsorted(keys, neighbour * count + place) - 1
        key = keys[np.maximum(before, 0)]
        found = (before >= 0) & (key // count == neighbour)
        kept |= found & (t - t[key % count] < within_us)
    return kept
