"""Recordings made worse on purpose: lost events, noise, jitter, hot pixels. For judging robustness only."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from aoi.errors import DataError
from aoi.events.recording import make_events

Kind = Literal["drop", "noise", "jitter", "hot"]

_VERSION = 1
"""Part of every :attr:`Corruption.stamp`: raise it when a corruption gives other events."""
HOT_HZ = 1000.0
"""Events of a hot pixel a second: an event in each timestep of all usual encodings."""
_MOST_EVENTS = 50_000_000  # that noise may add to one recording, 650 MB of them

_LIMITS: dict[Kind, tuple[float, str]] = {
    "drop": (1.0, "a share of the events from 0 to 1, as drop:0.3"),
    "noise": (1e4, "a rate from 0 to 10000 events a second and pixel, as noise:5"),
    "jitter": (1e7, "a standard deviation from 0 to 10000000 µs, as jitter:2000"),
    "hot": (1e6, "a whole number of pixels from 0 to 1000000, as hot:10"),
}


@dataclass(frozen=True)
class Corruption:
    """One way of making recordings worse, at one strength. The same recording always gets the same.

    The events are those that tonic's transforms of the same seed give, which a test holds; tonic itself is not needed.

    - ``drop``: tonic's ``DropEvent``; the share ``strength`` of the events is lost.
    - ``noise``: tonic's ``UniformNoise``; each pixel sends ``strength`` events a second on average, of either polarity,
      from the first to the last event of the recording.
    - ``jitter``: tonic's ``TimeJitter``; each time moves by a Gaussian of ``strength`` µs. Events that would fall
      before the recording's first are lost.
    - ``hot``: ``strength`` pixels send ON events at :data:`HOT_HZ`, regularly, each with a phase of its own. The pixels
      belong to the camera: they are the same in all recordings, and those of ``hot:5`` are among those of ``hot:10``.
    """

    kind: Kind
    strength: float
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.kind}:{self.strength:g}"

    @property
    def stamp(self) -> str:
        """Text that tells caches of corrupted recordings apart."""
        return f"{_VERSION}:{self.kind}:{self.strength!r}:{self.seed}"

    def check(self, sensor_size: tuple[int, int, int]) -> None:
        """Raises DataError where the sensor (width, height, polarities) is too small for it."""
        width, height, _ = sensor_size
        if self.kind == "hot" and self.strength > width * height:
            raise DataError(f"{self}: a sensor of {width}x{height} has no more than {width * height} pixels")

    def apply(self, events: np.ndarray, recording: str, sensor_size: tuple[int, int, int]) -> np.ndarray:
        """Events (n,) of a recording of this name → other events (m,) of the same dtype; none may be left.

        ``sensor_size``: width, height, polarities. The argument stays as it is.
        """
        self.check(sensor_size)
        if self.strength == 0 or not len(events):
            return events
        seed = _seed(self.seed, self.kind, recording)
        if self.kind == "hot":
            return self._hot(events, np.random.default_rng(seed), sensor_size)
        generator = np.random.RandomState(seed)
        if self.kind == "drop":
            lost = generator.choice(len(events), int(self.strength * len(events) + 0.5), replace=False)
            return np.delete(events, lost)
        if self.kind == "noise":
            return _with_noise(events, generator, sensor_size, self._noise_events(events, sensor_size))
        return _jittered(events, generator, self.strength)

    def _noise_events(self, events: np.ndarray, sensor_size: tuple[int, int, int]) -> int:
        width, height, _ = sensor_size
        count = round(self.strength * width * height * _seconds(events))
        if count > _MOST_EVENTS:
            raise DataError(
                f"{self}: would add {count:,} events to one recording of {_seconds(events):g} s and {width}x{height} "
                f"pixels; the limit is {_MOST_EVENTS:,}"
            )
        return count

    def _hot(self, events: np.ndarray, generator: np.random.Generator, sensor_size: tuple[int, int, int]) -> np.ndarray:
        width, height, polarities = sensor_size
        # The camera's own generator, not the recording's: one order of pixels, of which the first are hot.
        order = np.random.default_rng(_seed(self.seed, self.kind, "")).permutation(width * height)
        pixels = order[: int(self.strength)]
        period = 1e6 / HOT_HZ
        phase = generator.random(len(pixels)) * period
        beats = np.arange(math.ceil(_seconds(events) * HOT_HZ))
        t = (phase[:, None] + beats * period).ravel().astype(np.int64) + events["t"].min()
        pixel = np.repeat(pixels, len(beats))
        inside = t <= events["t"].max()
        on = np.full(int(inside.sum()), polarities > 1)
        added = make_events(pixel[inside] % width, pixel[inside] // width, t[inside], on)
        both = np.concatenate([events, added.astype(events.dtype)])
        return both[np.argsort(both["t"], kind="stable")]


def parse_corruptions(text: str) -> tuple[Corruption, ...]:
    """``drop:0.3`` or, for a sweep, ``drop:0,0.1,0.2`` → one corruption a strength. Raises DataError."""
    kind = next((kind for kind in get_args(Kind) if kind == text.partition(":")[0]), None)
    if kind is None:
        raise DataError(
            f"--corrupt {text}: there is no such corruption; choose drop:SHARE, noise:HZ, jitter:US or hot:N"
        )
    limit, expected = _LIMITS[kind]
    strengths = []
    for part in text.partition(":")[2].split(","):
        try:
            strength = float(part)
        except ValueError:
            raise DataError(f"--corrupt {text}: {part!r} is no number; expected {expected}") from None
        if not 0 <= strength <= limit or (kind == "hot" and strength != int(strength)):
            raise DataError(f"--corrupt {text}: {part} is out of range; expected {expected}")
        strengths.append(strength)
    return tuple(Corruption(kind, strength) for strength in strengths)


def _with_noise(
    events: np.ndarray,
    generator: np.random.RandomState,
    sensor_size: tuple[int, int, int],
    count: int,
) -> np.ndarray:
    """``count`` events more, uniform over pixels, polarities and the recording's time."""
    width, height, polarities = sensor_size
    limits = {"x": (0, width), "y": (0, height), "p": (0, polarities), "t": (events["t"].min(), events["t"].max())}
    noise = np.zeros(count, events.dtype)
    for field in events.dtype.names or ():  # in this order, in which tonic draws
        noise[field] = generator.uniform(*limits[field], size=count).astype(np.int64)
    both = np.concatenate([events, noise])
    return both[np.argsort(both["t"])]


def _jittered(events: np.ndarray, generator: np.random.RandomState, deviation_us: float) -> np.ndarray:
    """Each time moved by a Gaussian; events that would fall before the first are lost."""
    start = events["t"].min()
    moved = events.copy()
    moved["t"] = (events["t"] - start) + generator.normal(0, deviation_us, len(events))
    moved = moved[moved["t"] >= 0]
    moved = moved[np.argsort(moved["t"])]
    moved["t"] += start
    return moved


def _seconds(events: np.ndarray) -> float:
    return float(events["t"].max() - events["t"].min()) / 1e6


def _seed(*parts: object) -> int:
    """32 bits that depend on the parts alone. Not on the strength: a sweep makes the same noise ever stronger."""
    text = ":".join(map(str, parts)).encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little")
