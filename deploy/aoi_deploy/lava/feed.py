"""Exchange of samples and results between a session and its Lava processes."""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass, field
from multiprocessing import Semaphore
from multiprocessing.connection import Connection

import numpy as np

from aoi_deploy.lava.channel import shared_array

# A result message: sequence, prediction, confidence, decision step, steps executed, time; followed by int64 scores.
RESULT = struct.Struct("<qqdqqd")
SLOTS = 2  # samples in memory: one runs, one waits


@dataclass(frozen=True)
class MonitorSettings:
    """Parameters of the monitor, from the network and the session."""

    steps: int  # T
    latency: int  # L
    accumulated: bool  # the network sends accumulated values: a voltage, or the sum of a sigma neuron
    groups: int  # groups of outputs to sum: the number of outputs unless the network ends in an average layer
    rules: Connection  # receives a new stopping rule, valid from the next sample
    results: Connection  # sends the results
    slot: int | None = None  # steps of every sample, whenever it is decided; None: a sample ends with its decision
    stepwise: bool = False  # send an empty message after every output step without a decision
    executed: np.ndarray = field(default_factory=lambda: shared_array((1,), np.int64))
    """Lava steps that the network has executed, in all samples: whoever waits sees that it goes on."""


class SampleFeed:
    """Ring buffer of ``SLOTS`` samples; the session puts them, the event source takes them.

    A slot can be filled again once the result of its sample has arrived: the source no longer reads it.

    A sample consists of one part, or ``stepwise`` of T parts: its steps, as they arrive, until it is decided. The
    source waits once for every part, also for those that are skipped after the decision.
    """

    def __init__(self, steps: int, shape: tuple[int, ...], dtype: type = np.uint8, *, stepwise: bool = False) -> None:
        """``shape``: of the network's input in one step, (W, H, C) or (n,)."""
        self.parts = steps if stepwise else 1
        self._frames = shared_array((SLOTS, steps, *shape), dtype)
        self._started = shared_array((SLOTS,), np.float64)
        self._filled = Semaphore(0)

    def put(self, sequence: int, frames: np.ndarray) -> None:
        """Puts sample number ``sequence``; ``frames``: (T, *shape)."""
        self._frames[sequence % SLOTS] = frames
        self._filled.release()

    def put_step(self, sequence: int, step: int, frame: np.ndarray) -> None:
        """Puts step 0, 1, … of sample number ``sequence``; ``frame``: (*shape)."""
        self._frames[sequence % SLOTS, step] = frame
        self._filled.release()

    def release_remaining(self, step: int) -> None:
        """Releases the source from waiting for the steps from ``step`` on, which a decided sample does not need."""
        for _ in range(step, self.parts):
            self._filled.release()

    def take(self, sequence: int, part: int = 0) -> np.ndarray:
        """Waits for a part of sample number ``sequence`` and returns its frames; the first part starts its clock."""
        self._filled.acquire()
        if part == 0:
            self._started[sequence % SLOTS] = time.monotonic()
        return self._frames[sequence % SLOTS]

    def skip_remaining(self, part: int) -> None:
        """Takes the parts from ``part`` on, which the session has released without content."""
        for _ in range(part, self.parts):
            self._filled.acquire()

    def started(self, sequence: int) -> float:
        """``time.monotonic`` at which the source took the sample, in seconds."""
        return float(self._started[sequence % SLOTS])
