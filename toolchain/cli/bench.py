"""aoi bench"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from toolchain.cli.console import JsonFlag, print_json, print_table, say
from toolchain.errors import DataError

REPEATS = 5


def command(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this one: engine or training.")] = None,
    json: JsonFlag = False,
) -> None:
    """Speed against a peer in the same run, as a ratio of medians.

    Example: aoi bench engine
    """
    suites = {"engine": engine_against_lava, "training": dynamics_against_slayer}
    if name is not None and name not in suites:
        raise DataError(f"{name}: there is no such benchmark; choose one of {', '.join(suites)}")
    results = [row for key, suite in suites.items() if name in (None, key) for row in suite()]
    if json:
        print_json({"benchmarks": results})
        return
    print_table(
        "benchmarks",
        ["", "ours", "peer", "times faster"],
        [
            [r["name"], f"{r['ours']:.3g} {r['unit']}", f"{r['peer']:.3g} {r['unit']}", f"{r['ratio']:.1f}"]
            for r in results
        ],
    )


def engine_against_lava() -> list[dict[str, Any]]:
    """lava-dl's own mnist.net, T = 32, random spikes at rate 0.1: a sample on the engine and in Lava's simulator."""
    from importlib.metadata import files

    import numpy as np

    from deploy.targets import find_target
    from toolchain.engine import Engine
    from toolchain.netx import read_network

    path = next(file.locate() for file in files("lava-dl") or [] if file.name == "mnist.net")
    network = read_network(str(path))
    spikes = (np.random.default_rng(0).random((64, *network.description.input_shape, 32)) < 0.1).astype(np.uint8)
    engine = Engine(network.description)
    ours = _median(lambda: engine.run(spikes, readout="voltage")) / len(spikes)
    say("the engine is done; now Lava")
    with find_target("sim")(
        network.path,
        steps=32,
        readout="voltage",
        rule=None,
        skip_layers=network.skip_layers,
        input_shape=None,
        timeout_s=120,
    ) as session:
        peer = _median(lambda: list(session.run(iter(spikes[:8])))) / 8
    return [_row("mnist/lava", ours, peer, "s/sample")]


def dynamics_against_slayer() -> list[dict[str, Any]]:
    """Forward and backward through a CUBA layer, 32 x 512 neurons, 24 steps, each side with its best thread count."""
    import numba
    import torch

    from models.blocks import dense_block
    from models.spec import DenseSpec, NeuronSpec

    block = dense_block(DenseSpec(neurons=512, weight_scale=2), 512, NeuronSpec())
    spikes = (torch.rand(32, 512, 24) < 0.1).float()

    def ours() -> None:
        block(spikes).spikes.sum().backward()

    def peer() -> None:
        block.block.neuron.shape = None
        block.block(spikes).sum().backward()

    best: list[float] = []
    for work in (ours, peer):
        times = []
        for threads in range(1, numba.config.NUMBA_NUM_THREADS + 1):
            torch.set_num_threads(threads)
            numba.set_num_threads(threads)
            times.append(_median(work))
        best.append(min(times))
    return [_row("dense/slayer", best[0], best[1], "s")]


def _median(work: Callable[[], Any]) -> float:
    """Wall seconds, median after one warm-up."""
    times = []
    for _ in range(REPEATS + 1):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return sorted(times[1:])[REPEATS // 2]


def _row(name: str, ours: float, peer: float, unit: str) -> dict[str, Any]:
    return {"name": name, "ours": ours, "peer": peer, "ratio": peer / ours, "unit": unit}
