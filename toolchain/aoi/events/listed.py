"""A data set that is a list: where each recording lies, and the function that reads it there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aoi.errors import DataError
from aoi.events.dataset import RecordingRef


class Place(NamedTuple):
    """A file, or a part of one."""

    file: Path
    part: str = ""
    """What names the recording in a file that holds many."""

    def __str__(self) -> str:
        return f"{self.file}, {self.part}" if self.part else str(self.file)


Places = Mapping[RecordingRef, Place]


class ListedDataset:
    """Recordings in ``places``, in that order, each of one camera of ``sensor_size``."""

    def __init__(
        self,
        name: str,
        classes: tuple[str, ...],
        places: Places,
        read: Callable[[Place], np.ndarray],
        sensor_size: tuple[int, int, int] | None = None,
    ) -> None:
        """``read``: events (n,) of one place; raises DataError naming it. Without ``sensor_size`` the sensor is as
        large as the largest coordinates of all readable recordings, for which each is read once."""
        self.name, self.classes = name, classes
        self.recordings = tuple(places)
        self._places, self._read, self._sensor_size = places, read, sensor_size

    @cached_property
    def sensor_size(self) -> tuple[int, int, int]:
        """Width, height, polarities."""
        return self._sensor_size or self._smallest_sensor()

    def read(self, ref: RecordingRef) -> np.ndarray:
        """Events (n,), n > 0; DataError names the place where it is damaged, empty or beyond the sensor."""
        place = self._places[ref]
        events = self._read_some(place)
        width, height, _ = self.sensor_size
        for axis, size in (("x", width), ("y", height)):
            low, high = int(events[axis].min()), int(events[axis].max())
            if low < 0 or high >= size:
                raise DataError(
                    f"{place}: an event at {axis} = {low if low < 0 else high}, the sensor of {width}x{height} pixels "
                    f"ends at {size - 1}; the file is damaged or from another camera"
                )
        return events

    def stamp(self, ref: RecordingRef) -> str:
        """Path, size and time of change of the file, and the part of it."""
        place = self._places[ref]
        try:
            state = place.file.stat()
        except OSError as error:
            raise DataError(f"{place}: cannot be read ({error.strerror})") from error
        return f"{place.file}:{state.st_size}:{state.st_mtime_ns}" + (f":{place.part}" if place.part else "")

    def _read_some(self, place: Place) -> np.ndarray:
        events = self._read(place)
        if len(events) == 0:
            raise DataError(f"{place}: holds no events; take it out of the data set")
        return events

    def _smallest_sensor(self) -> tuple[int, int, int]:
        width = height = 0
        damage = None
        for place in self._places.values():
            try:
                events = self._read_some(place)
            except DataError as error:  # named when it is loaded
                damage = damage or error
                continue
            width, height = max(width, int(events["x"].max()) + 1), max(height, int(events["y"].max()) + 1)
        if damage and not width:
            raise damage
        return width, height, 2
