"""aoi verify"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolchain.cli.console import JsonFlag, print_json, say, show_error
from toolchain.cli.recordings import (
    BinsOption,
    DownloadOption,
    NetworkArgument,
    Request,
    SplitOption,
    WindowOption,
    load_split,
    maps_shape,
    shaped,
)
from toolchain.errors import DataError, NetXError

if TYPE_CHECKING:
    import numpy as np

    from toolchain.engine import LayerTrace
    from toolchain.netx.read import NetworkFile

AGAINST = ("lava", "slayer", "all")


def command(
    net: NetworkArgument,
    against: Annotated[str, typer.Option(help="lava, slayer or all.")] = "all",
    samples: Annotated[int, typer.Option(min=1, max=1000, help="How many samples to compare.")] = 8,
    steps: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Timesteps; default: the network's T, or 32.")
    ] = None,
    input_: Annotated[
        str | None, typer.Option("--input", metavar="random:RATE", help="Random spikes instead of recordings.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Recordings; default: what the network was trained on.")] = None,
    split: SplitOption = "calibration",
    window_us: WindowOption = None,
    bins: BinsOption = None,
    download: DownloadOption = False,
    json: JsonFlag = False,
) -> None:
    """Prove that the engine, SLAYER and Lava execute a network alike: every layer, step, current, voltage and spike.

    Works on anybody's NetX file. Exit code 1 where they differ, naming the first place.

    Example: aoi verify runs/demo/network.net --against all
    """
    request = Request(data, split, samples, window_us, bins, download)
    result = verify(net, against, request, samples=samples, steps=steps, input_=input_)
    if json:
        print_json(result)
    else:
        for reason in result["left_out"]:
            say(f"left out: {reason}")
        verdict = "equal" if result["equal"] else f"{result['mismatches']} mismatches"
        executors = (" = " if result["equal"] else ", ").join(result["executors"])
        say(f"{verdict}: {executors}; {result['layers']} layers, {result['samples']} samples, {result['steps']} steps")
        say(f"{result['compared']:,} values compared, on {result['input']}")
    if not result["equal"]:
        show_error(f"{net}: {result['first_mismatch']}")
        raise typer.Exit(1)


def verify(
    net: Path,
    against: str,
    request: Request,
    *,
    samples: int = 8,
    steps: int | None = None,
    input_: str | None = None,
) -> dict[str, Any]:
    """Runs the same samples in all executors asked for and compares what each layer did."""
    from toolchain.engine import Engine
    from toolchain.evaluation.equality import compare
    from toolchain.netx.read import read_network

    if against not in AGAINST:
        raise DataError(f"--against {against}: choose one of {', '.join(AGAINST)}")
    network = read_network(net)
    spikes, what = _input(network, request, samples, steps, input_)
    engine = Engine(network.description)
    traces: dict[str, Any] = {"engine": [_values(layer) for layer in engine.run(spikes, keep=True).traces]}
    left_out = []
    try:
        from models.network import AnytimeNetwork

        traces["slayer"] = AnytimeNetwork.from_description(network.description).stock_traces(spikes)
    except NetXError as error:
        if against == "slayer":
            raise
        left_out.append(f"slayer, because of {error}")
    if against != "slayer":
        from deploy.trace import lava_trace

        say("running in Lava")
        lava = lava_trace(network.path, spikes, skip_layers=network.skip_layers, input_shape=maps_shape(network))
        traces["lava"] = [_values(layer) for layer in lava]
    reference = "lava" if "lava" in traces else "slayer"
    compared = mismatches = 0
    first = None
    for name, trace in traces.items():
        if name == reference:
            continue
        comparison = compare(traces[reference], trace)
        compared += comparison.compared
        mismatches += comparison.mismatches
        if comparison.first and first is None:
            first = f"{name} differs from {reference} at {comparison.first}"
    return {
        "equal": mismatches == 0,
        "mismatches": mismatches,
        "compared": compared,
        "against": against,
        "first_mismatch": first,
        "executors": list(traces),
        "input": what,
        "left_out": left_out,
        "layers": len(network.description.layers),
        "samples": len(spikes),
        "steps": int(spikes.shape[-1]),
    }


def _values(layer: LayerTrace) -> dict[str, np.ndarray]:
    return {"s": layer.s, "u": layer.u, "v": layer.v}


def _input(
    network: NetworkFile, request: Request, samples: int, steps: int | None, input_: str | None
) -> tuple[np.ndarray, str]:
    """Spikes uint8 (samples, *input shape, T) and what they are: recordings where there are any, else random ones."""
    import numpy as np

    metadata = network.metadata
    if input_ is not None and request.data is not None:
        raise DataError("--input and --data exclude each other; leave one out")
    if input_ is None and (request.data is not None or (metadata and metadata.data)):
        try:
            data = load_split(network, request)
        except DataError as error:
            if request.data is not None:
                raise
            say(f"random spikes instead of recordings: {error}")
        else:
            if steps is not None and steps > data.shape[-1]:
                raise DataError(
                    f"--steps {steps}: the recordings have {data.shape[-1]}; --input random:0.1 has any number"
                )
            return shaped(network, data)(range(len(data)))[..., :steps], f"{request.split} recordings"
    text = "random:0.1" if input_ is None else input_
    kind, _, rate_text = text.partition(":")
    try:
        rate = float(rate_text)
    except ValueError:
        rate = -1.0
    if kind != "random" or not 0 <= rate <= 1:
        raise DataError(f"--input {text}: expected random:RATE with a rate between 0 and 1, as random:0.1")
    steps = steps or (metadata.encoding.bins if metadata and metadata.encoding else 32)
    generator = np.random.default_rng(0)
    return (generator.random((samples, *network.description.input_shape, steps)) < rate).astype(np.uint8), text
