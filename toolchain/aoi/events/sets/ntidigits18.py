"""N-TIDIGITS18: spoken digits as spikes of 64 channels of a silicon cochlea. Of it, the recordings of one digit.

Source: Anumula et al., Frontiers in Neuroscience 12:23, 2018. One HDF5 file: ``<part>_labels`` names the recordings
(``man-ae-3``; what comes last is what was said), ``<part>_addresses`` and ``<part>_timestamps`` (s) hold an array each.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aoi.errors import DataError
from aoi.events.dataset import Official, RecordingRef
from aoi.events.listed import Place
from aoi.events.sets.description import Found, NamedSet
from aoi.events.sets.hdf5 import array, channel_events, opened

CLASSES = ("o", "1", "2", "3", "4", "5", "6", "7", "8", "9", "z")
_FILE = "n-tidigits.hdf5"
_PARTS: tuple[tuple[str, Official], ...] = (("Train", "train"), ("Test", "test"))


def _find(root: Path) -> Found:
    path = root / _FILE
    places = {}
    with opened(path) as file:
        for part, official in _PARTS:
            for key in array(file, f"{official}_labels")[()].tolist():
                if not isinstance(key, bytes):
                    raise DataError(f"{path}: {official}_labels holds {type(key).__name__}, expected names; damaged")
                name = key.decode("ascii", "replace")
                said = name.split("-")[-1]
                if len(said) > 1:  # several digits
                    continue
                if said not in CLASSES:
                    raise DataError(f"{path}: recording {name!r} says {said!r}, none of {', '.join(CLASSES)}")
                ref = RecordingRef(f"{part}/{said}/{name}", CLASSES.index(said), official)
                places[ref] = Place(path, f"{official}/{name}")
    return CLASSES, places


def _read(place: Place) -> np.ndarray:
    part, _, name = place.part.partition("/")
    with opened(place.file) as file:
        times, channels = (array(file, f"{part}_{kind}/{name}")[()] for kind in ("timestamps", "addresses"))
    return channel_events(place, times, channels)


SET = NamedSet(
    name="NTIDIGITS18",
    layout=_FILE,
    signs=(_FILE,),
    sensor_size=(64, 1, 1),
    expected={"train": 1, "test": 1},
    find=_find,
    read=_read,
)
