"""Read bandwidth of this machine's caches, to compare with the bandwidth of the engine's weights."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from numba import njit

_PASS_S = 0.02  # long enough to neglect the start of threads
_REPEATS = 5


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _read(words: np.ndarray, passes: int) -> int:
    total = 0
    for each in range(passes):
        part = words[each & 1 :]  # alternating starts, so that the compiler cannot merge the passes
        for index in range(len(part)):  # numba does not vectorise an iteration over the array itself
            total += part[index]
    return total


@cache
def bytes_per_second(size: int, threads: int) -> float:
    """Bytes per second that ``threads`` cores read together, each summing its own ``size`` bytes repeatedly.

    The bytes stay in the smallest cache that can hold them. Returns the best of a few passes.
    """
    words = [np.ones(max(size // 8, 64), np.int64) for _ in range(threads)]
    passes = 16
    while True:
        begin = time.perf_counter()
        _read(words[0], passes)
        if time.perf_counter() - begin >= _PASS_S:
            break
        passes *= 2
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_REPEATS):
            begin = time.perf_counter()
            list(pool.map(_read, words, [passes] * threads))
            best = max(best, threads * words[0].nbytes * passes / (time.perf_counter() - begin))
    return best
