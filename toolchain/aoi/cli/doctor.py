"""aoi doctor"""

from __future__ import annotations

from dataclasses import asdict

import typer

from aoi.cli.console import JsonFlag, print_json, print_table


def command(json: JsonFlag = False) -> None:
    """Check the installation for training and deployment.

    Exits with code 1 if a part that everything needs is broken.

    Example: aoi doctor
    """
    from aoi.workflow.doctor import run_checks

    checks = run_checks()
    broken = [each.name for each in checks if each.needed and each.state != "ok"]
    if json:
        print_json({"ok": not broken, "findings": [asdict(each) for each in checks]})
    else:
        print_table(
            "this machine",
            ["", "", "found", "lacks"],
            [[each.name, each.state, each.found, each.lacks] for each in checks],
        )
    if broken:
        raise typer.Exit(1)
