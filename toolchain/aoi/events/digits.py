"""The built-in data set: scikit-learn's handwritten digits, seen by a simulated event camera.

The 1,797 images of 8x8 pixels move along the three saccades of N-MNIST (Orchard et al. 2015,
doi:10.3389/fnins.2015.00437) in front of a camera that reports changes of log intensity.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from aoi.events.dataset import RecordingRef
from aoi.events.recording import EVENT, make_events
from aoi.events.splits import hash_fraction

_VERSION = 1
"""Part of every stamp: increase it when the same options give other events."""
_IMAGE = 8
_TEST_SHARE = 0.25
_SACCADE_US = 100_000
_SAMPLE_US = 1_000
_CORNERS = ((0.0, 0.0), (0.5, 1.0), (1.0, 0.0), (0.0, 0.0))
"""Start and end points of N-MNIST's saccades, (x, y) in units of the amplitude."""


class DigitsOptions(BaseModel):
    """The simulated camera. The same options give the same events for each digit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(16, ge=12, le=128, description="the sensor's width and height, pixels")
    amplitude: float = Field(
        0.2, gt=0, le=0.4, description="amplitude of the saccades relative to size; N-MNIST has 7/34"
    )
    threshold: float = Field(0.25, ge=0.05, le=2, description="change of log intensity that triggers an event")
    threshold_sigma: float = Field(0.03, ge=0, le=0.3, description="relative spread of the thresholds over pixels")
    background: float = Field(0.1, gt=0, le=1, description="intensity beside the digit; its strokes add up to 1")
    refractory_us: int = Field(100, ge=0, le=100_000, description="refractory period of a pixel after an event, µs")
    noise_hz: float = Field(1.0, ge=0, le=1000, description="noise events per pixel and second")
    seed: int = Field(0, ge=0, lt=2**31)


class Digits:
    """1,797 recordings of 300 ms. A quarter of the images is the test part, the same for all camera options."""

    name = "digits"
    classes = tuple("0123456789")

    def __init__(self, options: DigitsOptions) -> None:
        self.options = options
        self.sensor_size = (options.size, options.size, 2)

    @cached_property
    def _data(self) -> tuple[np.ndarray, np.ndarray]:
        from sklearn.datasets import load_digits

        bundle = load_digits()
        return bundle.images, bundle.target

    @cached_property
    def recordings(self) -> tuple[RecordingRef, ...]:
        return tuple(_ref(index, int(label)) for index, label in enumerate(self._data[1]))

    @cached_property
    def _thresholds(self) -> tuple[np.ndarray, np.ndarray]:
        return pixel_thresholds(self.options)

    @cached_property
    def _path(self) -> tuple[np.ndarray, np.ndarray]:
        return _sampling_matrices(self.options)

    def read(self, ref: RecordingRef) -> np.ndarray:
        """Events (n,) of one digit, ascending in time."""
        index = int(ref.id.rsplit("/", 1)[1])
        image = self._data[0][index] / 16.0
        rows, columns = self._path
        light = rows @ image @ columns.transpose(0, 2, 1) + self.options.background
        signal = camera_events(np.log(light), *self._thresholds, self.options.refractory_us)
        noise = _noise(self.options, np.random.default_rng([self.options.seed, index]))
        events = np.concatenate([signal, noise])
        return events[np.argsort(events["t"], kind="stable")]

    def stamp(self, ref: RecordingRef) -> str:
        return f"{_VERSION}:{self.options.model_dump_json()}"


def _ref(index: int, label: int) -> RecordingRef:
    # By the image, not the rendering: no digit is trained on in one rendering and tested in another.
    official: Literal["train", "test"] = "test" if hash_fraction(f"digit {index}") < _TEST_SHARE else "train"
    return RecordingRef(f"{official.capitalize()}/{label}/{index:04d}", label, official)


def _sampling_matrices(options: DigitsOptions) -> tuple[np.ndarray, np.ndarray]:
    """Rows (samples, size, 8) and columns (samples, size, 8): light at a sample is ``rows @ image @ columns.T``.

    One sample per millisecond. Intensity is interpolated linearly between the image's pixels and 0 outside the image.
    """
    corners = np.array(_CORNERS) * options.amplitude * options.size
    samples = np.arange(0, (len(_CORNERS) - 1) * _SACCADE_US + 1, _SAMPLE_US)
    moments = np.arange(len(_CORNERS)) * _SACCADE_US
    scale = (1 - options.amplitude) * options.size / _IMAGE
    pixels = np.arange(options.size) + 0.5

    def weights(offset: np.ndarray) -> np.ndarray:
        position = (pixels - offset[:, None]) / scale - 0.5
        return np.maximum(0.0, 1.0 - np.abs(position[:, :, None] - np.arange(_IMAGE)))

    x, y = (np.interp(samples, moments, corners[:, axis]) for axis in (0, 1))
    return weights(y), weights(x)


def pixel_thresholds(options: DigitsOptions) -> tuple[np.ndarray, np.ndarray]:
    """ON and OFF thresholds, float64 (size, size) each. They belong to the camera: the same for all recordings."""
    spread = np.random.default_rng([options.seed, 2**31]).standard_normal((2, options.size, options.size))
    on, off = options.threshold * np.clip(1 + options.threshold_sigma * spread, 0.2, None)
    return on, off


def camera_events(log_light: np.ndarray, on: np.ndarray, off: np.ndarray, refractory_us: int) -> np.ndarray:
    """Events (n,) of a camera that sees ``log_light`` (samples, height, width), one sample per ms.

    Each pixel keeps a reference level, at first the light that it sees. When the light has risen by its ``on``
    threshold or fallen by its ``off`` threshold, (height, width) each, the pixel sends an event, is blind for
    ``refractory_us`` and takes the light after that as its new reference. The light changes linearly between samples.
    Times are rounded down to µs. Events are ordered by pixel.
    """
    from aoi.events._camera import crossings

    samples, _, width = log_light.shape
    traces = np.ascontiguousarray(log_light.reshape(samples, -1).T)
    # Upper bound of the events of a pixel: its total change of light over the smaller threshold.
    most = np.abs(np.diff(traces, axis=1)).sum(axis=1) / np.minimum(on, off).ravel()
    capacity = int(np.ceil(most).sum()) + 1
    pixel, t, polarity = crossings(traces, on.ravel(), off.ravel(), float(_SAMPLE_US), float(refractory_us), capacity)
    return make_events(pixel % width, pixel // width, t, polarity)


def _noise(options: DigitsOptions, generator: np.random.Generator) -> np.ndarray:
    """Events at Poisson times on all pixels, ON and OFF equally likely. Reference levels stay as they are."""
    duration = (len(_CORNERS) - 1) * _SACCADE_US
    count = int(generator.poisson(options.noise_hz * options.size**2 * duration * 1e-6))
    events = np.empty(count, dtype=EVENT)
    events["x"] = generator.integers(options.size, size=count)
    events["y"] = generator.integers(options.size, size=count)
    events["t"] = generator.integers(duration, size=count)
    events["p"] = generator.integers(2, size=count)
    return events
