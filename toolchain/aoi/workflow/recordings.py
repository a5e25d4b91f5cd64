"""Labelled recordings, encoded as a network takes them: ``aoi.open_data``."""

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

_NAMED = 5  # damaged recordings that are named before only their number is told


@dataclass(frozen=True)
class Selection:
    """Which recordings, and what the network file leaves open about them."""

    data: str | None = None
    """A data set's name or a folder; None: what the network was trained on."""
    split: Split = "test"
    samples: int | None = None
    """Only the first so many."""
    window_us: int | None = None
    bins: int | None = None
    download: bool = False
    skip_damaged: bool = False
    corruption: Corruption | None = None
    camera: int = 0
    """Which of the simulated cameras renderings the digits; the network's own is 0."""


@dataclass(frozen=True, eq=False, repr=False)
class Recordings:
    """N labelled recordings as spikes in the shape that a network takes.

    Iterating gives one recording after another, uint8 (\\*input_shape, T): what a session runs.
    """

    spikes: SpikeData
    input_shape: tuple[int, ...]
    """Of the network, without T."""
    encoding: Encoding | None
    """None for spikes that were given as arrays."""
    config: DataConfig | None
    """Where the recordings come from and how they are divided; None for arrays."""
    selection: Selection

    @property
    def labels(self) -> np.ndarray:
        """int64 (N,), indices into :attr:`classes`."""
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
        """The data set's name or the folder; None for arrays."""
        return self.config.source if self.config else None

    def __len__(self) -> int:
        return len(self.spikes)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> np.ndarray:
        """Spikes of one recording, uint8 (\\*input_shape, T)."""
        return self.batch([range(len(self))[index]])[0]

    def batch(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Spikes of some recordings, uint8 (n, \\*input_shape, T)."""
        spikes = self.spikes.batch(indices)
        return spikes.reshape(len(spikes), *self.input_shape, spikes.shape[-1])

    def subset(self, indices: Sequence[int] | np.ndarray) -> Recordings:
        """Some of the recordings."""
        return replace(self, spikes=self.spikes.subset(indices))

    def __repr__(self) -> str:
        return (
            f"Recordings({len(self)} of {self.source or 'arrays'}, split {self.split}: {len(self.classes)} classes, "
            f"{'x'.join(map(str, self.input_shape))} spikes a step, T = {self.steps})"
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
    """Recordings for a network, encoded as its file says.

    Args:
        data: a data set's name (``digits``, ``NMNIST``, …), a folder ``Train|Test/<label>/<recording>``, or spikes
            (N, C, H, W, T) of 0 and 1 with their ``labels``; None: what the network was trained on.
        network: what :func:`aoi.load` gives.
        split: train, validation, calibration or test.
        samples: only the first so many recordings of the split.
        labels: int (N,), output indices; for arrays only.
        window_us: length of the time window in µs, where the file names no encoding.
        bins: timesteps T, where the file names no encoding.
        download: fetch a named data set if it is not here yet.
        skip_damaged: leave out recordings that cannot be read, instead of an error.
        progress: called with (what, done, total).

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
        raise DataError("labels go with spikes given as an array; a folder's labels are its class folders")
    selection = Selection(None if data is None else str(data), chosen, samples, window_us, bins, download, skip_damaged)
    return open_selection(network, selection, progress)


def open_selection(network: Network, selection: Selection, progress: Progress | None = None) -> Recordings:
    """The recordings that ``selection`` names. Raises DataError."""
    metadata = network.metadata
    config = metadata.data if metadata else None
    if selection.data is not None:
        config = (config or DataConfig()).model_copy(update={"source": resolve_source(selection.data)})
    if config is None:
        raise DataError(f"{network.path}: does not say what it was trained on; name the recordings")
    if selection.camera:
        camera = config.digits.model_copy(update={"seed": config.digits.seed + selection.camera})
        config = config.model_copy(update={"digits": camera})
    dataset = open_config(config, download=selection.download)
    if network.classes and not set(dataset.classes) <= set(network.classes):
        unknown = sorted(set(dataset.classes) - set(network.classes))
        raise DataError(
            f"{config.source}: class {unknown[0]!r} is not one of those that {network.path.name} knows "
            f"({', '.join(network.classes)})"
        )
    encoding = encoding_for(network, dataset.sensor_size, selection.window_us, selection.bins)
    indices = require_split(dataset, config.splits, selection.split)
    label = f"encoding {selection.split}" + (f", {selection.corruption}" if selection.corruption else "")
    spikes = load_spikes(
        dataset,
        indices[: selection.samples],
        encoding,
        corruption=selection.corruption,
        skip_damaged=selection.skip_damaged,
        progress=counter(progress, label),
    )
    if selection.corruption is None:  # otherwise it was said of the same recordings before
        tell_skipped(spikes)
    classes = network.classes or dataset.classes
    if len(classes) > network.description.outputs:
        raise DataError(
            f"{config.source}: {len(classes)} classes, but {network.path.name} has "
            f"{network.description.outputs} outputs"
        )
    shape = network.description.input_shape
    return Recordings(spikes.with_classes(classes), shape, encoding, config, selection)


def open_config(config: DataConfig, *, download: bool) -> EventDataset:
    """The data set that a configuration names. Raises DataError."""
    if not config.source:
        raise DataError("data: is empty; name a data set or a folder")
    try:
        return open_dataset(config.source, download=download, digits=config.digits)
    except RuntimeError as error:  # ~name of nobody
        raise DataError(f"data {config.source}: {error}") from None


def resolve_source(data: str) -> str:
    """``data`` so that it means the same from any working directory; a data set's name goes before a folder's."""
    from aoi.events.sets import SETS

    named = data.lower() in ("digits", *SETS)
    return str(Path(data).resolve()) if data and not named and Path(data).is_dir() else data


def encoding_for(
    network: Network, sensor_size: tuple[int, int, int], window_us: int | None, bins: int | None
) -> Encoding:
    """How recordings of a sensor (width, height, polarities) become the network's input. Raises DataError.

    The file's own encoding, or else ``window_us`` and ``bins``.
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
                f"recordings of a {sensor_size} sensor; {network.path.name} was trained on {encoding.sensor_size}"
            )
        return encoding
    if window_us is None or bins is None:
        raise DataError(f"{network.path}: names no encoding; give window_us and bins")
    encoding = Encoding(sensor_size=sensor_size, window_us=window_us, bins=bins)
    if prod(encoding.shape[:3]) != prod(network.description.input_shape):
        raise DataError(
            f"{network.path}: takes {network.description.input_shape} spikes a step, "
            f"the recordings give {encoding.shape[:3]}"
        )
    return encoding


def tell_skipped(spikes: SpikeData) -> None:
    """Names damaged recordings that were left out: a few, then their number."""
    for reason in spikes.skipped[:_NAMED]:
        log.warning("left out: %s", reason)
    if len(spikes.skipped) > _NAMED:
        total = len(spikes.skipped) + len(spikes)
        log.warning("left out: %d damaged recordings in all, of %d", len(spikes.skipped), total)


def warn_of_calibration(network: Network, recordings: Recordings) -> None:
    """Says so where a report is about the recordings that chose the cutoff."""
    policy = network.metadata.policy if network.metadata else None
    used = (policy.evidence.get("source"), policy.evidence.get("split")) if policy else None
    if used == (recordings.source, recordings.split) and recordings.source is not None:
        log.warning(
            "the cutoff was calibrated on these recordings (%s); report on others, such as the split test",
            recordings.split,
        )


def refuse_seen(network: Network, spikes: SpikeData, purpose: str, remedy: str) -> None:
    """Raises DataError where training saw some of the recordings, by their content."""
    seen = np.isin(spikes.fingerprints, network.trained_on)
    if seen.any():
        raise DataError(
            f"{int(seen.sum())} of {len(spikes)} recordings{purpose}, such as {spikes.ids[int(seen.argmax())]}, were "
            f"seen in training; {remedy}"
        )


def _from_array(
    array: np.ndarray, labels: Sequence[int] | np.ndarray | None, network: Network, selection: Selection
) -> Recordings:
    shape = network.description.input_shape
    if network.description.takes_values:
        raise DataError(f"{network.path}: takes values; run it with aoi.Engine, recordings hold spikes")
    if array.ndim < 3 or prod(array.shape[1:-1]) != prod(shape) or not len(array):
        wanted = ", ".join(map(str, ("N", *shape, network.steps or "T")))
        raise DataError(f"spikes have shape {array.shape}; {network.path.name} takes ({wanted})")
    if network.steps not in (None, array.shape[-1]):
        raise DataError(f"spikes have {array.shape[-1]} timesteps; {network.path.name} takes {network.steps}")
    if array.dtype.kind not in "biuf" or np.any((array != 0) & (array != 1)):
        raise DataError(f"spikes of type {array.dtype} hold values other than 0 and 1")
    numbers = np.asarray([] if labels is None else labels)
    if numbers.shape != (len(array),):
        raise DataError(f"labels: one a recording is needed, {len(array)} in all; got an array of {numbers.shape}")
    if numbers.dtype.kind not in "iu" or numbers.min() < 0 or numbers.max() >= network.description.outputs:
        raise DataError(f"labels: whole numbers from 0 to {network.description.outputs - 1} name the outputs")
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
