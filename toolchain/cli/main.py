"""Entry point: builds the app, turns errors into one line and an exit code."""

from __future__ import annotations

import os
import sys

import click
import typer

from toolchain.cli import calibrate, demo, deploy, evaluate, export, inspect, train, verify
from toolchain.cli.console import show_error
from toolchain.errors import AoiError

app = typer.Typer(
    name="aoi",
    help="Anytime optimal inference with spiking networks: train with STR, export to NetX, deploy in Lava with a "
    "monitor that stops the run as soon as the answer is sure.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for module in (demo, train, export, verify, calibrate, evaluate, deploy, inspect):
    app.command(name=module.__name__.rpartition(".")[2])(module.command)


def main() -> None:
    """Exit codes: 0 done, 1 the check failed or the run broke off, 2 bad input, 130 interrupted."""
    sys.exit(run())


def run(arguments: list[str] | None = None) -> int:
    try:
        return app(arguments, standalone_mode=False) or 0
    except AoiError as error:
        show_error(str(error))
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        show_error("interrupted")
        return 130
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
