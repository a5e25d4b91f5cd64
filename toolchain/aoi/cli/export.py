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

    Example: aoi export runs/digits
    """
    path = export(run, out)
    print_json({"network": str(path)}) if json else say(f"wrote {path}, without a cutoff yet: aoi calibrate {path}")


def export(run: Path, out: Path | None = None) -> Path:
    """Run folder → network file. Refuses what would not be bit-exact in Lava."""
    from aoi.experiment.run_folder import RunFolder
    from aoi_models.training.export import export_run

    folder = RunFolder(run)
    return export_run(folder, out or folder.network)
