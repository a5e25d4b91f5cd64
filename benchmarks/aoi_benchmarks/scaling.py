"""How the engine's time grows with the size of the input, and its memory with the number of samples.

Beyond a constant overhead both should grow linearly: slope 1 in log-log coordinates over T and over spikes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from aoi.engine import Engine
from aoi.netx import Cuba, Dense, NetworkDescription, read_network
from aoi.workflow.cost import lava_dl_file
from aoi.workflow.progress import log
from aoi_benchmarks.memory import Memory, measure
from aoi_benchmarks.report import Report, Row, Table, best_of

_RATE = 0.1
_THREADS = (1, 2)


@dataclass(frozen=True)
class Point:
    """Times at one value of the varied quantity."""

    x: float
    seconds: tuple[float, ...]  # for the whole batch, one per number of threads


@dataclass(frozen=True)
class Curve:
    """Times over one varied quantity."""

    name: str
    about: str
    points: tuple[Point, ...]
    past: float  # smallest x of the linear fit
    base: Point = Point(0.0, (0.0,) * len(_THREADS))  # overhead, subtracted from x and seconds

    def slope(self, n: int) -> float:
        """Least-squares slope of log time over log x from ``past`` on, after subtracting ``base``.

        ``n``: index into ``_THREADS``.
        """
        points = [(each.x, each.seconds[n]) for each in self.points if each.x >= self.past]
        x, y = np.log(np.maximum(np.array(points) - (self.base.x, self.base.seconds[n]), 1e-9)).T
        return float(np.polyfit(x, y, 1)[0])


def bench(*, out: Path, quick: bool = False) -> Report:
    """Runs the benchmark and writes the plot to ``out``."""
    mnist = read_network(lava_dl_file("mnist.net")).description
    engines = {threads: Engine(mnist, threads=threads) for threads in _THREADS}

    def timed(runners: dict[int, Engine], spikes: np.ndarray) -> tuple[float, ...]:
        work = {threads: partial(runners[threads].run, spikes, readout="voltage") for threads in _THREADS}
        repeats, at_least_s = (1, 0.0) if quick else (5, 0.2)
        return tuple(best_of(repeats, work[threads], at_least_s=at_least_s) for threads in _THREADS)

    def over(
        name: str, about: str, past: float, values: list[Any], seconds: Callable[[Any], tuple[float, ...]]
    ) -> Curve:
        log.info(f"over {name}: {about}")
        return Curve(name, about, tuple(Point(value, seconds(value)) for value in values), past)

    def layer_of(neurons: int) -> tuple[float, ...]:
        wide = _layer(256, neurons)
        return timed({t: Engine(wide, threads=t) for t in _THREADS}, _spikes(wide, 16, 32, _RATE))

    layer = _layer(1024, 2048)
    # Without matrix products, whose time does not depend on the spikes.
    layer_engines = {t: Engine(layer, threads=t, unit="none") for t in _THREADS}

    def spiking(spikes: int) -> tuple[float, ...]:
        return timed(layer_engines, _spikes(layer, 16, 64, spikes / (16 * 64 * 1024)))

    def powers(low: int, high: int) -> list[int]:
        return [1 << n for n in range(low, high + 1)]

    wide = [100, 1000] if quick else [100, 300, 1000, 3000, 10_000, 30_000, 100_000]
    curves = [
        over(
            "batch",
            "mnist.net, T = 32, input rate 0.1, by samples",
            1 if quick else 32,
            powers(0, 2) if quick else powers(0, 10),
            lambda samples: timed(engines, _spikes(mnist, samples, 32, _RATE)),
        ),
        over(
            "T",
            "mnist.net, 64 samples, input rate 0.1, by timesteps",
            8 if quick else 32,
            powers(3, 5) if quick else powers(3, 10),
            lambda steps: timed(engines, _spikes(mnist, 64, steps, _RATE)),
        ),
        over(
            "neurons",
            "one layer of 256 inputs, 16 samples, T = 32, input rate 0.1, by neurons",
            wide[0] if quick else wide[2],
            wide,
            layer_of,
        ),
        over(
            "spikes",
            "1,024 inputs to 2,048 neurons, events, 16 samples, T = 64, by input spikes",
            100_000 if quick else 80_000,
            [50_000, 100_000, 200_000] if quick else [*(10_000 << n for n in range(6)), 500_000],
            spiking,
        ),
    ]
    # The cost of neurons is constant, but smaller in a silent network: subtract a sparse one.
    curves[-1] = replace(curves[-1], base=curves[-1].points[0])
    log.info("memory over samples")
    memory = [measure(samples) for samples in ((300, 600) if quick else (1_000, 10_000))]
    _plot(curves, out)
    log.info(f"wrote {out}")
    tables = [_table(each) for each in curves] + [_memory_table(memory)]
    rows = [Row(f"threads/{each.name}", each.points[-1].seconds[1], each.points[-1].seconds[0], "s") for each in curves]
    return Report(tuple(rows), tuple(tables), more=_json(curves, memory, out))


def _spikes(description: NetworkDescription, samples: int, steps: int, rate: float) -> np.ndarray:
    generator = np.random.default_rng(0)
    return (generator.random((samples, *description.input_shape, steps), np.float32) < rate).astype(np.uint8)


def _layer(inputs: int, neurons: int) -> NetworkDescription:
    """One dense layer that rarely fires, so that its input dominates the time."""
    weight = np.random.default_rng(0).integers(-64, 64, (neurons, inputs), dtype=np.int32) * 2
    return NetworkDescription((inputs,), (Dense("0", weight, Cuba(20_000, 1024, 256)),))


def _table(curve: Curve) -> Table:
    rows = [
        (f"{each.x:,.0f}", *(f"{1e3 * s:.3f}" for s in each.seconds), f"{each.seconds[0] / each.seconds[1]:.2f}")
        for each in curve.points
    ]
    slopes = [f"{curve.slope(n):.3f}" for n in range(len(_THREADS))]
    rows.append((f"log-log slope from {curve.past:,.0f} on{', minus the first row' * (curve.base.x > 0)}", *slopes, ""))
    return Table(
        f"over {curve.name}: {curve.about}",
        (curve.name, *(f"ms, {threads} thread{'s' * (threads > 1)}" for threads in _THREADS), "times faster"),
        tuple(rows),
    )


def _memory_table(memory: list[Memory]) -> Table:
    return Table(
        "memory over samples: mnist.net, T = 32, in a new process",
        ("samples", "peak, MB", "results, MB", "other, MB"),
        tuple(
            (
                f"{each.samples:,}",
                *(f"{part / 1e6:.1f}" for part in (each.peak, each.results, each.peak - each.results)),
            )
            for each in memory
        ),
    )


def _json(curves: list[Curve], memory: list[Memory], out: Path) -> dict[str, Any]:
    return {
        "picture": str(out),
        "sweeps": {
            each.name: {
                "about": each.about,
                "x": [point.x for point in each.points],
                "seconds": {str(t): [point.seconds[n] for point in each.points] for n, t in enumerate(_THREADS)},
                "slope": {str(t): each.slope(n) for n, t in enumerate(_THREADS)},
                "slope_from": each.past,
                "base": each.base.x,
            }
            for each in curves
        },
        "memory": [vars(each) for each in memory],
    }


def _plot(curves: list[Curve], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    from aoi.files import atomic_path

    figure, panels = plt.subplots(2, 2, figsize=(9.6, 7.2), layout="constrained")
    for panel, curve in zip(panels.flat, curves, strict=True):
        x = [point.x for point in curve.points]
        for n, (threads, colour, marker) in enumerate(zip(_THREADS, ("#0072b2", "#d55e00"), "os", strict=True)):
            label = f"{threads} thread{'s' * (threads > 1)}, slope {curve.slope(n):.2f}"
            panel.plot(x, [1e3 * point.seconds[n] for point in curve.points], color=colour, marker=marker, label=label)
        panel.axvline(curve.past, color="#666666", linestyle=":", linewidth=1)
        panel.set(xscale="log", yscale="log", xlabel=curve.name, ylabel="ms per batch", title=curve.about)
        panel.title.set_fontsize(9)
        panel.legend(frameon=False)
        panel.grid(alpha=0.25)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    plt.close(figure)
