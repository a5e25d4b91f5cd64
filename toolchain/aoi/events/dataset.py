"""What a data set is, and how to open one by name or folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from aoi.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from aoi.events.digits import DigitsOptions


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


def open_dataset(
    data: str,
    *,
    download: bool = False,
    digits: DigitsOptions | None = None,
    sensor_size: tuple[int, int, int] | None = None,
) -> EventDataset:
    """Opens a data set.

    Args:
        data: ``digits``, the name of a data set (``NMNIST``, in upper or lower case) or a folder, laid out as
            ``Train|Test/<label>/<recording>`` or as one of the named data sets. A name takes precedence over a folder
            of that name: write ``./digits`` for the folder.
        download: fetch a named data set that is not on this machine.
        digits: options of the built-in data set.
        sensor_size: width, height and polarities of the recordings in ``Train|Test``; see
            :func:`~aoi.events.folder.open_folder` for the default.

    Raises:
        DataError: there is no such data set, or it is incomplete.
    """
    from aoi.events.sets import SETS, detect_set

    name = data.lower()
    if name == "digits":
        from aoi.events.digits import Digits, DigitsOptions

        return Digits(digits or DigitsOptions())
    if name in SETS:
        from aoi.events.sets.fetch import open_named

        return open_named(SETS[name], download=download)
    from aoi.events.folder import open_folder

    root = Path(data).expanduser()
    if not root.is_dir():
        names = ", ".join(["digits", *(known.name for known in SETS.values())])
        raise DataError(
            f"{data}: no such data set or folder; choose {names}, or a folder Train|Test/<label>/<recording>"
        )
    known = detect_set(root)
    return known.open(root, str(root)) if known else open_folder(root, sensor_size=sensor_size)
