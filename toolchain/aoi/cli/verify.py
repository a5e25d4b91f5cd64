"""aoi verify"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from aoi.choices import Against
from aoi.cli.console import JsonFlag, print_json, progress, say, show_error
from aoi.cli.options import CalibrationOptions, NetworkOptions, rate_of
from aoi.errors import DataError

if TYPE_CHECKING:
    from aoi.workflow.network import Network
    from aoi.workflow.progress import Progress
    from aoi.workflow.recordings import Recordings


@dataclass(frozen=True)
class ComparedRecordings(CalibrationOptions):
    """A few recordings for the comparison."""

    samples: Annotated[int, typer.Option(min=1, max=1000, help="Number of samples to compare.")] = 8


def command(
    network: NetworkOptions,
    recordings: ComparedRecordings,
    against: Annotated[
        Against, typer.Option(help="Executor to compare the engine with; engine: its own live steps.")
    ] = "all",
    steps: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Timesteps. Default: the network's T, or 32.")
    ] = None,
    input_: Annotated[
        str | None, typer.Option("--input", metavar="random:RATE", help="Random input instead of recordings.")
    ] = None,
    values: Annotated[
        bool, typer.Option("--values", help="Keep an input block of CUBA neurons and feed it values, not spikes.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Check that the engine, SLAYER and Lava give equal spikes in every layer.

    Compares currents, voltages and spikes of every layer and step; for sigma-delta layers sigma, residue and message.
    Works on any NetX file. An executor that cannot run the network is left out, with the reason. If there is a
    difference, prints the first one and exits with code 1.

    Example: aoi verify runs/demo/network.net --against all
    """
    from aoi.workflow.verify import verify

    if input_ is not None and recordings.data is not None:
        raise DataError("--input and --data exclude each other; leave one out")
    net = network.load(values=values)
    with progress() as advance:
        data = None if input_ is not None else _recordings(net, recordings, advance)
        rate = 0.1 if input_ is None else rate_of(input_)
        found = verify(net, data, against=against, samples=recordings.samples, steps=steps, rate=rate, progress=advance)
    if json:
        print_json(found.to_dict())
    else:
        for reason in found.left_out:
            say(f"left out: {reason}")
        verdict = "equal" if found.equal else f"{found.mismatches} mismatches"
        executors = (" = " if found.equal else ", ").join(found.executors)
        say(f"{verdict}: {executors}; {found.layers} layers, {found.samples} samples, {found.steps} steps")
        if found.slayer_from:
            say(f"slayer is rebuilt from {found.slayer_from}, not from the training")
        for quantities, names in found.quantities.items():
            say(f"{quantities} of layers {', '.join(names)}")
        say(f"{found.compared:,} values compared, on {found.input}")
        if found.silent_layers:
            say(f"never fired: layers {', '.join(found.silent_layers)}; there only zeros and voltages were compared")
        saturated = [
            f"{name} ({each['saturated']:.1%})" for name, each in found.coverage.items() if each.get("saturated")
        ]
        if saturated:
            say(f"voltages at the limit of 24 bits: layers {', '.join(saturated)}")
    if not found.equal:
        show_error(f"{net.path}: {found.first_mismatch}")
        raise typer.Exit(1)


def _recordings(net: Network, options: ComparedRecordings, advance: Progress) -> Recordings | None:
    """Recordings of ``--data``, or of the training data; None if the latter are not available."""
    from aoi.workflow.recordings import open_selection

    if options.data is None and (net.metadata is None or net.metadata.data is None):
        return None
    try:
        return open_selection(net, options.selection, advance)
    except DataError as error:
        if options.data is not None:
            raise
        say(f"using random input instead of recordings: {error}")
        return None
