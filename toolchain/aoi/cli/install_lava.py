"""aoi install-lava"""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Annotated

import typer

from aoi.cli.console import JsonFlag, print_json, say


def command(
    dry_run: Annotated[bool, typer.Option(help="Print the commands that would run, and run none.")] = False,
    json: JsonFlag = False,
) -> None:
    """Install Lava (lava-nc 0.10.0 and lava-dl 0.6.0) and what it needs into this Python, whatever its version.

    Uses pip, or uv where there is no pip. Run it again at any time: what is there already stays.

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
        typer.echo(f"SLAYER: {installed.slayer_lacks}. Only training needs it.")
