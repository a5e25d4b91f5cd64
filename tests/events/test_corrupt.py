"""Corruptions: what they do to events, that they are the same every time, and that no cache mixes them up."""

from __future__ import annotations

import numpy as np
import pytest

from aoi.errors import DataError
from aoi.events.corrupt import HOT_HZ, Corruption, _seed, parse_corruptions
from aoi.events.encode import encode
from aoi.events.encoding import Encoding
from aoi.events.opening import open_dataset
from aoi.events.recording import EVENT, fingerprint, make_events
from aoi.events.spikes import load_spikes
from tests.events.event_files import write_folder

SIZE = (34, 30, 2)
STRENGTHS = {"drop": 0.4, "noise": 20.0, "jitter": 3000.0, "hot": 7.0}


def recording(count: int = 4000, seconds: float = 0.3) -> np.ndarray:
    generator = np.random.default_rng(5)
    t = np.sort(generator.integers(0, int(seconds * 1e6), count)) + 77
    return make_events(
        generator.integers(0, SIZE[0], count), generator.integers(0, SIZE[1], count), t, generator.random(count) < 0.3
    )


@pytest.mark.parametrize("kind", STRENGTHS)
def test_the_same_every_time_and_another_for_another_recording(kind: str) -> None:
    events = recording()
    kept = events.copy()
    corruption = Corruption(kind, STRENGTHS[kind])
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    found = corruption.apply(events, "Test/3/00001", SIZE)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    assert (events == kept).all()
    assert found.dtype == EVENT
    assert (np.diff(found["t"]) >= 0).all()
    assert found["t"].min() >= events["t"].min()
    assert (found == corruption.apply(events, "Test/3/00001", SIZE)).all()
    assert fingerprint(found) != fingerprint(events)
    assert fingerprint(found) != fingerprint(corruption.apply(events, "Test/3/00002", SIZE))
    assert fingerprint(found) != fingerprint(
        Corruption(kind, STRENGTHS[kind], seed=1).apply(events, "Test/3/00001", SIZE)
    )
    assert encode(found, Encoding(sensor_size=SIZE, window_us=300_000, bins=10)).any()
    nothing = Corruption(kind, 0.0).apply(events, "a", SIZE)
    assert (nothing == events).all()
    assert len(Corruption(kind, STRENGTHS[kind]).apply(events[:0], "a", SIZE)) == 0


@pytest.mark.parametrize("kind", ["drop", "noise", "jitter"])
@pytest.mark.parametrize("polarities", [1, 2])
def test_the_events_are_those_of_tonic(kind: str, polarities: int) -> None:
    transforms = pytest.importorskip("tonic.transforms", reason="tonic is not installed")
    events, size = recording(), (*SIZE[:2], polarities)
    events["p"] &= polarities > 1
    for strength in (STRENGTHS[kind] / 50, STRENGTHS[kind], 1.0):
        corruption = Corruption(kind, strength)
        ours = corruption.apply(events, "Test/3/00001", size)
        before = np.random.get_state()  # noqa: NPY002
        np.random.seed(_seed(0, kind, "Test/3/00001"))  # noqa: NPY002 - tonic draws from the global generator
        try:
            # As tonic wants them: times from 0, and a polarity that holds the numbers below 2 before it is a boolean.
            given = events.astype([(name, "i1" if name == "p" else events.dtype[name]) for name in "xytp"])
            start = 0 if kind == "noise" else events["t"].min()
            given["t"] -= start
            theirs = {
                "drop": transforms.DropEvent(p=strength),
                "noise": transforms.UniformNoise(size, round(strength * size[0] * size[1] * np.ptp(events["t"]) / 1e6)),
                "jitter": transforms.TimeJitter(std=strength, clip_negative=True, sort_timestamps=True),
            }[kind](given)
        finally:
            np.random.set_state(before)  # noqa: NPY002
        theirs["t"] += start
        assert ours.tobytes() == theirs.astype(EVENT).tobytes()
        assert fingerprint(ours) != fingerprint(events)


def test_drop() -> None:
    events = recording()
    some, more = (Corruption("drop", share).apply(events, "a", SIZE) for share in (0.3, 0.6))
    assert (len(some), len(more)) == (2800, 1600)
    assert np.isin(some, events).all()
    assert np.isin(more, some).all()  # a sweep loses ever more of the same
    assert len(Corruption("drop", 1.0).apply(events, "a", SIZE)) == 0


def test_noise() -> None:
    events = recording()
    noisy = Corruption("noise", 20.0).apply(events, "a", SIZE)
    added = len(noisy) - len(events)
    assert added == pytest.approx(20 * SIZE[0] * SIZE[1] * 0.3, rel=0.01)
    counts = {tuple(event): 0 for event in noisy.tolist()}
    for event in noisy.tolist():
        counts[event] += 1
    for event in events.tolist():
        counts[event] -= 1  # KeyError where one was lost
    new = np.array([event for event, count in counts.items() for _ in range(count)], dtype=EVENT)
    assert len(new) == added
    assert new["x"].max() == SIZE[0] - 1
    assert new["y"].max() == SIZE[1] - 1
    assert new["p"].mean() == pytest.approx(0.5, abs=0.03)
    assert new["t"].max() <= events["t"].max()
    one = make_events(events["x"], events["y"], events["t"], np.zeros(len(events)))
    assert not Corruption("noise", 20.0).apply(one, "a", (*SIZE[:2], 1))["p"].any()  # a camera of one polarity


def test_jitter() -> None:
    events = recording()
    events["x"] = np.arange(len(events)) % SIZE[0]
    events["y"] = np.arange(len(events)) // SIZE[0] % SIZE[1]  # so that each can be found again
    events = events[: SIZE[0] * SIZE[1]]
    moved = Corruption("jitter", 3000.0).apply(events, "a", SIZE)
    place = {(x, y): t for x, y, t, _ in events.tolist()}
    shift = np.array([t - place[x, y] for x, y, t, _ in moved.tolist()])
    assert shift.std() == pytest.approx(3000, rel=0.1)
    assert abs(shift.mean()) < 500
    lost = len(events) - len(moved)
    early = (events["t"] - events["t"].min() < 9000).sum()
    assert 0 < lost < early


def test_hot_pixels_are_the_cameras() -> None:
    events = recording()
    encoding = Encoding(sensor_size=SIZE, window_us=300_000, bins=10)
    few, many = (Corruption("hot", n) for n in (3, 8))
    hot = [
        {(x, y) for x, y, t, p in set(c.apply(events, name, SIZE).tolist()) - set(events.tolist())}
        for c, name in ((few, "a"), (few, "b"), (many, "a"))
    ]
    assert len(hot[0]) == 3
    assert hot[0] == hot[1] < hot[2]
    assert len(hot[2]) == 8
    found = few.apply(events, "a", SIZE)
    assert len(found) - len(events) == pytest.approx(3 * 0.3 * HOT_HZ, abs=3)
    spikes = encode(found, encoding)
    assert all(spikes[1, y, x].all() for x, y in hot[0])
    with pytest.raises(DataError, match=r"hot:1021.*34x30.*1020"):
        Corruption("hot", 1021).apply(events, "a", SIZE)


def test_a_single_event() -> None:
    events = recording()[:1]
    for kind, strength in STRENGTHS.items():
        Corruption(kind, strength).apply(events, "a", SIZE)


def test_noise_that_no_memory_holds_is_refused() -> None:
    with pytest.raises(DataError, match=r"noise:10000.*limit"):
        Corruption("noise", 10_000.0).apply(recording(seconds=20), "a", (1280, 720, 2))


def test_text() -> None:
    assert parse_corruptions("drop:0.3") == (Corruption("drop", 0.3),)
    assert parse_corruptions("hot:0,2,10") == tuple(Corruption("hot", n) for n in (0, 2, 10))
    assert [str(c) for c in parse_corruptions("jitter:1500.5,2e3")] == ["jitter:1500.5", "jitter:2000"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("blur:1", "no such corruption; choose drop"),
        ("drop", "'' is no number.*drop:0.3"),
        ("drop:", "'' is no number"),
        ("drop:0.1,,0.3", "'' is no number"),
        ("drop:much", "'much' is no number"),
        ("drop:1.01", "1.01 is out of range.*from 0 to 1"),
        ("drop:-0.1", "-0.1 is out of range"),
        ("noise:nan", "nan is out of range"),
        ("noise:inf", "inf is out of range"),
        ("jitter:1e8", "1e8 is out of range.*10000000 µs"),
        ("hot:2.5", "2.5 is out of range.*whole number"),
    ],
)
def test_bad_text(text: str, words: str) -> None:
    with pytest.raises(DataError, match=f"--corrupt {text}: .*{words}"):
        parse_corruptions(text)


def test_the_cache_keeps_clean_and_corrupted_apart(tmp_path) -> None:
    dataset = open_dataset(str(write_folder(tmp_path / "data", {"Test/0": 3, "Test/1": 2})))
    encoding = Encoding(sensor_size=(34, 34, 2), window_us=300_000, bins=7)
    corruptions = (None, Corruption("drop", 0.5), Corruption("drop", 0.6), Corruption("hot", 4.0), None)

    def load(corruption: Corruption | None) -> tuple[np.ndarray, np.ndarray]:
        data = load_spikes(dataset, range(5), encoding, corruption=corruption, cache_dir=tmp_path / "cache")
        return data.batch(range(5)), data.fingerprints

    first, again = [load(each) for each in corruptions], [load(each) for each in corruptions]
    for corruption, (spikes, marks), (repeated, _) in zip(corruptions, first, again, strict=True):
        for ref, row, mark in zip(dataset.recordings, spikes, marks, strict=True):
            events = dataset.read(ref)
            shown = corruption.apply(events, ref.id, encoding.sensor_size) if corruption else events
            assert (row == encode(shown, encoding)).all()
            assert mark == fingerprint(events)
        assert (repeated == spikes).all()
    assert len({spikes.tobytes() for spikes, _ in first}) == 4
    assert len(list((tmp_path / "cache" / "spikes").glob("*.npy"))) == 4
