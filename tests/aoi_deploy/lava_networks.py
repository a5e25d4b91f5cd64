"""Small networks active enough to decide at different steps, and helpers that find leftover shared memory."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from aoi.netx import Conv, Cuba, Dense, NetworkDescription, NetworkFile

Make = Callable[[str], NetworkFile]


def _weights(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Even weights of 8 bits; both extremes occur, so that the exporter's shift scales no layer."""
    weight = 2 * rng.integers(-40, 44, shape)
    weight.flat[0], weight.flat[1] = -256, 254
    return weight.astype(np.int32)


def describe(kind: str) -> NetworkDescription:
    """A network with 10 outputs: ``dense``, ``delay``, ``recurrent``, ``voltage``, ``recurrent voltage``, ``conv`` or
    ``wide``."""
    rng = np.random.default_rng(7)
    fires, integrates = Cuba(150, 1024, 256), Cuba(1 << 17, 4096, 0)
    if kind in ("conv", "wide"):
        shape = (2, 9, 7) if kind == "conv" else (2, 9, 131)  # stock Lava holds sizes in 8 bits
        first = Conv("1", shape, _weights(rng, 4, 2, 3, 3), fires, stride=(2, 2), padding=(1, 1))
        second = Conv("2", first.shape, _weights(rng, 5, 4, 3, 3), fires)
        flat = int(np.prod(second.shape))
        return NetworkDescription(shape, (first, second, Dense("4", _weights(rng, 10, flat), fires)))
    delay = rng.integers(0, 6, (30, 1)).astype(np.int32) if kind == "delay" else None
    hidden_rec = _weights(rng, 30, 30) if kind == "recurrent" else None
    hidden = Dense("0", _weights(rng, 30, 48), fires, delay=delay, weight_rec=hidden_rec)
    output_rec = _weights(rng, 10, 10) if kind == "recurrent voltage" else None
    output = Dense("1", _weights(rng, 10, 30), integrates if "voltage" in kind else fires, weight_rec=output_rec)
    return NetworkDescription((48,), (hidden, output))


def spikes(file: NetworkFile, samples: int, steps: int, seed: int = 0) -> np.ndarray:
    """Random spikes, uint8 (samples, *input_shape, steps), with a different rate for each sample."""
    rng = np.random.default_rng(seed)
    shape = (samples, *file.description.input_shape, steps)
    rate = rng.uniform(0.05, 0.5, (samples, *[1] * (len(shape) - 1)))
    return (rng.random(shape) < rate).astype(np.uint8)


def segments() -> set[str]:
    """Names of multiprocessing's shared memory and semaphores, except those that other processes use, such as tests
    running in parallel."""
    found = {file.name for file in Path("/dev/shm").iterdir() if file.name.startswith(("psm_", "sem."))}
    ours = {process.pid for process in psutil.Process().children(recursive=True)} | {os.getpid()}
    for pid in set(psutil.pids()) - ours if found else ():
        with contextlib.suppress(OSError):
            maps = Path(f"/proc/{pid}/maps").read_text(errors="replace")
            found -= {line.rpartition("/dev/shm/")[2].removesuffix(" (deleted)") for line in maps.splitlines()}
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
