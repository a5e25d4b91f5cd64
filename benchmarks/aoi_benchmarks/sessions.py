"""Inside Lava: the fused network against the stock graph of processes, and the time that stopping early saves."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from aoi.cutoff.rule import Rule
from aoi.cutoff.rules import ConfidenceRule, FixedRule
from aoi.engine import Engine
from aoi.errors import CheckFailed
from aoi.netx.metadata import Readout
from aoi.workflow.progress import log
from aoi_benchmarks.report import Report, Row, best_of
from aoi_benchmarks.subjects import Subject, mnist, pilotnet
from aoi_deploy.lava.session import LavaSession, SampleResult

_MNIST_RULE = ConfidenceRule(0.99, 4e-5)  # on average decides half-way
_UNIT = "s/sample"


def bench(*, quick: bool = False) -> Report:
    """Runs the benchmark; ``quick``: with a few samples, for tests."""
    repeats = 1 if quick else 3
    digits = mnist(4 if quick else 512)
    few = digits.first(4 if quick else 48)
    rows = [_fused_against_stock(few, "voltage", _MNIST_RULE, repeats)]
    street = pilotnet(1, steps=4) if quick else pilotnet(32)
    half = FixedRule(street.steps // 2)  # it has a single output, which gives no confidence
    rows.append(_fused_against_stock(street.first(3), "spikes", half, 1 if quick else 2))
    log.info("cutoff against all steps")
    rows += [
        _cutoff_in_lava(digits.first(4 if quick else 200), repeats),
        _cutoff_in_engine(digits, _MNIST_RULE, 3 * repeats),
        _cutoff_in_engine(street, half, repeats),
    ]
    return Report(tuple(rows))


def _fused_against_stock(subject: Subject, readout: Readout, rule: Rule, repeats: int) -> Row:
    seconds, results = {}, {}
    for model in ("fused", "stock"):
        log.info(f"{subject.name}: {model} session, {len(subject.spikes)} samples")
        with LavaSession(subject.file, steps=subject.steps, readout=readout, model=model, rule=rule) as session:
            results[model] = _run_all(session, subject)
            seconds[model] = _best_time(session, subject, repeats)
    _require_equal(subject, results["fused"], results["stock"])
    steps = [each.decision_step for each in results["fused"]]
    executed = sum(each.steps_executed for each in results["fused"])
    more = {
        "samples": len(steps),
        "mean_decision_step": float(np.mean(steps)),
        "samples_per_s": len(steps) / seconds["fused"],
        "s_per_step": seconds["fused"] / executed,
    }
    ours, peer = (seconds[model] / len(steps) for model in ("fused", "stock"))
    return Row(f"{subject.name}/stock", ours, peer, _UNIT, more)


def _cutoff_in_lava(subject: Subject, repeats: int) -> Row:
    seconds = {}
    with LavaSession(subject.file, steps=subject.steps, readout="voltage", model="fused") as session:
        for rule in (_MNIST_RULE, None):
            session.rule = rule
            seconds[rule] = _best_time(session, subject, repeats) / len(subject.spikes)
    return Row("mnist/cutoff-lava", seconds[_MNIST_RULE], seconds[None], _UNIT, {"samples": len(subject.spikes)})


def _cutoff_in_engine(subject: Subject, rule: Any, repeats: int) -> Row:
    engine = Engine(subject.file.description)
    samples = len(subject.spikes)

    def batch(indices: np.ndarray) -> np.ndarray:
        return subject.spikes[indices]

    def until() -> Any:
        return engine.run_until(samples, batch, rule, readout="voltage")

    def full() -> Any:
        return engine.run(subject.spikes, readout="voltage")

    stopped, run = until(), full()
    at_stop = run.scores[np.arange(samples), :, stopped.step - 1]
    if not np.array_equal(stopped.scores, at_stop):
        raise CheckFailed(f"{subject.name}: the engine with the cutoff differs from the engine with all steps")
    more = {
        "samples": samples,
        "mean_decision_step": float(stopped.step.mean()),
        "operations_saved": float(1 - stopped.operations.sum() / run.operations.sum()),
    }
    ours, peer = (best_of(repeats, work) / samples for work in (until, full))
    return Row(f"{subject.name}/cutoff-engine", ours, peer, _UNIT, more)


def _run_all(session: LavaSession, subject: Subject) -> list[SampleResult]:
    return list(session.run(subject.spikes))


def _best_time(session: LavaSession, subject: Subject, repeats: int) -> float:
    """Wall seconds of the fastest run; repeats for at least 2 s, because several processes share the cores."""
    return best_of(repeats, partial(_run_all, session, subject), at_least_s=2 * (repeats > 1))


def _require_equal(subject: Subject, ours: list[SampleResult], theirs: list[SampleResult]) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        for quantity in ("prediction", "decision_step", "steps_executed", "scores"):
            found, expected = getattr(mine, quantity), getattr(other, quantity)
            if not np.array_equal(found, expected):
                raise CheckFailed(
                    f"{subject.name}: sample {mine.index}: {quantity} is {found} fused and {expected} in stock Lava"
                )
