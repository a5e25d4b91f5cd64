"""Named data sets: each equals what tonic's class reads, event by event; where they are, and damaged ones."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from aoi.errors import DataError
from aoi.events import sets
from aoi.events.encode import encode
from aoi.events.encoding import Encoding
from aoi.events.opening import open_dataset
from aoi.events.sets import SETS
from aoi.events.splits import SplitOptions, split_indices
from tests.events.event_files import write_folder
from tests.events.set_files import WRITERS, by_tonic, write_dvsgesture, write_ntidigits18, write_shd

CALLS = {"NTIDIGITS18": ({"train": True, "single_digits": True}, {"train": False, "single_digits": True})}


def known(events, name, fields):
    """Label and events of a recording, with tonic's field names."""
    return name, tuple(events[field].astype(np.int64).tobytes() for field in fields)


@pytest.mark.parametrize("name", WRITERS)
def test_equals_tonic(name, tmp_path, monkeypatch):
    WRITERS[name](tmp_path / name)
    spec = SETS[name.lower()]
    dataset = open_dataset(str(tmp_path / name)) if name != "NMNIST" else spec.open(tmp_path / name)
    calls = CALLS.get(name, spec.download_calls)
    # A cochlea's spikes have one polarity: 1 in tonic, 0 here, where it is a number of a channel.
    fields = "xytp" if spec.sensor_size[2] == 2 else "xt"
    for part, arguments in zip(spec.expected, calls, strict=True):
        theirs = by_tonic(name, tmp_path, monkeypatch, **arguments)
        refs = [ref for ref in dataset.recordings if ref.official == part]
        ours = [known(dataset.read(ref), ref.label, fields) for ref in refs]
        labels = [dataset.classes.index(label) if isinstance(label, str) else int(label) for _, label in theirs]
        assert len(ours) > 5
        assert Counter(ours) == Counter(
            known(events, label, fields) for (events, _), label in zip(theirs, labels, strict=True)
        )


@pytest.mark.parametrize("name", WRITERS)
def test_events_are_on_the_sensor_and_there_are_four_splits(name, tmp_path):
    WRITERS[name](tmp_path, each=16, classes=3)
    spec = SETS[name.lower()]
    dataset = spec.open(tmp_path)
    assert dataset.sensor_size == spec.sensor_size
    assert len({ref.id for ref in dataset.recordings}) == len(dataset.recordings)
    assert len({dataset.stamp(ref) for ref in dataset.recordings}) == len(dataset.recordings)
    splits = split_indices(dataset, SplitOptions())
    assert min(len(rows) for rows in splits.values()) > 0
    encoding = Encoding(sensor_size=dataset.sensor_size, window_us=500_000, bins=5, downsample=4)
    assert encode(dataset.read(dataset.recordings[0]), encoding).any()


def test_without_an_official_test_part_a_share_is_the_test_split(tmp_path):
    WRITERS["CIFAR10DVS"](tmp_path, each=40, classes=3)
    dataset = open_dataset(str(tmp_path))
    tests = split_indices(dataset, SplitOptions(test=0.3))["test"]
    assert 20 < len(tests) < 52
    assert (tests == split_indices(dataset, SplitOptions(test=0.3, validation=0.5, calibration=0.1))["test"]).all()
    assert set(tests) != set(split_indices(dataset, SplitOptions(test=0.3, seed=1))["test"])
    assert set(split_indices(dataset, SplitOptions(test=0.2))["test"]) < set(tests)


@pytest.mark.parametrize("name", WRITERS)
def test_a_missing_data_set_says_what_to_put_where(name, tmp_path, monkeypatch):
    monkeypatch.setenv("AOI_DATA_CACHE", str(tmp_path))
    spec = SETS[name.lower()]
    with pytest.raises(DataError, match=r"0 of \d+ .*download") as caught:
        open_dataset(name.upper())
    assert spec.layout in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
    WRITERS[name](tmp_path / name)
    few = dict.fromkeys(spec.expected, 1)
    monkeypatch.setitem(sets.SETS, name.lower(), replace(spec, expected=few))
    assert open_dataset(name).name == name
    many = dict.fromkeys(spec.expected, 10**6)
    monkeypatch.setitem(sets.SETS, name.lower(), replace(spec, expected=many))
    with pytest.raises(DataError, match="of 1000000"):
        open_dataset(name)


def test_a_nested_archive_is_unpacked(tmp_path, monkeypatch):
    import tonic.datasets

    def download(save_to):
        WRITERS["NCALTECH101"](tmp_path / "made")
        root = Path(save_to) / "NCALTECH101"
        shutil.make_archive(str(root / "N-Caltech101-archive" / "Caltech101"), "zip", tmp_path / "made")

    monkeypatch.setenv("AOI_DATA_CACHE", str(tmp_path / "sets"))
    monkeypatch.setattr(tonic.datasets, "NCALTECH101", download)
    spec = replace(SETS["ncaltech101"], expected={None: 12})
    monkeypatch.setitem(sets.SETS, "ncaltech101", spec)
    assert len(open_dataset("NCALTECH101", download=True).recordings) == 12


def test_a_folder_with_parts_is_a_folder(tmp_path):
    WRITERS["CIFAR10DVS"](tmp_path, each=1)
    write_folder(tmp_path, {"train/a": 1})
    assert open_dataset(str(tmp_path)).classes == ("a",)


def read_all(folder) -> None:
    dataset = open_dataset(str(folder))
    for ref in dataset.recordings:
        dataset.read(ref)


def refused(folder, *says: str) -> None:
    with pytest.raises(DataError) as caught:
        read_all(folder)
    assert all(text in str(caught.value) for text in says), str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_gestures_are_refused(tmp_path):
    write_dvsgesture(tmp_path, each=1)
    folder = tmp_path / "ibmGestureTest" / "user01_fluorescent_led"
    file = folder / "3.npy"
    np.save(file, np.zeros((5, 3)))
    refused(tmp_path, str(file), "(5, 3)")
    np.save(file, np.full((5, 4), np.nan))
    refused(tmp_path, str(file), "damaged")
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    refused(tmp_path, str(file))
    np.save(file, np.array([[128, 0, 1, 7]]))
    refused(tmp_path, str(file), "x = 128", "128x128")
    np.save(folder / "11.npy", np.zeros((5, 4)))
    refused(tmp_path, "11.npy", "10.npy")


def edited(path, change) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def relinked(name: str, link) -> object:
    def change(file):
        del file[name]
        if link is not None:
            file[name] = link

    return change


def test_damaged_hdf5_is_refused(tmp_path):
    path = tmp_path / "shd_train.h5"
    for change, says in (
        (relinked("labels", None), "no labels"),
        (relinked("labels", np.zeros((2, 3))), "(2, 3)"),
        (relinked("labels", np.full(40, 20)), "label 20"),
        (relinked("labels", np.zeros(3, int)), "damaged"),
        (relinked("labels", h5py.ExternalLink("other.h5", "/labels")), "link"),
        (relinked("spikes/units", h5py.SoftLink("/labels")), "link"),
        (relinked("spikes/times", np.zeros(40)), "damaged"),
    ):
        write_shd(tmp_path, each=2)
        edited(path, change)
        refused(tmp_path, str(path), says)
    path.write_bytes(path.read_bytes()[:5000])
    refused(tmp_path, str(path), "damaged HDF5")
    write_shd(tmp_path, each=2)

    def bad(file):
        file["spikes/units"][5] = np.array([3, 700])
        file["spikes/times"][5] = np.array([0.1, 0.2])

    edited(path, bad)
    refused(tmp_path, f"{path}, 5", "x = 700")


def test_incomplete_cochlea_files_are_refused(tmp_path):
    path = tmp_path / "n-tidigits.hdf5"
    write_ntidigits18(tmp_path, each=2)
    edited(path, lambda file: file.pop("train_addresses/woman-a0-o"))
    refused(tmp_path, str(path), "train_addresses/woman-a0-o")
    write_ntidigits18(tmp_path, each=2)
    edited(path, relinked("test_labels", np.array([b"man-a-q"])))
    refused(tmp_path, str(path), "'q'")
