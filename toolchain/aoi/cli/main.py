"""The entry point: builds the app, and turns errors into one line and an exit code."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from aoi.cli import (
    bench,
    calibrate,
    check,
    compare,
    cost,
    demo,
    deploy,
    doctor,
    evaluate,
    export,
    export_monitor,
    import_nir,
    inspect,
    install_lava,
    jobs,
    replay,
    report,
    sweep,
    train,
    verify,
)
from aoi.cli import run as live
from aoi.cli.console import log_messages, show_error
from aoi.cli.options import expand_groups, first_line
from aoi.errors import AoiError

app = typer.Typer(
    name="aoi",
    help="Anytime optimal inference with spiking networks: train with STR, export to NetX, and deploy in Lava with a "
    "monitor that stops each sample as soon as its answer is reliable.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for name, module in {
    "demo": demo,
    "train": train,
    "sweep": sweep,
    "export": export,
    "import": import_nir,
    "export-monitor": export_monitor,
    "check": check,
    "verify": verify,
    "calibrate": calibrate,
    "evaluate": evaluate,
    "cost": cost,
    "compare": compare,
    "report": report,
    "deploy": deploy,
    "run": live,
    "replay": replay,
    "inspect": inspect,
    "doctor": doctor,
    "install-lava": install_lava,
    "bench": bench,
}.items():
    app.command(name=name, short_help=first_line(module.command))(expand_groups(module.command))
app.add_typer(jobs.app, name="jobs")

INTERRUPTED = 130


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        print(f"aoi {version('aoi-toolchain')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of every command."""


def main() -> None:
    """Exit codes: 0 done, 1 a check or a run failed, 2 bad input, 130 interrupted."""
    sys.exit(run())


def run(arguments: list[str] | None = None) -> int:
    """Runs one command line and returns its exit code. Typer itself reports wrong usage (2) and Ctrl-C (130)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")  # a terminal without the letters of tables and names
    try:
        with log_messages():
            app(arguments, prog_name="aoi")
    except SystemExit as end:
        if end.code == INTERRUPTED:
            show_error("interrupted")
        return end.code if isinstance(end.code, int) else 1
    except AoiError as error:
        show_error(str(error))
        return error.exit_code
    return 0
