"""Arrays of one-row recordings (a cochlea's) in HDF5 files, believing nothing that the file says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aoi.errors import DataError
from aoi.events.formats.numpy_files import from_columns
from aoi.events.listed import Place
from aoi.events.recording import TIME_LIMIT

if TYPE_CHECKING:
    import h5py

_MOST = 1 << 26  # values of one array


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file, for reading; whatever HDF5 raises in the block becomes a DataError."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except DataError:
        raise
    except Exception as error:  # h5py has OSError, RuntimeError, KeyError, ValueError and more for damage
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise DataError(f"{path}: damaged HDF5 file ({reason}); fetch it anew") from error


def array(file: h5py.File, name: str) -> Any:
    """The array ``name`` (``group/array``), not yet read. It lies in this file and has one dimension of sane length."""
    import h5py

    node: Any = file
    for key in name.split("/"):
        if not isinstance(node, h5py.Group) or key not in node:
            raise DataError(f"{file.filename}: has no {name}; it is damaged or another file")
        if node.id.links.get_info(key.encode()).type != h5py.h5l.TYPE_HARD:
            raise DataError(f"{file.filename}: {name} is a link; the values have to lie in their place")
        node = node[key]
    if not isinstance(node, h5py.Dataset) or node.is_virtual or node.external:
        raise DataError(f"{file.filename}: {name} is no array in this file")
    if node.ndim != 1 or node.size > _MOST:
        raise DataError(f"{file.filename}: {name} has shape {node.shape}; expected one dimension, at most {_MOST} long")
    return node


def channel_events(place: Place, times_s: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """Times in s (n,) and channels (n,) → events (n,) in row 0 and of polarity 0, the only one of such a sensor.

    Times are cut to whole µs, as tonic does; tonic gives all events the polarity 1.
    """
    given, channels = np.asarray(times_s), np.asarray(channels)
    if given.dtype.kind != "f" or channels.dtype.kind not in "iu" or given.ndim != 1:
        raise DataError(f"{place}: times of {given.dtype}, channels of {channels.dtype}; the file is damaged")
    times = given.astype(np.float64) * 1e6
    if not (np.abs(times) < TIME_LIMIT).all():
        raise DataError(f"{place}: a time that is no number of seconds; the file is damaged")
    zeros = np.zeros(len(times), np.int64)
    return from_columns(place, {"x": channels, "y": zeros, "t": times.astype(np.int64), "p": zeros})
