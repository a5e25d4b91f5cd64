"""What is known about a data set that has a name: one description each, in the modules beside this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aoi.errors import DataError
from aoi.events.dataset import Official, RecordingRef
from aoi.events.folder import listing, read_file
from aoi.events.listed import ListedDataset, Place

Found = tuple[tuple[str, ...], dict[RecordingRef, Place]]
"""Classes, and where each recording lies."""


@dataclass(frozen=True)
class NamedSet:
    """A data set as tonic unpacks it into a folder of its name, which may as well be filled by hand."""

    name: str
    """Of the folder, and of the class in ``tonic.datasets``."""
    layout: str
    """What the folder holds, in words."""
    signs: tuple[str, ...]
    """Names in the folder, any of which shows that it holds this data set."""
    sensor_size: tuple[int, int, int]
    """Width, height, polarities."""
    expected: Mapping[Official, int]
    """How many recordings each part has at least; ``None``: its makers divided it into no parts."""
    find: Callable[[Path], Found]
    """What is there of it in a folder; raises DataError."""
    read: Callable[[Place], np.ndarray] = read_file
    """Events (n,) of one recording; raises DataError naming it."""
    mirror: Mapping[str, str] | None = None
    """What becomes of classes under a left-right mirror; those left out stay. None: a mirror image is of no class."""
    calls: tuple[Mapping[str, Any], ...] = field(default=({"train": True}, {"train": False}))
    """Arguments of tonic's class, one call a download."""
    archive: str = ""
    """An archive in the archive, which tonic leaves packed."""

    def is_in(self, root: Path) -> bool:
        """Whether ``root`` holds some of it."""
        names = {path.name for path in listing(root)} if root.is_dir() else set()
        return any(sign in names for sign in self.signs)

    def open(self, root: Path, name: str | None = None) -> ListedDataset:
        """What is there of it in ``root``, however little."""
        classes, places = self.find(root.resolve())
        if not places:
            raise DataError(f"{root}: holds no recordings of {self.name}; expected {self.layout}")
        return ListedDataset(name or self.name, classes, places, self.read, self.sensor_size)
