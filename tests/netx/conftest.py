"""A small network file with every kind of layer that export writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aoi.events.encoding import Encoding
from aoi.netx import Conv, Cuba, CutoffPolicy, Dense, Metadata, NetworkDescription, write_network

NEURON = Cuba(threshold=80, current_decay=1024, voltage_decay=128)


def even(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, shape, dtype=np.int32) * 2


@pytest.fixture
def description() -> NetworkDescription:
    return NetworkDescription(
        (2, 7, 6),
        (
            Conv("1", (2, 7, 6), even(1, 4, 1, 3, 2), NEURON, (2, 1), (1, 0), (1, 2), groups=2),
            Dense("3", even(2, 5, 64), NEURON, delay=np.array([[0], [3], [62], [1], [0]], np.int32)),
            Dense("4", even(3, 5, 5), NEURON, weight_rec=even(4, 5, 5)),
            Dense("5", even(5, 3, 5), Cuba(1 << 17, 4096, 0)),
        ),
    )


@pytest.fixture
def metadata() -> Metadata:
    return Metadata(
        encoding=Encoding(sensor_size=(6, 7, 2), window_us=1000, bins=8),
        classes=("null", "eins", "zwölf"),
        readout="voltage",
        policy=CutoffPolicy(threshold=0.9, scale=0.001, evidence={"samples": 40}),
    )


@pytest.fixture
def network(tmp_path: Path, description: NetworkDescription, metadata: Metadata) -> Path:
    path = tmp_path / "network.net"
    write_network(path, description, metadata, np.arange(7, dtype=np.uint64) << np.uint64(60))
    return path
