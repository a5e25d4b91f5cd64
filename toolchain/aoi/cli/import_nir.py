"""aoi import"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from aoi.cli.console import JsonFlag, print_json, print_table, progress, say
from aoi.cli.options import DiscretisationOption, DtOption, RecurrentFlag, SplitOption
from aoi.errors import DataError

if TYPE_CHECKING:
    from aoi.nir.verdict import NodeVerdict
    from aoi.workflow.import_nir import FloatComparison


@dataclass(frozen=True)
class ComparedRecordings:
    """Recordings on which the graph and the integers are compared."""

    data: Annotated[
        str | None, typer.Option(help="Name of a data set, or a folder: compare with floating point on it.")
    ] = None
    split: SplitOption = "test"
    samples: Annotated[int, typer.Option(min=1, help="Number of recordings to compare on.")] = 100
    window_us: Annotated[int | None, typer.Option(min=1, help="Time window of a recording in µs.")] = None
    bins: Annotated[int | None, typer.Option(min=1, max=4096, help="Timesteps T.")] = None


def command(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A NIR file.")],
    recordings: ComparedRecordings,
    out: Annotated[Path | None, typer.Option(help="Network file to write. Default: only the verdicts.")] = None,
    dt: DtOption = None,
    discretisation: DiscretisationOption = "euler",
    weight_bits: Annotated[int, typer.Option(min=2, max=8, help="Bits of the weights, sign included.")] = 8,
    scale: Annotated[
        Literal["layer", "channel"],
        typer.Option(help="What shares one scale of the integers; channel is finer and gives each a threshold."),
    ] = "layer",
    reset: Annotated[
        Literal["value", "subtract"],
        typer.Option(help="Reset of the floating-point graph: to NIR's value, or by subtraction as it was trained."),
    ] = "value",
    recurrent: RecurrentFlag = False,
    values: Annotated[
        bool, typer.Option("--values", help="An input that feeds neurons directly gives them values, not spikes.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Translate a NIR file of any simulator into a network file.

    A NetX file of others is rewritten so that Lava executes what it means.

    Each node is exact, approximate (what was rounded) or unsupported (why); one unsupported node refuses the import.
    With --data, runs the graph in floating point and the integers on real recordings and compares their decisions; the
    encoding and the class names go into the network file.

    Example: aoi import cnn.nir --out cnn.net --data NMNIST --window-us 300000 --bins 300
    """
    from aoi.nir.read import is_nir
    from aoi.workflow.import_nir import UnsupportedNodes, import_netx, import_nir

    if not is_nir(source) and source.is_file() and source.suffix != ".nir":
        given = {"--data": recordings.data, "--dt": dt, "--values": values}
        unused = [name for name, value in given.items() if value]
        if unused or weight_bits != 8 or scale != "layer":
            raise DataError(
                f"{source}: is no NIR file, and a network file takes none of {', '.join(given)}, --weight-bits"
            )
        if out is None:
            raise DataError(f"{source}: is no NIR file; --out FILE rewrites a network file for Lava")
        network = import_netx(source, out, recurrent=recurrent)
        print_json({"source": str(source), "network": str(out)}) if json else say(f"wrote {out}: {network!r}")
        return
    try:
        with progress() as advance:
            found = import_nir(
                source,
                out,
                dt=dt,
                discretisation=discretisation,
                weight_bits=weight_bits,
                scale=scale,
                values=values,
                reset=reset,
                progress=advance,
                **vars(recordings),
            )
    except UnsupportedNodes as error:
        if json:
            print_json({"source": str(source), "network": None, "nodes": [asdict(each) for each in error.verdicts]})
        else:
            _show_nodes(str(source), error.verdicts)
        raise
    if json:
        print_json(found.to_dict())
        return
    _show_nodes(str(source), found.verdicts)
    for note in found.notes:
        say(f"note: {note}")
    if found.comparison:
        _show_comparison(found.comparison)
    if out is not None:
        say(f"wrote {out}; 'aoi check {out}' says what it lacks")


def _show_nodes(title: str, verdicts: list[NodeVerdict] | tuple[NodeVerdict, ...]) -> None:
    print_table(
        title,
        ["node", "type", "verdict", "what was rounded or assumed"],
        [[each.node, each.type, each.verdict, each.text] for each in verdicts],
    )


def _show_comparison(found: FloatComparison) -> None:
    print_table(
        f"{found.recordings} recordings ({found.split}), {found.steps} steps: mean spikes of a recording",
        ["neurons", "floating point", "integers", "recordings that differ", "median first step"],
        [
            [
                each.node or each.layer,
                f"{each.float_spikes:,.1f}",
                f"{each.spikes:,.1f}",
                f"{each.differing:.1%}",
                "" if each.first_step is None else f"{each.first_step:g}",
            ]
            for each in found.layers
        ],
    )
    print(
        f"decisions agree in {found.agreement:.1%}; accuracy {found.float_accuracy:.4f} in floating point, "
        f"{found.accuracy:.4f} in integers"
    )
