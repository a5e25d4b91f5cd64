"""What a data set is, and how one is opened by name or by folder."""

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
    """``Train/3/00017``: part, class, name without its ending."""
    label: int
    """Index into the data set's classes."""
    official: Official
    """The part that the data set's makers put it in; None where they made none."""


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
        """Events (n,), n > 0, of dtype :data:`~aoi.events.recording.EVENT`, all of them on the sensor."""

    def stamp(self, ref: RecordingRef) -> str:
        """Changes whenever ``read(ref)`` may give something else; what caches are told apart by."""


def open_dataset(
    data: str,
    *,
    download: bool = False,
    digits: DigitsOptions | None = None,
    sensor_size: tuple[int, int, int] | None = None,
) -> EventDataset:
    """``data`` is ``digits``, the name of a data set (``NMNIST``; case does not matter) or a folder.

    A folder is laid out as ``Train|Test/<label>/<recording>``, or as one of the named data sets. A name goes before a
    folder of the same name: write ``./digits`` for the folder. ``digits`` are the options of the built-in data set.
    ``sensor_size`` is that of the recordings in ``Train|Test``, see :func:`~aoi.events.folder.open_folder`.
    Raises :class:`~aoi.errors.DataError`.
    """
    from aoi.events.sets import SETS, set_in

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
        raise DataError(f"{data}: no such data set or folder; give {names}, or a folder Train|Test/<label>/<recording>")
    known = set_in(root)
    return known.open(root, str(root)) if known else open_folder(root, sensor_size=sensor_size)
