"""What a data set is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np


Official = Literal["train", "test"] | None


@dataclass(frozen=True)
class RecordingRef:
    """One recording of a data set."""

    id: str
    """``Train/3/00017``: part, class, file name without suffix."""
    label: int
    """Index into the data set's classes."""
    official: Official
    """The part that the authors of the data set put it in; None if they defined no parts."""


class EventDataset(Protocol):
    """Labelled recordings of one camera."""

    @property
    def name(self) -> str: ...

    @property
    def sensor_size(self) -> tuple[int, int, int]:
        """Width, height, polarities."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def recordings(self) -> Sequence[RecordingRef]: ...

    def read(self, ref: RecordingRef) -> np.ndarray:
        """Events (n,), n > 0, of dtype :data:`~aoi.events.recording.EVENT`, all within the sensor. Raises DataError."""

    def stamp(self, ref: RecordingRef) -> str:
        """Text that changes whenever ``read(ref)`` may return something else. It is part of the cache key."""
