"""Folders, names and splits."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from aoi.errors import DataError
from aoi.events.dataset import RecordingRef
from aoi.events.digits import Digits, DigitsOptions
from aoi.events.opening import open_dataset
from aoi.events.splits import SplitOptions, require_split, split_indices, split_of
from tests.events.event_files import bin_bytes, some_events, write_folder


def test_a_folder(tmp_path):
    write_folder(tmp_path, {"train/2": 3, "train/10": 2, "TEST/2": 1, "TEST/7": 1})
    (tmp_path / "train" / "2" / ".hidden").write_text("x")
    (tmp_path / "notes.txt").write_text("x")
    dataset = open_dataset(str(tmp_path))
    assert dataset.classes == ("2", "7", "10")
    assert dataset.sensor_size == (34, 34, 2)
    assert [ref.id for ref in dataset.recordings] == [
        *(f"Train/2/{i:05d}" for i in range(3)),
        *(f"Train/10/{i:05d}" for i in range(2)),
        "Test/2/00000",
        "Test/7/00000",
    ]
    assert [ref.label for ref in dataset.recordings] == [0, 0, 0, 2, 2, 0, 1]
    assert [ref.official for ref in dataset.recordings] == ["train"] * 5 + ["test"] * 2
    assert (dataset.read(dataset.recordings[1]) == some_events(50, seed=1)).all()


def test_classes_are_in_alphabetical_order_unless_all_are_numbers(tmp_path):
    write_folder(tmp_path, {"Test/b": 1, "Test/a": 1, "Test/10": 1, "Test/9": 1})
    assert open_dataset(str(tmp_path)).classes == ("10", "9", "a", "b")


def test_the_sensor_of_other_formats(tmp_path):
    folder = tmp_path / "Train" / "a"
    folder.mkdir(parents=True)
    events = some_events(2000, size=20)
    np.save(folder / "1.npy", events)
    assert open_dataset(str(tmp_path)).sensor_size == (events["x"].max() + 1, events["y"].max() + 1, 2)
    assert open_dataset(str(tmp_path), sensor_size=(40, 30, 2)).sensor_size == (40, 30, 2)


def read_all(data: str) -> None:
    dataset = open_dataset(data)
    for ref in dataset.recordings:
        dataset.read(ref)


def assert_refused(folder, *says: str) -> None:
    with pytest.raises(DataError) as caught:
        read_all(str(folder))
    assert all(text in str(caught.value) for text in says), str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_wrong_with_a_folder(tmp_path):
    assert_refused(tmp_path / "nowhere", "nowhere", "digits, NMNIST")
    assert_refused(tmp_path, "no folder Train")
    (tmp_path / "Train").mkdir()
    assert_refused(tmp_path, "no class folders")
    write_folder(tmp_path, {"Train/a": 2})
    (tmp_path / "Train" / "b").mkdir()
    assert_refused(tmp_path, "class 'b' has no recordings")
    stray = tmp_path / "Train" / "b" / "notes.txt"
    stray.write_text("x")
    assert_refused(tmp_path, str(stray), ".aedat4")
    stray.unlink()
    cut = tmp_path / "Train" / "b" / "1.bin"
    cut.write_bytes(b"1234567")
    assert_refused(tmp_path, str(cut), "truncated")
    cut.write_bytes(b"")
    assert_refused(tmp_path, str(cut), "no events")
    cut.write_bytes(bin_bytes(some_events(50, size=60)))
    assert_refused(tmp_path, str(cut), "34x34")
    cut.write_bytes(bin_bytes(some_events(50)))
    np.save(cut.with_suffix(".npy"), some_events(50))
    assert_refused(tmp_path, "same name")
    cut.unlink()
    (tmp_path / "Train" / "loose.bin").write_bytes(b"")
    assert_refused(tmp_path, "loose.bin", "outside a class")
    (tmp_path / "Train" / "loose.bin").unlink()
    (tmp_path / "TRAIN").mkdir(exist_ok=True)
    if len(list(tmp_path.iterdir())) == 2:  # a file system that tells cases apart
        assert_refused(tmp_path, "both")


@pytest.mark.timeout(20)
def test_links_and_pipes_do_not_hang(tmp_path):
    write_folder(tmp_path, {"Train/a": 1})
    (tmp_path / "Train" / "self").symlink_to("self")
    (tmp_path / "Test").symlink_to("Test")
    assert open_dataset(str(tmp_path)).classes == ("a",)
    loop = tmp_path / "Train" / "a" / "loop.bin"
    loop.symlink_to("loop.bin")
    assert_refused(tmp_path, str(loop))
    loop.unlink()
    os.mkfifo(loop)
    assert_refused(tmp_path, str(loop), "regular file")


def test_a_download_without_a_network_says_so(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("AOI_DATA_CACHE", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens: no network, whatever the machine has
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(DataError, match="the download failed") as caught:
        open_dataset("NMNIST", download=True)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().out == ""


def test_importing_is_light():
    modules = ["dataset", "digits", "encode", "folder", "formats", "spikes", "splits", "sets", "sets.fetch"]
    code = "import sys; " + "; ".join(f"import aoi.events.{name}" for name in modules)
    code += "; print([name for name in ('torch', 'tonic', 'sklearn', 'numba', 'lava') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


class Named:
    """A data set with names only."""

    name = "named"

    def __init__(self, train: int, test: int) -> None:
        self.recordings = [RecordingRef(f"Train/a/{i:05d}", 0, "train") for i in range(train)]
        self.recordings += [RecordingRef(f"Test/a/{i:05d}", 0, "test") for i in range(test)]


def test_splits_have_about_the_requested_shares():
    splits = split_indices(Named(20_000, 7), SplitOptions(validation=0.1, calibration=0.3))
    sizes = {name: len(rows) for name, rows in splits.items()}
    assert sum(sizes.values()) == 20_007
    assert sizes["test"] == 7
    assert sizes["validation"] == pytest.approx(2000, rel=0.1)
    assert sizes["calibration"] == pytest.approx(6000, rel=0.1)


@settings(max_examples=50, deadline=None)
@given(some=st.integers(0, 60), more=st.integers(0, 60), seed=st.integers(0, 2**31 - 1))
def test_adding_recordings_never_moves_others(some, more, seed):
    options = SplitOptions(seed=seed)
    few, many = Named(some, 3), Named(some + more, 5)
    before = {few.recordings[i].id: name for name, rows in split_indices(few, options).items() for i in rows}
    after = {many.recordings[i].id: name for name, rows in split_indices(many, options).items() for i in rows}
    assert before.items() <= after.items()


def test_splits_are_the_same_on_every_machine():
    refs = [RecordingRef(f"Train/3/{i:05d}", 3, "train") for i in range(12)]
    assert [split_of(ref, SplitOptions())[0] for ref in refs] == list("ctctctttvcct")


def test_digits_are_split_in_four():
    digits = Digits(DigitsOptions())
    splits = split_indices(digits, SplitOptions())
    assert sorted(np.concatenate(list(splits.values())).tolist()) == list(range(1797))
    assert min(len(rows) for rows in splits.values()) > 100


def test_an_empty_split_says_what_to_do():
    with pytest.raises(DataError, match="Test has 0 recordings"):
        require_split(Named(50, 0), SplitOptions(), "test")
    with pytest.raises(DataError, match="'calibration' is empty; Train has 50"):
        require_split(Named(50, 0), SplitOptions(calibration=0), "calibration")
    assert len(require_split(Named(50, 4), SplitOptions(), "test")) == 4


def test_shares_that_leave_no_training_are_refused():
    with pytest.raises(ValidationError, match="leaves nothing to train on"):
        SplitOptions(validation=0.5, calibration=0.5)
