"""Runs a study: trains and evaluates its cells, in local processes or as cluster jobs, and compares its arms."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from aoi.command import aoi_command
from aoi.compat.extras import needs
from aoi.engine import Run
from aoi.errors import CheckFailed, ConfigError
from aoi.files import atomic_file, write_atomically
from aoi.study.cells import CellFolder, run_cells
from aoi.study.config import StudyConfig, expand_cells, load_study
from aoi.study.pooled import CellScores, arm_summary, compare_pooled, pool_cells
from aoi.study.statistics import cell_result, compare_arms
from aoi.workflow.evaluate import run_engine
from aoi.workflow.network import Network, load
from aoi.workflow.progress import log
from aoi.workflow.recordings import Selection, open_selection, resolve_source
from aoi.workflow.train import resume_mode, train

if TYPE_CHECKING:
    from aoi_deploy.cluster.slurm import Resources

_POLL_S = 2.0


@dataclass(frozen=True, eq=False)
class Study:
    """A study and the folders of its cells."""

    plan: StudyConfig
    file: Path
    root: Path
    folders: tuple[CellFolder, ...]
    options: tuple[str, ...] = ()
    """Options of ``aoi sweep`` for the processes that run the cells."""

    def command(self, folder: CellFolder) -> list[str]:
        """The command line that runs one cell."""
        where = [str(self.file.resolve()), "--out", str(self.root.resolve())]
        return [*aoi_command(), "sweep", *where, "--cell", folder.cell.name, *self.options]

    def matching(self, only: str | None) -> list[CellFolder]:
        """Cells with ``only`` in their name, all for None. Raises ConfigError if there are none."""
        chosen = [folder for folder in self.folders if only is None or only in folder.cell.name]
        if not chosen:
            raise ConfigError(f"only {only}: no cell's name contains it; names are like {self.folders[0].cell.name}")
        return chosen

    def one(self, name: str) -> CellFolder:
        """The cell of this name. Raises ConfigError."""
        for folder in self.folders:
            if folder.cell.name == name:
                return folder
        raise ConfigError(f"cell {name}: no such cell in the study; names are like {self.folders[0].cell.name}")


def open_study(
    file: Path,
    out: Path | None = None,
    data: Sequence[str] = (),
    *,
    to_run: bool = True,
    download: bool = False,
    skip_damaged: bool = False,
) -> Study:
    """Reads a study's YAML file. Raises ConfigError.

    Args:
        file: the YAML file.
        out: folder of the cells; None: ``runs/<name of the study>``.
        data: recordings, each ``EXPERIMENT=SOURCE``, or ``SOURCE`` for all experiments.
        to_run: whether cells are going to be run, so that their recordings have to be named.
        download: download named data sets that are not on this machine.
        skip_damaged: skip recordings that cannot be read.
    """
    plan = load_study(file)
    root = out or Path("runs") / plan.name
    every = expand_cells(plan, file, _sources(plan, data), to_run=to_run)
    options = [*(["--download"] if download else []), *(["--skip-damaged"] if skip_damaged else [])]
    for text in data:
        options += ["--data", text]
    return Study(plan, file, root, tuple(CellFolder(each, root / each.name) for each in every), tuple(options))


def refuse_outdated(folders: Sequence[CellFolder]) -> None:
    """Raises ConfigError if cells were run with another configuration than the study's."""
    outdated = [folder for folder in folders if folder.outdated()]
    if outdated:
        raise ConfigError(
            f"{outdated[0].path}: was run with another configuration than the study's ({len(outdated)} such cells); "
            "overwrite them, or choose another folder"
        )


def cells_to_run(folders: Sequence[CellFolder], *, overwrite: bool) -> list[CellFolder]:
    """Cells without a result; with ``overwrite`` also those run with another configuration."""
    if not overwrite:
        refuse_outdated(folders)
    else:
        for folder in folders:
            if folder.outdated():
                folder.result_file.unlink(missing_ok=True)
    return [folder for folder in folders if folder.result() is None]


def run_locally(study: Study, todo: Sequence[CellFolder], workers: int) -> None:
    """Runs each cell in its own process, ``workers`` at a time."""
    ended = 0

    def done(folder: CellFolder, code: int) -> None:
        nonlocal ended
        ended += 1
        result = folder.result()
        if result is None:
            text = f"failed: {folder.missing()} (exit code {code}; {folder.log})"
        else:
            text = f"accuracy {result['full_accuracy']:.4f}, {result['steps_at_drop']:.2f} of {result['steps']} steps"
        log.info("%d of %d: %s: %s", ended, len(todo), folder.cell.name, text)

    run_cells(todo, lambda folder: [*study.command(folder), "--attached"], workers, done)


def run_on_slurm(study: Study, todo: Sequence[CellFolder], resources: Resources) -> None:
    """Submits the cells without an active job of an earlier call, and waits for all; jobs survive an interrupt."""
    from aoi_deploy.cluster import slurm
    from aoi_deploy.cluster.command_job import CommandJob

    root = study.root.resolve()
    jobs_file = root / "slurm.json"
    jobs: dict[str, str] = json.loads(jobs_file.read_bytes()) if jobs_file.is_file() else {}
    known = slurm.states([jobs[folder.cell.name] for folder in todo if folder.cell.name in jobs])
    new = [folder for folder in todo if known.get(jobs.get(folder.cell.name, "")) not in slurm.ACTIVE]
    for folder in new:
        folder.failure_file.unlink(missing_ok=True)
    if new:
        commands = [tuple(study.command(folder)) for folder in new]
        ids = slurm.submit(CommandJob(), commands, root / "slurm", "aoi-sweep", resources)
        jobs |= dict(zip((folder.cell.name for folder in new), ids, strict=True))
        write_atomically(jobs_file, json.dumps(jobs).encode())
    log.info("%d cells submitted, %d were in the queue; Ctrl-C leaves the jobs there", len(new), len(todo) - len(new))
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
            log.info("%d of %d: %s: %s", len(todo) - len(waiting), len(todo), folder.cell.name, state)


def run_cell(
    study: Study, folder: CellFolder, *, attached: bool = False, download: bool = False, skip_damaged: bool = False
) -> None:
    """Runs one cell in this process, and stores its result, or the error that ended it.

    ``attached``: the process ends when its standard input is closed, which happens when its parent ends.
    """
    if attached:
        _end_with_parent()
    with folder.lock():
        if folder.result() is not None:
            return
        try:
            _train_and_evaluate(folder, study.plan.max_drop, download, skip_damaged)
        except Exception as error:
            folder.fail(" ".join(f"{type(error).__name__}: {error}".split())[:500])
            raise


def summarise(study: Study) -> dict[str, Any]:
    """Rows of each experiment, and missing cells with the reason; also writes ``summary.json`` and ``study.png``."""
    plan, root = study.plan, study.root
    results = {folder.cell: folder.result() for folder in study.folders}
    experiments = {}
    for name in plan.experiments:
        done = {
            (cell.arm, cell.seed): result
            for cell, result in results.items()
            if cell.experiment == name and result is not None
        }
        experiments[name] = compare_arms(done, list(plan.arms), plan.references)
        _add_pooled(experiments[name], [folder for folder in study.folders if folder.cell.experiment == name], plan)
    summary = {
        "study": plan.name,
        "max_drop": plan.max_drop,
        "cells": len(study.folders),
        "done": sum(result is not None for result in results.values()),
        "skipped": max((result.get("skipped", 0) for result in results.values() if result), default=0),
        "missing": {folder.cell.name: folder.missing() for folder in study.folders if results[folder.cell] is None},
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


def require_all(study: Study, chosen: Sequence[CellFolder]) -> None:
    """Raises CheckFailed if cells have no result."""
    if any(folder.result() is None for folder in chosen):
        raise CheckFailed(f"{study.root}: cells are missing, see above; the same command runs only the missing ones")


def _sources(plan: StudyConfig, data: Sequence[str]) -> dict[str, str]:
    """The recordings of each experiment. Raises ConfigError for an unknown experiment."""
    sources: dict[str, str] = {}
    for text in data:
        name, separator, source = text.partition("=")
        if not separator:
            sources |= dict.fromkeys(plan.experiments, resolve_source(text))
        elif name in plan.experiments:
            sources[name] = resolve_source(source)
        else:
            raise ConfigError(f"data {text}: the study has no experiment {name}; it has {', '.join(plan.experiments)}")
    return sources


def _end_with_parent() -> None:
    def watch() -> None:
        while os.read(0, 1):
            pass
        os._exit(130)

    threading.Thread(target=watch, daemon=True).start()


def _train_and_evaluate(folder: CellFolder, max_drop: float, download: bool, skip_damaged: bool) -> None:
    with needs("train"):
        from aoi_models.training.export import export_run
        from aoi_models.training.train import load_network, spatial_temporal_factors

    cell, run = folder.cell, folder.run
    resume, overwrite = (False, True) if folder.outdated() else resume_mode(run.path)
    trained = train(
        cell.config_file,
        run=run.path,
        resume=resume,
        overwrite=overwrite,
        changes=(*cell.overrides, ("data.source", cell.config.data.source)),
        download=download,
        skip_damaged=skip_damaged,
    )
    network = load(export_run(run, run.network))
    renderings = [
        [
            open_selection(network, Selection(split=split, skip_damaged=skip_damaged, camera=camera))
            for camera in range(cell.cameras)
        ]
        for split in (cell.eval_split, "validation")
    ]
    evaluated, fit = (
        [(run_engine(network, data, "running on the engine", None), data.labels) for data in every]
        for every in renderings
    )
    scores, labels = _concatenate(evaluated)
    recordings = renderings[0][0].spikes
    channels, height, width, _ = recordings.shape
    weights = load_network(run, (channels, height, width), len(recordings.classes))
    result = {
        "experiment": cell.experiment,
        "arm": cell.arm,
        "seed": cell.seed,
        "split": cell.eval_split,
        "cameras": cell.cameras,
        **cell_result(scores, labels, *_concatenate(fit), max_drop),
        "rate": _rates(evaluated[0][0].spikes, network),
        "stf": spatial_temporal_factors(weights, recordings, cell.config.training.chunk_steps),
        **{key: getattr(trained, key) for key in ("train_samples", "kept_epoch", "train_s", "samples_per_s")},
        "resumed": resume,
        "skipped": len(recordings.skipped) + trained.skipped,
    }
    with atomic_file(folder.scores_file) as file:
        np.savez_compressed(file, scores=scores, labels=labels, ids=np.tile(recordings.ids, cell.cameras))
    folder.finish(result)


def _concatenate(runs: Sequence[tuple[Run, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels of all renderings, one camera after another."""
    return np.concatenate([run.scores for run, _ in runs]), np.concatenate([labels for _, labels in runs])


def _rates(spikes: np.ndarray, network: Network) -> list[list[float]]:
    """Mean spikes per neuron of each layer and step, (layers, T), from spikes int64 (samples, layers, T)."""
    neurons = np.array([prod(layer.shape) for layer in network.description.layers])
    rates: list[list[float]] = (spikes.mean(axis=0) / neurons[:, None]).tolist()
    return rates


def _add_pooled(rows: list[dict[str, Any]], folders: Sequence[CellFolder], plan: StudyConfig) -> None:
    """Adds ``pooled`` to rows and differences: over the recordings of all seeds that both arms have."""
    stored = _cell_scores(folders)
    pooled: Callable[[str, tuple[int, ...]], Any] = cache(
        lambda arm, seeds: pool_cells({seed: stored[arm, seed] for seed in seeds})
    )
    for row in rows:
        seeds = [seed for seed in row["seeds"] if (row["arm"], seed) in stored]
        if not seeds:
            continue
        row["pooled"] = arm_summary(pooled(row["arm"], tuple(seeds)), plan.max_drop)
        for reference, found in row["against"].items():
            shared = tuple(seed for seed in seeds if (reference, seed) in stored)
            if shared:
                found["pooled"] = compare_pooled(pooled(row["arm"], shared), pooled(reference, shared), plan.max_drop)


def _cell_scores(folders: Sequence[CellFolder]) -> Mapping[tuple[str, int], CellScores]:
    """The stored scores of finished cells by arm and seed. Raises ConfigError if a file is damaged."""
    scores: dict[tuple[str, int], CellScores] = {}
    for folder in folders:
        result = folder.result()
        if result is not None and folder.scores_file.is_file():
            try:
                with np.load(folder.scores_file, allow_pickle=False) as arrays:
                    scores[folder.cell.arm, folder.cell.seed] = CellScores(
                        arrays["scores"], arrays["labels"], result["scale"], folder.cell.cameras
                    )
            except (OSError, ValueError, KeyError, BadZipFile) as error:
                raise ConfigError(
                    f"{folder.scores_file}: is damaged ({error}); remove the folder to run the cell again"
                ) from None
    return scores
