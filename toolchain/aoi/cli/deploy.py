"""aoi deploy"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from aoi.cli.console import JsonFlag, print_json, print_table, progress, say
from aoi.cli.recordings import (
    BinsOption,
    DataOption,
    DownloadOption,
    NetworkArgument,
    Request,
    RuleOption,
    SamplesOption,
    SkipDamagedOption,
    SplitOption,
    WindowOption,
    load_split,
    readout_of,
    rule_of,
    scores_of,
)
from aoi.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from aoi.cutoff.rule import Rule
    from aoi.events.spikes import SpikeData
    from aoi.netx.read import NetworkFile
    from aoi_deploy.targets import Outcome, Target, Work
    from aoi_deploy.targets.cluster import Cluster

Model = Literal["fused", "stock"]
OnNode = Literal["sim", "loihi"]
MODELS: dict[Model, str] = {
    "fused": "one Lava process for the network",
    "stock": "Lava's own graph of processes",
}
ModelOption = Annotated[
    str, typer.Option(help="fused: the network in one process, fast. stock: Lava's own graph of processes.")
]


def command(
    net: NetworkArgument,
    data: DataOption = None,
    split: SplitOption = "test",
    target: Annotated[
        str, typer.Option(help="sim: Lava's simulator here. loihi: a board. slurm: jobs of a cluster.")
    ] = "sim",
    samples: SamplesOption = None,
    model: ModelOption = "fused",
    rule: RuleOption = None,
    no_cutoff: Annotated[bool, typer.Option("--no-cutoff", help="Run all T steps of every sample.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for results.jsonl and summary.json. Default: deploy/ beside NET.")
    ] = None,
    board: Annotated[str | None, typer.Option(help="loihi, slurm: the board, as in 'aoi inspect --board'.")] = None,
    host: Annotated[str | None, typer.Option(help="loihi: address of the board's host, where no Slurm is.")] = None,
    on_node: Annotated[
        str, typer.Option(help="slurm: what runs on the node, loihi or sim (Lava's simulator).")
    ] = "loihi",
    partition: Annotated[str | None, typer.Option(help="slurm: Default: the board's, or the cluster's own.")] = None,
    time: Annotated[int, typer.Option(min=1, help="slurm: minutes of a job; it then goes on in its next turn.")] = 2,
    chunk: Annotated[int | None, typer.Option(min=1, help="slurm: samples of a job. Default: what should fit.")] = None,
    at_once: Annotated[int, typer.Option(min=1, max=1000, help="slurm: jobs side by side.")] = 16,
    login: Annotated[
        str | None,
        typer.Option(metavar="[USER@]HOST", help="slurm: submit there over ssh, where aoi is installed too."),
    ] = None,
    aoi: Annotated[str, typer.Option(help="slurm: the command on the login host.")] = "aoi",
    detach: Annotated[bool, typer.Option("--detach", help="slurm: submit and return; see 'aoi jobs'.")] = False,
    window_us: WindowOption = None,
    bins: BinsOption = None,
    download: DownloadOption = False,
    skip_damaged: SkipDamagedOption = False,
    json: JsonFlag = False,
) -> None:
    """Run a network file as Lava processes with the monitor that stops each sample.

    Example: aoi deploy runs/demo/network.net --samples 100

    Example: aoi deploy runs/demo/network.net --target slurm --partition oheogulch --on-node sim
    """
    from aoi.evaluation.anytime import accuracy_at
    from aoi.netx.read import read_network
    from aoi_deploy.targets import Work, check_target

    how = model_of(model)
    if no_cutoff and rule is not None:
        raise DataError("--no-cutoff and --rule exclude each other; leave one out")
    check_target(target)  # refuses what is not there, before anything is written
    node = next((each for each in get_args(OnNode) if each == on_node), None)
    if node is None:
        raise DataError(f"--on-node {on_node}: choose one of {', '.join(get_args(OnNode))}")
    jobs = None
    if target == "slurm":
        from aoi_deploy.targets.cluster import Cluster, JobOptions

        options = JobOptions(node, board, partition, time, chunk, at_once, login, aoi)
        jobs = Cluster(options, net.parent / "jobs")
    network = read_network(net)
    if board is not None:
        check_board(network, board, refuse=target == "loihi" or (target == "slurm" and node == "loihi"))
    chosen = None if no_cutoff else rule_of(network, rule)
    request = Request(data, split, samples, window_us, bins, download, skip_damaged=skip_damaged)
    spikes = load_split(network, request)
    folder = results_folder(out or net.parent / "deploy")
    work = Work(network, spikes, readout_of(network), chosen, how, split)
    every_step = accuracy_at(scores_of(network, spikes, "all steps, on the engine"), spikes.labels)
    if jobs is not None:
        found = as_jobs(work, jobs, detach=detach)
        if found is None:
            return
        outcomes, wall_s, about = found
    else:
        outcomes, wall_s, about = here(work, target, board, host)
    summary = summarise(outcomes, wall_s, spikes, chosen, every_step, folder)
    summary |= {"target": target, "model": model, "split": split} | about
    write_results(folder, outcomes, spikes, summary)
    if json:
        print_json(summary)
        return
    show(f"{net} on {target}, {MODELS[how]} (--model {how})", summary)


def model_of(name: str) -> Model:
    """The model of that name. Raises DataError where there is none."""
    model = next((each for each in get_args(Model) if each == name), None)
    if model is None:
        raise DataError(f"--model {name}: choose one of {', '.join(MODELS)}")
    return model


def check_board(network: NetworkFile, board: str, *, refuse: bool) -> None:
    """Says what the board's limits are to the network; raises DataError where it cannot run there and shall."""
    from aoi.boards.board import load_board
    from aoi.boards.fit import assess

    fit = assess(network.description, load_board(board))
    reasons = "; ".join(map(str, fit.findings))
    if fit.verdict == "does not fit" and refuse:
        raise DataError(f"{network.path.name} does not fit on board {board}: {reasons}")
    say(f"{network.path.name} on board {board}: {fit.verdict}{f' ({reasons})' if reasons else ''}")


def results_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"--out {folder}: cannot be a folder for results: {error.strerror}") from None
    return folder


def here(work: Work, target: Any, board: str | None, host: str | None) -> tuple[list[Outcome], float, dict[str, Any]]:
    """Runs the work in this process."""
    import time

    from aoi_deploy.targets.in_process import InProcess

    with InProcess(target, board=board, host=host) as place:
        place.prepare(work)
        begin = time.perf_counter()
        follow(place, work)
        return place.collect(), time.perf_counter() - begin, {"build_s": place.build_s}


def as_jobs(work: Work, jobs: Cluster, *, detach: bool) -> tuple[list[Outcome], float, dict[str, Any]] | None:
    """Runs the work as jobs; None where nobody waits for them."""
    import time

    with jobs as place:
        place.prepare(work)
        assert place.folder is not None
        job = place.folder.plan.id
        say(f"job {job}: {len(place.folder.plan.chunks)} chunks submitted; Ctrl-C leaves them in the queue")
        if detach:
            say(f"'aoi jobs status {job}' shows it, 'aoi jobs fetch {job}' brings the results")
            return None
        begin = time.perf_counter()
        try:
            follow(place, work)
        except KeyboardInterrupt:
            say(f"detached; the job goes on: 'aoi jobs attach {job}' comes back, 'aoi jobs cancel {job}' ends it")
            raise
        return place.collect(), time.perf_counter() - begin, {"job": job, "on_node": place.options.on_node}


def follow(place: Target, work: Work) -> None:
    """A progress bar over the outcomes as they fall."""
    label = "with the cutoff" if work.rule else "all steps"
    with progress(label) as advance:
        for done, _ in enumerate(place.run(), 1):
            advance(done, len(work.spikes))


def run_samples(session: Any, work: Work) -> tuple[list[Outcome], float]:
    """Runs all samples once on a session that is open; returns the outcomes and the wall time in s."""
    import time

    session.rule = work.rule
    begin = time.perf_counter()
    with progress("in Lava, with the cutoff" if work.rule else "in Lava, all steps") as advance:
        outcomes = []
        for result in session.run(work.sample(index) for index in range(len(work.spikes))):
            outcomes.append(work.outcome(result, result.index))
            advance(len(outcomes), len(work.spikes))
    return outcomes, time.perf_counter() - begin


def write_results(folder: Path, outcomes: list[Outcome], spikes: SpikeData, summary: dict[str, Any]) -> None:
    """``results.jsonl``, a line a sample, and ``summary.json``."""
    from dataclasses import asdict
    from json import dumps

    from aoi.files import atomic_file, write_atomically

    with atomic_file(folder / "results.jsonl") as file:
        for outcome in outcomes:
            line = asdict(outcome) | {
                "id": spikes.ids[outcome.index],
                "label": spikes.classes[spikes.labels[outcome.index]],
                "prediction": _name(spikes, outcome.prediction),
            }
            file.write(dumps(line).encode() + b"\n")
    write_atomically(folder / "summary.json", dumps(summary, indent=1).encode())


def show(title: str, summary: dict[str, Any]) -> None:
    """The totals as a table."""
    rule, build_s = summary["rule"], summary.get("build_s")
    print_table(
        title,
        ["", ""],
        [
            ["samples", f"{summary['samples']} ({summary['split']})"],
            ["rule", f"{rule} >= {summary['threshold']:.6g}" if rule else "none, all steps"],
            ["accuracy", f"{summary['accuracy']:.4f}"],
            ["drop from T, from the best step", f"{summary['accuracy_drop']:.4f}, {summary['accuracy_drop_peak']:.4f}"],
            ["mean decision step", f"{summary['mean_decision_step']:.2f} of {summary['steps']}"],
            ["fewer steps", f"{summary['speedup_steps']:.2f} times"],
            ["Lava steps executed", f"{summary['steps_executed']:,}"],
            [f"wall time (after {build_s:.1f} s to build)" if build_s else "wall time", f"{summary['wall_s']:.2f} s"],
            ["samples a second", f"{summary['samples_per_s']:.1f}"],
            ["results", str(summary["results"])],
        ],
    )


def summarise(
    results: list[Outcome],
    wall_s: float,
    spikes: SpikeData,
    rule: Rule | None,
    every_step: np.ndarray,
    out: Path,
) -> dict[str, Any]:
    """The totals. ``every_step``: accuracy of the same samples at each step, (T,), which a stopped run never sees."""
    from aoi.evaluation.anytime import drops

    accuracy = sum(r.prediction == spikes.labels[r.index] for r in results) / len(results)
    mean_step = sum(r.decision_step for r in results) / len(results)
    steps = spikes.shape[-1]
    return {
        "samples": len(results),
        "skipped": len(spikes.skipped),
        "steps": steps,
        **drops(float(accuracy), float(every_step[-1]), float(every_step.max())),
        "mean_decision_step": mean_step,
        "speedup_steps": steps / mean_step,
        "steps_executed": sum(r.steps_executed for r in results),
        "rule": rule.name if rule else None,
        "spec": rule.spec() if rule else None,
        "threshold": rule.threshold if rule else None,
        "scale": rule.scale if rule else None,
        "wall_s": wall_s,
        "samples_per_s": len(results) / wall_s,
        "results": os.fspath(out / "results.jsonl"),
    }


def _name(spikes: SpikeData, prediction: int) -> str:
    return spikes.classes[prediction] if prediction < len(spikes.classes) else str(prediction)
