"""Encoded recordings: bits in memory or on disk, spikes a batch at a time."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aoi.errors import DataError, WriteError
from aoi.events.corrupt import Corruption
from aoi.events.dataset import EventDataset, RecordingRef
from aoi.events.encode import encode
from aoi.events.encoding import Encoding
from aoi.events.recording import fingerprint
from aoi.files import alone, atomic_file, write_atomically

_VERSION = 2
"""Part of every key: raise it when the same recordings give other files."""
_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class SpikeData:
    """Spikes of N recordings, eight to a byte."""

    ids: tuple[str, ...]
    labels: np.ndarray
    """int64 (N,), indices into ``classes``."""
    classes: tuple[str, ...]
    fingerprints: np.ndarray
    """uint64 (N,), equal for recordings of equal events."""
    shape: tuple[int, int, int, int]
    """(C, H, W, T) of one recording."""
    packed: np.ndarray
    """uint8 (stored, ceil(C·H·W·T / 8)), often a memory map; bits of the flattened spikes, first bit highest."""
    rows: np.ndarray
    """int64 (N,), the row of each recording in ``packed``, which is its place among those that were asked for."""
    skipped: tuple[str, ...] = ()
    """What was wrong with each damaged recording that was left out."""

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Spikes 0/1 of some recordings, uint8 (n, C, H, W, T)."""
        rows = self.rows[np.asarray(indices, dtype=np.int64)]
        return np.unpackbits(self.packed[rows], axis=1, count=prod(self.shape)).reshape(-1, *self.shape)

    def subset(self, indices: Sequence[int] | np.ndarray) -> SpikeData:
        """Some of the recordings, on the same stored bits."""
        chosen = np.asarray(indices, dtype=np.int64)
        return replace(
            self,
            ids=tuple(self.ids[i] for i in chosen),
            labels=self.labels[chosen],
            fingerprints=self.fingerprints[chosen],
            rows=self.rows[chosen],
        )

    def with_classes(self, classes: Sequence[str]) -> SpikeData:
        """The same recordings with labels that count in ``classes``, as a network knows them."""
        place = {name: index for index, name in enumerate(classes)}
        unknown = [name for name in self.classes if name not in place]
        if unknown:
            raise DataError(f"class {unknown[0]!r} of the recordings is none of {', '.join(classes)}")
        table = np.array([place[name] for name in self.classes], dtype=np.int64)
        return replace(self, labels=table[self.labels], classes=tuple(classes))


def pack(spikes: np.ndarray) -> np.ndarray:
    """Spikes (C, H, W, T), zero or not → bits, uint8 (ceil(C·H·W·T / 8),)."""
    return np.packbits(spikes.reshape(-1))


def cache_folder() -> Path:
    """``$AOI_CACHE_DIR``, or else ``~/.cache/aoi``."""
    return Path(os.environ.get("AOI_CACHE_DIR") or Path.home() / ".cache" / "aoi")


def load_spikes(
    dataset: EventDataset,
    indices: Sequence[int] | np.ndarray,
    encoding: Encoding,
    *,
    corruption: Corruption | None = None,
    skip_damaged: bool = False,
    cache_dir: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SpikeData:
    """Encoded recordings of ``dataset``, from the cache or, at the first time, from the recordings.

    ``indices`` are into ``dataset.recordings``; ``progress`` is called with (done, total). ``corruption`` changes the
    events before they are encoded; the fingerprints stay those of the recordings. The cache knows the recordings by
    name, size and time of change; what it holds is checked against a hash and built again where that fails. Of several
    processes that ask for the same, one encodes and the others wait for it. Memory stays at one recording while the
    cache is built, and the result is mapped from disk. Raises DataError, naming the first recording that is damaged or
    empty; with ``skip_damaged`` these are left out and named in ``skipped``, and it raises where no other is left.
    """
    refs = [dataset.recordings[int(i)] for i in indices]
    folder = (cache_dir or cache_folder()) / "spikes"
    key = _key(dataset, refs, encoding, corruption)
    stored = _read(folder, key, dataset, refs, encoding)
    if stored is None:
        try:
            with alone(folder / f".{key}.lock"):
                stored = _read(folder, key, dataset, refs, encoding)
                if stored is None:
                    _build(folder, key, dataset, refs, encoding, corruption, skip_damaged, progress)
                    stored = _read(folder, key, dataset, refs, encoding)
        except (OSError, WriteError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise DataError(
                f"{folder}: cannot keep encoded recordings there ({reason or error}); set AOI_CACHE_DIR to a "
                "folder that can be written to"
            ) from error
        if stored is None:
            raise DataError(f"{folder}: what was just written cannot be read back; set AOI_CACHE_DIR to another disk")
    elif progress:
        progress(len(refs), len(refs))
    damage = stored.damage
    if damage and not skip_damaged:
        raise DataError(next(iter(damage.values())))
    if damage and len(damage) == len(refs):
        raise DataError(f"{dataset.name}: all {len(refs)} recordings are damaged: {next(iter(damage.values()))}")
    sound = np.setdiff1d(np.arange(len(refs)), list(damage))
    return SpikeData(
        ids=tuple(refs[row].id for row in sound),
        labels=np.array([refs[row].label for row in sound], dtype=np.int64),
        classes=dataset.classes,
        fingerprints=stored.fingerprints[sound],
        shape=encoding.shape,
        packed=stored.packed,
        rows=sound,
        skipped=tuple(damage.values()),
    )


def _key(dataset: EventDataset, refs: Sequence[RecordingRef], encoding: Encoding, corruption: Corruption | None) -> str:
    digest = hashlib.blake2b(digest_size=16)
    corrupted = () if corruption is None else (corruption.stamp,)
    for part in (_VERSION, dataset.name, dataset.sensor_size, encoding.model_dump_json(), *corrupted):
        digest.update(f"{part}\n".encode("utf-8", "surrogateescape"))
    for ref in refs:
        digest.update(f"{ref.id}\n{dataset.stamp(ref)}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


# A key has two files: KEY.npy with the bits, and KEY.json with the fingerprints, the rows of damaged recordings (whose
# bits and fingerprints are 0) and the hash of the bits, written last.


def _build(
    folder: Path,
    key: str,
    dataset: EventDataset,
    refs: Sequence[RecordingRef],
    encoding: Encoding,
    corruption: Corruption | None,
    skip_damaged: bool,
    progress: Callable[[int, int], None] | None,
) -> None:
    digest = hashlib.blake2b(digest_size=16)
    fingerprints, damaged = [], []
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(refs), _row_bytes(encoding))}
    with atomic_file(folder / f"{key}.npy") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for index, ref in enumerate(refs):
            try:
                events = _read_events(dataset, ref)
            except _Damaged:
                if not skip_damaged:
                    raise
                damaged.append(index)
                fingerprints.append(0)
                row = bytes(_row_bytes(encoding))
            else:
                shown = corruption.apply(events, ref.id, encoding.sensor_size) if corruption else events
                fingerprints.append(fingerprint(events))
                row = pack(_encode(dataset, ref, shown, encoding)).tobytes()
            file.write(row)
            digest.update(row)
            if progress:
                progress(index + 1, len(refs))
    note = {"blake2b": digest.hexdigest(), "fingerprints": fingerprints, "damaged": damaged}
    write_atomically(folder / f"{key}.json", json.dumps(note).encode())


class _Damaged(DataError):
    """A recording cannot be read, or holds no events."""


def _read_events(dataset: EventDataset, ref: RecordingRef) -> np.ndarray:
    try:
        events = dataset.read(ref)
    except DataError as error:
        raise _Damaged(str(error)) from error
    if len(events) == 0:
        raise _Damaged(f"{dataset.name}: recording {ref.id} holds no events")
    return events


def _encode(dataset: EventDataset, ref: RecordingRef, events: np.ndarray, encoding: Encoding) -> np.ndarray:
    try:
        return encode(events, encoding)
    except DataError as error:
        raise DataError(f"{dataset.name}: recording {ref.id}: {error}") from error


class _Stored(NamedTuple):
    packed: np.ndarray
    fingerprints: np.ndarray
    damage: dict[int, str]
    """Row → what is wrong with its recording."""


def _read(
    folder: Path, key: str, dataset: EventDataset, refs: Sequence[RecordingRef], encoding: Encoding
) -> _Stored | None:
    """None where it is missing, is not what was written, or a recording that was damaged can be read by now."""
    try:
        note = json.loads((folder / f"{key}.json").read_bytes())
        packed = np.load(folder / f"{key}.npy", mmap_mode="r", allow_pickle=False)
        if packed.shape != (len(refs), _row_bytes(encoding)) or packed.dtype != np.uint8:
            return None
        digest = hashlib.blake2b(digest_size=16)
        rows = max(1, _CHUNK // max(1, packed.shape[1]))
        for start in range(0, len(refs), rows):
            digest.update(packed[start : start + rows].tobytes())
        if digest.hexdigest() != note["blake2b"]:
            return None
        fingerprints = np.array(note["fingerprints"], dtype=np.uint64)
        damage = {}
        for index in note["damaged"]:
            try:
                _read_events(dataset, refs[index])
            except _Damaged as error:
                damage[index] = str(error)
            else:
                return None
    except Exception:  # whatever is wrong with a cache, it is built again
        return None
    return _Stored(packed, fingerprints, damage) if fingerprints.shape == (len(refs),) else None


def _row_bytes(encoding: Encoding) -> int:
    return -(-prod(encoding.shape) // 8)
