"""Labelled recordings, encoded for a network: ``aoi.open_data``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from os import PathLike
from pathlib import Path

import numpy as np

from aoi.choices import Split, parse_split
from aoi.errors import DataError
from aoi.events.config import DataConfig
from aoi.events.corrupt import Corruption
from aoi.events.dataset import EventDataset
from aoi.events.encoding import Encoding
from aoi.events.opening import open_dataset
from aoi.events.spikes import SpikeData, load_spikes, pack
from aoi.events.splits import require_split
from aoi.workflow.network import Network
from aoi.workflow.progress import Progress, counter, log

_MAX_NAMED = 5  # most damaged recordings that are logged by name


@dataclass(frozen=True)
class Selection:
    """Which recordings to open, and how to encode them if the network file does not say it."""

    data: str | None = None
    """Name of a data set, or a folder; None: the data that the network was trained on."""
    split: Split = "test"
    samples: int | None = None
    """Number of recordings, from the first; None: all."""
    window_us: int | None = None
    bins: int | None = None
    download: bool = False
    skip_damaged: bool = False
    corruption: Corruption | None = None
    camera: int = 0
    """Number of the simulated camera that records the digits; 0 is the network's own."""
    spread: bool = False
    """Take ``samples`` evenly from the whole split, and so from all classes, instead of its beginning."""


@dataclass(frozen=True, eq=False, repr=False)
class Recordings:
    """N labelled recordings, as spikes in a network's input shape.

    Iteration gives the recordings one by one, uint8 (\\*input_shape, T), as a session takes them.
    """

    spikes: SpikeData
    input_shape: tuple[int, ...]
    """Input shape of the network, without T."""
    encoding: Encoding | None
    """None for arrays."""
    config: DataConfig | None
    """Source and splits of the recordings; None for arrays."""
    selection: Selection

    @property
    def labels(self) -> np.ndarray:
        """Indices into :attr:`classes`, int64 (N,)."""
        return self.spikes.labels

    @property
    def classes(self) -> tuple[str, ...]:
        return self.spikes.classes

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the recordings."""
        return self.spikes.ids

    @property
    def steps(self) -> int:
        """T."""
        return self.spikes.shape[-1]

    @property
    def split(self) -> Split:
        return self.selection.split

    @property
    def source(self) -> str | None:
        """Name of the data set, or the folder; None for arrays."""
        return self.config.source if self.config else None

    def __len__(self) -> int:
        return len(self.spikes)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> np.ndarray:
        """Spikes of one recording, uint8 (\\*input_shape, T)."""
        return self.batch([range(len(self))[index]])[0]

    def batch(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Spikes of several recordings, uint8 (n, \\*input_shape, T)."""
        spikes = self.spikes.batch(indices)
        return spikes.reshape(len(spikes), *self.input_shape, spikes.shape[-1])

    def subset(self, indices: Sequence[int] | np.ndarray) -> Recordings:
        """The recordings with these indices."""
        return replace(self, spikes=self.spikes.subset(indices))

    def __repr__(self) -> str:
        return (
            f"Recordings({len(self)} of {self.source or 'arrays'}, split {self.split}: {len(self.classes)} classes, "
            f"{'x'.join(map(str, self.input_shape))} spikes per step, T = {self.steps})"
        )


def open_data(
    data: str | PathLike[str] | np.ndarray | None,
    network: Network,
    *,
    split: str = "test",
    samples: int | None = None,
    labels: Sequence[int] | np.ndarray | None = None,
    window_us: int | None = None,
    bins: int | None = None,
    download: bool = False,
    skip_damaged: bool = False,
    progress: Progress | None = None,
) -> Recordings:
    """Opens recordings for a network, with the encoding in its file.

    Args:
        data: name of a data set (``digits``, ``NMNIST``, …), a folder ``Train|Test/<label>/<recording>``, or spikes
            (N, C, H, W, T) of 0 and 1 with their ``labels``; None: the data that the network was trained on.
        network: the network, from :func:`aoi.load`.
        split: train, validation, calibration or test.
        samples: number of recordings, from the first of the split; None: all.
        labels: output indices, int (N,); only for arrays.
        window_us: length of the time window in µs, if the file has no encoding.
        bins: timesteps T, if the file has no encoding.
        download: download a named data set that is not on this machine.
        skip_damaged: skip recordings that cannot be read, instead of raising an error.
        progress: called with (label, done, total).

    Raises:
        DataError: recordings are missing, damaged or do not fit the network.

    Example:
        >>> data = aoi.open_data("digits", net, split="test")
        >>> len(data), data[0].shape
        (438, (2, 16, 16, 24))
    """
    chosen = parse_split(split)
    if isinstance(data, np.ndarray):
        return _from_array(data, labels, network, Selection(split=chosen, samples=samples))
    if labels is not None:
        raise DataError("labels: only for spikes in an array; the labels of a folder are its class folders")
    selection = Selection(None if data is None else str(data), chosen, samples, window_us, bins, download, skip_damaged)
    return open_selection(network, selection, progress)


def open_selection(network: Network, selection: Selection, progress: Progress | None = None) -> Recordings:
    """The recordings that ``selection`` names. Raises DataError."""
    metadata = network.metadata
    config = metadata.data if metadata else None
    if selection.data is not None:
        config = (config or DataConfig()).model_copy(update={"source": resolve_source(selection.data)})
    if config is None:
        raise DataError(f"{network.path}: the file does not say what it was trained on; give data")
    if selection.camera:
        camera = config.digits.model_copy(update={"seed": config.digits.seed + selection.camera})
        config = config.model_copy(update={"digits": camera})
    dataset = open_configured(config, download=selection.download)
    if network.classes and not set(dataset.classes) <= set(network.classes):
        unknown = sorted(set(dataset.classes) - set(network.classes))
        raise DataError(
            f"{config.source}: class {unknown[0]!r} is not one of the classes of {network.path.name} "
            f"({', '.join(network.classes)})"
        )
    encoding = encoding_for(network, dataset.sensor_size, selection.window_us, selection.bins)
    indices = require_split(dataset, config.splits, selection.split)
    label = f"encoding {selection.split}" + (f", {selection.corruption}" if selection.corruption else "")
    spikes = load_spikes(
        dataset,
        _limited(indices, selection),
        encoding,
        corruption=selection.corruption,
        skip_damaged=selection.skip_damaged,
        progress=counter(progress, label),
    )
    if selection.corruption is None:  # otherwise logged before, for the same recordings
        log_skipped(spikes)
    classes = network.classes or _output_names(network, config.source, dataset.classes)
    shape = network.description.input_shape
    return Recordings(spikes.with_classes(classes), shape, encoding, config, selection)


def _output_names(network: Network, source: str, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the outputs of a network whose file does not say them: the classes, or all numbers if those are some of
    them. Raises DataError if it would be a guess which class is which output."""
    outputs = network.description.outputs
    if len(classes) == outputs:
        return classes
    numbers = tuple(map(str, range(outputs)))
    if set(classes) <= set(numbers):
        return numbers
    more = "has only" if len(classes) > outputs else "does not name its outputs, and has"
    raise DataError(
        f"{source}: {len(classes)} classes, but {network.path.name} {more} {outputs} outputs; give recordings with a "
        "class folder for each output"
    )


def _limited(indices: np.ndarray, selection: Selection) -> np.ndarray:
    if selection.samples is None or not selection.spread or selection.samples >= len(indices):
        return indices[: selection.samples]
    return indices[np.linspace(0, len(indices) - 1, selection.samples).astype(int)]


def open_configured(config: DataConfig, *, download: bool) -> EventDataset:
    """The data set that a configuration names. Raises DataError."""
    if not config.source:
        raise DataError("data: is empty; give the name of a data set, or a folder")
    try:
        return open_dataset(config.source, download=download, digits=config.digits)
    except RuntimeError as error:  # ~name of an unknown user
        raise DataError(f"data {config.source}: {error}") from None


def resolve_source(data: str) -> str:
    """``data`` with a folder made absolute, so that it is valid in any working directory.

    The name of a data set takes precedence over a folder of the same name.
    """
    from aoi.events.sets import SETS

    named = data.lower() in ("digits", *SETS)
    return str(Path(data).resolve()) if data and not named and Path(data).is_dir() else data


def encoding_for(
    network: Network, sensor_size: tuple[int, int, int], window_us: int | None, bins: int | None
) -> Encoding:
    """The encoding for recordings of a sensor (width, height, polarities): that in the file, or a new one.

    Raises DataError if ``window_us`` (µs) and ``bins`` differ from the file or are missing, or the sensor does not fit.
    """
    encoding = network.encoding
    if encoding is not None:
        if (bins or encoding.bins) != encoding.bins or (window_us or encoding.window_us) != encoding.window_us:
            raise DataError(
                f"{network.path}: its encoding is fixed in the file, {encoding.bins} bins in {encoding.window_us} µs; "
                "leave out bins and window_us"
            )
        if any(have > known for have, known in zip(sensor_size, encoding.sensor_size, strict=True)):
            raise DataError(
                f"recordings of a sensor of size {sensor_size}: {network.path.name} was trained on "
                f"{encoding.sensor_size}; use recordings of such a sensor"
            )
        return encoding
    if window_us is None or bins is None:
        raise DataError(f"{network.path}: the file has no encoding; give window_us and bins")
    encoding = Encoding(sensor_size=sensor_size, window_us=window_us, bins=bins)
    takes, gives = network.description.input_shape, encoding.shape[:3]
    if takes != gives if len(takes) == 3 else prod(takes) != prod(gives):
        raise DataError(
            f"{network.path}: takes {network.description.input_shape} spikes per step, "
            f"the recordings give {encoding.shape[:3]}"
        )
    return encoding


def log_skipped(spikes: SpikeData) -> None:
    """Logs the damaged recordings that were skipped: the first by name, then their number."""
    for reason in spikes.skipped[:_MAX_NAMED]:
        log.warning("skipped: %s", reason)
    if len(spikes.skipped) > _MAX_NAMED:
        total = len(spikes.skipped) + len(spikes)
        log.warning("skipped: %d of %d recordings, all damaged", len(spikes.skipped), total)
    if spikes.outside:
        log.warning(
            "%d of %d recordings, such as %s, have nearly all events outside of the window or in one bin, or a clock "
            "that falls: are the times in µs, and does the window suit them?",
            len(spikes.outside),
            len(spikes),
            spikes.outside[0],
        )


def check_reported(network: Network, recordings: Recordings) -> None:
    """Logs a warning if the cutoff was calibrated on the recordings of a report.

    Raises DataError if a report on the split test would hold recordings that training saw.
    """
    if recordings.split == "test" and recordings.config is not None:
        refuse_trained_on(network, recordings.spikes, " of the split test", "remove them from the folder Test")
    policy = network.metadata.policy if network.metadata else None
    used = (policy.evidence.get("source"), policy.evidence.get("split")) if policy else None
    if used == (recordings.source, recordings.split) and recordings.source is not None:
        log.warning(
            "the cutoff was calibrated on these recordings (%s); report on others, such as the split test",
            recordings.split,
        )


def refuse_trained_on(network: Network, spikes: SpikeData, purpose: str, remedy: str) -> None:
    """Raises DataError if some of the recordings were used in training; compares their content."""
    seen = np.isin(spikes.fingerprints, network.trained_on)
    if seen.any():
        raise DataError(
            f"{int(seen.sum())} of {len(spikes)} recordings{purpose}, such as {spikes.ids[int(seen.argmax())]}, were "
            f"used in training; {remedy}"
        )


def _from_array(
    array: np.ndarray, labels: Sequence[int] | np.ndarray | None, network: Network, selection: Selection
) -> Recordings:
    shape = network.description.input_shape
    if network.description.takes_values:
        raise DataError(f"{network.path}: takes values, and recordings hold spikes; run it with aoi.Engine")
    if array.ndim < 3 or prod(array.shape[1:-1]) != prod(shape) or not len(array):
        expected = ", ".join(map(str, ("N", *shape, network.steps or "T")))
        raise DataError(f"spikes have shape {array.shape}; {network.path.name} takes ({expected})")
    if network.steps not in (None, array.shape[-1]):
        raise DataError(f"spikes have {array.shape[-1]} timesteps; {network.path.name} takes {network.steps}")
    if array.dtype.kind not in "biuf" or np.any((array != 0) & (array != 1)):
        raise DataError(f"spikes of type {array.dtype} hold values other than 0 and 1; encode them first")
    numbers = np.asarray([] if labels is None else labels)
    if numbers.shape != (len(array),):
        raise DataError(f"labels have shape {numbers.shape}; give one per recording, ({len(array)},)")
    if numbers.dtype.kind not in "iu" or numbers.min() < 0 or numbers.max() >= network.description.outputs:
        raise DataError(f"labels: have to be whole numbers from 0 to {network.description.outputs - 1}, output indices")
    rows = np.stack([pack(each) for each in array != 0])[: selection.samples]
    maps = (*(1,) * (3 - len(shape)), *shape)
    spikes = SpikeData(
        ids=tuple(map(str, range(len(rows)))),
        labels=numbers[: len(rows)].astype(np.int64),
        classes=network.classes or tuple(map(str, range(network.description.outputs))),
        fingerprints=np.array([_content_hash(row) for row in rows], np.uint64),
        shape=(maps[0], maps[1], maps[2], array.shape[-1]),
        packed=rows,
        rows=np.arange(len(rows)),
    )
    return Recordings(spikes, shape, None, None, selection)


def _content_hash(row: np.ndarray) -> int:
    return int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest(), "little")
