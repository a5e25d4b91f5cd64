"""The simulated camera."""

from __future__ import annotations

import numpy as np
import pytest

from aoi.events.digits import Digits, DigitsOptions, camera_events
from aoi.events.recording import EVENT

QUIET = {"noise_hz": 0.0, "threshold_sigma": 0.0, "refractory_us": 0}


def test_recordings_are_events_on_the_sensor():
    digits = Digits(DigitsOptions())
    assert len(digits.recordings) == 1797
    assert len({ref.id for ref in digits.recordings}) == 1797
    assert 380 < sum(ref.official == "test" for ref in digits.recordings) < 520
    for ref in digits.recordings[::100]:
        events = digits.read(ref)
        assert events.dtype == EVENT
        assert 500 < len(events) < 5000
        assert (np.diff(events["t"]) >= 0).all()
        assert events["t"].min() >= 0
        assert events["t"].max() < 300_001
        assert 0 <= events["x"].min() <= events["x"].max() < 16
        assert 0 <= events["y"].min() <= events["y"].max() < 16
        assert 0.3 < events["p"].mean() < 0.7


def test_the_same_options_give_the_same_events_in_any_order():
    first, second = Digits(DigitsOptions()), Digits(DigitsOptions())
    some = range(0, 1797, 300)
    forth = [first.read(first.recordings[i]) for i in some]
    back = [second.read(second.recordings[i]) for i in reversed(some)][::-1]
    assert all((a == b).all() for a, b in zip(forth, back, strict=True))


def test_another_seed_gives_other_events_and_the_same_parts():
    one, two = Digits(DigitsOptions()), Digits(DigitsOptions(seed=1, size=20))
    assert one.recordings == two.recordings
    assert one.stamp(one.recordings[0]) != two.stamp(two.recordings[0])
    three = Digits(DigitsOptions(seed=1))
    a, b = one.read(one.recordings[0]), three.read(three.recordings[0])
    assert len(a) != len(b) or (a != b).any()


def ramp(*levels: float) -> np.ndarray:
    return np.array(levels)[:, None, None]


def pixels(value: float) -> np.ndarray:
    return np.full((1, 1), value)


def test_crossings_are_timed_between_samples():
    events = camera_events(ramp(0.0, 1.0, 1.0, 0.4), pixels(0.3), pixels(0.2), 0)
    # Up in 1 ms: crosses 0.3, 0.6, 0.9. Down from 1 at 2 ms by 0.6 in 1 ms, from level 0.9: crosses 0.7 and 0.5.
    assert events["p"].tolist() == [True, True, True, False, False]
    assert np.abs(events["t"] - [300, 600, 900, 2500, 2833]).max() <= 1


def test_after_the_refractory_period_a_pixel_takes_a_new_reference():
    events = camera_events(ramp(0.0, 1.0), pixels(0.3), pixels(0.3), 100)
    # 0.3 at 300 µs, blind until 400 where the light is 0.4: next at 0.7.
    assert np.abs(events["t"] - [300, 700]).max() <= 1


def test_without_noise_each_pixel_ends_within_a_threshold_of_its_light():
    digits = Digits(DigitsOptions(**QUIET, threshold=0.2))
    events = digits.read(digits.recordings[7])
    assert len(events)
    # The path is closed: the light ends as it began, so ON and OFF of each pixel are as many, give or take one.
    balance = np.zeros((16, 16), int)
    np.add.at(balance, (events["y"], events["x"]), np.where(events["p"], 1, -1))
    assert np.abs(balance).max() <= 1


def test_noise_has_the_requested_rate():
    quiet, noisy = Digits(DigitsOptions(**QUIET)), Digits(DigitsOptions(**{**QUIET, "noise_hz": 20.0}))
    more = [len(noisy.read(ref)) - len(quiet.read(ref)) for ref in quiet.recordings[:20]]
    assert np.mean(more) == pytest.approx(20 * 256 * 0.3, rel=0.05)
