"""Lava's message channel without its two listener threads.

A stock channel wakes a thread for every message, which then wakes the receiver; this takes most of a network's wall
time. Here the receiver itself waits on the semaphore. Messages, their order and the flow control (at most ``size`` in
flight) are the same. The memory is anonymous: forked processes inherit it, it has no name in /dev/shm, and the kernel
frees it with the last process that maps it, however that process ends.
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
    """Zeros of ``shape`` in memory that processes forked later share."""
    count = prod(shape)
    memory = mmap.mmap(-1, max(count * np.dtype(dtype).itemsize, 1))
    return np.frombuffer(memory, dtype=dtype, count=count).reshape(shape)


class _SendPort(CspSendPort):
    """``data`` (size, *shape) is a ring buffer; the semaphores ``free`` and ``filled`` count its slots."""

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
    spin_s: ClassVar[float] = 0.0  # seconds of busy waiting in this OS process before it sleeps

    def __init__(self, name: str, data: np.ndarray, free: Any, filled: Any) -> None:
        self._name, self._array, self._free, self._filled = name, data, free, filled
        self._size, self._shape, self._dtype = len(data), data.shape[1:], data.dtype
        self._idx = 0
        self._arrived = False  # a message has arrived and is not yet received

    def start(self) -> None:
        pass

    def _wait(self, block: bool) -> bool:
        if block and self.spin_s and not self._arrived:
            deadline = time.perf_counter() + self.spin_s
            while not self._arrived and time.perf_counter() < deadline:
                self._arrived = self._filled.acquire(False)
        self._arrived = self._arrived or self._filled.acquire(block)
        return self._arrived

    def probe(self) -> bool:
        """Whether a message has arrived. Inside a selector it waits for one, as a selector never has a second port."""
        return self._wait(block=self.observer is not None)

    def peek(self) -> np.ndarray:
        self._wait(block=True)
        return self._array[self._idx].copy()

    def recv(self) -> np.ndarray:
        message = self.peek()
        self._arrived = False
        self._idx = (self._idx + 1) % self._size
        self._free.release()
        return message

    def join(self) -> None:
        pass


def set_spin_time(seconds: float) -> None:
    """Sets how long this OS process waits busily for each message before it sleeps.

    Waking a process takes longer than most waits. Only for a process with a core of its own: any other would take the
    core from the sender.
    """
    _RecvPort.spin_s = seconds


class DirectChannel(PyPyChannel):
    """Replaces ``PyPyChannel``. Watchdogs are not supported."""

    def __init__(
        self, infrastructure: Any, src_name: str, dst_name: str, shape: tuple[int, ...], dtype: Any, size: int, *_: Any
    ) -> None:
        data, free, filled = shared_array((size, *shape), dtype), Semaphore(size), Semaphore(0)
        self._src_port = _SendPort(src_name, data, free, filled)
        self._dst_port = _RecvPort(dst_name, data, free, filled)
