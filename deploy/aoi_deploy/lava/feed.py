"""What the session and its Lava processes share: the samples' way in, the results' way out."""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from multiprocessing import Semaphore
from multiprocessing.connection import Connection

import numpy as np

from aoi_deploy.lava.channel import shared_array

# A result on its way: sequence, prediction, confidence, decision step, steps executed, when; int64 scores follow.
RESULT = struct.Struct("<qqdqqd")
SLOTS = 2  # samples in memory: one is running, one waits behind it


@dataclass(frozen=True)
class MonitorSettings:
    """What the monitor needs to know of the network and its session."""

    steps: int  # T
    latency: int  # L
    accumulated: bool  # what the network sends is the readout itself: a voltage, or a sigma neuron's sum
    groups: int  # into which the outputs are summed, as many as there are outputs where no average layer stands
    rules: Connection  # brings a new stopping rule, valid from the next sample on
    results: Connection  # takes the results
    slot: int | None = None  # steps that every sample takes, whenever it is decided; None: it ends with its decision
    stepwise: bool = False  # an empty message tells of every output step without a decision


class SampleFeed:
    """Ring of ``SLOTS`` samples between the session, which puts them, and the event source, which takes them.

    A slot may be put again once the result of the sample in it has arrived: the source does not read it after that.

    A sample is handed over as a whole, or ``stepwise``: each of its T steps as it comes, until it is decided. The
    source waits once for every part, whether it comes or is given up.
    """

    def __init__(self, steps: int, shape: tuple[int, ...], dtype: type = np.uint8, *, stepwise: bool = False) -> None:
        """``shape``: of one step as the network takes it, (W, H, C) or (n,)."""
        self.parts = steps if stepwise else 1
        self._frames = shared_array((SLOTS, steps, *shape), dtype)
        self._started = shared_array((SLOTS,), np.float64)
        self._filled = Semaphore(0)

    def put(self, sequence: int, frames: np.ndarray) -> None:
        """Hands over sample number ``sequence``; ``frames``: (T, *shape)."""
        self._frames[sequence % SLOTS] = frames
        self._filled.release()

    def put_step(self, sequence: int, step: int, frame: np.ndarray) -> None:
        """Hands over step 0, 1, … of sample number ``sequence``; ``frame``: (*shape)."""
        self._frames[sequence % SLOTS, step] = frame
        self._filled.release()

    def release_remaining(self, step: int) -> None:
        """The sample is decided, its steps from ``step`` on do not come: what is sent for them is cleared away."""
        for _ in range(step, self.parts):
            self._filled.release()

    def take(self, sequence: int, part: int = 0) -> np.ndarray:
        """Waits for a part of sample number ``sequence``, whose clock the first one starts; returns its frames."""
        self._filled.acquire()
        if part == 0:
            self._started[sequence % SLOTS] = time.monotonic()
        return self._frames[sequence % SLOTS]

    def skip_remaining(self, part: int) -> None:
        """Takes the parts from ``part`` on, which were given up."""
        for _ in range(part, self.parts):
            self._filled.acquire()

    def started(self, sequence: int) -> float:
        """Reading of ``time.monotonic`` when the sample was taken."""
        return float(self._started[sequence % SLOTS])
