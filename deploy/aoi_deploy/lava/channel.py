"""Lava's message channel without its two listener threads.

Stock channels wake a thread for every message, which then wakes the receiver: most of a network's wall time. Here the
receiver waits on the semaphore itself. Messages, their order and the flow control (at most ``size`` in flight) are the
same. Memory is anonymous: processes inherit it when they are forked, it has no name in /dev/shm, and the kernel frees
it with the last process that maps it, whatever that process died of.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable
from math import prod
from multiprocessing import Semaphore
from typing import Any, ClassVar

import numpy as np

from aoi_deploy.lava.api import CspRecvPort, CspSendPort, PyPyChannel


def shared_array(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Zeros of ``shape`` that processes forked from now on see and may write."""
    count = prod(shape)
    memory = mmap.mmap(-1, max(count * np.dtype(dtype).itemsize, 1))
    return np.frombuffer(memory, dtype=dtype, count=count).reshape(shape)


class _SendPort(CspSendPort):
    """``data`` (size, *shape): the ring; ``free`` and ``filled`` count its slots."""

    def __init__(self, name: str, data: np.ndarray, free: Any, filled: Any) -> None:
        self._name, self._array, self._free, self._filled = name, data, free, filled
        self._size, self._shape, self._dtype = len(data), data.shape[1:], data.dtype
        self._idx = 0

    def start(self) -> None:
        pass

    def probe(self) -> bool:
        if self._free.acquire(False):
            self._free.release()
            return True
        return False

    def send(self, data: np.ndarray) -> None:
        if data.shape != self._shape:
            raise AssertionError(f"port {self._name}: message of shape {data.shape} instead of {self._shape}")
        self._free.acquire()
        self._array[self._idx][...] = data
        self._idx = (self._idx + 1) % self._size
        self._filled.release()

    def join(self) -> None:
        pass


class _RecvPort(CspRecvPort):
    observer: Callable[[], Any] | None = None  # set while Lava's selector waits for this port
    spin_s: ClassVar[float] = 0.0  # that this OS process looks again and again before it sleeps

    def __init__(self, name: str, data: np.ndarray, free: Any, filled: Any) -> None:
        self._name, self._array, self._free, self._filled = name, data, free, filled
        self._size, self._shape, self._dtype = len(data), data.shape[1:], data.dtype
        self._idx = 0
        self._here = False  # a message was announced and not yet received

    def start(self) -> None:
        pass

    def _wait(self, block: bool) -> bool:
        if block and self.spin_s and not self._here:
            deadline = time.perf_counter() + self.spin_s
            while not self._here and time.perf_counter() < deadline:
                self._here = self._filled.acquire(False)
        self._here = self._here or self._filled.acquire(block)
        return self._here

    def probe(self) -> bool:
        """True if a message is here. Waits for one inside a selector, which never has a second port to look at."""
        return self._wait(block=self.observer is not None)

    def peek(self) -> np.ndarray:
        self._wait(block=True)
        return self._array[self._idx].copy()

    def recv(self) -> np.ndarray:
        message = self.peek()
        self._here = False
        self._idx = (self._idx + 1) % self._size
        self._free.release()
        return message

    def join(self) -> None:
        pass


def set_spin_time(seconds: float) -> None:
    """Lets this OS process wait for messages awake for so long, each time: to be woken takes longer than most waits.

    For a process that has a core of its own; any other would keep the sender from it.
    """
    _RecvPort.spin_s = seconds


class DirectChannel(PyPyChannel):
    """Takes the place of ``PyPyChannel``; watchdogs are not supported."""

    def __init__(
        self, infrastructure: Any, src_name: str, dst_name: str, shape: tuple[int, ...], dtype: Any, size: int, *_: Any
    ) -> None:
        data, free, filled = shared_array((size, *shape), dtype), Semaphore(size), Semaphore(0)
        self._src_port = _SendPort(src_name, data, free, filled)
        self._dst_port = _RecvPort(dst_name, data, free, filled)
