"""aoi train"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolchain.cli.console import JsonFlag, print_json, print_table, progress, say
from toolchain.errors import ConfigError


def command(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="The experiment, a YAML file such as configs/digits.yaml.")
    ],
    data: Annotated[str | None, typer.Option(help="A data set's name or a folder Train|Test/<label>/*.")] = None,
    run: Annotated[Path | None, typer.Option(help="Run folder. Default: runs/<name of the experiment>.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished run in that folder.")] = False,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change one value.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch a named data set if it is not here yet.")] = False,
    json: JsonFlag = False,
) -> None:
    """Train a network on event recordings.

    Example: aoi train configs/nmnist.yaml --data path/to/nmnist --run runs/nmnist
    """
    result = train(config, data, run, resume=resume, overwrite=overwrite, overrides=set_, download=download)
    if json:
        print_json(result)
        return
    print_table(
        f"trained {result['run']}",
        ["", ""],
        [
            ["recordings to train, to validate", f"{result['train_samples']}, {result['validation_samples']}"],
            ["best epoch", f"{result['best_epoch']} of {result['epochs']}"],
            ["validation accuracy at T", f"{result['val_accuracy']:.4f}"],
            ["validation accuracy, mean over steps", f"{result['val_accuracy_over_time']:.4f}"],
        ],
    )


def train(
    config_file: Path,
    data: str | None = None,
    run: Path | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    overrides: list[str] | None = None,
    download: bool = False,
) -> dict[str, object]:
    """Config + recordings → run folder."""
    from toolchain.cli.recordings import open_data
    from toolchain.training.config import load_config
    from toolchain.training.run_folder import RunFolder

    overrides = list(overrides or [])
    if data is not None:
        overrides.append(f"data.source={data!r}")
    config = load_config(config_file, overrides)
    folder = RunFolder(run or Path("runs") / config.name)
    if resume:
        if folder.read_config() != config:
            raise ConfigError(
                f"{folder.path}: was begun with another configuration; resume it with the same CONFIG and options"
            )
    elif folder.last_checkpoint.exists() and not overwrite:
        raise ConfigError(f"{folder.path}: already holds a run; --resume goes on with it, --overwrite replaces it")

    import numpy as np

    from toolchain.events.spikes import load_spikes
    from toolchain.events.splits import split_indices

    dataset = open_data(config.data.source, config.data.digits.model_dump(), download)
    encoding = config.encoding.for_sensor(dataset.sensor_size)
    indices = split_indices(dataset, config.data.splits)
    for split in ("train", "validation"):
        if len(indices[split]) == 0:
            raise ConfigError(
                f"{config.data.source}: split '{split}' is empty ({len(dataset.recordings)} recordings in all); "
                "add recordings to the folder Train or raise data.splits"
            )
    with progress("encoding recordings") as advance:
        spikes = load_spikes(
            dataset, np.concatenate([indices["train"], indices["validation"]]), encoding, progress=advance
        )
    first = len(indices["train"])
    training, validation = spikes.subset(range(first)), spikes.subset(range(first, len(spikes)))

    say(f"training on {len(training)} recordings, validating on {len(validation)}; logs in {folder.logs}")
    from toolchain.training.train import fit

    if not resume:
        folder.clear()
        folder.start(
            config, {"classes": list(dataset.classes), "sensor_size": dataset.sensor_size}, spikes.fingerprints
        )
    result = fit(config, training, validation, folder, resume=resume)
    return {
        "run": str(folder.path),
        "train_samples": len(training),
        "validation_samples": len(validation),
        "epochs": result.epochs,
        "best_epoch": result.best_epoch,
        "val_accuracy": result.val_accuracy,
        "val_accuracy_over_time": result.val_accuracy_over_time,
    }
