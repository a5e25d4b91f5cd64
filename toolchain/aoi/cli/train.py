"""aoi train"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aoi.cli.console import JsonFlag, print_json, print_table, progress, say
from aoi.cli.options import DownloadFlag, MinutesOption, PartitionOption, SkipDamagedFlag
from aoi.errors import ConfigError


def command(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="YAML file of the experiment, such as configs/digits.yaml.")
    ],
    data: Annotated[str | None, typer.Option(help="Name of a data set, or a folder Train|Test/<label>/*.")] = None,
    run: Annotated[Path | None, typer.Option(help="Run folder. Default: runs/<name of the experiment>.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    continue_: Annotated[
        bool, typer.Option("--continue", help="Resume if there is a checkpoint, otherwise start; for requeued jobs.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in that folder.")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change one value; can be repeated.")
    ] = None,
    download: DownloadFlag = False,
    skip_damaged: SkipDamagedFlag = False,
    slurm: Annotated[bool, typer.Option("--slurm", help="Submit a job to a Slurm cluster, and return.")] = False,
    partition: PartitionOption = None,
    minutes: MinutesOption = 60,
    json: JsonFlag = False,
) -> None:
    """Train a network on event recordings.

    Writes a run folder with the complete configuration, checkpoints for --resume, weights and logs.

    Example: aoi train configs/nmnist.yaml --data path/to/nmnist --run runs/nmnist
    """
    from aoi.experiment.config import load_config, parse_change
    from aoi.workflow.train import resume_mode, submit_training, train

    changes = [parse_change(text) for text in set_ or []]
    if (slurm or continue_) and (resume or overwrite):
        option = "--slurm" if slurm else "--continue"
        raise ConfigError(f"{option}: resumes by itself if there is a checkpoint; leave out --resume and --overwrite")
    if slurm:
        folder = run or Path("runs") / load_config(config, changes).name
        job = submit_training(
            config,
            folder,
            data=data,
            overrides=set_ or [],
            download=download,
            skip_damaged=skip_damaged,
            partition=partition,
            minutes=minutes,
        )
        print_json({"job": job, "run": str(folder)}) if json else say(f"job {job} trains {folder}")
        return
    if continue_:
        resume, overwrite = resume_mode(run or Path("runs") / load_config(config, changes).name)
    try:
        with progress() as advance:
            trained = train(
                config,
                data,
                run,
                resume=resume,
                overwrite=overwrite,
                changes=changes,
                download=download,
                skip_damaged=skip_damaged,
                progress=advance,
            )
    except KeyboardInterrupt:
        say("stopped; continue with the same command and --resume")
        raise
    from aoi_models.training.processes import processes

    if not processes().first:
        return
    if json:
        print_json(trained.to_dict())
    else:
        print_table(f"trained {trained.run}", ["", ""], trained.rows()[1:])
