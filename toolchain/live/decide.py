"""From bins to decisions, each as soon as it falls."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from toolchain.cutoff.rule import Rule, softmax_peak
from toolchain.engine import Engine
from toolchain.live.receive import Arrival
from toolchain.live.windows import Bin, Windows
from toolchain.netx.metadata import Readout


@dataclass(frozen=True)
class Decision:
    window: int  # 0, 1, …
    recording: int  # 0 of a camera that runs on and on
    prediction: int  # class index
    confidence: float
    step: int  # 1..T
    latency_s: float
    """From the arrival of the frame that completed the deciding bin, or ended the window, to the decision."""


@dataclass
class Latencies:
    """Of all decisions, in memory that does not grow: bins of a logarithmic scale, 2 % wide, from 1 µs to 1,000 s."""

    counts: np.ndarray = field(default_factory=lambda: np.zeros(1048, np.int64))
    most: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[int(np.clip(np.log(max(seconds, 1e-6) * 1e6) / np.log(1.02), 0, len(self.counts) - 1))] += 1
        self.most = max(self.most, seconds)

    def percentile(self, share: float) -> float:
        """Upper end of the bin in which the percentile lies, s; 0 where there is no decision."""
        if not self.counts.any():
            return 0.0
        index = int(np.searchsorted(self.counts.cumsum(), share / 100 * self.counts.sum()))
        return min(float(1e-6 * 1.02 ** (index + 1)), self.most)


class LiveEngine:
    """Runs each bin when it is complete; after its decision a window's further bins are not executed."""

    def __init__(self, engine: Engine, rule: Rule | None, readout: Readout, windows: Windows) -> None:
        self.engine, self.rule, self.readout, self.windows = engine, rule, readout, windows
        self.latencies = Latencies()
        self.steps_executed = 0
        self._state = engine.start()
        self._window = -1

    def run(self, arrivals: Iterable[Arrival]) -> Iterator[Decision]:
        """Decisions of a stream; the window that is open at its end is finished."""
        at = time.perf_counter()
        for arrival in arrivals:
            at = arrival.at
            bins = self.windows.finish() if arrival.frame is None else self.windows.feed(arrival.frame)
            yield from self._decide(bins, at)
        yield from self._decide(self.windows.finish(), at)

    def _decide(self, bins: Iterator[Bin], at: float) -> Iterator[Decision]:
        for each in bins:
            if each.window != self._window:
                self._window, self._decided = each.window, False
                self.engine.restart(self._state)
                self._scores = np.zeros((1, self.engine.description.outputs), np.int64)
                self._memory = self.rule.begin(1) if self.rule is not None else None
            if self._decided:
                continue
            if self._step(each):
                self._decided = True
                latency = time.perf_counter() - at
                self.latencies.add(latency)
                confidence = (
                    softmax_peak(self._scores) if self.rule is None else self.rule.confidence(self._scores, each.step)
                )
                answer = int(self._scores[0].argmax())
                yield Decision(each.window, each.recording, answer, float(confidence[0]), each.step, latency)

    def _step(self, each: Bin) -> bool:
        shape = self.engine.description.input_shape
        sent = self.engine.step(self._state, each.spikes.reshape(1, *shape), readout=self.readout)
        self.steps_executed += 1
        self._scores = self.engine.accumulate(self._scores, sent, self.readout)
        if each.step == self.windows.encoding.bins:
            return True
        if self.rule is None:
            return False
        statistic, self._memory = self.rule.measure(self._scores, each.step, self._memory)
        return bool(statistic[0] >= self.rule.threshold)
