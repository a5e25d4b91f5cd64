"""aoi bench"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aoi.cli.console import JsonFlag, print_json, print_table
from aoi.errors import DataError

if TYPE_CHECKING:
    from aoi_benchmarks.report import Report

_SUITES = {
    "engine": "the engine against stock Lava, against our own Lava session and against SLAYER's forward pass",
    "lava": "inside Lava: the network as one process against Lava's graph of processes; cutoff against all steps",
    "training": "forward and backward through a CUBA layer against SLAYER's",
    "scaling": "time over batch, T, neurons, input rate and threads; memory over samples; writes a picture",
    "calibration": "does the certified drop hold: the tables of docs/calibration.md",
}
_MODULES = {"lava": "sessions"}
_DEFAULT = ("engine", "lava", "training")


def command(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="; ".join(f"{name}: {what}" for name, what in _SUITES.items())
            + f". Without a name: {', '.join(_DEFAULT)}.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="scaling: the picture.")] = Path("scaling.png"),
    network: Annotated[
        Path, typer.Option(help="calibration: a trained network on the digits; its rows are left out without it.")
    ] = Path("runs/demo/network.net"),
    quick: Annotated[bool, typer.Option("--quick", hidden=True, help="Tiny sizes: numbers without meaning.")] = False,
    json: JsonFlag = False,
) -> None:
    """Measure speed against a peer in the same run.

    On the same samples, with equal results: seconds, and a ratio. The benchmarks come with the source checkout.

    Example: aoi bench engine
    """
    if name is not None and name not in _SUITES:
        raise DataError(f"{name}: there is no such benchmark; choose one of {', '.join(_SUITES)}")
    options: dict[str, dict[str, Any]] = {"scaling": {"out": out}, "calibration": {"network": network}}
    reports = {each: _suite(each)(quick=quick, **options.get(each, {})) for each in ([name] if name else _DEFAULT)}
    if json:
        more = {each: report.more for each, report in reports.items() if report.more}
        print_json({"benchmarks": [row.json() for report in reports.values() for row in report.rows]} | more)
        return
    for report in reports.values():
        _show(report)


def _suite(name: str) -> Callable[..., Report]:
    try:
        suite = import_module(f"aoi_benchmarks.{_MODULES.get(name, name)}")
    except ModuleNotFoundError as error:
        if error.name != "aoi_benchmarks":
            raise
        raise DataError("the benchmarks come with the source checkout, not with the installed package") from None
    bench: Callable[..., Report] = suite.bench
    return bench


def _show(report: Report) -> None:
    if report.rows:
        print_table(
            "benchmarks",
            ["", "ours", "peer", "times faster"],
            [[r.name, f"{r.ours:.3g} {r.unit}", f"{r.peer:.3g} {r.unit}", f"{r.ratio:.1f}"] for r in report.rows],
        )
    for table in report.tables:
        print_table(table.title, table.columns, table.rows)
    if report.text:
        print(report.text)
