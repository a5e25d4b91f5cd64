"""A folder ``Train|Test/<label>/<recording>`` as a data set."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from pathlib import Path
from typing import Literal

import numpy as np

from aoi.errors import DataError
from aoi.events.dataset import RecordingRef
from aoi.events.formats import READERS, nmnist, read_recording
from aoi.events.listed import ListedDataset, Location

PARTS: dict[str, Literal["train", "test"]] = {"Train": "train", "Test": "test"}


def open_folder(
    root: Path, *, name: str | None = None, sensor_size: tuple[int, int, int] | None = None
) -> ListedDataset:
    """The recordings of :func:`find_recordings` as a data set. Raises DataError.

    ``sensor_size``: width, height, polarities. Default: N-MNIST's if all files are ``.bin``, otherwise the smallest
    sensor that holds all events, for which each recording is read once.
    """
    classes, locations = find_recordings(root.resolve())
    if sensor_size is None and all(location.file.suffix.lower() == ".bin" for location in locations.values()):
        sensor_size = nmnist.SENSOR_SIZE
    return ListedDataset(name or str(root), classes, locations, read_file, sensor_size)


def read_file(location: Location) -> np.ndarray:
    """Events (n,) of a file in any format of :data:`~aoi.events.formats.READERS`. Raises DataError."""
    return read_recording(location.file)


def find_recordings(root: Path) -> tuple[tuple[str, ...], dict[RecordingRef, Location]]:
    """Classes and recordings in ``root/Train/<label>/`` and ``root/Test/<label>/``; one of the two may be missing.

    Train and Test may be in upper or lower case. Hidden files are ignored. The classes are the folder names of both
    parts, in numeric order if all are numbers, otherwise in alphabetical order. Raises DataError.
    """
    parts = _find_parts(root)
    labels = {part: _class_folders(folder) for part, folder in parts.items()}
    names = {path.name for folders in labels.values() for path in folders}
    _check_names(root, names)
    classes = _sorted_classes(names)
    locations: dict[RecordingRef, Location] = {}
    index = {name: number for number, name in enumerate(classes)}
    for part, folders in labels.items():
        for folder in sorted(folders, key=lambda path: index[path.name]):
            by_id: dict[str, Path] = {}
            for path in recordings_in(folder):
                ref_id = f"{part}/{folder.name}/{path.stem}"
                if ref_id in by_id:
                    raise DataError(f"{path}: has the same name as {by_id[ref_id].name}; rename one of the two")
                by_id[ref_id] = path
                locations[RecordingRef(ref_id, index[folder.name], PARTS[part])] = Location(path)
    return classes, locations


def recordings_in(folder: Path, suffixes: Collection[str] = tuple(READERS)) -> list[Path]:
    """The files of a class folder, sorted by name, at least one. Raises DataError for anything but such a file."""
    paths = list_folder(folder)
    if not paths:
        raise DataError(f"{folder}: class '{folder.name}' has no recordings; add some or remove the folder")
    for path in paths:
        if path.suffix.lower() not in suffixes:
            raise DataError(f"{path}: not a recording; a class folder holds files that end in {' '.join(suffixes)}")
        try:
            regular = path.is_file()
        except OSError:  # circular links
            regular = False
        if not regular:  # opening a pipe would block forever
            raise DataError(f"{path}: is not a regular file, or a broken link; remove it")
    return paths


def list_folder(folder: Path) -> list[Path]:
    """The entries of a folder, sorted by name, without hidden ones. Raises DataError."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from error


def is_dir(path: Path) -> bool:
    """Whether ``path`` is a folder. Circular links are not."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _find_parts(root: Path) -> dict[str, Path]:
    """``{"Train": …, "Test": …}``, those that exist."""
    parts: dict[str, Path] = {}
    for path in list_folder(root):
        part = path.name.capitalize()
        if part in PARTS and is_dir(path):
            if part in parts:
                raise DataError(
                    f"{root}: has both {parts[part].name} and {path.name}; move the recordings into one of them"
                )
            parts[part] = path
    if not parts:
        raise DataError(
            f"{root}: has no folder Train or Test; expected Train|Test/<label>/<recording>, or the files of a named "
            "data set (docs/data.md)"
        )
    return {part: parts[part] for part in PARTS if part in parts}


def _class_folders(part: Path) -> list[Path]:
    folders = [path for path in list_folder(part) if is_dir(path)]
    stray = [path for path in list_folder(part) if path.suffix.lower() in READERS and not is_dir(path)]
    if stray:
        raise DataError(f"{stray[0]}: a recording outside a class folder; move it into {part.name}/<label>/")
    if not folders:
        raise DataError(f"{part}: has no class folders; expected {part.name}/<label>/<recording>")
    return folders


def _check_names(root: Path, names: set[str]) -> None:
    """Refuses names of class folders that are no text, or that a person takes for the same. Raises DataError."""
    seen: dict[str, str] = {}
    for name in sorted(names):
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            shown = name.encode("utf-8", "surrogateescape")
            raise DataError(f"{root}: the class folder {shown!r} is not named in UTF-8; rename it") from None
        alike = unicodedata.normalize("NFC", name).casefold()
        if alike in seen:
            raise DataError(
                f"{root}: the class folders {seen[alike]!a} and {name!a} have the same name to a reader; join them, or "
                "rename one"
            )
        seen[alike] = name


def _sorted_classes(names: set[str]) -> tuple[str, ...]:
    if all(name.isascii() and name.isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))
