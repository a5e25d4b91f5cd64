"""Reads fields of an untrusted HDF5 group: every size is checked before any data is read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from math import ceil, prod
from pathlib import Path
from struct import unpack, unpack_from
from typing import Any

import h5py
import numpy as np

from aoi.errors import NetXError

MAX_VALUES = 1 << 26  # numbers read from one file: 64 Mi weights, several times the capacity of a chip
_MAX_TEXT = 1 << 24  # bytes per text
_MAX_CHUNKS = 1 << 16


@dataclass
class Budget:
    """Count of the numbers that can still be read from a file."""

    left: int = MAX_VALUES


@dataclass(frozen=True)
class Fields:
    """An HDF5 group whose fields are checked for type, shape and range. Every error is a NetXError."""

    group: Any  # h5py.Group
    place: str  # such as "net.net: layer 3 (dense)"; the beginning of every message
    budget: Budget = field(default_factory=Budget)

    def at(self, place: str) -> Fields:
        return Fields(self.group, place, self.budget)

    def fail(self, text: str) -> NetXError:
        return NetXError(f"{self.place}: {text}")

    def __contains__(self, key: str) -> bool:
        return bool(self.group.id.links.exists(key.encode()))

    def holds_group(self, key: str) -> bool:
        return key in self and isinstance(self._item(key), h5py.Group)

    def child(self, key: str, place: str | None = None) -> Fields:
        """The group ``key``."""
        item = self._item(key)
        if not isinstance(item, h5py.Group):
            raise self.fail(f"{key} is not a group")
        return Fields(item, place or self.place, self.budget)

    def text(self, key: str) -> str:
        """A single text, ASCII or UTF-8."""
        data = self.dataset(key)
        kind = h5py.check_string_dtype(data.dtype)
        if kind is None or data.size != 1:
            raise self.fail(f"{key} must be one text, it has type {data.dtype} and shape {data.shape}")
        if kind.length is not None and kind.length > _MAX_TEXT:
            raise self.fail(f"{key} claims {kind.length} bytes; at most {_MAX_TEXT} are read")
        value = _heap_bytes(data) if kind.length is None else bytes(np.asarray(data[()]).reshape(())[()])
        if value is None:
            raise self.fail(f"{key} is damaged, or stored in an unsupported way; store a text of fixed length")
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise self.fail(f"{key} is not UTF-8 text") from None

    def integer(self, key: str, low: int, high: int) -> int:
        """One whole number within ``low..high``."""
        values = self.integers(key, low, high)
        if values.size != 1:
            raise self.fail(f"{key} must be one number, it has shape {values.shape}")
        return int(values.reshape(()))

    def integers(self, key: str, low: int, high: int) -> np.ndarray:
        """Whole numbers within ``low..high``, stored in any real type, as int32 of the stored shape."""
        data = self.dataset(key)
        if data.dtype.kind not in "iufb":
            raise self.fail(f"{key} must hold numbers, it has type {data.dtype}")
        if not data.size:
            raise self.fail(f"{key} is empty (shape {data.shape})")
        values = np.asarray(data[()])
        if values.dtype == np.float16:
            values = values.astype(np.float64)  # limits above 65,504 are infinite in 16 bits
        wrong = ~((values >= low) & (values <= high))  # true for NaN
        if wrong.any():
            raise self.fail(f"{key}: {_first(values, wrong)} is out of {low}..{high}")
        if values.dtype.kind == "f":
            wrong = values != np.rint(values)
            if wrong.any():
                raise self.fail(f"{key}: {_first(values, wrong)} is not a whole number; quantise before the export")
        return values.astype(np.int32)

    def spend(self, values: int, what: str) -> None:
        """Subtracts numbers that are not stored but made from what is, such as a kernel repeated for each channel."""
        if values > self.budget.left:
            raise self.fail(f"{what} makes {values} values; a file may hold {MAX_VALUES}")
        self.budget.left -= values

    def unknown(self, known: Collection[str]) -> list[str]:
        """Names of members that are not among ``known``."""
        return [name for name in self.group if name not in known]

    def fingerprints(self, key: str) -> np.ndarray:
        """A one-dimensional array of uint64."""
        data = self.dataset(key)
        if data.dtype != np.uint64 or data.ndim != 1:
            raise self.fail(f"{key} must be a list of uint64, it has type {data.dtype} and shape {data.shape}")
        return np.asarray(data[()])

    def dataset(self, key: str) -> Any:
        """The dataset ``key``, after its declared size was checked and subtracted from the budget."""
        data = self._item(key)
        if not isinstance(data, h5py.Dataset):
            raise self.fail(f"{key} is not a dataset")
        if data.shape is None:
            raise self.fail(f"{key} holds nothing")
        if data.is_virtual or data.external:
            raise self.fail(f"{key} stores its values in another file; store them in this one")
        if data.size > self.budget.left:
            raise self.fail(f"{key} claims {data.size} values (shape {data.shape}); a file may hold {MAX_VALUES}")
        if data.chunks and (
            prod(data.chunks) > MAX_VALUES
            or prod(ceil(n / c) for n, c in zip(data.shape, data.chunks, strict=True)) > _MAX_CHUNKS
        ):
            raise self.fail(f"{key} is stored in chunks of {data.chunks}; store it contiguously")
        self.budget.left -= data.size
        return data

    def _item(self, key: str) -> Any:
        """The object ``key``. Checks the kind of link first, because accessing an external link opens its file."""
        if key not in self:
            raise self.fail(f"{key} is missing")
        if self.group.id.links.get_info(key.encode()).type != h5py.h5l.TYPE_HARD:
            raise self.fail(f"{key} is a link; store the values here")
        return self.group[key]


def _heap_bytes(data: Any) -> bytes | None:
    """The single text of variable length in ``data``, read directly from the file; None if it is not found.

    HDF5 2.0 is not used here because it loops forever over a damaged global heap. Format: HDF5 File Format
    Specification 3.0, section III.E. The dataset holds length (4 bytes), address of the heap (8) and index in it (4).
    """
    offset = data.id.get_offset()
    if offset is None or data.id.get_storage_size() != 16:
        return None
    with Path(data.file.filename).open("rb") as file:
        file.seek(offset)
        length, heap, index = unpack("<IQI", file.read(16))
        file.seek(heap + data.file.userblock_size)
        signature, size = unpack("<4s4xQ", file.read(16))
        if signature != b"GCOL" or not 16 <= size <= _MAX_TEXT:
            return None
        objects = file.read(size - 16)
    at = 0
    while at + 16 <= len(objects):
        number, stored = unpack_from("<H6xQ", objects, at)
        if number == index:
            return objects[at + 16 : at + 16 + length] if length <= stored <= len(objects) - at - 16 else None
        at += 16 + (stored + 7) // 8 * 8
    return None


def _first(values: np.ndarray, wrong: np.ndarray) -> str:
    """The first wrong value, with its index."""
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{values[index]}" + (f" at {list(index)}" if index else "")
