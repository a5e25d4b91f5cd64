"""How fast this machine reads: what the engine's use of its weights is held against."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from numba import njit

_PASS_S = 0.02  # long enough that starting threads does not count
_REPEATS = 5


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _read(words: np.ndarray, passes: int) -> int:
    total = 0
    for each in range(passes):
        part = words[each & 1 :]  # another start each time, so that no compiler takes the passes for one
        for index in range(len(part)):  # iterating over the array itself is not vectorised
            total += part[index]
    return total


@cache
def bytes_per_second(size: int, threads: int) -> float:
    """Bytes a second that ``threads`` cores sum up together, each going over ``size`` bytes of its own again and again.

    So many bytes stay in the smallest cache that holds them. The best of a few passes.
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
