"""What an inference costs on a board: operations counted on the engine, energy and time estimated."""

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


def costs(description: NetworkDescription, run: Run, rule: Rule | None, board: str | None = None) -> dict[str, Any]:
    """Counts and estimates on ``board`` or all boards, of all T steps and, with a rule, until its decision; as JSON
    holds them. Raises DataError for a board that there is not."""
    boards = [load_board(name) for name in ([board] if board else board_names())]
    ends = {"at_t": np.full(len(run.spikes), run.spikes.shape[-1])}
    if rule is not None:
        ends = {"until_decision": decide(rule, run.scores).step} | ends
    done = {name: workload(description, run.spikes, run.operations, end) for name, end in ends.items()}
    saved = share(done["until_decision"], done["at_t"]) if rule is not None else None
    return {
        "samples": len(run.spikes),
        "steps": run.spikes.shape[-1],
        "layers": [f"{layer.kind} {layer.name}" for layer in description.layers],
        "counts": {name: {**each.counts, "layers": each.layers} for name, each in done.items()},
        "share": [saved.low, saved.high] if saved else None,
        "boards": {
            each.name: {
                "chip": each.chip.name,
                **{name: _plain(estimate(description, load, each)) for name, load in done.items()},
            }
            for each in boards
        },
    }


def pilotnet_costs(board: str | None = None) -> dict[str, Any]:
    """lava-dl's PilotNet LIF, 16 steps of its own image, next to its public measurement on Loihi 2.

    Raises DataError where lava-dl is not installed.
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
    """A file that lava-dl's wheel brings along. Raises DataError."""
    try:
        found = package_files("lava-dl") or []
    except PackageNotFoundError:
        raise DataError(f"{name}: lava-dl, which brings it, is not installed; 'aoi install-lava' installs it") from None
    for file in found:
        if str(file).endswith(name):
            return Path(str(file.locate()))
    raise DataError(f"this installation of lava-dl does not bring {name}; reinstall it from its wheel")


def _plain(estimate: Estimate) -> dict[str, Any]:
    def ends(found: Range | None) -> list[float] | None:
        return None if found is None else [found.low, found.high]

    return {
        "dynamic_j": ends(estimate.dynamic_j),
        "static_j": ends(estimate.static_j),
        "latency_s": ends(estimate.latency_s),
        "basis": estimate.basis,
    }


def span(ends: Any, unit: str) -> str:
    """``[1.2e-6, 3e-6]``, "J" → "1.2 to 3 µJ"."""
    if ends is None:
        return "not published"
    low, high = (amount(end, unit, 3) for end in ends)
    number, _, prefix = low.partition(" ")
    return f"{number if high.endswith(f' {prefix}') else low} to {high}"


def amount(value: float, unit: str, digits: int = 4) -> str:
    """1.2e-6, "J" → "1.2 µJ"."""
    for scale, prefix in ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n")):
        if value >= scale:
            return f"{value / scale:.{digits}g} {prefix}{unit}"
    return f"{value / 1e-12:.{digits}g} p{unit}"
