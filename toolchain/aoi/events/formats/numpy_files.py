"""``.npy`` and ``.npz``: structured arrays with the fields x, y, t, p, as in tonic. Nothing is unpickled."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from aoi.errors import DataError
from aoi.events.recording import TIME_LIMIT, check_count, make_events

_FIELDS = ("x", "y", "t", "p")
_MOST_MEMBERS = 1024


def read_npy(path: Path) -> np.ndarray:
    """Events (n,) from one structured array (n,): integers x, y, t (µs) and p (bool, 0/1 or -1/1). Raises DataError."""
    return _from_structured(path, load_array(path))


def read_npz(path: Path) -> np.ndarray:
    """Events (n,) from one structured array as in ``.npy`` (``events`` if there are several) or arrays x, y, t, p.

    Raises DataError.
    """
    names = _members(path)
    if set(_FIELDS) <= set(names):
        arrays = load_arrays(path, _FIELDS)
        return from_columns(path, arrays)
    name = "events" if "events" in names else names[0] if len(names) == 1 else None
    if name is None:
        shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
        raise DataError(f"{path}: holds {shown}; expected one structured array 'events', or arrays x, y, t, p")
    return _from_structured(path, load_arrays(path, (name,))[name])


def _members(path: Path) -> list[str]:
    """Names of the arrays. Raises DataError."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError) as error:
        raise DataError(f"{path}: damaged .npz file ({_one_line(error)})") from error
    if len(members) > _MOST_MEMBERS:
        raise DataError(f"{path}: holds {len(members)} arrays; a recording has at most {_MOST_MEMBERS}")
    return [member.filename.removesuffix(".npy") for member in members]


def load_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """These arrays of a ``.npz`` file, and no others. Raises DataError if they are damaged or too large.

    The length that an array's header states is checked before memory is allocated for it.
    """
    found: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(path) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in names:
                member = archive.getinfo(f"{name}.npy")
                with archive.open(member) as file:
                    _check_length(path, file, member.file_size)
                with archive.open(member) as file:
                    found[name] = np.lib.format.read_array(file, allow_pickle=False)
    except (DataError, OSError):
        raise
    except Exception as error:  # numpy passes on whatever its header parser, zipfile and zlib raise
        raise DataError(f"{path}: damaged .npz file ({_one_line(error)})") from error
    return found


def load_array(path: Path) -> Any:
    """The array of a ``.npy`` file, or a dict of the arrays of a ``.npz`` file. Raises DataError if it is damaged."""
    if path.suffix.lower() == ".npz":
        return load_arrays(path, _members(path))
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _check_length(path, file, path.stat().st_size)
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)
    except (DataError, OSError):
        raise
    except Exception as error:  # numpy passes on whatever its header parser raises
        raise DataError(f"{path}: damaged .npy file ({_one_line(error)})") from error


def _check_length(path: Path, file: IO[bytes], size: int) -> None:
    """Refuses a header that states another length than the file of ``size`` bytes has, and too many values, before
    numpy allocates memory for them."""
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"version {version} of the format")
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise DataError(f"{path}: holds Python objects, which are never unpickled; store integers x, y, t, p")
    check_count(path, prod(shape))
    stated, there = dtype.itemsize * prod(shape), size - file.tell()
    if stated != there:
        raise DataError(f"{path}: {there} bytes of events, but the header states {stated}; the file is truncated")


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
