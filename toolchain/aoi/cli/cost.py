"""aoi cost"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aoi.cli.console import JsonFlag, print_json, print_table, say
from aoi.cli.recordings import (
    BinsOption,
    DataOption,
    DownloadOption,
    Request,
    RuleOption,
    SamplesOption,
    SkipDamagedOption,
    SplitOption,
    WindowOption,
    load_split,
    rule_of,
    run_of,
    warn_of_calibration,
)
from aoi.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from aoi.boards.board import Range
    from aoi.boards.cost import Estimate
    from aoi.cutoff.rule import Rule
    from aoi.engine import Run
    from aoi.netx.description import NetworkDescription

BoardOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="nahuku, oheogulch or kapohopoint. Default: all of them.")
]


def command(
    net: Annotated[Path | None, typer.Argument(metavar="NET", help="A network file (NetX HDF5).")] = None,
    data: DataOption = None,
    split: SplitOption = "test",
    samples: SamplesOption = None,
    rule: RuleOption = None,
    board: BoardOption = None,
    pilotnet: Annotated[
        bool, typer.Option("--pilotnet", help="lava-dl's PilotNet LIF, next to its public measurement on Loihi 2.")
    ] = False,
    measured: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A measurement on a board, profile.json, to show next to it.")
    ] = None,
    window_us: WindowOption = None,
    bins: BinsOption = None,
    download: DownloadOption = False,
    skip_damaged: SkipDamagedOption = False,
    json: JsonFlag = False,
) -> None:
    """Energy and time of a decision, and of all T steps, on Loihi boards: operations counted on the engine, ranges from
    what is public of the chips. Not measured on a board.

    Example: aoi cost runs/demo/network.net --board oheogulch
    """
    from aoi.boards.profile import load_measurement
    from aoi.netx.read import read_network

    held = load_measurement(measured) if measured is not None else None
    if (net is None) != pilotnet:
        raise DataError("name a network file, or give --pilotnet instead; aoi cost runs/demo/network.net")
    if net is None:
        result = _pilotnet(board)
    else:
        network = read_network(net)
        chosen = rule_of(network, rule, required=False)
        request = Request(data, split, samples, window_us, bins, download, skip_damaged=skip_damaged)
        warn_of_calibration(network, request)
        run = run_of(network, load_split(network, request), "running on the engine")
        result = {"network": str(net), "split": split, **costs(network.description, run, decided(chosen, run), board)}
    if held is not None:
        result["measured"] = held.model_dump()
    if json:
        print_json(result)
        return
    _show(result)


def costs(description: NetworkDescription, run: Run, step: np.ndarray | None, board: str | None) -> dict[str, Any]:
    """Counts and estimates on ``board`` or all boards, as JSON holds them. ``step``: decision step of each recording,
    None where no rule decides."""
    import numpy as np

    from aoi.boards.board import board_names, load_board
    from aoi.boards.cost import estimate, share, workload

    boards = [load_board(name) for name in ([board] if board else board_names())]
    ends = {"at_t": np.full(len(run.spikes), run.spikes.shape[-1])}
    if step is not None:
        ends = {"until_decision": step} | ends
    done = {name: workload(description, run.spikes, run.operations, end) for name, end in ends.items()}
    saved = share(done["until_decision"], done["at_t"]) if step is not None else None
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


def decided(rule: Rule | None, run: Run) -> np.ndarray | None:
    """Decision step of each recording, int64 (recordings,); None without a rule."""
    from aoi.cutoff.rule import decide

    return decide(rule, run.scores).step if rule else None


def _plain(estimate: Estimate) -> dict[str, Any]:
    def ends(found: Range | None) -> list[float] | None:
        return None if found is None else [found.low, found.high]

    return {
        "dynamic_j": ends(estimate.dynamic_j),
        "static_j": ends(estimate.static_j),
        "latency_s": ends(estimate.latency_s),
        "basis": estimate.basis,
    }


def _pilotnet(board: str | None) -> dict[str, Any]:
    """16 steps of lava-dl's own image."""
    import numpy as np

    from aoi.boards.board import load_board
    from aoi.engine import Engine
    from aoi.netx.read import read_network
    from aoi_benchmarks.subjects import shipped

    anchor = load_board("oheogulch").chip.anchor
    assert anchor is not None
    path = shipped("gts/pilotnet_lif/network.net")
    image = np.load(shipped("gts/pilotnet_lif/image.npy")).transpose(2, 1, 0).astype(np.int32)
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


ENDS = {"until_decision": "until the decision", "at_t": "all T steps"}


def _show(result: dict[str, Any]) -> None:
    ends = [name for name in ENDS if name in result["counts"]]
    cells = [(kind, end) for kind in ("operations", "spikes") for end in ends]
    rows = [
        [label, *(f"{result['counts'][end]['layers'][kind][index]:,.0f}" for kind, end in cells)]
        for index, label in enumerate(result["layers"])
    ]
    rows.append(["all", *(f"{result['counts'][end][kind]:,.0f}" for kind, end in cells)])
    short = {"until_decision": "decision", "at_t": "T"}
    print_table(
        f"{result['network']}: mean of {result['samples']:,} recordings ({result['split']})",
        ["", *(f"{kind}, {short[end]}" for kind in ("synaptic operations", "spikes") for end in ends)],
        rows,
    )
    rows = []
    for name, board in result["boards"].items():
        for end in ends:
            found = board[end]
            rows.append(
                [
                    f"{name}, {ENDS[end]}",
                    f"{result['counts'][end]['steps']:.2f}",
                    span(found["dynamic_j"], "J"),
                    span(found["static_j"], "J"),
                    span(found["latency_s"], "s"),
                ]
            )
    if "measured" in result:
        rows.append(_measured(result["measured"]))
    columns = ["estimated, not measured", "chip steps", "dynamic energy", "static energy", "time"]
    print_table("an inference", columns, rows)
    if result["share"]:
        low, high = result["share"]
        say(f"until the decision {low:.1%} to {high:.1%} of all T steps, whatever the chip's constants are")
    for basis in dict.fromkeys(board["at_t"]["basis"] for board in result["boards"].values()):
        say(f"from {basis}")


def _measured(measured: dict[str, Any]) -> list[str]:
    """A profiler tells static and dynamic energy together."""
    shown = [amount(measured[name], "J") for name in ("dynamic_j", "static_j") if name in measured]
    steps = measured["steps"] / measured["samples"]
    title = "measured" if shown else "measured, static and dynamic"
    shown = shown or [amount(measured["total_j"], "J"), ""]
    return [title, f"{steps:.2f}", *shown, amount(measured["latency_s"], "s")]


def span(ends: Any, unit: str) -> str:
    """``[1.2e-6, 3e-6]``, "J" → "1.2 to 3 µJ"."""
    if ends is None:
        return "not published"
    low, high = (amount(end, unit, 3) for end in ends)
    number, _, prefix = low.partition(" ")
    return f"{number if high.endswith(f' {prefix}') else low} to {high}"


def amount(value: float, unit: str, digits: int = 4) -> str:
    for scale, prefix in ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n")):
        if value >= scale:
            return f"{value / scale:.{digits}g} {prefix}{unit}"
    return f"{value / 1e-12:.{digits}g} p{unit}"
