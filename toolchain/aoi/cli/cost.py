"""aoi cost"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from aoi.cli.console import JsonFlag, print_json, print_table, progress, say
from aoi.cli.options import BoardOption, InputShapeOption, NetworkOptions, RecordingOptions, RuleOption, rate_of
from aoi.errors import DataError


def command(
    recordings: RecordingOptions,
    net: Annotated[
        Path | None, typer.Argument(metavar="NET", help="A network file (NetX HDF5), a run folder, or zoo:NAME.")
    ] = None,
    input_shape: InputShapeOption = None,
    rule: RuleOption = None,
    board: BoardOption = None,
    input_: Annotated[
        str | None, typer.Option("--input", metavar="random:RATE", help="Random input instead of recordings.")
    ] = None,
    pilotnet: Annotated[
        bool,
        typer.Option("--pilotnet", help="Use lava-dl's PilotNet LIF, and show its published measurement on Loihi 2."),
    ] = False,
    measured: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File profile.json of a measurement on a board, to show with the estimate."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Estimate energy and time of a decision on Loihi boards.

    Counts operations on the engine, until the decision and for all T steps. The ranges of the estimates follow from
    published data of the chips; nothing here was measured on a board.

    Without recordings, --input random:0.1 feeds each input with a spike in a tenth of the steps.

    Example: aoi cost runs/demo/network.net --board oheogulch
    """
    from aoi.boards.profile import load_measurement
    from aoi.workflow.cost import costs, pilotnet_costs, random_run
    from aoi.workflow.evaluate import run_engine
    from aoi.workflow.network import choose_rule
    from aoi.workflow.recordings import check_reported, open_selection

    measurement = load_measurement(measured) if measured is not None else None
    if (net is None) != pilotnet:
        raise DataError("give either a network file, as in aoi cost runs/demo/network.net, or --pilotnet")
    if net is None:
        result = pilotnet_costs(board)
    elif input_ is not None:
        if recordings.data is not None:
            raise DataError("--input and --data exclude each other; leave one out")
        network = NetworkOptions(net, input_shape).load()
        run, text = random_run(network, rate_of(input_), samples=recordings.samples, steps=recordings.bins)
        result = {"network": str(network.path), "split": text}
        result |= costs(network.description, run, choose_rule(network, rule or "own"), board)
    else:
        network = NetworkOptions(net, input_shape).load()
        chosen = choose_rule(network, rule or "own")
        with progress() as advance:
            data = open_selection(network, recordings.selection, advance)
            check_reported(network, data)
            run = run_engine(network, data, "running on the engine", advance)
        about = {"network": str(network.path), "split": data.split}
        result = about | costs(network.description, run, chosen, board)
    if measurement is not None:
        result["measured"] = measurement.model_dump()
    if json:
        print_json(result)
        return
    _show(result)


ENDS = {"until_decision": "until the decision", "at_t": "all T steps"}


def _show(result: dict[str, Any]) -> None:
    from aoi.workflow.cost import format_range

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
                    format_range(found["dynamic_j"], "J"),
                    format_range(found["static_j"], "J"),
                    format_range(found["latency_s"], "s"),
                ]
            )
    if "measured" in result:
        rows.append(_measured(result["measured"]))
    columns = ["estimated, not measured", "chip steps", "dynamic energy", "static energy", "time"]
    print_table("an inference", columns, rows)
    if result["share"]:
        low, high = result["share"]
        say(f"cost until the decision: {low:.1%} to {high:.1%} of all T steps, for any constants of the chip")
    for basis in dict.fromkeys(board["at_t"]["basis"] for board in result["boards"].values()):
        say(f"source: {basis}")


def _measured(measured: dict[str, Any]) -> list[str]:
    """The row of a measurement. A profiler measures static and dynamic energy together."""
    from aoi.workflow.cost import format_amount

    shown = [format_amount(measured[name], "J") for name in ("dynamic_j", "static_j") if name in measured]
    steps = measured["steps"] / measured["samples"]
    title = "measured" if shown else "measured, static and dynamic"
    shown = shown or [format_amount(measured["total_j"], "J"), ""]
    return [title, f"{steps:.2f}", *shown, format_amount(measured["latency_s"], "s")]
