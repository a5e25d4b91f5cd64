"""N-Caltech101: 8,709 pictures of 101 classes, seen by an ATIS that makes three saccades. No parts of its makers'.

Source: Orchard et al., Frontiers in Neuroscience 9:437, 2015. The pictures are of different sizes, at most 240x180
pixels; as in ``tonic.datasets.NCALTECH101`` each recording is moved so that its smallest x and y are 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aoi.events.dataset import RecordingRef
from aoi.events.folder import is_dir, listing, read_file, recordings_in
from aoi.events.listed import Place
from aoi.events.sets.description import Found, NamedSet

_FOLDER = "Caltech101"


def _find(root: Path) -> Found:
    folders = [path for path in (listing(root / _FOLDER) if is_dir(root / _FOLDER) else []) if is_dir(path)]
    return tuple(folder.name for folder in folders), {
        RecordingRef(f"All/{folder.name}/{path.stem}", label, None): Place(path)
        for label, folder in enumerate(folders)
        for path in recordings_in(folder, (".bin",))
    }


def _read(place: Place) -> np.ndarray:
    events = read_file(place)
    for axis in ("x", "y"):
        if len(events):
            events[axis] -= events[axis].min()
    return events


SET = NamedSet(
    name="NCALTECH101",
    layout=f"{_FOLDER}/<class>/*.bin",
    signs=(_FOLDER,),
    sensor_size=(240, 180, 2),
    expected={None: 8709},
    find=_find,
    read=_read,
    mirror={},
    calls=({},),
    archive=f"{_FOLDER}.zip",
)
