"""Named data sets where they lie on this machine; fetched by tonic when asked to."""

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

_SILENCE_S = 60.0


def dataset_folder() -> Path:
    """Where named data sets lie: ``$AOI_DATA_CACHE``, or else ``~/.cache/aoi/datasets``."""
    return Path(os.environ.get("AOI_DATA_CACHE") or Path.home() / ".cache" / "aoi" / "datasets")


def open_named(spec: NamedSet, *, download: bool) -> ListedDataset:
    """The data set from :func:`dataset_folder`, whole; downloaded before if it is not there and ``download``."""
    root = dataset_folder() / spec.name
    missing, dataset = _look(spec, root)
    if missing and not download:
        raise DataError(
            f"{spec.name}: {missing}; put {spec.layout} there, fetch the data set with --download, "
            "or give a folder Train|Test/<label>/<recording>"
        )
    if missing:
        _download(spec)
        missing, dataset = _look(spec, root)
    if dataset is None or missing:
        raise DataError(f"{spec.name}: downloaded, but {missing}; put {spec.layout} there, or remove {root}")
    return dataset


def _look(spec: NamedSet, root: Path) -> tuple[str, ListedDataset | None]:
    """What is not there, in words, empty when all is; and what is."""
    dataset = spec.open(root) if spec.is_in(root) else None
    found = Counter(ref.official for ref in dataset.recordings) if dataset else Counter()
    for part, expected in spec.expected.items():
        if found[part] < expected:
            return f"{found[part]} of {expected} {f'{part} ' if part else ''}recordings are in {root}", dataset
    return "", dataset


def _download(spec: NamedSet) -> None:
    datasets = require("tonic.datasets", "train")
    root = dataset_folder() / spec.name
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SILENCE_S)  # tonic sets none: a network that swallows packets would hang for ever
    try:
        with contextlib.redirect_stdout(sys.stderr):
            for arguments in spec.calls:
                getattr(datasets, spec.name)(save_to=str(dataset_folder()), **arguments)
            for inner in root.rglob(spec.archive) if spec.archive else ():
                shutil.unpack_archive(inner, root)
    except Exception as error:  # urllib, zipfile, hash checks, disk: each has its own
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(
            f"{spec.name}: the download failed ({reason}); without a network, put {spec.layout} into {root}, or give "
            "a folder of your own"
        ) from error
    finally:
        socket.setdefaulttimeout(before)
