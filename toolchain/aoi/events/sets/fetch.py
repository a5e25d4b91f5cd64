"""Finds named data sets on this machine; downloads them with tonic on request."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
from collections import Counter
from pathlib import Path

from aoi.compat import require
from aoi.errors import DataError
from aoi.events.listed import ListedDataset
from aoi.events.sets.description import NamedSet

_TIMEOUT_S = 60.0


def dataset_folder() -> Path:
    """The folder of named data sets: ``$AOI_DATA_CACHE``, or ``~/.cache/aoi/datasets``."""
    return Path(os.environ.get("AOI_DATA_CACHE") or Path.home() / ".cache" / "aoi" / "datasets")


def open_named(spec: NamedSet, *, download: bool) -> ListedDataset:
    """The complete data set in :func:`dataset_folder`. ``download``: fetch it if it is missing. Raises DataError."""
    root = dataset_folder() / spec.name
    missing, dataset = _inspect(spec, root)
    if missing and not download:
        raise DataError(
            f"{spec.name}: {missing}; put {spec.layout} there, fetch it with the option download, or name a folder "
            "Train|Test/<label>/<recording>"
        )
    if missing:
        _download(spec)
        missing, dataset = _inspect(spec, root)
    if dataset is None or missing:
        raise DataError(f"{spec.name}: downloaded, but {missing}; put {spec.layout} there, or remove {root}")
    return dataset


def _inspect(spec: NamedSet, root: Path) -> tuple[str, ListedDataset | None]:
    """What is missing, in words, empty if nothing is; and what was found."""
    dataset = spec.open(root) if spec.matches(root) else None
    found = Counter(ref.official for ref in dataset.recordings) if dataset else Counter()
    for part, expected in spec.expected.items():
        if found[part] < expected:
            return f"{found[part]} of {expected} {f'{part} ' if part else ''}recordings are in {root}", dataset
    return "", dataset


def _download(spec: NamedSet) -> None:
    datasets = require("tonic.datasets", "train")
    root = dataset_folder() / spec.name
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_S)  # tonic sets none: a connection that drops packets would hang forever
    try:
        with contextlib.redirect_stdout(sys.stderr):
            for arguments in spec.download_calls:
                getattr(datasets, spec.name)(save_to=str(dataset_folder()), **arguments)
            for inner in root.rglob(spec.archive) if spec.archive else ():
                shutil.unpack_archive(inner, root)
    except Exception as error:  # urllib, zipfile, hash checks and disks have their own errors
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(
            f"{spec.name}: the download failed ({reason}); without a network, put {spec.layout} into {root}, or "
            "name a folder of your own"
        ) from error
    finally:
        socket.setdefaulttimeout(before)
