"""Where frames come from: recordings, a pipe, the network; each with the time at which it arrived."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import urlsplit

from aoi.errors import DataError
from aoi.events.stream import BadFrame, Frame, read_frames, unpack

_LARGEST = 65_535  # bytes of a datagram
_KERNEL_BUFFER = 1 << 22  # asked for; Linux grants what net.core.rmem_max allows
_LOOK_S = 0.1  # between two looks at whether to stop


@dataclass(frozen=True, eq=False)
class Arrival:
    """A frame, or None where nothing came for so long that an open window should end."""

    frame: Frame | None
    at: float  # reading of time.perf_counter


@dataclass
class ReceiveCounts:
    """Counted by a receiver."""

    frames: int = 0
    malformed: int = 0  # datagrams that are no frame
    dropped: int = 0  # datagrams that found the buffer full
    most_waiting: int = 0  # datagrams in the buffer
    kernel_buffer: int = 0  # bytes that the system granted


def from_pipe(file: BinaryIO, received: ReceiveCounts) -> Iterator[Arrival]:
    """Frames of a pipe. Back-pressure is the pipe's own: whoever writes waits."""
    for data in read_frames(file):
        received.frames += 1
        yield Arrival(unpack(data), time.perf_counter())


def udp_address(source: str) -> tuple[str, int]:
    """``udp://HOST:PORT`` → host and port. Raises DataError."""
    try:
        parts = urlsplit(source)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise DataError(f"{source}: {error}; expected udp://HOST:PORT") from None
    if parts.scheme != "udp" or not host or port is None or parts.path not in ("", "/"):
        raise DataError(f"{source}: expected udp://HOST:PORT, as in udp://127.0.0.1:9000")
    return host, port


class UdpReceiver:
    """Takes datagrams in a thread of its own, so that a step of the network keeps none from being received.

    The buffer is bounded: a datagram that finds it full is dropped and counted.
    """

    def __init__(self, host: str, port: int, *, buffer: int, idle_s: float) -> None:
        """``buffer``: datagrams that may wait; ``idle_s``: silence after which an open window ends."""
        self.received = ReceiveCounts()
        self._buffer: deque[tuple[bytes, float]] = deque()
        self._limit, self._idle_s = buffer, idle_s
        self._some = threading.Condition()
        self._closed = False
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL_BUFFER)
            self._socket.bind((host, port))
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise DataError(f"udp://{host}:{port}: cannot be listened on: {error}") from None
        self.received.kernel_buffer = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self.port: int = self._socket.getsockname()[1]
        self._socket.settimeout(_LOOK_S)
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def __enter__(self) -> UdpReceiver:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._closed = True
        self._thread.join()
        self._socket.close()

    def _receive(self) -> None:
        while not self._closed:
            try:
                data = self._socket.recv(_LARGEST)
            except TimeoutError:
                continue
            except OSError:  # an ICMP error of a peer: the socket goes on
                continue
            with self._some:
                if len(self._buffer) >= self._limit:
                    self.received.dropped += 1
                    continue
                self._buffer.append((data, time.perf_counter()))
                self.received.most_waiting = max(self.received.most_waiting, len(self._buffer))
                self._some.notify()

    def arrivals(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Arrival]:
        """Frames in the order in which they came, until ``stop``."""
        silent_since: float | None = None  # None: the silence was already told
        while not stop():
            with self._some:
                if not self._buffer:
                    self._some.wait(_LOOK_S if silent_since is None else min(_LOOK_S, self._idle_s))
                data, at = self._buffer.popleft() if self._buffer else (None, time.perf_counter())
            if data is None:
                if silent_since is not None and at - silent_since >= self._idle_s:
                    silent_since = None
                    yield Arrival(None, at)
                continue
            silent_since = at
            try:
                frame = unpack(data)
            except BadFrame:
                self.received.malformed += 1
                continue
            self.received.frames += 1
            yield Arrival(frame, at)
