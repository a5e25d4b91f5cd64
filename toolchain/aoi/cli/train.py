"""aoi train"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from aoi.cli.console import JsonFlag, print_json, print_table, progress, say
from aoi.cli.recordings import SkipDamagedOption
from aoi.errors import ConfigError, DataError


def command(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="The experiment, a YAML file such as configs/digits.yaml.")
    ],
    data: Annotated[str | None, typer.Option(help="A data set's name or a folder Train|Test/<label>/*.")] = None,
    run: Annotated[Path | None, typer.Option(help="Run folder. Default: runs/<name of the experiment>.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    continue_: Annotated[
        bool, typer.Option("--continue", help="Go on where there is a checkpoint, otherwise begin: for requeued jobs.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished run in that folder.")] = False,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change one value.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch a named data set if it is not here yet.")] = False,
    skip_damaged: SkipDamagedOption = False,
    slurm: Annotated[bool, typer.Option("--slurm", help="Submit it as a job of a Slurm cluster, and return.")] = False,
    partition: Annotated[str | None, typer.Option(help="Of the cluster. Default: the cluster's own.")] = None,
    minutes: Annotated[int, typer.Option(min=1, help="Time limit of the job; then it is requeued and goes on.")] = 60,
    json: JsonFlag = False,
) -> None:
    """Train a network on event recordings.

    Example: aoi train configs/nmnist.yaml --data path/to/nmnist --run runs/nmnist
    """
    from aoi.experiment.config import load_config
    from aoi_models.training.processes import processes

    if slurm:
        if resume or overwrite:
            raise ConfigError("--slurm: a job goes on by itself where there is a checkpoint; leave out --resume")
        folder = run or Path("runs") / load_config(config, set_).name
        options = [*(["--download"] if download else []), *(["--skip-damaged"] if skip_damaged else [])]
        job = submit(config, folder, data, set_ or [], options, partition, minutes)
        print_json({"job": job, "run": str(folder)}) if json else say(f"job {job} trains {folder}")
        return
    if continue_:
        if resume or overwrite:
            raise ConfigError("--continue decides itself between --resume and --overwrite; leave those out")
        resume, overwrite = how_to_go_on(run or Path("runs") / load_config(config, set_).name)
    result = train(
        config,
        data,
        run,
        resume=resume,
        overwrite=overwrite,
        overrides=set_,
        download=download,
        skip_damaged=skip_damaged,
    )
    if not processes().first:
        return
    if json:
        print_json(result)
        return
    print_table(
        f"trained {result['run']}",
        ["", ""],
        [
            ["recordings to train, to validate", f"{result['train_samples']}, {result['validation_samples']}"],
            ["epoch kept", f"{result['kept_epoch']} of {result['epochs']}"],
            ["validation accuracy at T", f"{result['val_accuracy']:.4f}"],
            ["validation accuracy, mean over steps", f"{result['val_accuracy_over_time']:.4f}"],
        ],
    )


def submit(
    config: Path,
    run: Path,
    data: str | None,
    overrides: list[str],
    options: list[str],
    partition: str | None,
    minutes: int,
) -> str:
    """Submits the training as a job, which goes on from its last epoch whenever it is requeued. Returns its id."""
    import sys

    from aoi.cli.recordings import lasting_name
    from aoi_deploy.cluster.command_job import CommandJob
    from aoi_deploy.cluster.slurm import Resources
    from aoi_deploy.cluster.slurm import submit as submit_jobs

    command = [sys.executable, "-m", "aoi.cli", "train", str(config.resolve()), "--run", str(run.resolve())]
    command += ["--continue", *(["--data", lasting_name(data)] if data else []), *options]
    for text in overrides:
        command += ["--set", text]
    logs = run.resolve().with_name(f"{run.name}.slurm")
    wants = Resources(partition=partition, minutes=minutes)
    return submit_jobs(CommandJob(), [tuple(command)], logs, "aoi-train", wants)[0]


def how_to_go_on(path: Path) -> tuple[bool, bool]:
    """Resume, overwrite: what ``train`` is to do with a run folder that may be begun, or not be there."""
    from aoi.experiment.run_folder import RunFolder

    folder = RunFolder(path)
    begun = folder.config_file.is_file() and folder.data_file.is_file()
    resume = begun and folder.last_checkpoint.is_file()
    return resume, begun and not resume


def train(
    config_file: Path,
    data: str | None = None,
    run: Path | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    overrides: list[str] | None = None,
    values: Iterable[tuple[str, Any]] = (),
    download: bool = False,
    skip_damaged: bool = False,
) -> dict[str, object]:
    """Config + recordings → run folder; ``overrides`` and ``values`` as in ``load_config``."""
    from aoi.cli.recordings import lasting_name, open_data, tell_skipped
    from aoi.experiment.config import load_config
    from aoi.experiment.run_folder import RunFolder
    from aoi_models.training.event_augment import check_flip, mirror_table
    from aoi_models.training.processes import processes

    first = processes().first

    if resume and overwrite:
        raise ConfigError("--resume and --overwrite exclude each other; leave one out")
    if run is not None and str(run) in ("", "."):
        raise ConfigError("--run: name a folder of the run's own, such as runs/mine")
    config = load_config(config_file, overrides, None if data is None else lasting_name(data), values)
    check_flip(config.training.augment, config.data.source)
    folder = RunFolder(run or Path("runs") / config.name)
    if not resume:
        if first:  # the others find what it has begun to write
            folder.claim(overwrite=overwrite)
    elif folder.read_config() != config:
        raise ConfigError(
            f"{folder.path}: was begun with another configuration; resume it with the same CONFIG and options"
        )

    import numpy as np

    from aoi.events.spikes import load_spikes
    from aoi.events.splits import require_split

    dataset = open_data(config.data, download)
    if len(dataset.classes) < 2:
        raise ConfigError(f"{config.data.source}: one class is nothing to tell apart; a folder a class below Train")
    mirror_table(config.training.augment.mirror, dataset.classes)  # refuses what would fail when training begins
    encoding = config.encoding.for_sensor(dataset.sensor_size)
    split = [require_split(dataset, config.data.splits, name) for name in ("train", "validation")]
    with progress("encoding recordings") as advance:
        spikes = load_spikes(dataset, np.concatenate(split), encoding, skip_damaged=skip_damaged, progress=advance)
    if first:
        tell_skipped(spikes)
    trains = spikes.rows < len(split[0])
    training, validation = (spikes.subset(np.flatnonzero(part)) for part in (trains, ~trains))
    if not len(training) or not len(validation):
        raise DataError(
            f"{config.data.source}: damaged recordings leave none to {'train' if not len(training) else 'validate'}"
        )
    if resume and not np.array_equal(folder.read_trained_on(), spikes.fingerprints):
        raise ConfigError(f"{folder.path}: the recordings of {config.data.source} have changed since; train anew")

    from aoi.experiment.run_folder import RunData
    from aoi_models.training.train import build_network, fit

    channels, height, width, _ = spikes.shape
    network = build_network(config, (channels, height, width), len(dataset.classes))
    if not resume and first:
        about = RunData(classes=dataset.classes, sensor_size=dataset.sensor_size)
        folder.start(config, about, spikes.fingerprints)
    if first:
        say(f"training on {len(training)} recordings, validating on {len(validation)}; logs in {folder.logs}")
    try:
        result = fit(network, config, training, validation, folder, resume=resume)
    except KeyboardInterrupt:
        say(f"stopped; the same command with --resume goes on with {folder.path}")
        raise
    return {
        "run": str(folder.path),
        "train_samples": len(training),
        "validation_samples": len(validation),
        "skipped": len(spikes.skipped),
        "epochs": result.epochs,
        "kept_epoch": result.kept_epoch,
        "val_accuracy": result.val_accuracy,
        "val_accuracy_over_time": result.val_accuracy_over_time,
        "train_s": result.seconds,
        "samples_per_s": result.samples_per_s,
    }
