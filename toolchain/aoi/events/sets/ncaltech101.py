"""N-Caltech101: 8,709 images of 101 classes, recorded by an ATIS that makes three saccades. No official parts.

Source: Orchard et al., Frontiers in Neuroscience 9:437, 2015. The images differ in size, at most 240x180
pixels; as in ``tonic.datasets.NCALTECH101`` each recording is shifted so that its smallest x and y are 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aoi.events.dataset import RecordingRef
from aoi.events.folder import is_dir, list_folder, read_file, recordings_in
from aoi.events.listed import Location
from aoi.events.sets.description import Found, NamedSet

_FOLDER = "Caltech101"


def _find(root: Path) -> Found:
    folders = [path for path in (list_folder(root / _FOLDER) if is_dir(root / _FOLDER) else []) if is_dir(path)]
    return tuple(folder.name for folder in folders), {
        RecordingRef(f"All/{folder.name}/{path.stem}", label, None): Location(path)
        for label, folder in enumerate(folders)
        for path in recordings_in(folder, (".bin",))
    }


def _read(location: Location) -> np.ndarray:
    events = read_file(location)
    for axis in ("x", "y"):
        if len(events):
            events[axis] -= events[axis].min()
    return events


SET = NamedSet(
    name="NCALTECH101",
    layout=f"{_FOLDER}/<class>/*.bin",
    markers=(_FOLDER,),
    sensor_size=(240, 180, 2),
    expected={None: 8709},
    find=_find,
    read=_read,
    mirror={},
    download_calls=({},),
    archive=f"{_FOLDER}.zip",
)
