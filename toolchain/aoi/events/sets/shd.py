"""Spiking Heidelberg Digits: English and German spoken digits as spikes of 700 channels of a model cochlea.

Source: Cramer et al., IEEE TNNLS 2020; https://zenkelab.org/resources/spiking-heidelberg-datasets-shd/. Two HDF5
files with ``spikes/times`` (s) and ``spikes/units``, one array per recording, and ``labels``.
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

CLASSES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("null", "eins", "zwei", "drei", "vier", "fuenf", "sechs", "sieben", "acht", "neun"),
)
_PARTS: dict[str, tuple[str, Official]] = {"shd_train.h5": ("Train", "train"), "shd_test.h5": ("Test", "test")}


def _find(root: Path) -> Found:
    locations = {}
    for name, (part, official) in _PARTS.items():
        path = root / name
        if not path.is_file():
            continue
        check_in_child(path, partial(_read_all, path))
        with open_hdf5(path) as file:
            labels = np.asarray(hdf5_array(file, "labels")[()])
            counts = {len(labels), len(hdf5_array(file, "spikes/times")), len(hdf5_array(file, "spikes/units"))}
        if len(counts) > 1 or labels.dtype.kind not in "iu":
            raise DataError(f"{path}: labels, times and units are for {sorted(counts)} recordings; the file is damaged")
        wrong = np.flatnonzero((labels < 0) | (labels >= len(CLASSES)))
        if len(wrong):
            raise DataError(f"{path}: recording {wrong[0]} has label {labels[wrong[0]]}; the last class is 19")
        for index, label in enumerate(labels.tolist()):
            locations[RecordingRef(f"{part}/{CLASSES[label]}/{index:05d}", label, official)] = Location(
                path, str(index)
            )
    return CLASSES, locations


def _read_all(path: Path) -> None:
    with open_hdf5(path) as file:
        for name in ("labels", "spikes/times", "spikes/units"):
            array = hdf5_array(file, name)
            for begin in range(0, len(array), 256):
                array[begin : begin + 256]


def _read(location: Location) -> np.ndarray:
    index = int(location.part)
    with open_hdf5(location.file) as file:
        times, units = hdf5_array(file, "spikes/times")[index], hdf5_array(file, "spikes/units")[index]
    return channel_events(location, times, units)


SET = NamedSet(
    name="SHD",
    layout="shd_train.h5 and shd_test.h5",
    markers=tuple(_PARTS),
    sensor_size=(700, 1, 1),
    expected={"train": 8156, "test": 2264},
    find=_find,
    read=_read,
)
