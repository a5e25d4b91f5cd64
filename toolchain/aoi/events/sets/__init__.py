"""Named data sets, one module each."""

from __future__ import annotations

from pathlib import Path

from aoi.events.folder import PARTS, list_folder
from aoi.events.sets import cifar10dvs, dvsgesture, ncaltech101, nmnist, ntidigits18, shd
from aoi.events.sets.description import NamedSet

SETS: dict[str, NamedSet] = {
    each.name.lower(): each
    for each in (nmnist.SET, dvsgesture.SET, cifar10dvs.SET, ncaltech101.SET, shd.SET, ntidigits18.SET)
}


def detect_set(root: Path) -> NamedSet | None:
    """The named data set whose files are in a folder; None for a folder with Train or Test, or an unknown layout."""
    if any(path.name.capitalize() in PARTS for path in list_folder(root)):
        return None
    return next((each for each in SETS.values() if each.matches(root)), None)


def find_set(data: str) -> NamedSet | None:
    """The named data set that ``data``, a name or a folder, refers to; None if there is none."""
    return SETS.get(data.lower()) or (detect_set(Path(data).expanduser()) if Path(data).expanduser().is_dir() else None)
