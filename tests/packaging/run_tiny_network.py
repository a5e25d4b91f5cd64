"""Runs a tiny network in Lava and on the engine; prints the versions. Needs no torch. Used by test_install.py."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from aoi.engine import Engine
from aoi.netx import read_network, write_network
from aoi.netx.description import Cuba, Dense, NetworkDescription
from aoi_deploy.lava.trace import lava_trace

if __name__ == "__main__":
    generator = np.random.default_rng(0)
    neuron = Cuba(threshold=64, current_decay=1024, voltage_decay=128)
    layers = tuple(
        Dense(str(index), (2 * generator.integers(-40, 60, shape)).astype(np.int32), neuron)
        for index, shape in enumerate([(12, 20), (4, 12)])
    )
    description = NetworkDescription((20,), layers)
    spikes = (generator.random((3, 20, 16)) < 0.3).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.net"
        write_network(path, description)
        traces = lava_trace(read_network(path), spikes)
    ours = Engine(description).run(spikes, return_traces=True).traces
    assert all(np.array_equal(getattr(a, q), getattr(b, q)) for a, b in zip(traces, ours, strict=True) for q in "suv")
    assert traces[-1].s.any()
    assert "torch" not in sys.modules
    print(f"Python {sys.version.split()[0]}, numpy {np.__version__}: {int(traces[-1].s.sum())} output spikes, equal")
