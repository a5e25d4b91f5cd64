"""A stream of events → complete bins, window after window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aoi.events.encode import bin_edges, encode
from aoi.events.encoding import Encoding
from aoi.events.stream import Frame

_SEQUENCES = 1 << 32
_NEAR = 1 << 16  # a sequence number further off than this is that of a sender that started again
_LATEST = 64  # frames by which one may come late; 0 after more is a new beginning
_REMEMBERED = 4096  # missing frames that may still come
_MOST_HELD = 1 << 18  # events that are held before equal ones are dropped


@dataclass
class WindowCounts:
    """What arrived, and what was dropped and why."""

    windows: int = 0  # started
    events: int = 0  # arrived
    late: int = 0  # older than the open bin, dropped
    beyond: int = 0  # after the end of a recording's window, dropped as in the encoding
    off_sensor: int = 0  # outside the sensor, dropped
    lost_frames: int = 0  # gaps in the sequence that nothing has filled since
    reordered: int = 0  # frames that came after a later one of their recording
    duplicates: int = 0  # frames that came again, or after their recording had ended: dropped
    clock_resets: int = 0  # falls of a continuous stream's clock by more than a window


@dataclass(frozen=True, eq=False)
class Bin:
    """A complete bin."""

    window: int  # 0, 1, …
    recording: int
    step: int  # 1..T
    spikes: np.ndarray  # uint8 (C, H, W)


class Windows:
    """Divides a stream into windows, each encoded as by ``encode``: its first event is t = 0.

    A recording is one window. In a continuous stream (recording 0) a window ends after ``window_us``, and the next one
    starts with the first event after that. A bin is complete when an event of a later bin arrives or the recording
    ends. Events of one bin may arrive in any order; events of an earlier bin are late.

    Frames carry sequence numbers modulo 2**32. One that is older than expected fills a gap, or is a copy and dropped. A
    number far from the expected one, or 0 after the end of a recording, is that of a sender that started again. A
    continuous stream whose clock falls by
    more than a window starts a new window.
    """

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self.counts = WindowCounts()
        self._edges = bin_edges(encoding.window_us, encoding.bins)
        self._open = False
        self._done = False  # the recording has had its window
        self._recording: int | None = None
        self._expected: int | None = None  # sequence of the next frame
        self._missing: dict[int, None] = {}  # the last sequence numbers that were left out, oldest first

    def feed(self, frame: Frame) -> Iterator[Bin]:
        """The bins that a frame completes."""
        late = self._account(frame.sequence)
        if late is None or (late and frame.recording != self._recording):
            self.counts.duplicates += 1
            return
        if frame.recording != self._recording:
            yield from self.finish()
            self._recording = frame.recording
            self._done = False
        events = self._on_sensor(frame.events)
        if self._fell_back(events):
            self.counts.clock_resets += 1
            yield from self.finish()
        yield from self._take(events)
        if frame.last:
            yield from self.finish()
            self._recording = None

    def _account(self, sequence: int) -> bool | None:
        """Whether a frame is late: it fills a gap; None if it came before. Counts what is missing."""
        expected, self._expected = self._expected, (sequence + 1) % _SEQUENCES
        if expected is None:
            return False
        ahead = (sequence - expected) % _SEQUENCES
        behind = _SEQUENCES - ahead
        if ahead == 0:
            return False
        if ahead < _NEAR:
            self.counts.lost_frames += ahead
            newest = range(max(0, ahead - _REMEMBERED), ahead)
            self._missing |= dict.fromkeys((expected + n) % _SEQUENCES for n in newest)
            while len(self._missing) > _REMEMBERED:
                del self._missing[next(iter(self._missing))]
            return False
        again = sequence == 0 and (self._recording is None or expected > _LATEST)
        if again or behind > _NEAR:  # the sender started again
            self._missing.clear()
            return False
        self._expected = expected
        if sequence not in self._missing:
            return None
        del self._missing[sequence]
        self.counts.lost_frames -= 1
        self.counts.reordered += 1
        return True

    def _fell_back(self, events: np.ndarray) -> bool:
        """Whether a continuous stream's clock fell to more than a window before the open one."""
        if not self._open or self._recording != 0 or not len(events):
            return False
        return int(events["t"].max()) < self._first - self.encoding.window_us

    def finish(self) -> Iterator[Bin]:
        """Ends the open window and yields its remaining bins."""
        if self._open:
            yield from self._complete(self.encoding.bins)

    def _take(self, events: np.ndarray) -> Iterator[Bin]:
        while len(events):
            if not self._open:
                if self._done:  # one window per recording
                    self.counts.beyond += len(events)
                    return
                self._begin(int(events["t"].min()))
            bins = np.searchsorted(self._edges, events["t"] - self._first, side="right") - 1
            late = bins < self._step
            self.counts.late += int(late.sum())
            inside = ~late & (bins < self.encoding.bins)
            beyond = events[bins >= self.encoding.bins]
            for step in np.unique(bins[inside]):
                yield from self._complete(int(step))
                self._add(events[inside & (bins == step)])
            events = beyond
            if len(events):
                yield from self._complete(self.encoding.bins)
                self._done = self._recording != 0

    def _begin(self, first: int) -> None:
        self._open = True
        self._first, self._step = first, 0
        self._bin = np.zeros(self.encoding.shape[:3], np.uint8)  # the spikes of the open bin so far
        # With denoising, which looks back, the events of the whole window instead.
        self._pending: list[np.ndarray] = []
        self._held = 0
        self.counts.windows += 1

    def _complete(self, until: int) -> Iterator[Bin]:
        """Closes the bins before ``until``."""
        while self._step < until:
            spikes = self._spikes()
            self._step += 1
            yield Bin(self.counts.windows - 1, self._recording or 0, self._step, spikes)
        if until == self.encoding.bins:
            self._open = False

    def _add(self, events: np.ndarray) -> None:
        """Folds events into the open bin, so that memory does not grow with their number."""
        if self.encoding.denoise_us is None:
            self._bin |= encode(events, self.encoding.model_copy(update={"bins": 1}))[..., 0]
            return
        self._pending.append(events)
        self._held += len(events)
        if self._held > _MOST_HELD:  # equal events change nothing
            self._pending = [np.unique(np.concatenate(self._pending))]
            self._held = len(self._pending[0]) // 2  # and again when as many have come

    def _spikes(self) -> np.ndarray:
        if self.encoding.denoise_us is None:
            spikes, self._bin = self._bin, np.zeros_like(self._bin)
            return spikes
        if not self._pending:
            return np.zeros(self.encoding.shape[:3], np.uint8)
        found: np.ndarray = encode(np.concatenate(self._pending), self.encoding)[..., self._step]
        return found

    def _on_sensor(self, events: np.ndarray) -> np.ndarray:
        self.counts.events += len(events)
        width, height, polarities = self.encoding.sensor_size
        on = (events["x"] < width) & (events["y"] < height)
        if polarities == 1 and not self.encoding.merge_polarities:
            on &= ~events["p"]
        self.counts.off_sensor += int(len(events) - on.sum())
        return events[on]
