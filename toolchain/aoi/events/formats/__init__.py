"""Readers of recordings. One module a file format, each a function from a path to events.

Every reader raises :class:`~aoi.errors.DataError` for whatever is wrong with a file, in one line, and never
trusts a length or an offset that the file states. Prophesee's and iniVation's formats are decoded here and not by
``expelliarmus`` and ``aedat``: on damaged files the first can loop for ever and the second ends the process. The
tests hold the readers to those libraries on sound files.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from aoi.errors import DataError
from aoi.events.formats import aedat4, nmnist, numpy_files, prophesee

READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".bin": nmnist.read_bin,
    ".npy": numpy_files.read_npy,
    ".npz": numpy_files.read_npz,
    ".aedat4": aedat4.read_aedat4,
    ".dat": prophesee.read_dat,
    ".raw": prophesee.read_raw,
}


def read_recording(path: Path) -> np.ndarray:
    """Events of one file, dtype :data:`~aoi.events.recording.EVENT`, in the file's order; maybe none."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: cannot read files that end in '{path.suffix}'; give one of {' '.join(READERS)}")
    try:
        return reader(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
