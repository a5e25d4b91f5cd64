"""The whole pipeline on the built-in digits."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aoi.cutoff.rule import decide
from aoi.evaluation.anytime import anytime_result, drops
from aoi.experiment.config import config_folder, load_config
from aoi.files import write_atomically
from aoi.workflow.calibrate import calibrate
from aoi.workflow.deploy import Deployment, deploy, write_results
from aoi.workflow.evaluate import run_engine
from aoi.workflow.export import export
from aoi.workflow.network import Network, load
from aoi.workflow.progress import Progress, counter, log
from aoi.workflow.recordings import Recordings, open_data
from aoi.workflow.report import report
from aoi.workflow.result import Result
from aoi.workflow.train import train
from aoi.workflow.verify import verify


@dataclass(frozen=True, eq=False, repr=False)
class Demo(Result):
    """The numbers of the demo; all results are in its run folder."""

    summary: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return self.summary

    def rows(self) -> Sequence[tuple[str, str]]:
        return [(str(name), str(value)) for name, value in self.summary.items() if name != "accuracy_at"]


def demo(run: Path, progress: Progress | None = None) -> Demo:
    """Trains, exports, verifies, calibrates, deploys in Lava with and without the cutoff, and writes the report.

    Writes ``network.net``, ``summary.json``, plots and the report to the folder ``run``, and replaces an earlier demo
    there. Raises the errors of each step.
    """
    from aoi.report.plots import accuracy_figure, decision_figure, save

    begin = time.perf_counter()
    config = load_config(config_folder() / "digits.yaml")
    log.info("1/6 train")
    trained = train(config, run=run, overwrite=True, progress=progress)
    log.info("2/6 export")
    net = load(export(run))
    log.info("3/6 verify: every layer and step on the engine, in SLAYER and in Lava")
    verified = verify(net, open_data(None, net, split="validation", samples=8), progress=progress)
    log.info("4/6 calibrate the cutoff")
    calibrated = calibrate(
        net, open_data(None, net, split="calibration"), max_drop=config.cutoff.max_drop, progress=progress
    )
    log.info("5/6 deploy in Lava, the same unseen digits with and without the cutoff")
    net = load(net.path)
    data = open_data(None, net, split="test", progress=progress)
    scores = run_engine(net, data, "running on the engine", progress).scores
    result = anytime_result(scores, data.labels, decide(net.rule, scores))
    full, cut = _deploy_twice(net, data, run, result.accuracy_at, progress)
    differing = sum(
        (each.prediction, each.decision_step) != (expected.prediction[each.index], expected.step[each.index])
        for deployment, expected in ((full, decide(None, scores)), (cut, result.decisions))
        for each in deployment.outcomes
    )
    pictures = [run / "accuracy.png", run / "decisions.png"]
    for figure, path in zip((accuracy_figure(result), decision_figure(result)), pictures, strict=True):
        save(figure, path)
    found = calibrated.calibration
    summary = {
        "samples": len(data),
        "steps": data.steps,
        **drops(cut.summary["accuracy"], full.summary["accuracy"], float(result.accuracy_at.max())),
        "mean_decision_step": cut.summary["mean_decision_step"],
        "speedup_steps": cut.summary["speedup_steps"],
        "wall_s_full": full.summary["wall_s"],
        "wall_s_cutoff": cut.summary["wall_s"],
        "wall_ratio": cut.summary["wall_s"] / full.summary["wall_s"],
        "steps_executed_full": full.summary["steps_executed"],
        "steps_executed_cutoff": cut.summary["steps_executed"],
        "equal": verified.equal and not differing,
        "decisions_compared": len(full.outcomes) + len(cut.outcomes),
        "decisions_differing": differing,
        "compared": verified.compared,
        "first_mismatch": verified.first_mismatch,
        "threshold": found.threshold,
        "temperature": found.temperature,
        "certified": found.certified,
        "calibration_samples": found.samples,
        "accuracy_at": [float(a) for a in result.accuracy_at],
        "val_accuracy": trained.val_accuracy,
        "target": "sim",
        "model": "fused",
        "demo_s": time.perf_counter() - begin,
        "network": str(net.path),
        "pictures": [str(path) for path in pictures],
        "report": str(run / "report.html"),
    }
    write_atomically(run / "summary.json", json.dumps(summary, indent=1).encode())
    log.info("6/6 report")
    report(run, progress=progress)
    return Demo(summary)


def _deploy_twice(
    net: Network, data: Recordings, run: Path, at: Any, progress: Progress | None
) -> tuple[Deployment, Deployment]:
    """Runs all steps, then with the cutoff, in one session."""
    from aoi_deploy.targets import Work

    found = []
    with deploy(net, rule=None) as session:
        for name, rule in (("deploy-full", None), ("deploy", net.rule)):
            session.rule = rule
            advance = counter(progress, "in Lava, with the cutoff" if rule else "in Lava, all steps")
            begin = time.perf_counter()
            outcomes = []
            for result in session.run(data):
                outcomes.append(Work.outcome(result, result.index))
                advance(len(outcomes), len(data))
            wall_s = time.perf_counter() - begin
            (run / name).mkdir(exist_ok=True)
            about = {"target": "sim", "model": "fused", "split": data.split}
            found.append(write_results(run / name, outcomes, data, rule, at, wall_s, about))
    return found[0], found[1]
