"""Peak memory of a process that streams samples through the engine."""

from __future__ import annotations

import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aoi.engine import Engine, Run
from aoi.netx import read_network
from aoi.workflow.cost import lava_dl_file

_STEPS = 32


@dataclass(frozen=True)
class Memory:
    """Memory of a process that ran ``samples`` samples."""

    samples: int
    peak: int  # largest resident memory, bytes
    results: int  # returned arrays, bytes


def measure(samples: int) -> Memory:
    """Runs mnist.net, T = 32, on ``samples`` random samples in a new process."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(samples)], check=True, capture_output=True, text=True
    ).stdout.split()
    return Memory(samples, int(done[0]), int(done[1]))


def _stream(samples: int) -> Run:
    description = read_network(lava_dl_file("mnist.net")).description

    def batch(indices: np.ndarray) -> np.ndarray:
        generator = np.random.default_rng(int(indices[0]))
        shape = (len(indices), *description.input_shape, _STEPS)
        return (generator.integers(0, 8, shape, np.uint8) == 0).view(np.uint8)

    return Engine(description).run_stream(samples, batch, readout="voltage")


def _peak() -> int:
    """Peak memory in bytes. Linux's ``ru_maxrss`` includes memory of the parent process; ``VmHWM`` does not."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    run = _stream(int(sys.argv[1]))
    print(_peak(), run.scores.nbytes + run.spikes.nbytes + run.operations.nbytes)
