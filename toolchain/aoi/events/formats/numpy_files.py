"""``.npy`` and ``.npz``: structured arrays with the fields x, y, t, p, as in tonic. Nothing is unpickled."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from aoi.errors import DataError
from aoi.events.recording import TIME_LIMIT, make_events

_FIELDS = ("x", "y", "t", "p")
_MEMBER_LIMIT = 2**31


def read_npy(path: Path) -> np.ndarray:
    """Events (n,) from one structured array (n,): integers x, y, t (µs) and p (bool, 0/1 or -1/1). Raises DataError."""
    return _from_structured(path, load_array(path))


def read_npz(path: Path) -> np.ndarray:
    """Events (n,) from one structured array as in ``.npy`` (``events`` if there are several) or arrays x, y, t, p.

    Raises DataError.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            largest = max((member.file_size for member in archive.infolist()), default=0)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DataError(f"{path}: damaged .npz file ({_one_line(error)})") from error
    if largest > _MEMBER_LIMIT:
        raise DataError(f"{path}: holds an array of {largest} bytes; the limit is {_MEMBER_LIMIT}: split the recording")
    arrays = load_array(path)
    if set(_FIELDS) <= set(arrays):
        return from_columns(path, {name: arrays[name] for name in _FIELDS})
    if "events" in arrays:
        return _from_structured(path, arrays["events"])
    if len(arrays) == 1:
        return _from_structured(path, next(iter(arrays.values())))
    raise DataError(f"{path}: holds {sorted(arrays)}; expected one structured array 'events', or arrays x, y, t, p")


def load_array(path: Path) -> Any:
    """The array of a ``.npy`` file, or a dict of the arrays of a ``.npz`` file. Raises DataError if it is damaged."""
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if path.suffix.lower() == ".npz":
                with np.load(file, allow_pickle=False) as archive:
                    return {name: archive[name] for name in archive.files}
            _check_length(path, file)
            return np.lib.format.read_array(file, allow_pickle=False)
    except (DataError, OSError):
        raise
    except Exception as error:  # numpy passes on whatever its header parser, zipfile and zlib raise
        raise DataError(f"{path}: damaged {path.suffix} file ({_one_line(error)})") from error


def _check_length(path: Path, file: BinaryIO) -> None:
    """Refuses a header that states another length than the file has, before numpy allocates memory for it."""
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"version {version} of the format")
    shape, _, dtype = read_header(file)
    stated = dtype.itemsize
    for extent in shape:
        stated *= extent
    there = path.stat().st_size - file.tell()
    if stated != there:
        raise DataError(f"{path}: {there} bytes of events, but the header states {stated}; the file is truncated")
    file.seek(0)


def _from_structured(path: Path, array: np.ndarray) -> np.ndarray:
    names = array.dtype.names or ()
    missing = [name for name in _FIELDS if name not in names]
    if missing:
        raise DataError(f"{path}: no field {missing[0]!r} in dtype {array.dtype}; expected fields x, y, t, p")
    return from_columns(path, {name: array[name] for name in _FIELDS})


def from_columns(path: object, columns: dict[str, np.ndarray]) -> np.ndarray:
    """Integer arrays x, y, t (µs), p of shape (n,) → events (n,). Raises DataError, which names ``path``."""
    shapes = {column.shape for column in columns.values()}
    if len(shapes) > 1 or len(next(iter(shapes))) != 1:
        raise DataError(f"{path}: x, y, t, p have shapes {sorted(shapes)}; expected one dimension of the same length")
    for name, column in columns.items():
        if column.dtype.kind not in ("biu" if name == "p" else "iu"):
            raise DataError(f"{path}: field {name!r} is {column.dtype}; expected integers (t in µs)")
        low, high = (int(column.min()), int(column.max())) if column.size else (0, 0)
        bottom, top = {"x": (0, 32767), "y": (0, 32767), "t": (-TIME_LIMIT, TIME_LIMIT), "p": (-1, 1)}[name]
        if low < bottom or high > top:
            raise DataError(f"{path}: field {name!r} spans {low} to {high}; allowed is {bottom} to {top}")
    return make_events(columns["x"], columns["y"], columns["t"], columns["p"] > 0)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
