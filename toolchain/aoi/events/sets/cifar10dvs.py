"""CIFAR10-DVS: 10,000 images of CIFAR-10 moving on a screen, recorded by a DVS128. No official parts.

Source: Li et al., Frontiers in Neuroscience 11:309, 2017; as AEDAT4 files by tonic (``tonic.datasets.CIFAR10DVS``).
"""

from __future__ import annotations

from pathlib import Path

from aoi.events.dataset import RecordingRef
from aoi.events.folder import is_dir, recordings_in
from aoi.events.listed import Location
from aoi.events.sets.description import Found, NamedSet

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def _find(root: Path) -> Found:
    return CLASSES, {
        RecordingRef(f"All/{name}/{path.stem}", label, None): Location(path)
        for label, name in enumerate(CLASSES)
        if is_dir(root / name)
        for path in recordings_in(root / name, (".aedat4",))
    }


SET = NamedSet(
    name="CIFAR10DVS",
    layout="<airplane to truck>/*.aedat4",
    markers=CLASSES,
    sensor_size=(128, 128, 2),
    expected={None: 10_000},
    find=_find,
    mirror={},
    download_calls=({},),
)
