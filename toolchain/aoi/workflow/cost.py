"""The cost of an inference on a board: counts operations on the engine, and estimates energy and time."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import files as package_files
from pathlib import Path
from typing import Any

import numpy as np

from aoi.boards.board import Range, board_names, load_board
from aoi.boards.cost import Estimate, estimate, share, workload
from aoi.cutoff.rule import Rule, decide
from aoi.engine import Engine, Run
from aoi.errors import DataError
from aoi.netx.description import NetworkDescription
from aoi.netx.read import read_network
from aoi.workflow.network import Network


def costs(description: NetworkDescription, run: Run, rule: Rule | None, board: str | None = None) -> dict[str, Any]:
    """Counts and estimates for ``board`` or all boards, as plain values for JSON.

    For all T steps and, with a rule, until its decision. Raises DataError for an unknown board.
    """
    boards = [load_board(name) for name in ([board] if board else board_names())]
    ends = {"at_t": np.full(len(run.spikes), run.spikes.shape[-1])}
    if rule is not None:
        ends = {"until_decision": decide(rule, run.scores).step} | ends
    loads = {name: workload(description, run.spikes, run.operations, end) for name, end in ends.items()}
    saved = share(loads["until_decision"], loads["at_t"]) if rule is not None else None
    return {
        "samples": len(run.spikes),
        "steps": run.spikes.shape[-1],
        "layers": [f"{layer.kind} {layer.name}" for layer in description.layers],
        "counts": {name: {**each.counts, "layers": each.layers} for name, each in loads.items()},
        "share": [saved.low, saved.high] if saved else None,
        "boards": {
            each.name: {
                "chip": each.chip.name,
                **{name: _plain(estimate(description, load, each)) for name, load in loads.items()},
            }
            for each in boards
        },
    }


def random_run(
    network: Network, rate: float, *, samples: int | None = None, steps: int | None = None
) -> tuple[Run, str]:
    """Runs random input, for a network without recordings, and describes it. Raises DataError."""
    from aoi.workflow.verify import random_input

    inputs, text = random_input(network, samples or 8, steps, rate)
    return Engine(network.description).run(inputs, readout=network.readout), text


def pilotnet_costs(board: str | None = None) -> dict[str, Any]:
    """Costs of lava-dl's PilotNet LIF on 16 steps of its own image, with its published measurement on Loihi 2.

    Raises DataError if lava-dl is not installed.
    """
    anchor = load_board("oheogulch").chip.anchor
    assert anchor is not None
    path = lava_dl_file("gts/pilotnet_lif/network.net")
    image = np.load(lava_dl_file("gts/pilotnet_lif/image.npy")).transpose(2, 1, 0).astype(np.int32)
    description = read_network(path, input_block=True).description
    run = Engine(description).run(np.repeat(image[None, ..., None], anchor.counts.steps, axis=-1))
    measured = {
        "source": anchor.source,
        "samples": 1,
        "steps": anchor.counts.steps,
        "total_j": anchor.total_j,
        "dynamic_j": anchor.dynamic_j,
        "static_j": anchor.total_j - anchor.dynamic_j,
        "latency_s": anchor.seconds,
        "step_s": anchor.step_s,
    }
    return {"network": str(path), "split": "image.npy", **costs(description, run, None, board), "measured": measured}


def lava_dl_file(name: str) -> Path:
    """Path of a file in lava-dl's wheel. Raises DataError if lava-dl or the file is missing."""
    try:
        found = package_files("lava-dl") or []
    except PackageNotFoundError:
        raise DataError(f"{name}: is part of lava-dl, which is not installed; run 'aoi install-lava'") from None
    for file in found:
        if str(file).endswith(name):
            return Path(str(file.locate()))
    raise DataError(f"{name}: is missing in this installation of lava-dl; reinstall it with 'aoi install-lava'")


def _plain(estimate: Estimate) -> dict[str, Any]:
    def ends(found: Range | None) -> list[float] | None:
        return None if found is None else [found.low, found.high]

    return {
        "dynamic_j": ends(estimate.dynamic_j),
        "static_j": ends(estimate.static_j),
        "latency_s": ends(estimate.latency_s),
        "basis": estimate.basis,
    }


def format_range(ends: Any, unit: str) -> str:
    """Formats ``[1.2e-6, 3e-6]`` with the unit "J" as "1.2 to 3 µJ"."""
    if ends is None:
        return "not published"
    low, high = (format_amount(end, unit, 3) for end in ends)
    number, _, prefix = low.partition(" ")
    return f"{number if high.endswith(f' {prefix}') else low} to {high}"


def format_amount(value: float, unit: str, digits: int = 4) -> str:
    """Formats 1.2e-6 with the unit "J" as "1.2 µJ"."""
    for scale, prefix in ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n")):
        if value >= scale:
            return f"{value / scale:.{digits}g} {prefix}{unit}"
    return f"{value / 1e-12:.{digits}g} p{unit}"
