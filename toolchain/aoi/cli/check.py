"""aoi check"""

from __future__ import annotations

import typer

from aoi.cli.console import JsonFlag, print_json, print_table, progress, say
from aoi.cli.options import InputShapeOption, NetworkArgument, RecurrentFlag, shape_of


def command(
    net: NetworkArgument,
    input_shape: InputShapeOption = None,
    recurrent: RecurrentFlag = False,
    json: JsonFlag = False,
) -> None:
    """Say what a network file of anybody's is, what runs it, and what it lacks.

    Takes NetX and NIR files: opens it, runs random input in engine, SLAYER and Lava and compares them, fits it on the
    boards, and names the next command. Exits with code 1 if an executor differs or a node is unsupported.

    Example: aoi check network.net
    """
    from aoi.workflow.check import check

    with progress() as advance:
        found = check(net, input_shape=shape_of(input_shape), recurrent=recurrent, progress=advance)
    if json:
        print_json(found.to_dict())
    else:
        rows = [[each.question, each.state, each.text] for each in found.findings]
        print_table(f"{found.path} ({found.kind})", ["", "", ""], rows)
        say(f"next: {found.next_command}")
    if not found.ok:
        raise typer.Exit(1)
