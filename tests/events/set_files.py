"""Small data sets in the layouts and formats of the real ones, and tonic's own readers of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np

from aoi.events.sets import cifar10dvs, ntidigits18
from tests.events.event_files import aedat4_bytes, bin_bytes, some_events, write_folder


def write_nmnist(root: Path, each: int = 2, classes: int = 3) -> None:
    write_folder(root, {f"{part}/{label}": each for part in ("Train", "Test") for label in range(classes)})


def write_dvsgesture(root: Path, each: int = 2, classes: int = 11) -> None:
    for part in ("ibmGestureTrain", "ibmGestureTest"):
        for user in range(each):
            folder = root / part / f"user{user + 1:02d}_fluorescent_led"
            folder.mkdir(parents=True)
            (root / part / f"user{user + 1:02d}_lab.csv").write_text("what else is there")
            for label in range(classes):
                events = some_events(200, seed=100 * user + label, size=128, duration=1_500)  # ms
                array = np.stack([events[name].astype(np.float64) for name in "xypt"], axis=1)
                np.save(folder / f"{label}.npy", array)


def write_cifar10dvs(root: Path, each: int = 4, classes: int = 10) -> None:
    for label, name in enumerate(cifar10dvs.CLASSES[:classes]):
        (root / name).mkdir(parents=True)
        for index in range(each):
            events = some_events(200, seed=100 * label + index, size=128, duration=1_000_000)
            (root / name / f"cifar10_{name}_{index}.aedat4").write_bytes(aedat4_bytes([events[:120], events[120:]]))


def write_ncaltech101(root: Path, each: int = 4, classes: int = 3) -> None:
    for label, name in enumerate(("Faces_easy", "Motorbikes", "accordion")[:classes]):
        (root / "Caltech101" / name).mkdir(parents=True)
        for index in range(each):
            events = some_events(200, seed=100 * label + index, size=150 + 10 * (index % 3))
            events["x"] += 20
            (root / "Caltech101" / name / f"image_{index:04d}.bin").write_bytes(bin_bytes(events))


def write_shd(root: Path, each: int = 4, classes: int = 20, dtype: str = "f2") -> None:
    for seed, part in enumerate(("train", "test")):
        random = np.random.default_rng(seed)
        labels = np.repeat(np.arange(classes), each)
        with h5py.File(_in(root) / f"shd_{part}.h5", "w") as file:
            times = file.create_dataset("spikes/times", (len(labels),), h5py.vlen_dtype(np.dtype(dtype)))
            units = file.create_dataset("spikes/units", (len(labels),), h5py.vlen_dtype(np.dtype("i8")))
            for index in range(len(labels)):
                times[index] = np.sort(random.random(300)).astype(dtype)
                units[index] = random.integers(0, 700, 300)
            file["labels"] = labels
            file["extra/keys"] = [b"zero", b"one"]
            file["extra/speaker"] = np.zeros(len(labels), np.int64)


def write_ntidigits18(root: Path, each: int = 4, classes: int = 11) -> None:
    with h5py.File(_in(root) / "n-tidigits.hdf5", "w") as file:
        for seed, part in enumerate(("train", "test")):
            random = np.random.default_rng(seed)
            spoken = [*ntidigits18.CLASSES[:classes], "1z3"]
            names = [f"woman-a{index}-{said}" for said in spoken for index in range(each)]
            file[f"{part}_labels"] = np.array(names, dtype="S")
            for name in names:
                file[f"{part}_timestamps/{name}"] = np.sort(random.random(300))
                file[f"{part}_addresses/{name}"] = random.integers(0, 64, 300).astype("u1")


WRITERS: dict[str, Callable[..., None]] = {
    "NMNIST": write_nmnist,
    "DVSGesture": write_dvsgesture,
    "CIFAR10DVS": write_cifar10dvs,
    "NCALTECH101": write_ncaltech101,
    "SHD": write_shd,
    "NTIDIGITS18": write_ntidigits18,
}


def by_tonic(name: str, folder: Path, monkeypatch, **arguments: object) -> Sequence[tuple[np.ndarray, object]]:
    """(events, label) of ``folder/name`` as tonic's class reads them."""
    import tonic.datasets

    kind = getattr(tonic.datasets, name)
    monkeypatch.setattr(kind, "_check_exists", lambda self: True)
    made = kind(save_to=str(folder), **arguments)
    return [made[index] for index in range(len(made))]


def _in(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    return root
