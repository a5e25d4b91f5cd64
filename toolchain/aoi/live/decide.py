"""Bins → decisions, each as soon as it falls. Subclasses of :class:`Live` execute the bins."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from aoi.choices import Readout
from aoi.cutoff.rule import Rule, softmax_peak
from aoi.engine import Engine
from aoi.live.receive import Arrival
from aoi.live.windows import Bin, Windows


class StepDecision(NamedTuple):
    """The decision on a window that falls at a step."""

    prediction: int  # class index
    confidence: float
    step: int  # 1..T


@dataclass(frozen=True)
class Decision:
    """The decision on a window."""

    window: int  # 0, 1, …
    recording: int  # 0 for a continuous stream
    prediction: int  # class index
    confidence: float
    step: int  # 1..T
    latency_s: float
    """From the arrival of the frame that completed the deciding bin, or ended the window, to the decision."""


@dataclass
class Latencies:
    """Histogram of latencies in constant memory: logarithmic bins, 2 % wide, from 1 µs to 1,000 s."""

    counts: np.ndarray = field(default_factory=lambda: np.zeros(1048, np.int64))
    most: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[int(np.clip(np.log(max(seconds, 1e-6) * 1e6) / np.log(1.02), 0, len(self.counts) - 1))] += 1
        self.most = max(self.most, seconds)

    def percentile(self, share: float) -> float:
        """Upper end of the bin that contains the percentile ``share``, s; 0 without decisions."""
        if not self.counts.any():
            return 0.0
        index = int(np.searchsorted(self.counts.cumsum(), share / 100 * self.counts.sum()))
        return min(float(1e-6 * 1.02 ** (index + 1)), self.most)


class Live(ABC):
    """Executes each bin when it is complete. The bins after a window's decision are not executed."""

    def __init__(self, windows: Windows) -> None:
        self.windows = windows
        self.latencies = Latencies()
        self.steps_executed = 0
        self._decided = False  # of the open window

    @abstractmethod
    def _step(self, each: Bin) -> StepDecision | None:
        """Executes a bin; step 1 resets the state. Returns the decision if it falls at this step."""

    def run(self, arrivals: Iterable[Arrival]) -> Iterator[Decision]:
        """The decisions on a stream. The end of the stream completes the open window."""
        at = time.perf_counter()
        for arrival in arrivals:
            at = arrival.at
            bins = self.windows.finish() if arrival.frame is None else self.windows.feed(arrival.frame)
            yield from self._decide(bins, at)
        yield from self._decide(self.windows.finish(), at)

    def _decide(self, bins: Iterator[Bin], at: float) -> Iterator[Decision]:
        for each in bins:
            if each.step == 1:
                self._decided = False
            if self._decided or (decision := self._step(each)) is None:
                continue
            self._decided = True
            latency = time.perf_counter() - at
            self.latencies.add(latency)
            yield Decision(each.window, each.recording, *decision, latency)


class LiveEngine(Live):
    """Runs on the engine, in this process: a decision falls as soon as its bin is executed."""

    def __init__(self, engine: Engine, rule: Rule | None, readout: Readout, windows: Windows) -> None:
        super().__init__(windows)
        self.engine, self.rule, self.readout = engine, rule, readout
        self._state = engine.start()

    def _step(self, each: Bin) -> StepDecision | None:
        description = self.engine.description
        if each.step == 1:
            self.engine.restart(self._state)
            self._scores = np.zeros((1, description.outputs), np.int64)
            self._memory = self.rule.begin(1) if self.rule is not None else None
        spikes = each.spikes.reshape(1, *description.input_shape)
        sent = self.engine.step(self._state, spikes, readout=self.readout)
        self.steps_executed += 1
        self._scores = self.engine.accumulate(self._scores, sent, self.readout)
        if not self._stops(each.step):
            return None
        scores = self._scores
        confidence = softmax_peak(scores) if self.rule is None else self.rule.confidence(scores, each.step)
        return StepDecision(int(scores[0].argmax()), float(confidence[0]), each.step)

    def _stops(self, step: int) -> bool:
        if step == self.windows.encoding.bins:
            return True
        if self.rule is None:
            return False
        statistic, self._memory = self.rule.measure(self._scores, step, self._memory)
        return bool(statistic[0] >= self.rule.threshold)
