"""The engine against stock Lava, our Lava session, and SLAYER's forward pass."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from aoi.engine import Engine, Run
from aoi.errors import CheckFailed
from aoi.workflow.progress import log
from aoi_benchmarks import stock_lava, stock_slayer
from aoi_benchmarks.bandwidth import bytes_per_second
from aoi_benchmarks.report import Report, Row, Table, best_of
from aoi_benchmarks.subjects import Subject, mnist, pilotnet

_UNIT = "s/sample"


def bench(*, quick: bool = False) -> Report:
    """Runs the benchmark; ``quick``: with a few samples, for tests."""
    # Subject, samples for stock Lava and for our session, batch sizes for SLAYER.
    plans: list[tuple[Subject, int, int, tuple[int, ...]]] = (
        [(mnist(4), 1, 2, (4,)), (pilotnet(1, steps=4), 1, 0, (1,))]
        if quick
        else [(mnist(512), 16, 16, (32, 128, 512)), (pilotnet(32), 1, 0, (1, 4, 8))]
    )
    repeats = 1 if quick else 3
    rows: list[Row] = []
    tables: list[Table] = []
    for subject, in_lava, in_session, batches in plans:
        log.info(f"{subject.name}: the engine, {len(subject.spikes)} samples of {subject.steps} steps")
        engine = Engine(subject.file.description)
        best = best_of(3 * repeats, partial(engine.run, subject.spikes, readout="voltage"))
        ours = best / len(subject.spikes)
        run = engine.run(subject.spikes, readout="voltage")
        work = _work(engine, run, ours, float(subject.spikes.mean()))
        tables.append(_table(subject, engine, work))

        def row(peer: str, seconds: float, more: dict[str, Any], subject: Subject = subject, ours: float = ours) -> Row:
            return Row(f"{subject.name}/{peer}", ours, seconds, _UNIT, {"batch": len(subject.spikes)} | more)

        log.info(f"{subject.name}: stock Lava")
        rows.append(row("lava", stock_lava.seconds_per_sample(subject, in_lava, repeats), work))
        if in_session:
            rows.append(row("session", _session(subject.first(in_session), run, repeats), {}))
        log.info(f"{subject.name}: SLAYER")
        peer, setting = stock_slayer.seconds_per_sample(subject, batches, repeats)
        rows.append(row("slayer", peer, {"peer_setting": setting}))
    return Report(tuple(rows), tuple(tables))


def _session(subject: Subject, run: Run, repeats: int) -> float:
    """Seconds per sample of our session of the stock graph, with cleared state between samples."""
    from aoi_deploy.lava.session import LavaSession

    with LavaSession(subject.file, steps=subject.steps, readout="voltage", model="stock") as session:
        for result in session.run(subject.spikes):
            if not np.array_equal(result.scores, run.scores[result.index, :, -1]):
                raise CheckFailed(f"{subject.name}: the engine differs from the session in sample {result.index}")
        return best_of(repeats, lambda: list(session.run(subject.spikes)), warm=False) / len(subject.spikes)


def _work(engine: Engine, run: Run, seconds: float, input_rate: float) -> dict[str, Any]:
    """Work per sample, and how close its time is to the limit of the machine.

    A synaptic operation reads one weight; if most inputs spike, the engine subtracts the silent ones from the sum of
    all. The limit is the time in which the cores can read these bytes from the cache that holds the layer's weights. A
    layer executed as a matrix product reads its weights once for many steps, and can be faster.
    """
    samples, _, steps = run.spikes.shape
    activity = run.spikes.sum(axis=(0, 2)) / (samples * steps * np.array([plan.neurons for plan in engine.plans]))
    multiplied = [
        plan.layer.name
        for plan, rate in zip(engine.plans, [input_rate, *activity], strict=False)
        if plan.matrix is not None and rate >= plan.matrix_rate
    ]
    neurons = np.array([plan.neurons for plan in engine.plans])
    operations = run.operations.sum(axis=(0, 2)) / samples
    weights = [plan.synapses.weight for plan in engine.plans]
    most = [steps * plan.synapses.fan_out.sum() for plan in engine.plans]
    bytes_read = np.minimum(operations, most - operations) * [weight.itemsize for weight in weights]
    limit_s = sum(
        float(count) / bytes_per_second(weight.nbytes, engine.threads)
        for count, weight in zip(bytes_read, weights, strict=True)
    )
    return {
        "activity": activity.tolist(),
        "multiplied": multiplied,
        "processor": engine.unit if multiplied else None,
        "operations": float(operations.sum()),
        "operations_per_s": float(operations.sum() / seconds),
        "neuron_updates_per_s": float(neurons.sum() * steps / seconds),
        "weight_bytes_per_s": float(bytes_read.sum() / seconds),
        "limit_bytes_per_s": float(bytes_read.sum() / limit_s),
        "share_of_limit": limit_s / seconds,
        "threads": engine.threads,
    }


def _table(subject: Subject, engine: Engine, work: dict[str, Any]) -> Table:
    return Table(
        f"{subject.name}: work per sample",
        ("", ""),
        (
            ("spikes per neuron and step of each layer", ", ".join(f"{a:.4f}" for a in work["activity"])),
            ("synaptic operations per sample", f"{work['operations']:,.0f}"),
            ("synaptic operations per second", f"{work['operations_per_s']:.3g}"),
            ("neuron updates per second", f"{work['neuron_updates_per_s']:.3g}"),
            (
                "layers executed as matrix products",
                f"{', '.join(work['multiplied']) or 'none'} ({work['processor'] or 'events'})",
            ),
            ("bytes of weights read by events, B/s", f"{work['weight_bytes_per_s']:.3g}"),
            (f"read bandwidth of their caches, {engine.threads} cores, B/s", f"{work['limit_bytes_per_s']:.3g}"),
            ("share of that bandwidth", f"{work['share_of_limit']:.1%}"),
        ),
    )
