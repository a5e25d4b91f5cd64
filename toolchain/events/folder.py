"""A folder ``Train|Test/<label>/<recording>`` as a data set."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from toolchain.errors import DataError
from toolchain.events.dataset import RecordingRef
from toolchain.events.formats import READERS, nmnist, read_recording

_PARTS: dict[str, Literal["train", "test"]] = {"Train": "train", "Test": "test"}


class FolderDataset:
    """Recordings in ``root/Train/<label>/`` and ``root/Test/<label>/``; one of the two may be missing.

    The case of Train and Test does not matter, hidden files are passed over, classes are the folder names in both
    parts together, in numeric order where all are numbers. The sensor is N-MNIST's where all recordings are ``.bin``;
    otherwise it is what ``sensor_size`` says, or else just large enough for the largest coordinates of all
    recordings, for which each is read once.
    """

    def __init__(self, root: Path, *, name: str | None = None, sensor_size: tuple[int, int, int] | None = None) -> None:
        self.root = root.resolve()
        self.name = name or str(root)
        self._sensor_size = sensor_size
        parts = _find_parts(self.root)
        labels = {part: _class_folders(folder) for part, folder in parts.items()}
        self.classes = _in_order({path.name for folders in labels.values() for path in folders})
        self._paths: dict[RecordingRef, Path] = {}
        index = {name: number for number, name in enumerate(self.classes)}
        for part, folders in labels.items():
            for folder in sorted(folders, key=lambda path: index[path.name]):
                by_id: dict[str, Path] = {}
                for path in _recordings(folder):
                    ref_id = f"{part}/{folder.name}/{path.stem}"
                    if ref_id in by_id:
                        raise DataError(f"{path}: has the same name as {by_id[ref_id].name}; rename one of the two")
                    by_id[ref_id] = path
                    self._paths[RecordingRef(ref_id, index[folder.name], _PARTS[part])] = path
        self.recordings = tuple(self._paths)

    @cached_property
    def sensor_size(self) -> tuple[int, int, int]:
        """Width, height, polarities."""
        if self._sensor_size is not None:
            return self._sensor_size
        if all(path.suffix.lower() == ".bin" for path in self._paths.values()):
            return nmnist.SENSOR_SIZE
        width = height = 0
        for path in self._paths.values():
            events = _read_some(path)
            width, height = max(width, int(events["x"].max()) + 1), max(height, int(events["y"].max()) + 1)
        return width, height, 2

    def path(self, ref: RecordingRef) -> Path:
        """The file of a recording."""
        return self._paths[ref]

    def read(self, ref: RecordingRef) -> np.ndarray:
        """Events (n,), n > 0; DataError names the file where it is damaged, empty or beyond the sensor."""
        path = self.path(ref)
        events = _read_some(path)
        width, height, _ = self.sensor_size
        for axis, size in (("x", width), ("y", height)):
            low, high = int(events[axis].min()), int(events[axis].max())
            if low < 0 or high >= size:
                raise DataError(
                    f"{path}: an event at {axis} = {low if low < 0 else high}, the sensor of {width}x{height} pixels "
                    f"ends at {size - 1}; the file is damaged or from another camera"
                )
        return events

    def stamp(self, ref: RecordingRef) -> str:
        """Path, size and time of change of the file."""
        path = self.path(ref)
        try:
            state = path.stat()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
        return f"{path}:{state.st_size}:{state.st_mtime_ns}"


def _read_some(path: Path) -> np.ndarray:
    events = read_recording(path)
    if len(events) == 0:
        raise DataError(f"{path}: holds no events; take it out of the folder")
    return events


def _find_parts(root: Path) -> dict[str, Path]:
    """``{"Train": …, "Test": …}`` as far as they are there."""
    parts: dict[str, Path] = {}
    for path in _listing(root):
        part = path.name.capitalize()
        if part in _PARTS and _is_dir(path):
            if part in parts:
                raise DataError(f"{root}: has both {parts[part].name} and {path.name}; put the recordings into one")
            parts[part] = path
    if not parts:
        raise DataError(f"{root}: has no folder Train and no folder Test; expected Train|Test/<label>/<recording>")
    return {part: parts[part] for part in _PARTS if part in parts}


def _class_folders(part: Path) -> list[Path]:
    folders = [path for path in _listing(part) if _is_dir(path)]
    loose = [path for path in _listing(part) if path.suffix.lower() in READERS and not _is_dir(path)]
    if loose:
        raise DataError(f"{loose[0]}: a recording outside a class; put it into {part.name}/<label>/")
    if not folders:
        raise DataError(f"{part}: has no class folders; expected {part.name}/<label>/<recording>")
    return folders


def _recordings(folder: Path) -> list[Path]:
    paths = _listing(folder)
    if not paths:
        raise DataError(f"{folder}: class '{folder.name}' has no recordings; add some or remove the folder")
    for path in paths:
        if path.suffix.lower() not in READERS:
            raise DataError(f"{path}: not a recording; a class folder holds files that end in {' '.join(READERS)}")
        try:
            regular = path.is_file()
        except OSError:  # a loop of links
            regular = False
        if not regular:  # opening a pipe would wait for ever
            raise DataError(f"{path}: is no regular file, or a link that leads nowhere; remove it")
    return paths


def _listing(folder: Path) -> list[Path]:
    """What is in a folder, in order of names, without hidden files."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from error


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a loop of links
        return False


def _in_order(names: set[str]) -> tuple[str, ...]:
    if all(name.isascii() and name.isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))
