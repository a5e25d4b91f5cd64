"""aoi report"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aoi.cli.console import JsonFlag, print_json, progress, say
from aoi.cli.options import RecordingOptions


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder with its network file, or a network file.")],
    recordings: RecordingOptions,
    out: Annotated[
        Path | None, typer.Option(help="File of the page. Default: report.html in RUN or beside the file.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Write one HTML page about a network and its cutoff.

    Shows accuracy and saved steps for every threshold. The page needs no internet connection and no other file.

    Example: aoi report runs/demo
    """
    from aoi.workflow.report import report

    with progress() as advance:
        page = report(run, recordings.selection, out, advance)
    size = page.stat().st_size
    print_json({"report": str(page), "bytes": size}) if json else say(f"wrote {page} ({size / 1e6:.1f} MB)")
