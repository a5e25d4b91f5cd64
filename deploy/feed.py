"""What the session and its Lava processes share: the samples' way in, the results' way out."""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from multiprocessing import Semaphore
from multiprocessing.connection import Connection

import numpy as np

from deploy.channel import shared_array

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


class SampleFeed:
    """Ring of ``SLOTS`` samples between the session, which puts them, and the event source, which takes them.

    A slot may be put again once the result of the sample in it has arrived: the source does not read it after that.
    """

    def __init__(self, steps: int, shape: tuple[int, ...], dtype: type = np.uint8) -> None:
        """``shape``: of one step as the network takes it, (W, H, C) or (n,)."""
        self._frames = shared_array((SLOTS, steps, *shape), dtype)
        self._started = shared_array((SLOTS,), np.float64)
        self._filled = Semaphore(0)

    def put(self, sequence: int, frames: np.ndarray) -> None:
        """Hands over sample number ``sequence``; ``frames``: (T, *shape)."""
        self._frames[sequence % SLOTS] = frames
        self._filled.release()

    def take(self, sequence: int) -> np.ndarray:
        """Waits for sample number ``sequence``; returns its frames (T, *shape) and starts its clock."""
        self._filled.acquire()
        self._started[sequence % SLOTS] = time.monotonic()
        return self._frames[sequence % SLOTS]

    def started(self, sequence: int) -> float:
        """Reading of ``time.monotonic`` when the sample was taken."""
        return float(self._started[sequence % SLOTS])
