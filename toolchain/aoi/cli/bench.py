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
    "engine": "the engine against stock Lava, our Lava session and SLAYER's forward pass",
    "lava": "inside Lava, the fused network against the stock graph, and the cutoff against all steps",
    "training": "forward and backward pass of a CUBA layer against SLAYER",
    "scaling": "time over batch, T, neurons, input rate and threads, and memory over samples, with a plot",
    "calibration": "how often the certified drop holds, the tables of docs/calibration.md",
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
    out: Annotated[Path, typer.Option(help="For scaling: file of the plot.")] = Path("scaling.png"),
    network: Annotated[
        Path, typer.Option(help="For calibration: a network trained on the digits; without it, its rows are left out.")
    ] = Path("runs/demo/network.net"),
    quick: Annotated[bool, typer.Option("--quick", hidden=True, help="Tiny sizes, for tests.")] = False,
    json: JsonFlag = False,
) -> None:
    """Measure speed against other implementations in the same run.

    Both run the same samples, and their results are checked to be equal. The benchmarks are part of a source checkout.

    Example: aoi bench engine
    """
    if name is not None and name not in _SUITES:
        raise DataError(f"{name}: no such benchmark; choose one of {', '.join(_SUITES)}")
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
        raise DataError(
            "the benchmarks are not part of the installed package; run aoi bench in a checkout of the source"
        ) from None
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
