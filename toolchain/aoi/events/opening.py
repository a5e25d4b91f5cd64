"""Opens a data set by name or folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aoi.errors import DataError

if TYPE_CHECKING:
    from aoi.events.dataset import EventDataset
    from aoi.events.digits import DigitsOptions


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
