"""aoi install-lava"""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Annotated

import typer

from aoi.cli.console import JsonFlag, print_json, say


def command(
    dry_run: Annotated[bool, typer.Option(help="Only print the commands.")] = False,
    json: JsonFlag = False,
) -> None:
    """Install Lava (lava-nc 0.10.0, lava-dl 0.6.0) and its requirements into this Python.

    Works on every supported Python. Uses pip, or uv if there is no pip. Can be repeated at any time.

    Example: aoi install-lava
    """
    from aoi.workflow.install_lava import install_commands, install_lava

    if dry_run:
        commands = [shlex.join(each) for each in install_commands()]
        if json:
            print_json({"commands": commands})
        else:
            typer.echo("\n".join(commands))
        return
    installed = install_lava(progress=say)
    if json:
        print_json({**asdict(installed), "slayer": not installed.slayer_lacks})
        return
    typer.echo(f"lava-nc {installed.lava_nc} and lava-dl {installed.lava_dl} work in {installed.python}")
    if installed.slayer_lacks:
        typer.echo(f"SLAYER, which only training needs: {installed.slayer_lacks}")
