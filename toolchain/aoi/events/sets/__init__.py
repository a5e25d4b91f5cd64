"""Data sets by name, one module each."""

from __future__ import annotations

from pathlib import Path

from aoi.events.folder import PARTS, listing
from aoi.events.sets import cifar10dvs, dvsgesture, ncaltech101, nmnist, ntidigits18, shd
from aoi.events.sets.description import NamedSet

SETS: dict[str, NamedSet] = {
    each.name.lower(): each
    for each in (nmnist.SET, dvsgesture.SET, cifar10dvs.SET, ncaltech101.SET, shd.SET, ntidigits18.SET)
}


def set_in(root: Path) -> NamedSet | None:
    """The data set whose own layout a folder has; None where it has a folder Train or Test, or is of no known one."""
    if any(path.name.capitalize() in PARTS for path in listing(root)):
        return None
    return next((each for each in SETS.values() if each.is_in(root)), None)


def set_of(data: str) -> NamedSet | None:
    """The data set that ``data``, a name or a folder, is about, if any that has a name."""
    return SETS.get(data.lower()) or (set_in(Path(data).expanduser()) if Path(data).expanduser().is_dir() else None)
