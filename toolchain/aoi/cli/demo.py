"""aoi demo"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from aoi.cli.calibrate import calibrate
from aoi.cli.console import JsonFlag, print_json, print_table, say
from aoi.cli.deploy import run_samples, summarise, write_results
from aoi.cli.export import export
from aoi.cli.recordings import Request, load_split, readout_of, scores_of
from aoi.cli.report import report
from aoi.cli.train import train
from aoi.cli.verify import verify
from aoi.errors import CheckFailed


def command(
    run: Annotated[Path, typer.Option(help="Run folder; what an earlier demo left there is replaced.")] = Path(
        "runs/demo"
    ),
    json: JsonFlag = False,
) -> None:
    """The whole way on real handwritten digits seen by a simulated event camera: train, export, verify, calibrate,
    deploy on the Lava simulator with and without the cutoff, report. Takes some minutes.

    Example: aoi demo
    """
    summary = demo(run)
    if json:
        print_json(summary)
    else:
        show(summary)
    if not summary["equal"]:
        difference = summary["first_mismatch"] or f"{summary['decisions_differing']} decisions differ from the engine's"
        raise CheckFailed(f"{run}: Lava does not execute the network as trained: {difference}")


def demo(run: Path) -> dict[str, Any]:
    """Runs every command of the way in turn and leaves everything in ``run``."""
    import json
    import time
    from dataclasses import replace

    from aoi.cutoff.rule import decide
    from aoi.evaluation.anytime import anytime_result, drops
    from aoi.experiment.config import config_folder, load_config
    from aoi.files import write_atomically
    from aoi.netx.read import read_network
    from aoi.report.plots import plot_accuracy, plot_decisions
    from aoi_deploy.targets import Work, open_session

    begin = time.perf_counter()
    config_file = config_folder() / "digits.yaml"
    config = load_config(config_file)
    say("1/6 train")
    trained = train(config_file, run=run, overwrite=True)
    say("2/6 export")
    net = export(run)
    say("3/6 verify: every layer and step on the engine, in SLAYER and in Lava")
    verified = verify(net, "all", Request(None, "validation", 8))
    say("4/6 calibrate the cutoff")
    calibration, _ = calibrate(net, Request(None, "calibration"), config.cutoff.max_drop, risk=0.05)
    say("5/6 deploy in Lava, the same unseen digits with and without the cutoff")
    network = read_network(net)
    spikes = load_split(network, Request(None, "test"))
    scores = scores_of(network, spikes, "running on the engine")
    result = anytime_result(scores, spikes.labels, decide(calibration.rule, scores))
    work = Work(network, spikes, readout_of(network), None, "fused")
    with open_session("sim", work) as session:
        full, full_s = run_samples(session, work)
        cut, cut_s = run_samples(session, replace(work, rule=calibration.rule))
    full_run = summarise(full, full_s, spikes, None, result.accuracy_at, run / "deploy-full")
    cut_run = summarise(cut, cut_s, spikes, calibration.rule, result.accuracy_at, run / "deploy")
    write_results(run / "deploy-full", full, spikes, full_run)
    write_results(run / "deploy", cut, spikes, cut_run)
    differing = sum(
        (r.prediction, r.decision_step) != (expected.prediction[r.index], expected.step[r.index])
        for results, expected in ((full, decide(None, scores)), (cut, result.decisions))
        for r in results
    )
    plot_accuracy(result, run / "accuracy.png")
    plot_decisions(result, run / "decisions.png")
    summary = {
        "samples": len(spikes),
        "steps": spikes.shape[-1],
        **drops(cut_run["accuracy"], full_run["accuracy"], float(result.accuracy_at.max())),
        "mean_decision_step": cut_run["mean_decision_step"],
        "speedup_steps": cut_run["speedup_steps"],
        "wall_s_full": full_run["wall_s"],
        "wall_s_cutoff": cut_run["wall_s"],
        "wall_ratio": cut_run["wall_s"] / full_run["wall_s"],
        "steps_executed_full": full_run["steps_executed"],
        "steps_executed_cutoff": cut_run["steps_executed"],
        "equal": verified["equal"] and not differing,
        "decisions_compared": len(full) + len(cut),
        "decisions_differing": differing,
        "compared": verified["compared"],
        "first_mismatch": verified["first_mismatch"],
        "threshold": calibration.threshold,
        "temperature": calibration.temperature,
        "certified": calibration.certified,
        "calibration_samples": calibration.samples,
        "accuracy_at": [float(a) for a in result.accuracy_at],
        "val_accuracy": trained["val_accuracy"],
        "target": "sim",
        "model": work.model,
        "demo_s": time.perf_counter() - begin,
        "network": str(net),
        "pictures": [str(run / "accuracy.png"), str(run / "decisions.png")],
        "report": str(run / "report.html"),
    }
    write_atomically(run / "summary.json", json.dumps(summary, indent=1).encode())
    say("6/6 report")
    report(run, Request(None, "test"))
    return summary


def show(summary: dict[str, Any]) -> None:
    """The table at the end."""
    print_table(
        f"{summary['samples']} unseen digits in Lava, T = {summary['steps']}",
        ["", "all steps", "with cutoff"],
        [
            ["accuracy", f"{summary['full_accuracy']:.4f}", f"{summary['accuracy']:.4f}"],
            ["mean decision step", f"{summary['steps']}", f"{summary['mean_decision_step']:.2f}"],
            ["Lava steps executed", f"{summary['steps_executed_full']:,}", f"{summary['steps_executed_cutoff']:,}"],
            ["wall time in Lava", f"{summary['wall_s_full']:.1f} s", f"{summary['wall_s_cutoff']:.1f} s"],
            ["speed-up in steps", "", f"{summary['speedup_steps']:.2f}"],
            ["speed-up in wall time", "", f"{1 / summary['wall_ratio']:.2f}"],
            [
                "accuracy drop from T, from the peak",
                "",
                f"{summary['accuracy_drop']:.4f}, {summary['accuracy_drop_peak']:.4f}",
            ],
            ["engine = SLAYER = Lava", "", "equal" if summary["equal"] else "DIFFERENT"],
        ],
    )
    say(f"all of it in {Path(summary['network']).parent}: network.net, summary.json, accuracy.png, decisions.png")
    say(f"open {summary['report']} in a browser: what the cutoff trades, and why")
