"""Recordings of one row of channels (a cochlea's) in HDF5 files. Nothing that the file states is trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aoi.child import completes_in_child
from aoi.errors import DataError
from aoi.events.formats.numpy_files import from_columns
from aoi.events.listed import Location
from aoi.events.recording import TIME_LIMIT

if TYPE_CHECKING:
    import h5py

_MAX_VALUES = 1 << 26  # of one array


_CHECKED: set[tuple[str, int, int]] = set()  # files that a child process has read to their end: path, size, time


def check_in_child(path: Path, read_all: Callable[[], object]) -> None:
    """Lets a child process read a file first, once: HDF5 hangs or crashes over some damaged files, and nothing can
    interrupt it. Raises DataError."""
    state = path.stat()
    key = (str(path), state.st_size, state.st_mtime_ns)
    if key in _CHECKED:
        return
    if not completes_in_child(read_all):
        raise DataError(f"{path}: damaged HDF5 file (HDF5 crashes or hangs while reading it); fetch it again")
    _CHECKED.add(key)


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """The file, open for reading. Whatever HDF5 raises in the block becomes a DataError."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except DataError:
        raise
    except Exception as error:  # h5py raises OSError, RuntimeError, KeyError, ValueError and more for damaged files
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise DataError(f"{path}: damaged HDF5 file ({reason}); fetch it again") from error


def hdf5_array(file: h5py.File, name: str) -> Any:
    """The array ``name`` (``group/array``), not yet read: one dimension of limited length, stored in this file.

    Raises DataError.
    """
    import h5py

    node: Any = file
    for key in name.split("/"):
        if not isinstance(node, h5py.Group) or key not in node:
            raise DataError(f"{file.filename}: has no {name}; the file is damaged or of another kind")
        if node.id.links.get_info(key.encode()).type != h5py.h5l.TYPE_HARD:
            raise DataError(f"{file.filename}: {name} is a link; store the values in its place")
        node = node[key]
    if not isinstance(node, h5py.Dataset) or node.is_virtual or node.external:
        raise DataError(f"{file.filename}: {name} is not an array of this file")
    if node.ndim != 1 or node.size > _MAX_VALUES:
        raise DataError(
            f"{file.filename}: {name} has shape {node.shape}; expected one dimension, at most {_MAX_VALUES} long"
        )
    return node


def channel_events(location: Location, times_s: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """Times in s (n,) and channels (n,) → events (n,) in row 0 with polarity 0, the only one of such a sensor.

    Times are truncated to whole µs, as in tonic, which however gives all events polarity 1. Raises DataError.
    """
    given, channels = np.asarray(times_s), np.asarray(channels)
    if given.dtype.kind != "f" or channels.dtype.kind not in "iu" or given.ndim != 1:
        raise DataError(f"{location}: times are {given.dtype}, channels {channels.dtype}; the file is damaged")
    times = given.astype(np.float64) * 1e6
    if not (np.abs(times) < TIME_LIMIT).all():
        raise DataError(f"{location}: a time is not a finite number of seconds; the file is damaged")
    zeros = np.zeros(len(times), np.int64)
    return from_columns(location, {"x": channels, "y": zeros, "t": times.astype(np.int64), "p": zeros})
