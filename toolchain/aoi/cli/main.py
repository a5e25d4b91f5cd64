"""Entry point: builds the app, turns errors into one line and an exit code."""

from __future__ import annotations

import sys

import typer

from aoi.cli import (
    bench,
    calibrate,
    compare,
    cost,
    demo,
    deploy,
    doctor,
    evaluate,
    export,
    export_monitor,
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
from aoi.cli.console import show_error
from aoi.errors import AoiError

app = typer.Typer(
    name="aoi",
    help="Anytime optimal inference with spiking networks: train with STR, export to NetX, deploy in Lava with a "
    "monitor that stops the run as soon as the answer is sure.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for module in (
    demo,
    train,
    sweep,
    export,
    export_monitor,
    verify,
    calibrate,
    evaluate,
    cost,
    compare,
    report,
    deploy,
    live,
    replay,
    inspect,
    doctor,
    install_lava,
    bench,
):
    app.command(name=module.__name__.rpartition(".")[2].replace("_", "-"))(module.command)
app.add_typer(jobs.app, name="jobs")

INTERRUPTED = 130


def main() -> None:
    """Exit codes: 0 done, 1 the check failed or the run broke off, 2 bad input, 130 interrupted."""
    sys.exit(run())


def run(arguments: list[str] | None = None) -> int:
    """Runs one command line; typer itself explains wrong usage (2) and turns Ctrl-C into 130."""
    try:
        app(arguments)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            show_error("interrupted")
        return end.code if isinstance(end.code, int) else 1
    except AoiError as error:
        show_error(str(error))
        return error.exit_code
    return 0
