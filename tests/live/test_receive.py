"""Datagrams over a real socket."""

from __future__ import annotations

import socket
import time

import numpy as np
import pytest

from aoi.errors import DataError
from aoi.events.recording import make_events
from aoi.events.stream import Frame, pack
from aoi.live.receive import UdpReceiver, udp_address


def some(sequence: int) -> bytes:
    return pack(Frame(sequence, 1, make_events([1], [2], [sequence], [True]), False))


@pytest.fixture
def sender() -> socket.socket:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        yield made


def test_frames_arrive_in_order_and_malformed_ones_are_counted(sender: socket.socket) -> None:
    with UdpReceiver("127.0.0.1", 0, buffer=1000, idle_s=0.2) as receiver:
        begin = time.perf_counter()
        for sequence in range(200):
            sender.sendto(some(sequence), ("127.0.0.1", receiver.port))
            if sequence % 4 == 0:
                sender.sendto(b"nonsense" * sequence, ("127.0.0.1", receiver.port))
        got = []
        for arrival in receiver.arrivals():
            if arrival.frame is None:
                break
            got.append(arrival)
        assert [each.frame.sequence for each in got] == list(range(200))
        assert np.all(np.diff([each.at for each in got]) >= 0)
        assert got[0].at >= begin
        assert (receiver.received.frames, receiver.received.malformed, receiver.received.dropped) == (200, 50, 0)


def test_a_full_buffer_drops_and_counts(sender: socket.socket) -> None:
    with UdpReceiver("127.0.0.1", 0, buffer=10, idle_s=0.1) as receiver:
        for sequence in range(50):
            sender.sendto(some(sequence), ("127.0.0.1", receiver.port))
        deadline = time.monotonic() + 5
        while receiver.received.dropped < 40 and time.monotonic() < deadline:
            time.sleep(0.01)
        kept = []
        for arrival in receiver.arrivals():
            if arrival.frame is None:
                break
            kept.append(arrival.frame.sequence)
    assert kept == list(range(10))
    assert receiver.received.dropped == 40
    assert receiver.received.most_waiting == 10


def test_silence_is_reported_once(sender: socket.socket) -> None:
    with UdpReceiver("127.0.0.1", 0, buffer=10, idle_s=0.05) as receiver:
        sender.sendto(some(0), ("127.0.0.1", receiver.port))
        end = time.monotonic() + 0.6
        found = [arrival.frame is None for arrival in receiver.arrivals(lambda: time.monotonic() > end)]
    assert found == [False, True]


def test_the_port_is_free_again() -> None:
    with UdpReceiver("127.0.0.1", 0, buffer=10, idle_s=1) as receiver:
        with pytest.raises(DataError, match="cannot listen there"):
            UdpReceiver("127.0.0.1", receiver.port, buffer=10, idle_s=1)
        port = receiver.port
    UdpReceiver("127.0.0.1", port, buffer=10, idle_s=1).close()


@pytest.mark.parametrize(
    "source", ["udp://", "udp://host", "udp://h:99999", "udp://h:x", "tcp://h:1", "udp://h:1/path"]
)
def test_invalid_addresses_are_refused(source: str) -> None:
    with pytest.raises(DataError, match="expected udp:"):
        udp_address(source)
    assert udp_address("udp://[::1]:9000/") == ("::1", 9000)
