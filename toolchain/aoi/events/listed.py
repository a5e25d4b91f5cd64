"""A data set given as a list: where each recording is, and a function that reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aoi.errors import DataError
from aoi.events.dataset import RecordingRef


class Location(NamedTuple):
    """A file, or a part of one."""

    file: Path
    part: str = ""
    """Name of the recording within a file that holds several."""

    def __str__(self) -> str:
        return f"{self.file}, {self.part}" if self.part else str(self.file)


Locations = Mapping[RecordingRef, Location]


class ListedDataset:
    """The recordings in ``locations``, in that order, all from one kind of sensor."""

    def __init__(
        self,
        name: str,
        classes: tuple[str, ...],
        locations: Locations,
        read: Callable[[Location], np.ndarray],
        sensor_size: tuple[int, int, int] | None = None,
    ) -> None:
        """``read``: events (n,) of one location; raises DataError, which names it. ``sensor_size``: width, height,
        polarities; default: the smallest sensor that holds all readable recordings, for which each is read once."""
        self.name, self.classes = name, classes
        self.recordings = tuple(locations)
        self._locations, self._read, self._sensor_size = locations, read, sensor_size

    @cached_property
    def sensor_size(self) -> tuple[int, int, int]:
        """Width, height, polarities."""
        return self._sensor_size or self._smallest_sensor()

    def read(self, ref: RecordingRef) -> np.ndarray:
        """Events (n,), n > 0. Raises DataError if the recording is damaged, empty or reaches beyond the sensor."""
        location = self._locations[ref]
        events = self._read_nonempty(location)
        width, height, _ = self.sensor_size
        for axis, size in (("x", width), ("y", height)):
            low, high = int(events[axis].min()), int(events[axis].max())
            if low < 0 or high >= size:
                raise DataError(
                    f"{location}: an event at {axis} = {low if low < 0 else high}; the sensor of {width}x{height} "
                    f"pixels ends at {size - 1}: the file is damaged or from another camera"
                )
        return events

    def stamp(self, ref: RecordingRef) -> str:
        """Path, size and times of the file, and the part. Raises DataError.

        The time of the last change, which no program can set, tells a file that was replaced by one with the same size
        and modification time.
        """
        location = self._locations[ref]
        try:
            state = location.file.stat()
        except OSError as error:
            raise DataError(f"{location}: cannot be read ({error.strerror})") from error
        times = f"{state.st_mtime_ns}:{state.st_ctime_ns}:{state.st_ino}"
        return f"{location.file}:{state.st_size}:{times}" + (f":{location.part}" if location.part else "")

    def _read_nonempty(self, location: Location) -> np.ndarray:
        events = self._read(location)
        if len(events) == 0:
            raise DataError(f"{location}: holds no events; remove it from the data set")
        return events

    def _smallest_sensor(self) -> tuple[int, int, int]:
        width = height = 0
        damage = None
        for location in self._locations.values():
            try:
                events = self._read_nonempty(location)
            except DataError as error:  # reported when the recording is loaded
                damage = damage or error
                continue
            width, height = max(width, int(events["x"].max()) + 1), max(height, int(events["y"].max()) + 1)
        if damage and not width:
            raise damage
        return width, height, 2
