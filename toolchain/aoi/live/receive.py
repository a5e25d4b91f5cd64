"""Sources of frames: a pipe or the network. Each frame gets the time of its arrival."""

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
_KERNEL_BUFFER = 1 << 22  # requested; Linux limits it to net.core.rmem_max
_POLL_S = 0.1  # between two checks whether to stop


@dataclass(frozen=True, eq=False)
class Arrival:
    """A frame, or None after a silence that ends an open window."""

    frame: Frame | None
    at: float  # reading of time.perf_counter


@dataclass
class ReceiveCounts:
    """What a receiver counted."""

    frames: int = 0
    malformed: int = 0  # datagrams that are not frames
    dropped: int = 0  # datagrams that arrived at a full buffer
    most_waiting: int = 0  # largest number of datagrams in the buffer
    kernel_buffer: int = 0  # size that the system granted, bytes


def from_pipe(file: BinaryIO, received: ReceiveCounts) -> Iterator[Arrival]:
    """Frames from a pipe. Raises BadFrame. A full pipe makes its writer wait."""
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
    """Receives datagrams in its own thread, so that the network's execution does not delay them. A context manager.

    The buffer is bounded: a datagram that arrives when it is full is dropped and counted.
    """

    def __init__(self, host: str, port: int, *, buffer: int, idle_s: float) -> None:
        """``buffer``: capacity in datagrams; ``idle_s``: silence that ends an open window, s. Raises DataError."""
        self.received = ReceiveCounts()
        self._buffer: deque[tuple[bytes, float]] = deque()
        self._limit, self._idle_s = buffer, idle_s
        self._received_some = threading.Condition()
        self._closed = False
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL_BUFFER)
            self._socket.bind((host, port))
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise DataError(f"udp://{host}:{port}: cannot listen there: {error}") from None
        self.received.kernel_buffer = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self.port: int = self._socket.getsockname()[1]
        self._socket.settimeout(_POLL_S)
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
            except OSError:  # an ICMP error from a peer: keep receiving
                continue
            with self._received_some:
                if len(self._buffer) >= self._limit:
                    self.received.dropped += 1
                    continue
                self._buffer.append((data, time.perf_counter()))
                self.received.most_waiting = max(self.received.most_waiting, len(self._buffer))
                self._received_some.notify()

    def arrivals(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Arrival]:
        """Frames in order of arrival, until ``stop()``."""
        silent_since: float | None = None  # None: the silence is already reported
        while not stop():
            with self._received_some:
                if not self._buffer:
                    self._received_some.wait(_POLL_S if silent_since is None else min(_POLL_S, self._idle_s))
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
