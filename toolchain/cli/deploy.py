"""aoi deploy"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from toolchain.cli.console import JsonFlag, print_json, print_table, progress
from toolchain.cli.recordings import (
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
    maps_shape,
    readout_of,
    rule_of,
    scores_of,
    shaped,
)
from toolchain.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from deploy.session import SampleResult
    from toolchain.cutoff.rule import Rule
    from toolchain.events.spikes import SpikeData
    from toolchain.netx.read import NetworkFile

Model = Literal["fused", "stock"]
MODELS: dict[Model, str] = {
    "fused": "one Lava process for the network",
    "stock": "Lava's own graph of processes",
}


def command(
    net: NetworkArgument,
    data: DataOption = None,
    split: SplitOption = "test",
    target: Annotated[str, typer.Option(help="sim; loihi and slurm are to come.")] = "sim",
    samples: SamplesOption = None,
    model: Annotated[
        str, typer.Option(help="fused: the network in one process, fast. stock: Lava's own graph of processes.")
    ] = "fused",
    rule: RuleOption = None,
    no_cutoff: Annotated[bool, typer.Option("--no-cutoff", help="Run all T steps of every sample.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for results.jsonl and summary.json. Default: deploy/ beside NET.")
    ] = None,
    window_us: WindowOption = None,
    bins: BinsOption = None,
    download: DownloadOption = False,
    skip_damaged: SkipDamagedOption = False,
    json: JsonFlag = False,
) -> None:
    """Run a network file as Lava processes with the monitor that stops each sample.

    Example: aoi deploy runs/demo/network.net --samples 100
    """
    from json import dumps

    from deploy.targets import find_target
    from toolchain.evaluation.anytime import accuracy_at
    from toolchain.files import write_atomically
    from toolchain.netx.read import read_network

    how = next((each for each in get_args(Model) if each == model), None)
    if how is None:
        raise DataError(f"--model {model}: choose one of {', '.join(MODELS)}")
    if no_cutoff and rule is not None:
        raise DataError("--no-cutoff and --rule exclude each other; leave one out")
    find_target(target)  # refuses what is not there, before anything is written
    network = read_network(net)
    chosen = None if no_cutoff else rule_of(network, rule)
    request = Request(data, split, samples, window_us, bins, download, skip_damaged=skip_damaged)
    spikes = load_split(network, request)
    folder = out or net.parent / "deploy"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"--out {folder}: cannot be a folder for results: {error.strerror}") from None
    every_step = accuracy_at(scores_of(network, spikes, "all steps, on the engine"), spikes.labels)
    with open_session(network, spikes.shape[-1], target, how) as session:
        results, wall_s = run_samples(session, network, spikes, chosen, folder)
        about = {"target": target, "model": model, "split": split, "build_s": session.build_s}
    summary = summarise(results, wall_s, spikes, chosen, every_step, folder) | about
    write_atomically(folder / "summary.json", dumps(summary, indent=1).encode())
    if json:
        print_json(summary)
        return
    print_table(
        f"{net} on {target}, {MODELS[how]} (--model {how})",
        ["", ""],
        [
            ["samples", f"{summary['samples']} ({split})"],
            ["rule", f"{chosen.name} >= {chosen.threshold:.6g}" if chosen else "none, all steps"],
            ["accuracy", f"{summary['accuracy']:.4f}"],
            ["drop from T, from the best step", f"{summary['accuracy_drop']:.4f}, {summary['accuracy_drop_peak']:.4f}"],
            ["mean decision step", f"{summary['mean_decision_step']:.2f} of {summary['steps']}"],
            ["fewer steps", f"{summary['speedup_steps']:.2f} times"],
            ["Lava steps executed", f"{summary['steps_executed']:,}"],
            [f"wall time (after {session.build_s:.1f} s to build)", f"{summary['wall_s']:.2f} s"],
            ["samples a second", f"{summary['samples_per_s']:.1f}"],
            ["results", str(summary["results"])],
        ],
    )


def open_session(network: NetworkFile, steps: int, target: str, model: Model) -> Any:
    """Compiles the network on a target and starts it."""
    from deploy.targets import find_target

    return find_target(target)(
        network.path,
        steps=steps,
        readout=readout_of(network),
        rule=None,
        skip_layers=network.skip_layers,
        input_shape=maps_shape(network),
        model=model,
        timeout_s=120.0,
    )


def run_samples(
    session: Any, network: NetworkFile, spikes: SpikeData, rule: Rule | None, out: Path
) -> tuple[list[SampleResult], float]:
    """Runs all samples once with ``rule`` and writes ``results.jsonl``; returns the results and the wall time in s."""
    import json
    import time

    from toolchain.files import atomic_file

    batch = shaped(network, spikes)

    def feed() -> Iterator[np.ndarray]:
        for index in range(len(spikes)):
            yield batch([index])[0]

    session.rule = rule
    results: list[SampleResult] = []
    label = "in Lava, with the cutoff" if rule else "in Lava, all steps"
    begin = time.perf_counter()
    with atomic_file(out / "results.jsonl") as file, progress(label) as advance:
        for result in session.run(feed()):
            results.append(result)
            line = {
                "id": spikes.ids[result.index],
                "label": spikes.classes[spikes.labels[result.index]],
                "prediction": _name(spikes, result.prediction),
                "confidence": result.confidence,
                "decision_step": result.decision_step,
                "steps_executed": result.steps_executed,
                "wall_s": result.wall_s,
            }
            file.write(json.dumps(line).encode() + b"\n")
            advance(len(results), len(spikes))
    return results, time.perf_counter() - begin


def summarise(
    results: list[SampleResult],
    wall_s: float,
    spikes: SpikeData,
    rule: Rule | None,
    every_step: np.ndarray,
    out: Path,
) -> dict[str, Any]:
    """The totals. ``every_step``: accuracy of the same samples at each step, (T,), which a stopped run never sees."""
    from toolchain.evaluation.anytime import drops

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
