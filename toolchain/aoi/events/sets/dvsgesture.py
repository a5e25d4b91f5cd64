"""DVS Gesture: 11 gestures of 29 people under three kinds of light, recorded by a DVS128, one gesture per file.

Source: Amir et al., CVPR 2017; the files are tonic's (``tonic.datasets.DVSGesture``), with times in ms.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aoi.errors import DataError
from aoi.events.dataset import Official, RecordingRef
from aoi.events.folder import is_dir, list_folder
from aoi.events.formats.numpy_files import from_columns, load_array
from aoi.events.listed import Location
from aoi.events.sets.description import Found, NamedSet

CLASSES = (
    "Hand clapping",
    "Right hand wave",
    "Left hand wave",
    "Right arm cw",
    "Right arm ccw",
    "Left arm cw",
    "Left arm ccw",
    "Arm roll",
    "Air drums",
    "Air guitar",
    "Other gestures",
)
_PARTS: dict[str, tuple[str, Official]] = {"ibmGestureTrain": ("Train", "train"), "ibmGestureTest": ("Test", "test")}


def _find(root: Path) -> Found:
    locations = {}
    for folder, (part, official) in _PARTS.items():
        for scene in filter(is_dir, list_folder(root / folder) if is_dir(root / folder) else []):
            files = [path for path in list_folder(scene) if path.suffix == ".npy"]
            for path in files:
                if path.stem not in map(str, range(len(CLASSES))):
                    raise DataError(f"{path}: not a gesture; the files are named 0.npy to {len(CLASSES) - 1}.npy")
            for path in sorted(files, key=lambda path: int(path.stem)):
                label = int(path.stem)
                locations[RecordingRef(f"{part}/{CLASSES[label]}/{scene.name}", label, official)] = Location(path)
    return CLASSES, locations


def _read(location: Location) -> np.ndarray:
    """Events (n,) from an array of numbers (n, 4): x, y, polarity, time in ms."""
    array = load_array(location.file)
    if array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind not in "iuf":
        raise DataError(
            f"{location}: {array.dtype} of shape {array.shape}; expected numbers of shape (n, 4): x, y, p, t"
        )
    if not (np.abs(array.astype(np.float64)) < 2**40).all():
        raise DataError(f"{location}: a number that is neither a coordinate nor a time in ms; the file is damaged")
    x, y, p, t = array.T
    columns = {"x": x, "y": y, "p": p, "t": t.astype(np.int64) * 1000 if t.dtype.kind != "f" else t * 1000}
    return from_columns(location, {name: column.astype(np.int64) for name, column in columns.items()})


SET = NamedSet(
    name="DVSGesture",
    layout="ibmGestureTrain|ibmGestureTest/user*_*/<0 to 10>.npy",
    markers=tuple(_PARTS),
    sensor_size=(128, 128, 2),
    expected={"train": 1077, "test": 264},
    find=_find,
    read=_read,
    mirror={"Right hand wave": "Left hand wave", "Right arm cw": "Left arm ccw", "Right arm ccw": "Left arm cw"},
)
