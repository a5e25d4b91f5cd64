"""A stream of events → complete bins, window after window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aoi.events.encode import bin_edges, encode
from aoi.events.encoding import Encoding
from aoi.events.stream import Frame


@dataclass
class WindowCounts:
    """What arrived, and what was dropped and why."""

    windows: int = 0  # started
    events: int = 0  # arrived
    late: int = 0  # older than the open bin, dropped
    beyond: int = 0  # after the end of a recording's window, dropped as in the encoding
    off_sensor: int = 0  # outside the sensor, dropped
    lost_frames: int = 0  # gaps in the sequence


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
    """

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self.counts = WindowCounts()
        self._edges = bin_edges(encoding.window_us, encoding.bins)
        self._open = False
        self._done = False  # the recording has had its window
        self._recording: int | None = None
        self._expected: int | None = None  # sequence of the next frame

    def feed(self, frame: Frame) -> Iterator[Bin]:
        """The bins that a frame completes."""
        if self._expected is not None and frame.sequence != self._expected:
            self.counts.lost_frames += (frame.sequence - self._expected) % (1 << 32)
        self._expected = (frame.sequence + 1) % (1 << 32)
        if frame.recording != self._recording:
            yield from self.finish()
            self._recording = frame.recording
            self._done = False
        yield from self._take(self._on_sensor(frame.events))
        if frame.last:
            yield from self.finish()
            self._recording = None

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
                self._pending.append(events[inside & (bins == step)])
            events = beyond
            if len(events):
                yield from self._complete(self.encoding.bins)
                self._done = self._recording != 0

    def _begin(self, first: int) -> None:
        self._open = True
        self._first, self._step = first, 0
        self._pending: list[
            np.ndarray
        ] = []  # events of the open bin; with denoising, which looks back, of the whole window
        self.counts.windows += 1

    def _complete(self, until: int) -> Iterator[Bin]:
        """Closes the bins before ``until``."""
        while self._step < until:
            spikes = self._spikes()
            self._step += 1
            yield Bin(self.counts.windows - 1, self._recording or 0, self._step, spikes)
        if until == self.encoding.bins:
            self._open = False

    def _spikes(self) -> np.ndarray:
        if not self._pending:
            return np.zeros(self.encoding.shape[:3], np.uint8)
        events = np.concatenate(self._pending)
        if self.encoding.denoise_us is None:
            self._pending = []
            return encode(events, self.encoding.model_copy(update={"bins": 1}))[..., 0]
        spikes: np.ndarray = encode(events, self.encoding)[..., self._step]
        return spikes

    def _on_sensor(self, events: np.ndarray) -> np.ndarray:
        self.counts.events += len(events)
        width, height, polarities = self.encoding.sensor_size
        on = (events["x"] < width) & (events["y"] < height)
        if polarities == 1 and not self.encoding.merge_polarities:
            on &= ~events["p"]
        self.counts.off_sensor += int(len(events) - on.sum())
        return events[on]
