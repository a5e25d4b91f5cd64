"""From a network file and what the command line adds to it, to spikes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aoi.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from aoi.choices import Split
    from aoi.cutoff.rule import Rule
    from aoi.engine import Run
    from aoi.events.config import DataConfig
    from aoi.events.corrupt import Corruption
    from aoi.events.dataset import EventDataset
    from aoi.events.encoding import Encoding
    from aoi.events.spikes import SpikeData
    from aoi.netx.metadata import Readout
    from aoi.netx.read import NetworkFile

NetworkArgument = Annotated[Path, typer.Argument(metavar="NET", help="A network file (NetX HDF5).")]
DataOption = Annotated[
    str | None,
    typer.Option(help="A data set's name or a folder Train|Test/<label>/*. Default: what the network was trained on."),
]
SplitOption = Annotated[str, typer.Option(help="train, validation, calibration or test.")]
SamplesOption = Annotated[int | None, typer.Option(min=1, help="Only the first N recordings of the split.")]
WindowOption = Annotated[int | None, typer.Option("--window-us", min=1, help="Time window, µs, if the file has none.")]
BinsOption = Annotated[int | None, typer.Option(min=1, max=4096, help="Timesteps T, if the file names no encoding.")]
RuleOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME:THRESHOLD[:SCALE]",
        help="Instead of the file's rule: confidence, entropy, conformal (shares), gap (a lead), fixed, patience "
        "(steps), int-confidence, int-gap. What it leaves out comes from the file.",
    ),
]
DownloadOption = Annotated[bool, typer.Option("--download", help="Fetch a named data set if it is not here yet.")]
SkipDamagedOption = Annotated[
    bool, typer.Option("--skip-damaged", help="Leave out recordings that cannot be read; they are named and counted.")
]

SPLITS: tuple[Split, ...] = ("train", "validation", "calibration", "test")
_NAMED = 5  # damaged recordings, before only their number is told


@dataclass(frozen=True)
class Request:
    """Which recordings a command works on, as the command line says."""

    data: str | None
    split: str
    samples: int | None = None
    window_us: int | None = None
    bins: int | None = None
    download: bool = False
    corruption: Corruption | None = None
    skip_damaged: bool = False
    camera: int = 0  # which of the simulated ones films the digits; the network's own is 0


def lasting_name(data: str) -> str:
    """``data`` so that it means the same from any working directory; a data set's name goes before a folder's."""
    from aoi.events.sets import SETS

    named = data.lower() in ("digits", *SETS)
    return str(Path(data).resolve()) if data and not named and Path(data).is_dir() else data


def source_of(network: NetworkFile, request: Request) -> str | None:
    """The data set's name or the folder that a command works on."""
    if request.data is not None:
        return lasting_name(request.data)
    return network.metadata.data.source if network.metadata and network.metadata.data else None


def warn_of_calibration(network: NetworkFile, request: Request) -> None:
    """Says so where a report is about the recordings that chose the cutoff."""
    from aoi.cli.console import say

    policy = network.metadata.policy if network.metadata else None
    used = (policy.evidence.get("source"), policy.evidence.get("split")) if policy else None
    if used == (source_of(network, request), request.split):
        say(f"the cutoff was calibrated on these recordings ({request.split}); report on others, such as --split test")


def open_data(config: DataConfig, download: bool) -> EventDataset:
    from aoi.events.dataset import open_dataset

    if not config.source:
        raise DataError("--data: is empty; name a data set or a folder")
    try:
        return open_dataset(config.source, download=download, digits=config.digits)
    except RuntimeError as error:  # ~name of nobody
        raise DataError(f"--data {config.source}: {error}") from None


def load_split(network: NetworkFile, request: Request) -> SpikeData:
    """Spikes of one split, encoded as the network file says."""
    from aoi.cli.console import progress
    from aoi.events.config import DataConfig
    from aoi.events.spikes import load_spikes
    from aoi.events.splits import require_split

    split = next((name for name in SPLITS if name == request.split), None)
    if split is None:
        raise DataError(f"--split {request.split}: there is no such split; the splits are {', '.join(SPLITS)}")
    metadata = network.metadata
    recorded = metadata.data if metadata else None
    if request.data is None and recorded is None:
        raise DataError(f"{network.path}: does not say what it was trained on; name the recordings with --data")
    config = recorded or DataConfig()
    if request.data is not None:
        config = config.model_copy(update={"source": request.data})
    if request.camera:
        camera = config.digits.model_copy(update={"seed": config.digits.seed + request.camera})
        config = config.model_copy(update={"digits": camera})
    source = config.source
    dataset = open_data(config, request.download)
    if metadata and metadata.classes and not set(dataset.classes) <= set(metadata.classes):
        unknown = sorted(set(dataset.classes) - set(metadata.classes))
        raise DataError(
            f"{source}: class {unknown[0]!r} is none that {network.path.name} knows ({', '.join(metadata.classes)})"
        )
    encoding = _encoding(network, request, dataset.sensor_size)
    indices = require_split(dataset, config.splits, split)
    label = f"encoding {request.split}" + (f", {request.corruption}" if request.corruption else "")
    with progress(label) as advance:
        data = load_spikes(
            dataset,
            indices[: request.samples],
            encoding,
            corruption=request.corruption,
            skip_damaged=request.skip_damaged,
            progress=advance,
        )
    if request.corruption is None:  # otherwise it was said of the same recordings before
        tell_skipped(data)
    classes = metadata.classes if metadata and metadata.classes else dataset.classes
    if len(classes) > network.description.outputs:
        raise DataError(
            f"{source}: {len(classes)} classes, but {network.path.name} has {network.description.outputs} outputs"
        )
    return data.with_classes(classes)


def tell_skipped(data: SpikeData) -> None:
    """Names damaged recordings that were left out: a few, then their number."""
    from aoi.cli.console import say

    for reason in data.skipped[:_NAMED]:
        say(f"left out: {reason}")
    if len(data.skipped) > _NAMED:
        say(f"left out: {len(data.skipped)} damaged recordings in all, of {len(data.skipped) + len(data)}")


def _encoding(network: NetworkFile, request: Request, sensor_size: tuple[int, int, int]) -> Encoding:
    from aoi.events.encoding import Encoding

    if network.metadata and network.metadata.encoding:
        encoding = network.metadata.encoding
        if (request.bins or encoding.bins) != encoding.bins or (
            request.window_us or encoding.window_us
        ) != encoding.window_us:
            raise DataError(f"{network.path}: its encoding is fixed in the file; leave out --bins and --window-us")
        if any(have > known for have, known in zip(sensor_size, encoding.sensor_size, strict=True)):
            raise DataError(
                f"recordings of a {sensor_size} sensor; {network.path.name} was trained on {encoding.sensor_size}"
            )
        return encoding
    if request.window_us is None or request.bins is None:
        raise DataError(f"{network.path}: names no encoding; give --window-us and --bins")
    encoding = Encoding(sensor_size=sensor_size, window_us=request.window_us, bins=request.bins)
    if prod(encoding.shape[:3]) != prod(network.description.input_shape):
        raise DataError(
            f"{network.path}: takes {network.description.input_shape} spikes a step, "
            f"the recordings give {encoding.shape[:3]}"
        )
    return encoding


def shaped(network: NetworkFile, data: SpikeData) -> Callable[[Any], np.ndarray]:
    """Batches in the shape that the network takes: a file for flat input gets it flat."""
    shape = network.description.input_shape

    def batch(indices: Any) -> np.ndarray:
        spikes = data.batch(indices)
        return spikes.reshape(len(spikes), *shape, spikes.shape[-1])

    return batch


def maps_shape(network: NetworkFile) -> tuple[int, ...] | None:
    """(C, H, W) for stock NetX, which cannot infer it for a first convolution; None where the input is flat."""
    shape = network.description.input_shape
    return shape if len(shape) == 3 else None


def readout_of(network: NetworkFile) -> Readout:
    if network.metadata:
        return network.metadata.readout
    return "spikes" if network.description.fires else "voltage"


def run_of(network: NetworkFile, data: SpikeData, label: str) -> Run:
    """All T steps of all samples on the engine: scores, spikes and operations at each step."""
    from aoi.cli.console import progress
    from aoi.engine import Engine

    with progress(label) as advance:
        return Engine(network.description).run_stream(
            len(data),
            shaped(network, data),
            readout=readout_of(network),
            progress=lambda done: advance(done, len(data)),
        )


def scores_of(network: NetworkFile, data: SpikeData, label: str) -> np.ndarray:
    """Accumulated readout (samples, classes, T) of all T steps, on the engine."""
    return run_of(network, data, label).scores


def rule_of(network: NetworkFile, text: str | None, *, required: bool = True) -> Rule | None:
    """The rule in the file, or the one that ``--rule`` spells; what it leaves out comes from the file."""
    from aoi.cutoff.rule import parse_rule, rule_of_policy

    policy = network.metadata.policy if network.metadata else None
    if text is not None:
        return parse_rule(text, policy)
    if policy is not None:
        return rule_of_policy(policy)
    if required:
        raise DataError(
            f"{network.path}: holds no calibrated cutoff; "
            "run 'aoi calibrate', or give --rule confidence:0.9:SCALE, or run all steps with --no-cutoff"
        )
    return None
