"""Readers of recordings: one module per family of file formats, each a function from a path to events.

Every reader raises :class:`~aoi.errors.DataError`, in one line, for a damaged file and never trusts a length or offset
stated in the file. Prophesee's and iniVation's formats are not decoded by ``expelliarmus`` and ``aedat``: on damaged
files the first can loop forever and the second ends the process. Tests compare the readers with these libraries on
intact files.
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
    """Events (n,) of one file, dtype :data:`~aoi.events.recording.EVENT`, in the order of the file; n may be 0.

    Raises DataError.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: cannot read files that end in '{path.suffix}'; supported are {' '.join(READERS)}")
    try:
        return reader(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
