"""aoi export"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aoi.cli.console import JsonFlag, print_json, say
from aoi.cli.options import DiscretisationOption, DtOption
from aoi.errors import DataError


def command(
    source: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder of aoi train; with --nir any network file, or zoo:NAME.")
    ],
    out: Annotated[Path | None, typer.Option(help="Network file. Default: RUN/network.net.")] = None,
    nir: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a network file as NIR, the format of other simulators.")
    ] = None,
    dt: DtOption = None,
    discretisation: DiscretisationOption = "euler",
    flat_input: Annotated[
        bool, typer.Option("--flat-input", help="Declare a first dense layer's input as one vector, for Rockpool.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Write a trained network as one NetX file that stock lava-dl loads.

    Refuses a network that Lava would not execute bit-exactly as trained. With --nir, writes a network file as NIR, for
    snnTorch, Sinabs, Norse, Rockpool, SpikingJelly and others; aoi import gives the same integers back.

    Example: aoi export runs/digits
    """
    if nir is None and (dt is not None or flat_input or discretisation != "euler"):
        raise DataError("--dt, --discretisation and --flat-input belong to --nir; give --nir FILE too")
    if nir is None:
        from aoi.workflow.export import export

        path = export(source, out)
        print_json({"network": str(path)}) if json else say(f"wrote {path}; 'aoi calibrate {path}' adds the cutoff")
        return
    if out is not None:
        raise DataError("--out names a network file, --nir a NIR file; give one of them")
    from aoi.workflow.import_nir import export_nir

    path = export_nir(source, nir, dt=dt, discretisation=discretisation, flat_input=flat_input)
    print_json({"nir": str(path)}) if json else say(f"wrote {path}")
