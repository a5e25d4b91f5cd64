"""aoi sweep"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aoi.cli.console import JsonFlag, print_json, print_table, say, show_error
from aoi.cli.recordings import SkipDamagedOption
from aoi.errors import CheckFailed, ConfigError

PartitionOption = Annotated[str | None, typer.Option(help="Of the cluster. Default: the cluster's own.")]
MinutesOption = Annotated[int, typer.Option(min=1, help="Time limit of a job; then it is requeued and goes on.")]
_POLL_S = 2.0

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from aoi.engine import Run
    from aoi.netx.read import NetworkFile
    from aoi.study.cells import CellFolder
    from aoi.study.config import StudyConfig
    from aoi_deploy.cluster.slurm import Resources


def command(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="A study, a YAML file as configs/studies/str.yaml.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the cells. Default: runs/<name of the study>.")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="[EXPERIMENT=]DATA", help="Recordings of an experiment, or of all; may be repeated."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=1024, help="Cells that run side by side, one thread each.")] = 2,
    only: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Run only cells with this in EXPERIMENT/ARM/seedN.")
    ] = None,
    table: Annotated[bool, typer.Option("--table", help="Run nothing: the table of what is done.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Run those again that were run with another configuration.")
    ] = False,
    download: Annotated[bool, typer.Option("--download", help="Fetch named data sets that are not here yet.")] = False,
    skip_damaged: SkipDamagedOption = False,
    slurm: Annotated[bool, typer.Option("--slurm", help="Run the cells as a job array on a Slurm cluster.")] = False,
    partition: PartitionOption = None,
    minutes: MinutesOption = 60,
    cell: Annotated[str | None, typer.Option(hidden=True)] = None,
    attached: Annotated[bool, typer.Option("--attached", hidden=True)] = False,
    json: JsonFlag = False,
) -> None:
    """Train and judge every cell of a study (experiment × arm × seed), then put the arms side by side.

    Each cell is a run folder with its network, result.json and scores.npz. What is done is not done again: after an
    interruption or a failure the same command runs only what is missing. Exit code 1 where cells are missing.

    Example: aoi sweep configs/studies/str.yaml --data nmnist=path/to/nmnist
    """
    from aoi.study.cells import CellFolder
    from aoi.study.config import expand_cells, load_study
    from aoi_deploy.cluster.slurm import Resources

    plan = load_study(study)
    root = out or Path("runs") / plan.name
    every = expand_cells(plan, study, _sources(plan, data or []), to_run=not table)
    folders = [CellFolder(each, root / each.name) for each in every]
    if cell is not None:
        _run_one(plan, folders, cell, attached, download, skip_damaged)
        return
    chosen = [folder for folder in folders if only is None or only in folder.cell.name]
    if not chosen:
        raise ConfigError(f"--only {only}: is in no cell's name; they are as {folders[0].cell.name}")
    if table:
        _refuse_outdated(folders)
    else:
        todo = _todo(chosen, overwrite)
        say(f"{len(chosen) - len(todo)} of {len(chosen)} cells are done; {len(todo)} to run in {root}")
        options = [*(["--download"] if download else []), *(["--skip-damaged"] if skip_damaged else [])]
        for text in data or []:
            options += ["--data", text]
        if slurm:
            wants = Resources(partition=partition, minutes=minutes, at_once=workers)
            _run_slurm(study.resolve(), root.resolve(), todo, options, wants)
        else:
            _run_local(study, root, todo, options, workers)
    summary = _summary(plan, folders, root)
    if json:
        print_json(summary)
    else:
        _show(summary)
    if not table and any(folder.result() is None for folder in chosen):
        raise CheckFailed(f"{root}: cells are missing, see above; the same command runs only those")


def _sources(plan: StudyConfig, data: Sequence[str]) -> dict[str, str]:
    """Experiment → recordings, from ``--data``."""
    from aoi.cli.recordings import lasting_name

    sources: dict[str, str] = {}
    for text in data:
        name, separator, source = text.partition("=")
        if not separator:
            sources |= dict.fromkeys(plan.experiments, lasting_name(text))
        elif name in plan.experiments:
            sources[name] = lasting_name(source)
        else:
            raise ConfigError(f"--data {text}: the study has no experiment {name}, only {', '.join(plan.experiments)}")
    return sources


def _refuse_outdated(folders: Sequence[CellFolder]) -> None:
    outdated = [folder for folder in folders if folder.outdated()]
    if outdated:
        raise ConfigError(
            f"{outdated[0].path}: was run with another configuration than the study's, as {len(outdated)} in all; "
            "--overwrite runs those again, --out names another folder"
        )


def _todo(folders: Sequence[CellFolder], overwrite: bool) -> list[CellFolder]:
    if not overwrite:
        _refuse_outdated(folders)
    else:
        for folder in folders:
            if folder.outdated():
                folder.result_file.unlink(missing_ok=True)
    return [folder for folder in folders if folder.result() is None]


def _cell_command(study: Path, root: Path, options: Sequence[str], name: str) -> list[str]:
    return [sys.executable, "-m", "aoi.cli", "sweep", str(study), "--out", str(root), "--cell", name, *options]


def _run_local(study: Path, root: Path, todo: Sequence[CellFolder], options: Sequence[str], workers: int) -> None:
    from aoi.study.cells import run_cells

    ended = 0

    def done(folder: CellFolder, code: int) -> None:
        nonlocal ended
        ended += 1
        result = folder.result()
        if result is None:
            said = f"failed: {folder.missing()} (exit code {code}; {folder.log})"
        else:
            said = f"accuracy {result['full_accuracy']:.4f}, {result['steps_at_drop']:.2f} of {result['steps']} steps"
        say(f"{ended} of {len(todo)}: {folder.cell.name}: {said}")

    run_cells(
        todo,
        lambda folder: [*_cell_command(study, root, options, folder.cell.name), "--attached"],
        workers,
        done,
    )


def _run_slurm(study: Path, root: Path, todo: Sequence[CellFolder], options: Sequence[str], wants: Resources) -> None:
    """Submits what no job of an earlier call still works on, and waits for all. Interrupted, the jobs go on."""
    import json
    import time

    from aoi.files import write_atomically
    from aoi_deploy.cluster import slurm
    from aoi_deploy.cluster.command_job import CommandJob

    note = root / "slurm.json"
    jobs: dict[str, str] = json.loads(note.read_bytes()) if note.is_file() else {}
    known = slurm.states([jobs[folder.cell.name] for folder in todo if folder.cell.name in jobs])
    new = [folder for folder in todo if known.get(jobs.get(folder.cell.name, "")) not in slurm.ACTIVE]
    for folder in new:
        folder.failure_file.unlink(missing_ok=True)
    if new:
        commands = [tuple(_cell_command(study, root, options, folder.cell.name)) for folder in new]
        ids = slurm.submit(CommandJob(), commands, root / "slurm", "aoi-sweep", wants)
        jobs |= dict(zip((folder.cell.name for folder in new), ids, strict=True))
        write_atomically(note, json.dumps(jobs).encode())
    say(f"{len(new)} cells submitted, {len(todo) - len(new)} in the queue before; Ctrl-C leaves them there")
    waiting = list(todo)
    while waiting:
        time.sleep(_POLL_S)
        states = slurm.states([jobs[folder.cell.name] for folder in waiting])
        for folder in list(waiting):
            state = states[jobs[folder.cell.name]]
            if state in slurm.ACTIVE:
                continue
            waiting.remove(folder)
            if folder.result() is None and not folder.failure_file.exists():
                folder.fail(f"Slurm job {jobs[folder.cell.name]}: {state}; logs in {root / 'slurm'}")
            say(f"{len(todo) - len(waiting)} of {len(todo)}: {folder.cell.name}: {state}")


def _run_one(
    plan: StudyConfig, folders: Sequence[CellFolder], name: str, attached: bool, download: bool, skip_damaged: bool
) -> None:
    """One cell in this process; whatever ends it is left for the table."""
    folder = next((each for each in folders if each.cell.name == name), None)
    if folder is None:
        raise ConfigError(f"--cell {name}: the study has no such cell")
    if attached:
        _end_with_parent()
    with folder.lock():
        if folder.result() is not None:
            return
        try:
            _train_and_judge(folder, plan.max_drop, download, skip_damaged)
        except Exception as error:
            folder.fail(" ".join(f"{type(error).__name__}: {error}".split())[:500])
            raise


def _end_with_parent() -> None:
    """Ends this process when its standard input ends, which its parent holds open as long as it lives."""
    import os
    import threading

    def watch() -> None:
        while os.read(0, 1):
            pass
        os._exit(130)

    threading.Thread(target=watch, daemon=True).start()


def _train_and_judge(folder: CellFolder, max_drop: float, download: bool, skip_damaged: bool) -> None:
    import numpy as np

    from aoi.cli.recordings import Request, load_split, run_of
    from aoi.cli.train import how_to_go_on, train
    from aoi.files import atomic_file
    from aoi.netx.read import read_network
    from aoi.study.statistics import cell_result
    from aoi_models.training.export import export_run
    from aoi_models.training.train import load_network, spatial_temporal_factors

    cell, run = folder.cell, folder.run
    resume, overwrite = (False, True) if folder.outdated() else how_to_go_on(run.path)
    trained = train(
        cell.config_file,
        run=run.path,
        resume=resume,
        overwrite=overwrite,
        values=(*cell.overrides, ("data.source", cell.config.data.source)),
        download=download,
        skip_damaged=skip_damaged,
    )
    network = read_network(export_run(run, run.network))
    films = [
        [
            load_split(network, Request(None, split, skip_damaged=skip_damaged, camera=camera))
            for camera in range(cell.cameras)
        ]
        for split in (cell.eval_split, "validation")
    ]
    judged, fit = ([(run_of(network, data, "running on the engine"), data.labels) for data in every] for every in films)
    scores, labels = _joined(judged)
    held_back = films[0][0]
    channels, height, width, _ = held_back.shape
    weights = load_network(run, (channels, height, width), len(held_back.classes))
    result = {
        "experiment": cell.experiment,
        "arm": cell.arm,
        "seed": cell.seed,
        "split": cell.eval_split,
        "cameras": cell.cameras,
        **cell_result(scores, labels, *_joined(fit), max_drop),
        "rate": _rates(judged[0][0].spikes, network),
        "stf": spatial_temporal_factors(weights, held_back, cell.config.training.chunk_steps),
        **{key: trained[key] for key in ("train_samples", "kept_epoch", "train_s", "samples_per_s")},
        "resumed": resume,
        "skipped": len(held_back.skipped) + int(str(trained["skipped"])),
    }
    with atomic_file(folder.scores_file) as file:
        np.savez_compressed(file, scores=scores, labels=labels, ids=np.tile(held_back.ids, cell.cameras))
    folder.finish(result)


def _joined(runs: Sequence[tuple[Run, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels of all films, camera by camera."""
    import numpy as np

    return np.concatenate([run.scores for run, _ in runs]), np.concatenate([labels for _, labels in runs])


def _rates(spikes: np.ndarray, network: NetworkFile) -> list[list[float]]:
    """Spikes a neuron of each layer at each step, (layers, T); ``spikes`` int64 (samples, layers, T)."""
    from math import prod

    import numpy as np

    neurons = np.array([prod(layer.shape) for layer in network.description.layers])
    rates: list[list[float]] = (spikes.mean(axis=0) / neurons[:, None]).tolist()
    return rates


def _summary(plan: StudyConfig, folders: Sequence[CellFolder], root: Path) -> dict[str, Any]:
    """Rows of each experiment, what is missing and why; also written to ``summary.json`` with a picture beside it."""
    import json

    from aoi.files import write_atomically
    from aoi.study.statistics import compare_arms

    results = {folder.cell: folder.result() for folder in folders}
    experiments = {}
    for name in plan.experiments:
        done = {
            (cell.arm, cell.seed): result
            for cell, result in ((folder.cell, results[folder.cell]) for folder in folders)
            if cell.experiment == name and result is not None
        }
        experiments[name] = compare_arms(done, list(plan.arms), plan.references)
        _add_pooled(experiments[name], [folder for folder in folders if folder.cell.experiment == name], plan)
    summary = {
        "study": plan.name,
        "max_drop": plan.max_drop,
        "cells": len(folders),
        "done": sum(result is not None for result in results.values()),
        "skipped": max((result.get("skipped", 0) for result in results.values() if result), default=0),
        "missing": {folder.cell.name: folder.missing() for folder in folders if results[folder.cell] is None},
        "experiments": experiments,
        "picture": None,
    }
    if summary["done"]:
        from aoi.study.plot import plot_study

        picture = root / "study.png"
        plot_study([result for result in results.values() if result is not None], picture)
        summary["picture"] = str(picture)
        write_atomically(root / "summary.json", json.dumps(summary, allow_nan=False).encode())
    return summary


def _add_pooled(rows: list[dict[str, Any]], folders: Sequence[CellFolder], plan: StudyConfig) -> None:
    """Over the recordings of all seeds that every arm of a comparison has: ``pooled`` of rows and of differences."""
    from functools import cache
    from zipfile import BadZipFile

    import numpy as np

    from aoi.study.pooled import CellScores, arm_summary, compare_pooled, pool_cells

    judged: dict[tuple[str, int], CellScores] = {}
    for folder in folders:
        result = folder.result()
        if result is not None and folder.scores_file.is_file():
            try:
                with np.load(folder.scores_file, allow_pickle=False) as held:
                    judged[folder.cell.arm, folder.cell.seed] = CellScores(
                        held["scores"], held["labels"], result["scale"], folder.cell.cameras
                    )
            except (OSError, ValueError, KeyError, BadZipFile) as error:
                raise ConfigError(
                    f"{folder.scores_file}: is damaged ({error}); remove the folder to run the cell again"
                ) from None

    @cache
    def pooled(arm: str, seeds: tuple[int, ...]) -> Any:
        return pool_cells({seed: judged[arm, seed] for seed in seeds})

    for row in rows:
        seeds = [seed for seed in row["seeds"] if (row["arm"], seed) in judged]
        if not seeds:
            continue
        mine = pooled(row["arm"], tuple(seeds))
        row["pooled"] = arm_summary(mine, plan.max_drop)
        for reference, found in row["against"].items():
            shared = [seed for seed in seeds if (reference, seed) in judged]
            if shared:
                arm, other = pooled(row["arm"], tuple(shared)), pooled(reference, tuple(shared))
                found["pooled"] = compare_pooled(arm, other, plan.max_drop)


def _show(summary: dict[str, Any]) -> None:
    for name, rows in summary["experiments"].items():
        if not rows:
            continue
        print_table(
            f"{name}: steps at a drop of at most {summary['max_drop']:g} from the best point; 95 % over seeds",
            ["arm", "seeds", "accuracy at T", "steps", "calibration error"],
            [
                [
                    row["arm"],
                    str(len(row["seeds"])),
                    _mean(row["full_accuracy"], 4),
                    _mean(row["steps_at_drop"], 2),
                    _mean(row["ece"], 4),
                ]
                for row in rows
            ],
        )
        pairs = [(row["arm"], reference, each) for row in rows for reference, each in row["against"].items()]
        together = [(arm, reference, each["pooled"]) for arm, reference, each in pairs if "pooled" in each]
        if together:
            print_table(
                f"{name}: recordings of all seeds together, steps at equal accuracy (the lower peak less the drop)",
                ["arm against", "steps", "the other's", "share", "accuracy at T", "at the peak"],
                [
                    [
                        f"{arm} against {reference}",
                        *(_mean(each[key], 2) for key in ("steps", "reference_steps", "share")),
                        *(_mean(each[key], 4, "+") for key in ("accuracy", "peak")),
                    ]
                    for arm, reference, each in together
                ],
            )
        if pairs:
            print_table(
                f"{name}: differences, paired by seed",
                ["arm against", "pairs", "steps", "of its steps", "accuracy at T", "steps at equal accuracy"],
                [
                    [
                        f"{arm} against {reference}",
                        str(len(each["seeds"])),
                        _mean(each["steps"], 2, "+"),
                        _mean(each["steps_share"], 2),
                        _mean(each["accuracy"], 4, "+"),
                        _mean(each["steps_at_equal_accuracy"], 2, "+"),
                    ]
                    for arm, reference, each in pairs
                ],
            )
    for name, reason in summary["missing"].items():
        show_error(f"{name}: missing: {reason}")
    if summary["picture"]:
        say(f"picture: {summary['picture']}")


def _mean(value: dict[str, Any], digits: int, sign: str = "") -> str:
    text = f"{value['mean']:{sign}.{digits}f}"
    if value["low"] is None:
        return text
    return f"{text} ({value['low']:{sign}.{digits}f} to {value['high']:{sign}.{digits}f})"
