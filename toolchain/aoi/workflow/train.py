"""Trains a network into a run folder: ``aoi.train``."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from aoi.compat.extras import needs
from aoi.errors import ConfigError, DataError
from aoi.events.sets import SETS
from aoi.events.spikes import load_spikes
from aoi.events.splits import require_split
from aoi.experiment.config import Change, ExperimentConfig, load_config, parse_config
from aoi.experiment.run_folder import RunData, RunFolder
from aoi.files import claimed
from aoi.workflow.progress import Progress, counter, log
from aoi.workflow.recordings import log_skipped, open_configured, resolve_source
from aoi.workflow.result import Result


@dataclass(frozen=True, repr=False)
class TrainedRun(Result):
    """A finished training."""

    run: str
    """The run folder."""
    train_samples: int
    validation_samples: int
    skipped: int
    epochs: int
    kept_epoch: int
    val_accuracy: float
    """At T."""
    val_accuracy_over_time: float
    """Mean over the timesteps."""
    train_s: float
    samples_per_s: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def rows(self) -> Sequence[tuple[str, str]]:
        return [
            ("run folder", self.run),
            ("training, validation recordings", f"{self.train_samples}, {self.validation_samples}"),
            ("kept epoch", f"{self.kept_epoch} of {self.epochs}"),
            ("validation accuracy at T", f"{self.val_accuracy:.4f}"),
            ("validation accuracy, mean over steps", f"{self.val_accuracy_over_time:.4f}"),
        ]


def resume_mode(run: Path) -> tuple[bool, bool]:
    """(resume, overwrite) to continue a run that has a checkpoint, and to start any other one from the beginning."""
    folder = RunFolder(run)
    started = folder.config_file.is_file() and folder.data_file.is_file()
    resume = started and folder.last_checkpoint.is_file()
    return resume, started and not resume


def train(
    config: str | PathLike[str] | Mapping[str, Any] | ExperimentConfig,
    data: str | PathLike[str] | None = None,
    run: str | PathLike[str] | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    changes: Mapping[str, Any] | Iterable[Change] = (),
    download: bool = False,
    skip_damaged: bool = False,
    progress: Progress | None = None,
) -> TrainedRun:
    """Trains a network with SLAYER into a run folder. Training can be resumed after any interruption.

    Args:
        config: a YAML file, its content as a mapping, or an :class:`ExperimentConfig`.
        data: name of a data set, or a folder, instead of the configuration's ``data.source``.
        run: the run folder; None: ``runs/<name of the experiment>``.
        resume: continue an interrupted run; the weights are those of an uninterrupted one.
        overwrite: replace an earlier run in that folder.
        changes: dotted keys of the configuration and their new values, such as ``{"training.epochs": 5}``.
        download: download a named data set that is not on this machine.
        skip_damaged: skip recordings that cannot be read, instead of raising an error.
        progress: called with (label, done, total) while recordings are encoded. Epochs have their own progress bar.

    Raises:
        ConfigError: the configuration is invalid, or does not match the run folder.
        DataError: recordings are missing or damaged.

    Example:
        >>> aoi.train("configs/digits.yaml", run="runs/digits").val_accuracy
        0.9804878048780488
    """
    if resume and overwrite:
        raise ConfigError("resume and overwrite exclude each other; leave one out")
    if run is not None and str(run) in ("", "."):
        raise ConfigError(f"run {str(run)!r}: a run needs its own folder; choose one such as runs/mine")
    pairs = list(changes.items() if isinstance(changes, Mapping) else changes)
    if data is not None:
        pairs.append(("data.source", resolve_source(str(data))))
    chosen = _with_absolute_source(_config(config, pairs), config)
    folder = RunFolder(Path(run) if run is not None else Path("runs") / chosen.name)
    with ExitStack() as stack:
        if _is_first():  # the other processes of a training write nothing
            stack.enter_context(claimed(folder.path, "aoi train"))
        return _train(chosen, folder, resume, overwrite, download, skip_damaged, progress)


def _is_first() -> bool:
    with needs("train"):
        from aoi_models.training.processes import processes

    return processes().first


def _with_absolute_source(config: ExperimentConfig, given: object) -> ExperimentConfig:
    """The configuration with its folder of recordings made absolute, so that it means the same wherever a later command
    runs. A relative one is looked for in the working directory, then beside the configuration's file."""
    source = config.data.source
    found = resolve_source(source)
    if found == source and isinstance(given, (str, PathLike)) and not Path(source).is_absolute():
        beside = resolve_source(str(Path(given).parent / source)) if source.lower() not in SETS else source
        found = beside if Path(beside).is_dir() else source
    if found == source:
        return config
    return config.model_copy(update={"data": config.data.model_copy(update={"source": found})})


def _config(
    config: str | PathLike[str] | Mapping[str, Any] | ExperimentConfig,
    changes: Sequence[Change],
) -> ExperimentConfig:
    if isinstance(config, ExperimentConfig):
        config = config.model_dump(mode="json")
    if isinstance(config, Mapping):
        return parse_config(copy.deepcopy(dict(config)), "the configuration", changes)
    return load_config(Path(config), changes)


def _train(
    config: ExperimentConfig,
    folder: RunFolder,
    resume: bool,
    overwrite: bool,
    download: bool,
    skip_damaged: bool,
    progress: Progress | None,
) -> TrainedRun:
    with needs("train"):
        from aoi_models.training.event_augment import check_flip, mirror_table
        from aoi_models.training.processes import processes
        from aoi_models.training.train import build_network, fit

    first = processes().first
    check_flip(config.training.augment, config.data.source)
    if not resume:
        if first:  # the other processes would find its files
            folder.claim(overwrite=overwrite)
    elif folder.read_config() != config:
        raise ConfigError(f"{folder.path}: was started with another configuration; resume it with the same one")
    dataset = open_configured(config.data, download=download)
    if len(dataset.classes) < 2:
        raise ConfigError(f"{config.data.source}: has only one class; give each class its own folder in Train")
    mirror_table(config.training.augment.mirror, dataset.classes)  # raises here what would fail later
    encoding = config.encoding.for_sensor(dataset.sensor_size)
    split = [require_split(dataset, config.data.splits, name) for name in ("train", "validation")]
    advance = counter(progress, "encoding recordings")
    spikes = load_spikes(dataset, np.concatenate(split), encoding, skip_damaged=skip_damaged, progress=advance)
    if first:
        log_skipped(spikes)
    in_training = spikes.rows < len(split[0])
    training, validation = (spikes.subset(np.flatnonzero(part)) for part in (in_training, ~in_training))
    if not len(training) or not len(validation):
        raise DataError(
            f"{config.data.source}: all recordings for {'training' if not len(training) else 'validation'} are "
            "damaged; replace them"
        )
    if resume and not np.array_equal(folder.read_trained_on(), spikes.fingerprints):
        raise ConfigError(
            f"{folder.path}: the recordings of {config.data.source} have changed; train again with overwrite"
        )

    channels, height, width, _ = spikes.shape
    network = build_network(config, (channels, height, width), len(dataset.classes))
    if not resume and first:
        about = RunData(classes=dataset.classes, sensor_size=dataset.sensor_size)
        folder.start(config, about, spikes.fingerprints)
    if first:
        log.info("training on %d recordings, validating on %d; logs in %s", len(training), len(validation), folder.logs)
    result = fit(network, config, training, validation, folder, resume=resume)
    return TrainedRun(
        run=str(folder.path),
        train_samples=len(training),
        validation_samples=len(validation),
        skipped=len(spikes.skipped),
        epochs=result.epochs,
        kept_epoch=result.kept_epoch,
        val_accuracy=result.val_accuracy,
        val_accuracy_over_time=result.val_accuracy_over_time,
        train_s=result.seconds,
        samples_per_s=result.samples_per_s,
    )


def submit_training(
    config: Path,
    run: Path,
    *,
    data: str | None = None,
    overrides: Sequence[str] = (),
    download: bool = False,
    skip_damaged: bool = False,
    partition: str | None = None,
    minutes: int = 60,
) -> str:
    """Submits the training as a Slurm job and returns the job's id; a requeued job resumes from its last epoch.

    Args:
        config: the YAML file.
        run: the run folder.
        data: name of a data set, or a folder; None: as in the configuration.
        overrides: changes of the configuration, such as ``training.epochs=5``.
        download: download a named data set that is not on the node.
        skip_damaged: skip recordings that cannot be read.
        partition: Slurm's partition; None: the cluster's default.
        minutes: time limit of the job.

    Raises ClusterError.
    """
    from aoi.command import aoi_command
    from aoi_deploy.cluster.command_job import CommandJob
    from aoi_deploy.cluster.slurm import Resources, submit

    command = [*aoi_command(), "train", str(config.resolve()), "--run", str(run.resolve()), "--continue"]
    command += ["--data", resolve_source(data)] if data else []
    command += ["--download"] if download else []
    command += ["--skip-damaged"] if skip_damaged else []
    for text in overrides:
        command += ["--set", text]
    logs = run.resolve().with_name(f"{run.name}.slurm")
    return submit(CommandJob(), [tuple(command)], logs, "aoi-train", Resources(partition=partition, minutes=minutes))[0]
