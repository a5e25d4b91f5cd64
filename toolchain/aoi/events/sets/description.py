"""What is known about a named data set. The modules beside this one hold one description each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aoi.errors import DataError
from aoi.events.dataset import Official, RecordingRef
from aoi.events.folder import list_folder, read_file
from aoi.events.listed import ListedDataset, Location

Found = tuple[tuple[str, ...], dict[RecordingRef, Location]]
"""Classes, and the location of each recording."""


@dataclass(frozen=True)
class NamedSet:
    """A data set in a folder of its name, as tonic unpacks it. The folder may be filled by hand as well."""

    name: str
    """Name of the folder, and of the class in ``tonic.datasets``."""
    layout: str
    """What the folder holds, in words."""
    markers: tuple[str, ...]
    """Names of files or folders, any of which identifies the data set."""
    sensor_size: tuple[int, int, int]
    """Width, height, polarities."""
    expected: Mapping[Official, int]
    """The least number of recordings of each official part; key None if there are no parts."""
    find: Callable[[Path], Found]
    """Finds its recordings in a folder; raises DataError."""
    read: Callable[[Location], np.ndarray] = read_file
    """Events (n,) of one recording; raises DataError, which names it."""
    mirror: Mapping[str, str] | None = None
    """Classes that a left-right mirror swaps; the others stay. None: mirrored recordings belong to no class."""
    download_calls: tuple[Mapping[str, Any], ...] = field(default=({"train": True}, {"train": False}))
    """Arguments of tonic's class, one call for each download."""
    archive: str = ""
    """An archive within the download that tonic does not unpack."""

    def matches(self, root: Path) -> bool:
        """Whether ``root`` holds at least a part of the data set."""
        names = {path.name for path in list_folder(root)} if root.is_dir() else set()
        return any(sign in names for sign in self.markers)

    def open(self, root: Path, name: str | None = None) -> ListedDataset:
        """The part of the data set that is in ``root``. Raises DataError if there is none."""
        classes, locations = self.find(root.resolve())
        if not locations:
            raise DataError(f"{root}: holds no recordings of {self.name}; expected {self.layout}")
        return ListedDataset(name or self.name, classes, locations, self.read, self.sensor_size)
