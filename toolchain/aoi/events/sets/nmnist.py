"""N-MNIST: MNIST's digits on a screen, recorded by an ATIS that makes three saccades of 100 ms.

Source: Orchard et al., Frontiers in Neuroscience 9:437, 2015; https://www.garrickorchard.com/datasets/n-mnist.
"""

from __future__ import annotations

from aoi.events.folder import find_recordings
from aoi.events.formats.nmnist import SENSOR_SIZE
from aoi.events.sets.description import NamedSet

SET = NamedSet(
    name="NMNIST",
    layout="Train|Test/<0 to 9>/*.bin",
    markers=("Train", "Test"),
    sensor_size=SENSOR_SIZE,
    expected={"train": 60_000, "test": 10_000},
    find=find_recordings,
)
