"""Data sets that tonic downloads, by name."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import DataError
from toolchain.events.folder import FolderDataset


@dataclass(frozen=True)
class TonicSet:
    """A class of ``tonic.datasets`` that unpacks into ``<name>/Train|Test/<label>/*``."""

    name: str
    recordings: dict[str, int]
    """Folder → number of recordings in it."""
    sensor_size: tuple[int, int, int]


TONIC_SETS = {
    "nmnist": TonicSet("NMNIST", {"Train": 60_000, "Test": 10_000}, (34, 34, 2)),
}

_SILENCE_S = 60.0


def dataset_folder() -> Path:
    """Where downloaded data sets lie: ``$AOI_DATA_CACHE``, or else ``~/.cache/aoi/datasets``."""
    return Path(os.environ.get("AOI_DATA_CACHE") or Path.home() / ".cache" / "aoi" / "datasets")


def open_tonic(spec: TonicSet, *, download: bool) -> FolderDataset:
    """The data set from :func:`dataset_folder`, downloaded to it before if it is not there and ``download``."""
    root = dataset_folder() / spec.name
    if _missing(spec, root):
        if not download:
            raise DataError(
                f"{spec.name}: {_missing(spec, root)}; fetch the data set with --download, put it there, or give a "
                "folder Train|Test/<label>/<recording>"
            )
        _download(spec)
        if _missing(spec, root):
            raise DataError(f"{spec.name}: downloaded, but {_missing(spec, root)}; remove {root} and try again")
    return FolderDataset(root, name=spec.name, sensor_size=spec.sensor_size)


def _missing(spec: TonicSet, root: Path) -> str:
    """What is not there, in words; empty when all is."""
    for part, expected in spec.recordings.items():
        found = sum(len(files) for _, _, files in os.walk(root / part))
        if found < expected:
            return f"{found} of {expected} recordings are in {root / part}"
    return ""


def _download(spec: TonicSet) -> None:
    import tonic.datasets

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SILENCE_S)  # tonic sets none: a network that swallows packets would hang for ever
    try:
        with contextlib.redirect_stdout(sys.stderr):
            for train in (True, False):
                getattr(tonic.datasets, spec.name)(save_to=str(dataset_folder()), train=train)
    except Exception as error:  # urllib, zipfile, hash checks, disk: each has its own
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(
            f"{spec.name}: the download failed ({reason}); without a network, put the recordings into "
            f"{dataset_folder() / spec.name}/Train|Test/<label>/ or give a folder of your own"
        ) from error
    finally:
        socket.setdefaulttimeout(before)
