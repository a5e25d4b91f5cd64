"""Runs networks in Lava: a session (``aoi.deploy``), or all recordings of a split on a target."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aoi.boards.board import load_board
from aoi.boards.fit import assess
from aoi.choices import Model, OnNode
from aoi.cutoff.rule import Rule
from aoi.errors import DataError
from aoi.evaluation.anytime import accuracy_at, drops
from aoi.files import atomic_file, write_atomically
from aoi.workflow.evaluate import run_engine
from aoi.workflow.network import Network, choose_rule
from aoi.workflow.progress import Progress, counter, log
from aoi.workflow.recordings import Recordings
from aoi.workflow.result import Result

if TYPE_CHECKING:
    import numpy as np

    from aoi_deploy.targets import Outcome, Session, Work
    from aoi_deploy.targets.cluster import Cluster


def deploy(
    network: Network,
    *,
    rule: Rule | str | None = "own",
    steps: int | None = None,
    model: Model = "fused",
    target: OnNode = "sim",
    board: str | None = None,
    host: str | None = None,
) -> Session:
    """Compiles a network into Lava processes, with a monitor that stops each sample early, and starts them.

    The session is a context manager. ``session.run(samples)`` takes the recordings of :func:`aoi.open_data`, or arrays
    (\\*input_shape, T), and yields each answer as soon as it is decided: ``prediction`` (output index),
    ``confidence``, ``decision_step`` (1..T), ``steps_executed`` (Lava steps) and ``wall_s`` (seconds). The steps after
    a decision are not executed.

    Args:
        network: the network, from :func:`aoi.load`.
        rule: "own": the rule in the file, if it has one; a rule; a text such as ``confidence:0.9``; None: all T steps.
        steps: T; None: as in the file.
        model: "fused": the network as one Lava process, fast; "stock": lava-dl's graph of processes. Both give the same
            spikes in the same Lava steps.
        target: "sim": Lava's simulator on this machine; "loihi": a board.
        board: name of the board, for "loihi".
        host: address of the board's host, for "loihi", if it is not behind Slurm.

    Raises:
        MissingDependency: Lava is not installed; 'aoi install-lava' installs it.
        NetXError: Lava cannot run the network.
        DeployError: T is unknown, or a Lava process failed.
        DataError: the text is not a rule.

    Example:
        >>> with aoi.deploy(net) as session:
        ...     steps = [answer.decision_step for answer in session.run(data)]
    """
    from aoi_deploy.targets import open_session

    return open_session(
        target, network, steps=steps, rule=choose_rule(network, rule), model=model, board=board, host=host
    )


@dataclass(frozen=True, eq=False, repr=False)
class Deployment(Result):
    """The decision about each recording on a target, and the totals."""

    outcomes: list[Outcome]
    summary: dict[str, Any]
    """Totals, with the names of ``aoi deploy --json``."""

    def to_dict(self) -> dict[str, Any]:
        return self.summary

    def rows(self) -> Sequence[tuple[str, str]]:
        found = self.summary
        rule, build_s = found["rule"], found.get("build_s")
        return [
            ("samples", f"{found['samples']} ({found['split']})"),
            ("rule", f"{rule} >= {found['threshold']:.6g}" if rule else "none: all steps run"),
            ("accuracy", f"{found['accuracy']:.4f}"),
            ("drop from T, from the best step", f"{found['accuracy_drop']:.4f}, {found['accuracy_drop_peak']:.4f}"),
            ("mean decision step", f"{found['mean_decision_step']:.2f} of {found['steps']}"),
            ("fewer steps", f"{found['speedup_steps']:.2f} times"),
            ("Lava steps executed", f"{found['steps_executed']:,}"),
            (f"wall time (after {build_s:.1f} s to build)" if build_s else "wall time", f"{found['wall_s']:.2f} s"),
            ("samples per second", f"{found['samples_per_s']:.1f}"),
            ("results", str(found["results"])),
        ]


def check_board(network: Network, board: str, *, refuse: bool) -> None:
    """Logs how the network fits on the board; with ``refuse`` raises DataError if it does not fit."""
    fit = assess(network.description, load_board(board))
    reasons = "; ".join(map(str, fit.findings))
    if fit.verdict == "does not fit" and refuse:
        raise DataError(f"{network.path.name} does not fit on board {board}: {reasons}; 'aoi inspect' shows all boards")
    log.info("%s on board %s: %s%s", network.path.name, board, fit.verdict, f" ({reasons})" if reasons else "")


def deploy_recordings(
    network: Network,
    data: Recordings,
    *,
    rule: Rule | None,
    out: Path,
    model: Model = "fused",
    target: OnNode = "sim",
    board: str | None = None,
    host: str | None = None,
    progress: Progress | None = None,
) -> Deployment:
    """Runs all recordings in this process and writes ``results.jsonl`` and ``summary.json`` to the folder ``out``.

    Raises DataError, NetXError, DeployError.
    """
    from aoi_deploy.targets import Work
    from aoi_deploy.targets.in_process import InProcess

    folder = results_folder(out)
    at = engine_accuracy(network, data, progress)
    job = Work(network, data.spikes, rule, model, data.split)
    with InProcess(target, board=board, host=host) as runner:
        runner.prepare(job)
        begin = time.perf_counter()
        run_with_progress(runner, job, progress)
        outcomes, wall_s = runner.collect(), time.perf_counter() - begin
        about = {"target": target, "model": model, "split": data.split, "build_s": runner.build_s}
    return write_results(folder, outcomes, data, rule, at, wall_s, about)


def deploy_jobs(
    network: Network,
    data: Recordings,
    jobs: Cluster,
    *,
    rule: Rule | None,
    out: Path,
    model: Model = "fused",
    detach: bool = False,
    progress: Progress | None = None,
) -> Deployment | str:
    """Runs all recordings as jobs of a cluster and waits for them; with ``detach`` returns the job's id immediately.

    The jobs keep running after an interrupt. Raises DataError, WriteError, ClusterError, DeployError.
    """
    from aoi_deploy.targets import Work

    work = Work(network, data.spikes, rule, model, data.split)
    folder = results_folder(out)
    with jobs as runner:
        runner.prepare(work)
        assert runner.folder is not None
        plan = runner.folder.plan
        log.info("job %s: %d chunks submitted; Ctrl-C leaves them in the queue", plan.id, len(plan.chunks))
        if detach:
            return plan.id
        begin = time.perf_counter()
        try:
            run_with_progress(runner, work, progress)
        except KeyboardInterrupt:
            log.warning(
                "detached; the job keeps running: 'aoi jobs attach %s' waits for it, 'aoi jobs cancel %s' ends it",
                plan.id, plan.id,
            )  # fmt: skip
            raise
        outcomes, wall_s = runner.collect(), time.perf_counter() - begin
    at = engine_accuracy(network, data, progress)
    about = {"target": "slurm", "model": model, "split": data.split, "job": plan.id, "on_node": plan.on_node}
    return write_results(folder, outcomes, data, rule, at, wall_s, about)


class _Runnable(Protocol):
    def run(self) -> Any: ...


def run_with_progress(target: _Runnable, work: Work, progress: Progress | None) -> None:
    """Runs the work and reports progress after each outcome."""
    advance = counter(progress, "with the cutoff" if work.rule else "all steps")
    for done, _ in enumerate(target.run(), 1):
        advance(done, len(work.spikes))


def engine_accuracy(network: Network, data: Recordings, progress: Progress | None) -> np.ndarray:
    """Accuracy at each step, float64 (T,), on the engine, because a deployment stops before T."""
    return accuracy_at(run_engine(network, data, "all steps, on the engine", progress).scores, data.labels)


def results_folder(folder: Path) -> Path:
    """Creates a folder for results and returns it. Raises DataError if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"out {folder}: cannot be created ({error.strerror}); choose another folder") from None
    return folder


def write_results(
    folder: Path,
    outcomes: list[Outcome],
    data: Recordings,
    rule: Rule | None,
    at: np.ndarray,
    wall_s: float,
    about: dict[str, Any],
) -> Deployment:
    """Writes ``results.jsonl``, one line per sample, and ``summary.json``; ``at``: from :func:`engine_accuracy`."""
    deployment = Deployment(outcomes, _summary(outcomes, data, rule, at, wall_s, folder) | about)
    classes = data.classes
    with atomic_file(folder / "results.jsonl") as file:
        for outcome in outcomes:
            known = outcome.prediction < len(classes)
            line = asdict(outcome) | {
                "id": data.ids[outcome.index],
                "label": classes[data.labels[outcome.index]],
                "prediction": classes[outcome.prediction] if known else str(outcome.prediction),
            }
            file.write(dumps(line).encode() + b"\n")
    write_atomically(folder / "summary.json", dumps(deployment.summary, indent=1).encode())
    return deployment


def _summary(
    outcomes: list[Outcome], data: Recordings, rule: Rule | None, at: np.ndarray, wall_s: float, out: Path
) -> dict[str, Any]:
    accuracy = sum(each.prediction == data.labels[each.index] for each in outcomes) / len(outcomes)
    mean_step = sum(each.decision_step for each in outcomes) / len(outcomes)
    return {
        "samples": len(outcomes),
        "skipped": len(data.spikes.skipped),
        "steps": data.steps,
        **drops(float(accuracy), float(at[-1]), float(at.max())),
        "mean_decision_step": mean_step,
        "speedup_steps": data.steps / mean_step,
        "steps_executed": sum(each.steps_executed for each in outcomes),
        "rule": rule.name if rule else None,
        "spec": rule.spec() if rule else None,
        "threshold": rule.threshold if rule else None,
        "scale": rule.scale if rule else None,
        "wall_s": wall_s,
        "samples_per_s": len(outcomes) / wall_s,
        "results": str(out / "results.jsonl"),
    }
