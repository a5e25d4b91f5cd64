"""aoi export"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aoi.cli.console import JsonFlag, print_json, say


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder of aoi train.")],
    out: Annotated[Path | None, typer.Option(help="Network file. Default: RUN/network.net.")] = None,
    json: JsonFlag = False,
) -> None:
    """Write a trained network as one NetX file that stock lava-dl loads.

    Refuses a network that Lava would not execute bit-exactly as trained.

    Example: aoi export runs/digits
    """
    from aoi.workflow.export import export

    path = export(run, out)
    print_json({"network": str(path)}) if json else say(f"wrote {path}; 'aoi calibrate {path}' adds the cutoff")
