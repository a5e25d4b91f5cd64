"""aoi calibrate"""

from __future__ import annotations

from typing import Annotated

import typer

from aoi.choices import RuleName, Temperature
from aoi.cli.console import JsonFlag, print_json, print_table, progress
from aoi.cli.options import CalibrationOptions, MaxDropOption, NetworkOptions


def command(
    network: NetworkOptions,
    recordings: CalibrationOptions,
    max_drop: MaxDropOption = 0.005,
    risk: Annotated[float, typer.Option(help="Largest probability that a certified drop is exceeded.")] = 0.05,
    rule: Annotated[RuleName, typer.Option(help="Stopping rule to calibrate.")] = "confidence",
    temperature: Annotated[
        Temperature, typer.Option(help="Temperature of the confidence: one for all steps, or one per step.")
    ] = "shared",
    json: JsonFlag = False,
) -> None:
    """Fit a stopping rule and write it into the network file.

    Chooses the threshold that stops earliest with an accuracy drop of at most --max-drop. With enough recordings the
    drop is certified: with probability 1 - risk, it is at most --max-drop.

    Example: aoi calibrate runs/demo/network.net --max-drop 0.005
    """
    from aoi.cutoff.checks import check_request
    from aoi.workflow.calibrate import calibrate, check_split
    from aoi.workflow.recordings import open_selection

    check_request(max_drop, risk, rule, temperature)
    net = network.load()
    check_split(recordings.split)
    with progress() as advance:
        data = open_selection(net, recordings.selection, advance)
        found = calibrate(net, data, max_drop=max_drop, risk=risk, rule=rule, temperature=temperature, progress=advance)
    if json:
        print_json(found.to_dict())
    else:
        print_table(f"calibrated {net.path}", ["", ""], found.rows())
