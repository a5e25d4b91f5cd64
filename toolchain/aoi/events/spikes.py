"""Encoded recordings: packed bits in memory or on disk, unpacked to spikes in batches."""

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
from aoi.files import atomic_file, exclusive_lock, write_atomically

_VERSION = 3
"""Part of every key: increase it when the same recordings give other files."""
_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class SpikeData:
    """Spikes of N recordings, packed eight to a byte."""

    ids: tuple[str, ...]
    labels: np.ndarray
    """int64 (N,), indices into ``classes``."""
    classes: tuple[str, ...]
    fingerprints: np.ndarray
    """uint64 (N,), equal for recordings with equal events."""
    shape: tuple[int, int, int, int]
    """(C, H, W, T) of one recording."""
    packed: np.ndarray
    """uint8 (stored recordings, ceil(C·H·W·T / 8)), usually a memory map: flattened spikes, highest bit first."""
    rows: np.ndarray
    """int64 (N,), the row of each recording in ``packed``: its position among those that were requested."""
    skipped: tuple[str, ...] = ()
    """For each damaged recording that was left out, what is wrong with it."""
    outside: tuple[str, ...] = ()
    """Names of recordings with nearly all events after the window, or all in one bin: their times are not in µs, fall
    back, or the window does not suit them."""

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Spikes 0/1 of the recordings ``indices`` (n,), uint8 (n, C, H, W, T)."""
        rows = self.rows[np.asarray(indices, dtype=np.int64)]
        return np.unpackbits(self.packed[rows], axis=1, count=prod(self.shape)).reshape(-1, *self.shape)

    def subset(self, indices: Sequence[int] | np.ndarray) -> SpikeData:
        """The recordings ``indices``, without a copy of the stored bits."""
        chosen = np.asarray(indices, dtype=np.int64)
        return replace(
            self,
            ids=tuple(self.ids[i] for i in chosen),
            labels=self.labels[chosen],
            fingerprints=self.fingerprints[chosen],
            rows=self.rows[chosen],
        )

    def with_classes(self, classes: Sequence[str]) -> SpikeData:
        """The same recordings, with labels that are indices into ``classes``, a network's. Raises DataError."""
        index_of = {name: index for index, name in enumerate(classes)}
        unknown = [name for name in self.classes if name not in index_of]
        if unknown:
            raise DataError(f"class {unknown[0]!r} of the recordings is not one of {', '.join(classes)}")
        table = np.array([index_of[name] for name in self.classes], dtype=np.int64)
        return replace(self, labels=table[self.labels], classes=tuple(classes))


def pack(spikes: np.ndarray) -> np.ndarray:
    """Spikes (C, H, W, T), any value but 0 is a spike → packed bits, uint8 (ceil(C·H·W·T / 8),)."""
    return np.packbits(spikes.reshape(-1))


def cache_folder() -> Path:
    """The cache: ``$AOI_CACHE_DIR``, or ``~/.cache/aoi``."""
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
    """Encoded recordings of ``dataset``, from the cache or, the first time, from the recordings.

    The cache identifies recordings by name, size and modification time. Its content is checked against a hash and built
    again if the check fails. If several processes request the same, one encodes and the others wait. Building needs the
    memory of one recording; the result is mapped from disk.

    Args:
        dataset: where the recordings come from.
        indices: into ``dataset.recordings``.
        encoding: events → spikes.
        corruption: changes the events before they are encoded. The fingerprints stay those of the recordings.
        skip_damaged: leave damaged and empty recordings out and list them in ``skipped``.
        cache_dir: default :func:`cache_folder`.
        progress: called with (done, total).

    Raises:
        DataError: a recording is damaged or empty (with ``skip_damaged``: all of them), does not fit the encoding, or
            the cache cannot be written.
    """
    refs = [dataset.recordings[int(i)] for i in indices]
    folder = (cache_dir or cache_folder()) / "spikes"
    key = _key(dataset, refs, encoding, corruption)
    stored = _read_cache(folder, key, dataset, refs, encoding)
    if stored is None:
        try:
            with exclusive_lock(folder / f".{key}.lock"):
                stored = _read_cache(folder, key, dataset, refs, encoding)
                if stored is None:
                    _write_cache(folder, key, dataset, refs, encoding, corruption, skip_damaged, progress)
                    stored = _read_cache(folder, key, dataset, refs, encoding)
        except (OSError, WriteError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise DataError(
                f"{folder}: cannot store encoded recordings ({reason or error}); set AOI_CACHE_DIR to a writable folder"
            ) from error
        if stored is None:
            raise DataError(f"{folder}: files just written cannot be read back; set AOI_CACHE_DIR to another disk")
    elif progress:
        progress(len(refs), len(refs))
    damage = stored.damage
    if damage and not skip_damaged:
        raise DataError(next(iter(damage.values())))
    if damage and len(damage) == len(refs):
        raise DataError(f"{dataset.name}: all {len(refs)} recordings are damaged: {next(iter(damage.values()))}")
    intact = np.setdiff1d(np.arange(len(refs)), list(damage))
    return SpikeData(
        ids=tuple(refs[row].id for row in intact),
        labels=np.array([refs[row].label for row in intact], dtype=np.int64),
        classes=dataset.classes,
        fingerprints=stored.fingerprints[intact],
        shape=encoding.shape,
        packed=stored.packed,
        rows=intact,
        skipped=tuple(damage.values()),
        outside=tuple(refs[row].id for row in stored.outside),
    )


def _key(dataset: EventDataset, refs: Sequence[RecordingRef], encoding: Encoding, corruption: Corruption | None) -> str:
    digest = hashlib.blake2b(digest_size=16)
    corrupted = () if corruption is None else (corruption.stamp,)
    for part in (_VERSION, dataset.name, dataset.sensor_size, encoding.model_dump_json(), *corrupted):
        digest.update(f"{part}\n".encode("utf-8", "surrogateescape"))
    for ref in refs:
        digest.update(f"{ref.id}\n{dataset.stamp(ref)}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


# A key has two files: KEY.npy with the bits, and KEY.json, written last, with the fingerprints, the rows of damaged
# recordings (whose bits and fingerprints are 0) and the hash of the bits.


def _write_cache(
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
    fingerprints, damaged, outside = [], [], []
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
                corrupted = corruption.apply(events, ref.id, encoding.sensor_size) if corruption else events
                fingerprints.append(fingerprint(events))
                outside += [index] if _misses_window(events["t"], encoding) else []
                row = pack(_encode(dataset, ref, corrupted, encoding)).tobytes()
            file.write(row)
            digest.update(row)
            if progress:
                progress(index + 1, len(refs))
    info = {"blake2b": digest.hexdigest(), "fingerprints": fingerprints, "damaged": damaged, "outside": outside}
    write_atomically(folder / f"{key}.json", json.dumps(info).encode())


def _misses_window(t: np.ndarray, encoding: Encoding) -> bool:
    """Whether nearly all events (more than nine of ten) lie after the window, all of many in one of several bins, or
    the clock falls by more than the window."""
    fall = int(np.diff(t.astype(np.int64)).min(initial=0))
    if fall < -encoding.window_us:
        return True
    since = t.astype(np.int64) - int(t.min())
    within = since < encoding.window_us
    one_bin = encoding.bins >= 4 and len(t) >= 16 and int(since.max()) < encoding.window_us // encoding.bins
    return bool(one_bin or within.mean() < 0.1)


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
    """Row → what is wrong with the recording."""
    outside: tuple[int, ...] = ()
    """Rows of recordings that hardly have an event where the window is."""


def _read_cache(
    folder: Path, key: str, dataset: EventDataset, refs: Sequence[RecordingRef], encoding: Encoding
) -> _Stored | None:
    """None if the entry is missing or damaged, or if a recording that was damaged can be read now."""
    try:
        info = json.loads((folder / f"{key}.json").read_bytes())
        packed = np.load(folder / f"{key}.npy", mmap_mode="r", allow_pickle=False)
        if packed.shape != (len(refs), _row_bytes(encoding)) or packed.dtype != np.uint8:
            return None
        digest = hashlib.blake2b(digest_size=16)
        rows = max(1, _CHUNK // max(1, packed.shape[1]))
        for start in range(0, len(refs), rows):
            digest.update(packed[start : start + rows].tobytes())
        if digest.hexdigest() != info["blake2b"]:
            return None
        fingerprints = np.array(info["fingerprints"], dtype=np.uint64)
        damage = {}
        for index in info["damaged"]:
            try:
                _read_events(dataset, refs[index])
            except _Damaged as error:
                damage[index] = str(error)
            else:
                return None
    except Exception:  # whatever is wrong with the cache, it is built again
        return None
    outside = tuple(int(row) for row in info["outside"])
    return _Stored(packed, fingerprints, damage, outside) if fingerprints.shape == (len(refs),) else None


def _row_bytes(encoding: Encoding) -> int:
    return -(-prod(encoding.shape) // 8)
