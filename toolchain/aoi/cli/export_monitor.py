"""aoi export-monitor"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aoi.cli.console import JsonFlag, print_json, say
from aoi.cli.options import NetworkOptions, RuleOption
from aoi.errors import DataError


def command(
    network: NetworkOptions,
    out: Annotated[Path, typer.Option(help="Folder for monitor.c, monitor.h and monitor_tables.h.")],
    rule: RuleOption = None,
    json: JsonFlag = False,
) -> None:
    """Write the stopping rule as C code for an embedded processor.

    The code uses only integers and constant tables. The rule has to be int-confidence or int-gap: calibrate one with
    aoi calibrate --rule int-confidence, or give it with --rule.

    Example: aoi export-monitor runs/demo/network.net --out monitor --rule int-confidence:0.9
    """
    from aoi.boards.embedded import monitor_files
    from aoi.files import write_atomically
    from aoi.workflow.network import require_rule

    net = network.load()
    chosen = require_rule(net, rule or "own")
    if out.exists() and not out.is_dir():
        raise DataError(f"--out {out}: is not a folder; choose a folder")
    files, table_bytes = monitor_files(chosen, net.description.outputs, steps=net.steps)
    for name, text in files.items():
        write_atomically(out / name, text.encode())
    if json:
        print_json({"files": [str(out / name) for name in files], "rule": chosen.spec(), "table_bytes": table_bytes})
    else:
        say(f"wrote {', '.join(files)} into {out}: {chosen.name}, {table_bytes:,} bytes of tables")
