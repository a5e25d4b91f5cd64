"""A folder ``Train|Test/<label>/<recording>`` as a data set."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

import numpy as np

from aoi.errors import DataError
from aoi.events.dataset import RecordingRef
from aoi.events.formats import READERS, nmnist, read_recording
from aoi.events.listed import ListedDataset, Place

PARTS: dict[str, Literal["train", "test"]] = {"Train": "train", "Test": "test"}


def open_folder(
    root: Path, *, name: str | None = None, sensor_size: tuple[int, int, int] | None = None
) -> ListedDataset:
    """The recordings of :func:`find_recordings`. The sensor is N-MNIST's where all are ``.bin``, otherwise what
    ``sensor_size`` says, or else just large enough."""
    classes, places = find_recordings(root.resolve())
    if sensor_size is None and all(place.file.suffix.lower() == ".bin" for place in places.values()):
        sensor_size = nmnist.SENSOR_SIZE
    return ListedDataset(name or str(root), classes, places, read_file, sensor_size)


def read_file(place: Place) -> np.ndarray:
    """Events (n,) of a file in any of the formats that :data:`~aoi.events.formats.READERS` knows."""
    return read_recording(place.file)


def find_recordings(root: Path) -> tuple[tuple[str, ...], dict[RecordingRef, Place]]:
    """Classes and recordings in ``root/Train/<label>/`` and ``root/Test/<label>/``; one of the two may be missing.

    The case of Train and Test does not matter, hidden files are passed over, classes are the folder names in both
    parts together, in numeric order where all are numbers.
    """
    parts = _find_parts(root)
    labels = {part: _class_folders(folder) for part, folder in parts.items()}
    classes = _in_order({path.name for folders in labels.values() for path in folders})
    places: dict[RecordingRef, Place] = {}
    index = {name: number for number, name in enumerate(classes)}
    for part, folders in labels.items():
        for folder in sorted(folders, key=lambda path: index[path.name]):
            by_id: dict[str, Path] = {}
            for path in recordings_in(folder):
                ref_id = f"{part}/{folder.name}/{path.stem}"
                if ref_id in by_id:
                    raise DataError(f"{path}: has the same name as {by_id[ref_id].name}; rename one of the two")
                by_id[ref_id] = path
                places[RecordingRef(ref_id, index[folder.name], PARTS[part])] = Place(path)
    return classes, places


def recordings_in(folder: Path, endings: Collection[str] = tuple(READERS)) -> list[Path]:
    """The files of a class, at least one, in order of names; DataError names what is none that ends as it should."""
    paths = listing(folder)
    if not paths:
        raise DataError(f"{folder}: class '{folder.name}' has no recordings; add some or remove the folder")
    for path in paths:
        if path.suffix.lower() not in endings:
            raise DataError(f"{path}: not a recording; a class folder holds files that end in {' '.join(endings)}")
        try:
            regular = path.is_file()
        except OSError:  # a loop of links
            regular = False
        if not regular:  # opening a pipe would wait for ever
            raise DataError(f"{path}: is no regular file, or a link that leads nowhere; remove it")
    return paths


def listing(folder: Path) -> list[Path]:
    """What is in a folder, in order of names, without hidden files."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from error


def is_dir(path: Path) -> bool:
    """Whether it is a folder; a loop of links is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _find_parts(root: Path) -> dict[str, Path]:
    """``{"Train": …, "Test": …}`` as far as they are there."""
    parts: dict[str, Path] = {}
    for path in listing(root):
        part = path.name.capitalize()
        if part in PARTS and is_dir(path):
            if part in parts:
                raise DataError(f"{root}: has both {parts[part].name} and {path.name}; put the recordings into one")
            parts[part] = path
    if not parts:
        raise DataError(
            f"{root}: has no folder Train and no folder Test; expected Train|Test/<label>/<recording>, or the files of "
            "a data set that has a name (docs/data.md)"
        )
    return {part: parts[part] for part in PARTS if part in parts}


def _class_folders(part: Path) -> list[Path]:
    folders = [path for path in listing(part) if is_dir(path)]
    loose = [path for path in listing(part) if path.suffix.lower() in READERS and not is_dir(path)]
    if loose:
        raise DataError(f"{loose[0]}: a recording outside a class; put it into {part.name}/<label>/")
    if not folders:
        raise DataError(f"{part}: has no class folders; expected {part.name}/<label>/<recording>")
    return folders


def _in_order(names: set[str]) -> tuple[str, ...]:
    if all(name.isascii() and name.isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))
