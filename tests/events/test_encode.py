"""Encoding against its own definition in a plain loop, and against tonic's transforms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aoi.errors import DataError
from aoi.events.encode import encode
from aoi.events.encoding import Encoding
from aoi.events.recording import EVENT, make_events
from tests.events.event_files import some_events


def naive(events: np.ndarray, encoding: Encoding) -> np.ndarray:
    """The definition, in Python's integers."""
    out = np.zeros(encoding.shape, dtype=np.uint8)
    events = sorted(events.tolist(), key=lambda event: event[2])
    last: dict[tuple[int, int], int] = {}
    for x, y, t, p in events:
        if encoding.denoise_us is not None:
            around = [(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)]
            alone = not any(pixel in last and t - last[pixel] < encoding.denoise_us for pixel in around)
            last[x, y] = t
            if alone:
                continue
        step = (t - events[0][2]) * encoding.bins // encoding.window_us
        if step < encoding.bins:
            channel = 0 if encoding.merge_polarities else int(p)
            out[channel, y // encoding.downsample, x // encoding.downsample, step] = 1
    return out


events_of = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 4), st.integers(-50, 50) | st.integers(-(2**61), 2**61), st.booleans()),
    max_size=60,
).map(lambda rows: np.array(rows, dtype=EVENT))
encodings = st.builds(
    Encoding,
    sensor_size=st.just((7, 5, 2)),
    window_us=st.integers(1, 200) | st.integers(1, 2**70),
    bins=st.integers(1, 40),
    merge_polarities=st.booleans(),
    downsample=st.integers(1, 9),
    denoise_us=st.none() | st.integers(1, 60),
)


@settings(max_examples=150, deadline=None)
@given(events=events_of, encoding=encodings)
def test_equals_the_definition(events, encoding):
    assert (encode(events, encoding) == naive(events, encoding)).all()


@pytest.mark.parametrize("merge", [False, True])
@pytest.mark.parametrize("downsample", [1, 2])
@pytest.mark.parametrize("denoise_us", [None, 3000])
def test_equals_tonic(merge, downsample, denoise_us):
    from tonic import transforms

    encoding = Encoding(
        sensor_size=(34, 34, 2),
        window_us=320_000,
        bins=32,
        merge_polarities=merge,
        downsample=downsample,
        denoise_us=denoise_us,
    )
    events = some_events(4000, seed=5)
    # Tonic takes every pixel for active at t = 0; a second later that does not show.
    events["t"] += 1_000_000 - events["t"][0]
    steps = [transforms.Denoise(denoise_us)] if denoise_us else []
    steps += [transforms.MergePolarities()] if merge else []
    channels, height, width, bins = encoding.shape
    steps += [transforms.Downsample(spatial_factor=1 / downsample)]
    steps += [
        transforms.ToFrame(
            sensor_size=(width, height, channels), time_window=10_000, start_time=1_000_000, end_time=1_320_000
        )
    ]
    frames = transforms.Compose(steps)(events)
    assert frames.shape == (bins, channels, height, width)
    assert (encode(events, encoding) == (frames.transpose(1, 2, 3, 0) > 0)).all()


def test_bin_edges_belong_to_the_later_bin():
    t = np.array([100, 133, 134, 166, 167, 199, 200])
    events = make_events(np.zeros(7), np.arange(7), t, np.zeros(7))
    spikes = encode(events, Encoding(sensor_size=(1, 7, 2), window_us=100, bins=3))
    assert [spikes[0, y, 0].nonzero()[0].tolist() for y in range(7)] == [[0], [0], [1], [1], [2], [2], []]


def test_no_events_give_no_spikes():
    assert not encode(np.empty(0, EVENT), Encoding(sensor_size=(3, 3, 2), window_us=10, bins=2)).any()


@pytest.mark.parametrize(
    ("event", "says"), [((3, 0, 0, 0), "x = 3"), ((0, -1, 0, 0), "y = -1"), ((0, 0, 0, 1), "p = 1")]
)
def test_events_beyond_the_sensor_are_refused(event, says):
    with pytest.raises(DataError, match=says):
        encode(np.array([event], EVENT), Encoding(sensor_size=(3, 3, 1), window_us=10, bins=2))
