"""Encoded recordings: bits in memory or on disk, spikes a batch at a time."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np

from toolchain.errors import DataError, WriteError
from toolchain.events.corrupt import Corruption
from toolchain.events.dataset import EventDataset, RecordingRef
from toolchain.events.encode import encode
from toolchain.events.encoding import Encoding
from toolchain.events.recording import fingerprint
from toolchain.files import atomic_file, write_atomically

_VERSION = 1
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
    """int64 (N,), the row of each recording in ``packed``."""

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
    cache_dir: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SpikeData:
    """Encoded recordings of ``dataset``, from the cache or, at the first time, from the recordings.

    ``indices`` are into ``dataset.recordings``; ``progress`` is called with (done, total). ``corruption`` changes the
    events before they are encoded; the fingerprints stay those of the recordings. The cache knows the recordings by
    name, size and time of change; what it holds is checked against a hash and built again where that fails. Memory
    stays at one recording while the cache is built, and the result is mapped from disk. Raises DataError, naming the
    recording that is damaged or empty.
    """
    refs = [dataset.recordings[int(i)] for i in indices]
    folder = (cache_dir or cache_folder()) / "spikes"
    key = _key(dataset, refs, encoding, corruption)
    stored = _read(folder, key, len(refs), encoding)
    if stored is None:
        _build(folder, key, dataset, refs, encoding, corruption, progress)
        stored = _read(folder, key, len(refs), encoding)
        if stored is None:
            raise DataError(f"{folder}: what was just written cannot be read back; set AOI_CACHE_DIR to another disk")
    elif progress:
        progress(len(refs), len(refs))
    packed, fingerprints = stored
    return SpikeData(
        ids=tuple(ref.id for ref in refs),
        labels=np.array([ref.label for ref in refs], dtype=np.int64),
        classes=dataset.classes,
        fingerprints=fingerprints,
        shape=encoding.shape,
        packed=packed,
        rows=np.arange(len(refs)),
    )


def _key(dataset: EventDataset, refs: Sequence[RecordingRef], encoding: Encoding, corruption: Corruption | None) -> str:
    digest = hashlib.blake2b(digest_size=16)
    corrupted = () if corruption is None else (corruption.stamp,)
    for part in (_VERSION, dataset.name, dataset.sensor_size, encoding.model_dump_json(), *corrupted):
        digest.update(f"{part}\n".encode("utf-8", "surrogateescape"))
    for ref in refs:
        digest.update(f"{ref.id}\n{dataset.stamp(ref)}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


# A key has two files: KEY.npy with the bits, and KEY.json with the fingerprints and the hash of the bits, written last.
# Two processes that build the same key write the same bytes, so it does not matter whose files stay.


def _build(
    folder: Path,
    key: str,
    dataset: EventDataset,
    refs: Sequence[RecordingRef],
    encoding: Encoding,
    corruption: Corruption | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    digest = hashlib.blake2b(digest_size=16)
    fingerprints = []
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(refs), _row_bytes(encoding))}
    try:
        with atomic_file(folder / f"{key}.npy") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for done, ref in enumerate(refs):
                events = dataset.read(ref)
                if len(events) == 0:
                    raise DataError(f"{dataset.name}: recording {ref.id} holds no events")
                shown = corruption.apply(events, ref.id, encoding.sensor_size) if corruption else events
                row = pack(_encode(dataset, ref, shown, encoding)).tobytes()
                file.write(row)
                digest.update(row)
                fingerprints.append(fingerprint(events))
                if progress:
                    progress(done + 1, len(refs))
        note = {"blake2b": digest.hexdigest(), "fingerprints": fingerprints}
        write_atomically(folder / f"{key}.json", json.dumps(note).encode())
    except (OSError, WriteError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise DataError(
            f"{folder}: cannot keep encoded recordings there ({reason or error}); set AOI_CACHE_DIR to a "
            "folder that can be written to"
        ) from error


def _encode(dataset: EventDataset, ref: RecordingRef, events: np.ndarray, encoding: Encoding) -> np.ndarray:
    try:
        return encode(events, encoding)
    except DataError as error:
        raise DataError(f"{dataset.name}: recording {ref.id}: {error}") from error


def _read(folder: Path, key: str, count: int, encoding: Encoding) -> tuple[np.ndarray, np.ndarray] | None:
    """(packed, fingerprints), or None where they are missing or not what was written."""
    try:
        note = json.loads((folder / f"{key}.json").read_bytes())
        packed = np.load(folder / f"{key}.npy", mmap_mode="r", allow_pickle=False)
        if packed.shape != (count, _row_bytes(encoding)) or packed.dtype != np.uint8:
            return None
        digest = hashlib.blake2b(digest_size=16)
        rows = max(1, _CHUNK // max(1, packed.shape[1]))
        for start in range(0, count, rows):
            digest.update(packed[start : start + rows].tobytes())
        if digest.hexdigest() != note["blake2b"]:
            return None
        fingerprints = np.array(note["fingerprints"], dtype=np.uint64)
    except Exception:  # whatever is wrong with a cache, it is built again
        return None
    return (packed, fingerprints) if fingerprints.shape == (count,) else None


def _row_bytes(encoding: Encoding) -> int:
    return -(-prod(encoding.shape) // 8)
