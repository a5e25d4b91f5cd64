"""The cache of encoded recordings."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aoi.errors import DataError
from aoi.events.encode import encode
from aoi.events.encoding import Encoding
from aoi.events.opening import open_dataset
from aoi.events.recording import fingerprint
from aoi.events.spikes import SpikeData, load_spikes, pack
from tests.events.event_files import relaid, some_events, write_folder

ENCODING = Encoding(sensor_size=(34, 34, 2), window_us=300_000, bins=7)


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "data", {"Train/0": 4, "Train/1": 3, "Test/1": 2})


def load(folder, cache, indices=None, encoding=ENCODING, **options):
    dataset = open_dataset(str(folder))
    chosen = range(len(dataset.recordings)) if indices is None else indices
    return load_spikes(dataset, chosen, encoding, cache_dir=cache, **options)


def assert_encoded(data: SpikeData, folder, encoding=ENCODING) -> None:
    dataset = open_dataset(str(folder))
    refs = {ref.id: ref for ref in dataset.recordings}
    for row, spikes in enumerate(data.batch(range(len(data)))):
        events = dataset.read(refs[data.ids[row]])
        assert (spikes == encode(events, encoding)).all()
        assert data.labels[row] == refs[data.ids[row]].label
        assert data.fingerprints[row] == fingerprint(events)


def test_what_is_loaded_is_what_is_encoded(folder, tmp_path):
    calls = []
    data = load(folder, tmp_path / "cache", progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i + 1, 9) for i in range(9)]
    assert data.shape == (2, 34, 34, 7)
    assert (data.labels.dtype, data.fingerprints.dtype, data.batch([0]).dtype) == (np.int64, np.uint64, np.uint8)
    assert_encoded(data, folder)
    again = load(folder, tmp_path / "cache", progress=lambda done, total: calls.append((done, total)))
    assert calls[9:] == [(9, 9)]
    assert_encoded(again, folder)
    assert isinstance(again.packed, np.memmap)


def test_subsets_and_order(folder, tmp_path):
    data = load(folder, tmp_path / "cache", indices=[8, 2, 5])
    assert data.ids == ("Test/1/00001", "Train/0/00002", "Train/1/00001")
    assert_encoded(data, folder)
    part = data.subset([2, 0]).subset([1])
    assert part.ids == ("Test/1/00001",)
    assert_encoded(part, folder)
    assert data.batch([]).shape == (0, 2, 34, 34, 7)
    assert len(data.subset([])) == 0


def test_other_classes(folder, tmp_path):
    data = load(folder, tmp_path / "cache")
    assert set(data.with_classes(("1", "x", "0")).labels.tolist()) == {0, 2}
    assert [data.with_classes(("1", "x", "0")).labels[i] for i in (0, 4)] == [2, 0]
    with pytest.raises(DataError, match="class '0'"):
        data.with_classes(("1", "2"))


def test_every_option_and_every_change_has_its_own_cache_entry(folder, tmp_path):
    cache = tmp_path / "cache"
    assert_encoded(load(folder, cache), folder)
    assert_encoded(load(folder, cache, indices=[1]), folder)
    other = ENCODING.model_copy(update={"bins": 9})
    assert_encoded(load(folder, cache, encoding=other), folder, other)
    assert len(list((cache / "spikes").glob("*.npy"))) == 3
    path = folder / "Train" / "0" / "00000.bin"
    path.write_bytes((folder / "Train" / "1" / "00000.bin").read_bytes())
    os.utime(path, ns=(1, 1))
    assert_encoded(load(folder, cache), folder)
    assert len(list((cache / "spikes").glob("*.npy"))) == 4


def test_a_copy_under_another_name_has_the_same_fingerprint(folder, tmp_path):
    shutil.copy(folder / "Train" / "0" / "00001.bin", folder / "Test" / "1" / "zzz.bin")
    events = open_dataset(str(folder)).read(open_dataset(str(folder)).recordings[2])
    (folder / "Train" / "2").mkdir()
    np.save(folder / "Train" / "2" / "other.npy", relaid(events, [("t", "u8"), ("p", "i1"), ("y", "i4"), ("x", "u2")]))
    data = load(folder, tmp_path / "cache")
    known = dict(zip(data.ids, data.fingerprints.tolist(), strict=True))
    assert known["Test/1/zzz"] == known["Train/0/00001"]
    assert known["Train/2/other"] == known["Train/0/00002"]
    assert len(set(known.values())) == 9


@pytest.mark.parametrize("damage", ["bit", "truncate", "empty", "note", "note-count", "no-bits"])
def test_a_damaged_cache_is_built_again(damage, folder, tmp_path):
    cache = tmp_path / "cache"
    load(folder, cache)
    (bits,) = (cache / "spikes").glob("*.npy")
    note = bits.with_suffix(".json")
    content = bytearray(bits.read_bytes())
    if damage == "bit":
        content[-1000] ^= 1
        bits.write_bytes(content)
    elif damage == "truncate":
        bits.write_bytes(content[:-1])
    elif damage == "empty":
        bits.write_bytes(b"")
    elif damage == "note":
        note.write_text("{")
    elif damage == "note-count":
        note.write_text(json.dumps({**json.loads(note.read_text()), "fingerprints": [1]}))
    else:
        bits.unlink()
    assert_encoded(load(folder, cache), folder)


def test_a_damaged_recording_leaves_nothing_half_written(folder, tmp_path):
    cut = folder / "Train" / "1" / "00002.bin"
    cut.write_bytes(cut.read_bytes()[:-2])
    with pytest.raises(DataError, match="truncated") as caught:
        load(folder, tmp_path / "cache")
    assert str(cut) in str(caught.value)
    assert list((tmp_path / "cache" / "spikes").iterdir()) == []


def test_damaged_recordings_are_skipped_on_request(folder, tmp_path):
    cache = tmp_path / "cache"
    cut, empty = folder / "Train" / "1" / "00002.bin", folder / "Train" / "0" / "00001.bin"
    whole = cut.read_bytes()
    cut.write_bytes(whole[:-2])
    empty.write_bytes(b"")
    for _ in range(2):  # encoded, then from the cache
        data = load(folder, cache, skip_damaged=True)
        assert len(data) == 7
        assert len(data.skipped) == 2
        assert str(empty) in data.skipped[0]
        assert str(cut) in data.skipped[1]
        assert data.rows.tolist() == [0, 2, 3, 4, 5, 7, 8]
        assert_encoded(data, folder)
        with pytest.raises(DataError, match="no events") as caught:  # the first of them, cached or not
            load(folder, cache)
        assert str(empty) in str(caught.value)
    empty.unlink()
    with pytest.raises(DataError, match=r"all 1 recordings are damaged.*truncated"):
        load(folder, cache, indices=[5], skip_damaged=True)
    state = cut.stat()
    cut.write_bytes(whole)
    os.utime(cut, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert_encoded(load(folder, cache), folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_repaired_recording_is_no_longer_skipped(folder, tmp_path):
    locked = folder / "Train" / "1" / "00002.bin"
    locked.chmod(0)
    assert len(load(folder, tmp_path / "cache", skip_damaged=True)) == 8
    locked.chmod(0o644)
    assert_encoded(load(folder, tmp_path / "cache"), folder)


def test_a_recording_beyond_the_encoding_is_named(folder, tmp_path):
    with pytest.raises(DataError, match="Train/0/00000: an event has x = "):
        load(folder, tmp_path / "cache", encoding=ENCODING.model_copy(update={"sensor_size": (8, 34, 2)}))


def test_an_unwritable_cache_is_refused(folder, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DataError, match="AOI_CACHE_DIR"):
        load(folder, tmp_path / "cache")


def _load_in_process(folder, cache, start, encoded):
    calls = []
    start.wait()
    data = load(folder, cache, progress=lambda done, total: calls.append(done))
    encoded.put(len(calls) > 1)
    assert_encoded(data, folder)


def test_one_of_several_processes_encodes_and_the_others_wait(folder, tmp_path):
    context = multiprocessing.get_context("fork")
    start, encoded = context.Barrier(3), context.SimpleQueue()
    cache = tmp_path / "cache"
    processes = [context.Process(target=_load_in_process, args=(folder, cache, start, encoded)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sorted(encoded.get() for _ in processes) == [False, False, True]
    assert len(list((cache / "spikes").iterdir())) == 2


@given(st.tuples(*[st.integers(1, 4)] * 4), st.integers(0, 2**32 - 1))
def test_packing_loses_nothing(shape, seed):
    spikes = np.random.default_rng(seed).integers(0, 2, (3, *shape), dtype=np.uint8)
    data = SpikeData(
        ids=("a", "b", "c"),
        labels=np.zeros(3, np.int64),
        classes=("x",),
        fingerprints=np.zeros(3, np.uint64),
        shape=shape,
        packed=np.stack([pack(sample) for sample in spikes]),
        rows=np.arange(3),
    )
    assert (data.batch([2, 0]) == spikes[[2, 0]]).all()


def test_the_fingerprint_depends_on_the_events_only():
    events = some_events(20)
    wide = relaid(events, [("t", "i8"), ("p", "u1"), ("x", "u4"), ("y", "i8")])
    assert fingerprint(events) == fingerprint(wide)
    changed = events.copy()
    changed["p"][3] ^= True
    assert fingerprint(changed) != fingerprint(events)
