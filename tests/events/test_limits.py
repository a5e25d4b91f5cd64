"""Recordings that would take far more memory than they have bytes, names that mislead, and files that were replaced."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from aoi.errors import DataError
from aoi.events.encoding import Encoding
from aoi.events.folder import open_folder
from aoi.events.formats import read_recording
from aoi.events.recording import make_events
from aoi.events.spikes import load_spikes
from tests.events.event_files import aedat4_bytes, bin_bytes, some_events, write_folder


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AOI_MAX_EVENTS", "1000")


def refused(path: Path, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        read_recording(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def peak_mb(path: Path, **environment: str) -> tuple[float, str]:
    """Memory that reading a file takes in a process of its own, MB, and what it says."""
    code = (
        "import resource, sys; from pathlib import Path; from aoi.events.formats import read_recording\n"
        "start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    read_recording(Path(sys.argv[1]))\nexcept Exception as error: print(type(error).__name__, error)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    *said, peak = done.stdout.strip().splitlines()
    return float(peak), " ".join(said)


@pytest.mark.parametrize("kind", ["lz4", "zstd"])
def test_a_small_compressed_file_of_many_events(kind: str, tmp_path: Path, few: None) -> None:
    import lz4.frame
    import zstandard

    compress = lz4.frame.compress if kind == "lz4" else zstandard.compress
    same = np.repeat(some_events(1), 900)
    path = tmp_path / "a.aedat4"
    path.write_bytes(aedat4_bytes([same], 1 if kind == "lz4" else 3, compress))
    assert len(read_recording(path)) == 900
    path.write_bytes(aedat4_bytes([same] * 3, 1 if kind == "lz4" else 3, compress))
    refused(path, "holds more than 1000 events; split the recording, or raise the limit with AOI_MAX_EVENTS")


def test_a_bomb_of_zeros(tmp_path: Path) -> None:
    import zstandard

    packets = [make_events(*(np.zeros(4_000_000, np.int64),) * 4)] * 4
    path = tmp_path / "a.aedat4"
    path.write_bytes(aedat4_bytes(packets, 3, zstandard.compress))
    assert path.stat().st_size < 200_000
    peak, said = peak_mb(path, AOI_MAX_EVENTS="5000000")
    assert "holds more than 5000000 events" in said
    assert peak < 400


def test_stream_names_of_thousands_of_digits(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat4"
    content = aedat4_bytes([some_events(3)])
    path.write_bytes(content.replace(b'name="0"', b'name="0"'))
    assert len(read_recording(path)) == 3
    name = b"9" * 5000
    text = b'<dv version="2.0"><node name="outInfo"><node name="' + name + b'"><attr key="typeIdentifier">EVTS</attr>'
    text += b"</node></node></dv>"
    header = struct.pack("<I4s5H6x", 24, b"IOHE", 10, 24, 4, 8, 16) + struct.pack("<iiqI4xI", 16, 0, -1, 8, len(text))
    header += text + b"\0"
    path.write_bytes(b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(header)) + header)
    refused(path, "no event stream")


def test_arrays_that_nobody_asks_for_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    events = some_events(100)
    columns = {name: events[name].astype(np.int64) for name in "xytp"}
    np.savez_compressed(path, **columns, more=np.zeros(40_000_000))
    peak, said = peak_mb(path)
    assert said == ""
    assert peak < 100


def test_more_values_than_events_are_allowed(tmp_path: Path, few: None) -> None:
    np.savez_compressed(tmp_path / "a.npz", events=np.zeros(2_000, [("x", "u1"), ("y", "u1"), ("t", "i8"), ("p", "?")]))
    refused(tmp_path / "a.npz", "holds more than 1000 events")
    (tmp_path / "a.bin").write_bytes(bytes(16_001 // 5 * 5 + 5))
    refused(tmp_path / "a.bin", "at most 16000 are read")


def test_the_limit_is_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AOI_MAX_EVENTS", "many")
    (tmp_path / "a.bin").write_bytes(bin_bytes(some_events(3)))
    refused_by_name = pytest.raises(DataError, match="AOI_MAX_EVENTS=many: has to be a positive whole number")
    with refused_by_name:
        read_recording(tmp_path / "a.bin")


def test_python_objects_are_named_as_that(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)
    refused(tmp_path / "a.npy", "holds Python objects, which are never unpickled")


def test_vectors_of_evt3_in_pieces(tmp_path: Path) -> None:
    """A word of two bytes may hold twelve events."""
    words = [0x8000, 0x6000, 0x0005, *[0x3000, *[0x4FFF] * 40] * 20_000]
    path = tmp_path / "a.raw"
    path.write_bytes(b"% evt 3.0\n% end\n" + np.array(words, "<u2").tobytes())
    peak, said = peak_mb(path)
    assert said == ""
    honest = 13 * 12 * 40 * 20_000 / 1e6  # MB of the events
    assert peak < 4 * honest
    events = read_recording(path)
    assert len(events) == 12 * 40 * 20_000
    assert events["x"][:480].tolist() == list(range(480))


@pytest.mark.parametrize("pair", [("caf\u00e9", unicodedata.normalize("NFD", "caf\u00e9")), ("dog", "Dog")])
def test_classes_that_a_person_cannot_tell_apart(pair: tuple[str, str], tmp_path: Path) -> None:
    write_folder(tmp_path, {f"Train/{pair[0]}": 1, f"Test/{pair[1]}": 1, "Train/other": 1})
    with pytest.raises(DataError, match="have the same name to a reader"):
        open_folder(tmp_path)


def test_class_folders_that_are_not_utf8(tmp_path: Path) -> None:
    write_folder(tmp_path, {"Train/a": 1})
    (tmp_path / "Train" / os.fsdecode(b"caf\xe9")).mkdir()
    with pytest.raises(DataError, match=r"xe9' is not named in UTF-8"):
        open_folder(tmp_path)


def test_a_recording_replaced_by_one_of_the_same_size_and_time(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "data", {"Train/0": 1, "Train/1": 1})
    path = root / "Train" / "0" / "00000.bin"
    encoding = Encoding(sensor_size=(34, 34, 2), window_us=300_000, bins=4)
    before = load_spikes(open_folder(root), [0], encoding, cache_dir=tmp_path / "cache")
    time = path.stat().st_mtime_ns
    other = bin_bytes(some_events(50, seed=99))
    path.write_bytes(other)
    os.utime(path, ns=(time, time))
    after = load_spikes(open_folder(root), [0], encoding, cache_dir=tmp_path / "cache")
    assert before.fingerprints != after.fingerprints
    assert not np.array_equal(before.batch([0]), after.batch([0]))


@pytest.mark.parametrize(
    ("change", "odd"),
    [
        (lambda t: t, False),
        (lambda t: t * 1000, True),  # ns
        (lambda t: t // 1000, True),  # ms
        (lambda t: np.r_[0, t[1:] + 10**9], True),  # a bad first event
        (lambda t: (t + 2**32 - 150_000) % 2**32, True),  # 32 bits that overflow
    ],
)
def test_times_that_cannot_be_are_remarked(change, odd: bool, tmp_path: Path) -> None:
    folder = tmp_path / "Train" / "0"
    folder.mkdir(parents=True)
    events = some_events(200)
    events["t"] = change(events["t"])
    np.save(folder / "0.npy", events)
    encoding = Encoding(sensor_size=(34, 34, 2), window_us=300_000, bins=10)
    for _ in range(2):  # encoded, and from the cache
        found = load_spikes(open_folder(tmp_path, sensor_size=(34, 34, 2)), [0], encoding, cache_dir=tmp_path / "cache")
        assert bool(found.outside) == odd
