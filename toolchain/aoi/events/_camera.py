"""The pixels of the simulated event camera, compiled. A module of its own, so that numba is imported on use only."""

from __future__ import annotations

import numpy as np

from aoi.compiled import choose_cache

choose_cache()  # before numba is imported

from numba import njit  # noqa: E402


@njit(cache=True)
def crossings(
    traces: np.ndarray, on: np.ndarray, off: np.ndarray, sample_us: float, refractory_us: float, capacity: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``traces`` (pixels, samples) → pixel, time in µs and polarity of each event, (events,) each.

    ``on``, ``off``: thresholds of each pixel, (pixels,). See :func:`aoi.events.digits.camera_events`.
    """
    pixel = np.empty(capacity, np.int64)
    time = np.empty(capacity, np.int64)
    polarity = np.empty(capacity, np.bool_)
    count = 0
    last = traces.shape[1] - 1
    for i in range(traces.shape[0]):
        level = traces[i, 0]
        now = 0.0  # in samples: the pixel has responded to all light before
        refractory = refractory_us / sample_us
        k = 0
        while k < last and count < capacity:
            start, end = traces[i, k], traces[i, k + 1]
            rise = end - level
            if rise >= on[i] and end > start:
                target, up = level + on[i], True
            elif rise <= -off[i] and end < start:
                target, up = level - off[i], False
            else:
                k += 1
                now = float(k)
                continue
            now = max(now, k + (target - start) / (end - start))
            pixel[count], time[count], polarity[count] = i, np.int64(now * sample_us), up
            count += 1
            if refractory == 0.0:
                level = target
                continue
            now += refractory
            k = int(now)
            if k >= last:
                break
            level = traces[i, k] + (now - k) * (traces[i, k + 1] - traces[i, k])
    return pixel[:count], time[:count], polarity[:count]
