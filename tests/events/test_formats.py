"""Every reader on intact files against another decoder, and on damaged ones."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aoi.errors import DataError
from aoi.events.formats import READERS, read_recording
from aoi.events.recording import EVENT
from tests.events.event_files import aedat4_bytes, bin_bytes, relaid, some_events

EVENTS = some_events(500)


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == EVENT
    assert len(found) == len(expected)
    for field in "xytp":
        assert (found[field] == expected[field]).all(), field


def nmnist_files() -> list[Path]:
    root = os.environ.get("AOI_DATA_DIR")
    if not root:
        pytest.skip("AOI_DATA_DIR names no folder with N-MNIST")
    return sorted(Path(root).glob("Train/*/*.bin"))


def test_real_nmnist_equals_tonic_and_a_plain_loop():
    from tonic.io import events_struct, read_mnist_file

    paths = nmnist_files()
    assert paths
    for number, path in enumerate(paths):
        events = read_recording(path)
        assert_same(events, read_mnist_file(str(path), dtype=events_struct))
        if number % 50 == 0:
            data, plain, overflow = path.read_bytes(), [], 0
            for i in range(0, len(data), 5):
                x, y, a, b, c = data[i : i + 5]
                overflow += 8192 * (y == 240)
                if y != 240:
                    plain.append((x, y, ((a & 127) << 16 | b << 8 | c) + overflow, a >> 7))
            assert_same(events, np.array(plain, dtype=EVENT))


@settings(max_examples=50, deadline=None)
@given(data=st.lists(st.tuples(*[st.integers(0, 255) | st.just(240)] * 5), max_size=40))
def test_bin_equals_tonic_with_clock_overflows(data, tmp_path_factory):
    from tonic.io import events_struct, read_mnist_file

    path = tmp_path_factory.mktemp("bin") / "a.bin"
    path.write_bytes(bytes(byte for event in data for byte in event))
    assert_same(read_recording(path), read_mnist_file(str(path), dtype=events_struct))


def test_npy_and_npz(tmp_path):
    wide = relaid(EVENTS, [("t", "u8"), ("x", "u2"), ("y", "i4"), ("p", "i1")])
    wide["p"] = np.where(EVENTS["p"], 1, -1)
    np.save(tmp_path / "a.npy", EVENTS)
    np.save(tmp_path / "b.npy", wide)
    np.savez_compressed(tmp_path / "c.npz", EVENTS)
    np.savez(tmp_path / "d.npz", events=wide, other=np.zeros(3))
    np.savez(tmp_path / "e.npz", **{field: wide[field] for field in "xytp"})
    for path in tmp_path.iterdir():
        assert_same(read_recording(path), EVENTS)


@pytest.mark.parametrize("encoding", ["dat", "evt2", "evt3"])
def test_prophesee_equals_expelliarmus(encoding, tmp_path):
    wizard = pytest.importorskip("expelliarmus", reason="expelliarmus writes the files").Wizard(encoding)
    path = tmp_path / ("a.dat" if encoding == "dat" else "a.raw")
    # expelliarmus itself loses time in EVT3 over pauses of 4096 µs and more.
    for seed, duration in ((1, 20_000), (2, 600_000 if encoding == "evt3" else 30_000_000)):
        events = some_events(3000, seed=seed, size=600, duration=duration)
        events["t"] += 5000
        wizard.save(path, relaid(events, [("t", "<i8"), ("y", "<i2"), ("x", "<i2"), ("p", "u1")]))
        assert_same(read_recording(path), events)


def test_evt3_vectors(tmp_path):
    words = [0x8001, 0x6010, 0x0005, 0x3800 | 40, 0x4005, 0x5081, 0x6011, 0x2003]
    path = tmp_path / "a.raw"
    path.write_bytes(b"% format EVT3;height=720;width=1280\n% end\n" + struct.pack(f"<{len(words)}H", *words))
    expected = [(40, 5, 4112, 1), (42, 5, 4112, 1), (52, 5, 4112, 1), (59, 5, 4112, 1), (3, 5, 4113, 0)]
    assert_same(read_recording(path), np.array(expected, dtype=EVENT))


def test_evt3_clock_overflow(tmp_path):
    words = [0x8FFF, 0x6FFF, 0x0005, 0x2001, 0x8000, 0x2002, 0x6003, 0x2003, 0x8000, 0x2004]
    path = tmp_path / "a.raw"
    path.write_bytes(b"% evt 3.0\n" + struct.pack(f"<{len(words)}H", *words))
    assert read_recording(path)["t"].tolist() == [2**24 - 1, 2**24, 2**24 + 3, 2**24 + 3]


@pytest.mark.parametrize("compression", ["none", "lz4", "zstandard"])
def test_aedat4(compression, tmp_path):
    if compression == "lz4":
        number, compress = 1, pytest.importorskip("lz4.frame").compress
    elif compression == "zstandard":
        number, compress = 3, pytest.importorskip("zstandard").ZstdCompressor().compress
    else:
        number, compress = 0, lambda data: data
    path = tmp_path / "a.aedat4"
    path.write_bytes(aedat4_bytes([EVENTS[:100], EVENTS[100:]], number, compress))
    assert_same(read_recording(path), EVENTS)
    aedat = pytest.importorskip("aedat", reason="aedat is the other decoder")
    packets = np.concatenate([packet["events"] for packet in aedat.Decoder(str(path))])
    for name, field in (("t", "t"), ("x", "x"), ("y", "y"), ("on", "p")):
        assert (packets[name] == EVENTS[field]).all()


def sound_files(folder: Path) -> list[Path]:
    """One intact file per format."""
    (folder / "a.bin").write_bytes(bin_bytes(EVENTS))
    np.save(folder / "a.npy", EVENTS)
    np.savez(folder / "a.npz", EVENTS)
    (folder / "a.aedat4").write_bytes(aedat4_bytes([EVENTS[:100], EVENTS[100:]]))
    pairs = struct.pack("<4I", 7, 3 | 4 << 14 | 1 << 28, 9, 5 | 6 << 14)
    (folder / "a.dat").write_bytes(b"% Version 2\n\x0c\x08" + pairs * 50)
    evt2 = struct.pack("<2I", 8 << 28 | 3, 1 << 28 | 5 << 22 | 7 << 11 | 9)
    (folder / "a.raw").write_bytes(b"% evt 2.0\n% end\n" + evt2 * 50)
    (folder / "b.raw").write_bytes(b"% evt 3.0\n% end\n" + struct.pack("<4H", 0x8001, 0x6010, 0x0005, 0x2003) * 50)
    return sorted(folder.iterdir())


def read_or_refuse(path: Path) -> None:
    try:
        events, refusal = read_recording(path), None
    except DataError as error:
        events, refusal = None, str(error)
    if refusal is None:
        assert events.dtype == EVENT
    else:
        assert str(path) in refusal
        assert "\n" not in refusal


def test_truncated_files_are_refused(tmp_path):
    for path in sound_files(tmp_path):
        assert len(read_recording(path)), path
        whole = path.read_bytes()
        for cut in (len(whole) - 1, len(whole) // 2 | 1):
            path.write_bytes(whole[:cut])
            with pytest.raises(DataError) as caught:
                read_recording(path)
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_read_or_refused(data, tmp_path):
    path = data.draw(st.sampled_from(sound_files(tmp_path)))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, min(len(content), 400) - 1) | st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    read_or_refuse(path)


PREFIXES = [b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"#!AER-DAT4.0\r\n"]
PREFIXES += [b"% evt 2.0\n", b"% evt 3.0\n", b"% \n\x00\x08", b"%"]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prefix=st.sampled_from(PREFIXES), content=st.binary(max_size=400), ending=st.sampled_from(sorted(READERS)))
def test_random_bytes_are_read_or_refused(prefix, content, ending, tmp_path):
    path = tmp_path / f"a{ending}"
    path.write_bytes(prefix + content)
    read_or_refuse(path)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((3, 4)), "no field 'x'"),
        (np.zeros((2, 2), EVENT), "one dimension"),
        (np.zeros(3, [("x", "f4"), ("y", "i2"), ("t", "i8"), ("p", "?")]), "expected integers"),
        (np.full(3, 7, [("x", "i2"), ("y", "i2"), ("t", "i8"), ("p", "i1")]), "'p' spans 7 to 7"),
        (np.full(3, 2**63, [("x", "i2"), ("y", "i2"), ("t", "u8"), ("p", "?")]), "'t' spans"),
        (np.full(3, -1, EVENT), "'x' spans -1 to -1"),
    ],
)
def test_npy_of_another_kind_is_refused(array, says, tmp_path):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError, match=says):
        read_recording(tmp_path / "a.npy")


def test_pickles_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="holds Python objects, which are never unpickled"):
        read_recording(tmp_path / "a.npy")


def test_a_header_that_states_too_much_allocates_nothing(tmp_path):
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": EVENT.descr, "fortran_order": False, "shape": (10**15,)})
    with pytest.raises(DataError, match="holds more than 67108864 events"):
        read_recording(path)
