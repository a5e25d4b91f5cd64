"""N-TIDIGITS18: spoken digits as spikes of 64 channels of a silicon cochlea; here, the recordings of a single digit.

Source: Anumula et al., Frontiers in Neuroscience 12:23, 2018. One HDF5 file: ``<part>_labels`` names the recordings
(``man-ae-3``; the last part is what was said), ``<part>_addresses`` and ``<part>_timestamps`` (s) hold their arrays.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from aoi.errors import DataError
from aoi.events.dataset import Official, RecordingRef
from aoi.events.listed import Location
from aoi.events.sets.description import Found, NamedSet
from aoi.events.sets.hdf5 import channel_events, check_in_child, hdf5_array, open_hdf5

CLASSES = ("o", "1", "2", "3", "4", "5", "6", "7", "8", "9", "z")
_FILE = "n-tidigits.hdf5"
_PARTS: tuple[tuple[str, Official], ...] = (("Train", "train"), ("Test", "test"))


def _find(root: Path) -> Found:
    path = root / _FILE
    locations = {}
    check_in_child(path, partial(_read_all, path))
    with open_hdf5(path) as file:
        for part, official in _PARTS:
            for key in hdf5_array(file, f"{official}_labels")[()].tolist():
                if not isinstance(key, bytes):
                    raise DataError(
                        f"{path}: {official}_labels holds {type(key).__name__}, expected names; the file is damaged"
                    )
                name = key.decode("ascii", "replace")
                said = name.split("-")[-1]
                if len(said) > 1:  # several digits
                    continue
                if said not in CLASSES:
                    raise DataError(
                        f"{path}: recording {name!r} says {said!r}, which is not one of {', '.join(CLASSES)}"
                    )
                ref = RecordingRef(f"{part}/{said}/{name}", CLASSES.index(said), official)
                locations[ref] = Location(path, f"{official}/{name}")
    return CLASSES, locations


def _read_all(path: Path) -> None:
    with open_hdf5(path) as file:
        for part in ("train", "test"):
            for key in hdf5_array(file, f"{part}_labels")[()].tolist():
                for kind in ("timestamps", "addresses"):
                    hdf5_array(file, f"{part}_{kind}/{key.decode('ascii', 'replace')}")[()]


def _read(location: Location) -> np.ndarray:
    part, _, name = location.part.partition("/")
    with open_hdf5(location.file) as file:
        times, channels = (hdf5_array(file, f"{part}_{kind}/{name}")[()] for kind in ("timestamps", "addresses"))
    return channel_events(location, times, channels)


SET = NamedSet(
    name="NTIDIGITS18",
    layout=_FILE,
    markers=(_FILE,),
    sensor_size=(64, 1, 1),
    expected={"train": 1, "test": 1},
    find=_find,
    read=_read,
)
