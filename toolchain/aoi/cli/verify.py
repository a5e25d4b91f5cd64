"""aoi verify"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aoi.cli.console import JsonFlag, print_json, say, show_error
from aoi.cli.recordings import (
    BinsOption,
    DownloadOption,
    NetworkArgument,
    Request,
    SkipDamagedOption,
    SplitOption,
    WindowOption,
    load_split,
    maps_shape,
    shaped,
)
from aoi.errors import DataError, NetXError

if TYPE_CHECKING:
    import numpy as np

    from aoi.engine import Engine, LayerTrace
    from aoi.netx import Input
    from aoi.netx.read import NetworkFile

AGAINST = ("engine", "lava", "slayer", "all")


def command(
    net: NetworkArgument,
    against: Annotated[
        str,
        typer.Option(
            help="What to compare the engine with: lava, slayer, all of both, or engine, i.e. its own live steps."
        ),
    ] = "all",
    samples: Annotated[int, typer.Option(min=1, max=1000, help="How many samples to compare.")] = 8,
    steps: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Timesteps; default: the network's T, or 32.")
    ] = None,
    input_: Annotated[
        str | None, typer.Option("--input", metavar="random:RATE", help="Random input instead of recordings.")
    ] = None,
    values: Annotated[
        bool, typer.Option("--values", help="Keep an input block of CUBA neurons and feed it values, not spikes.")
    ] = False,
    data: Annotated[str | None, typer.Option(help="Recordings; default: what the network was trained on.")] = None,
    split: SplitOption = "calibration",
    window_us: WindowOption = None,
    bins: BinsOption = None,
    download: DownloadOption = False,
    skip_damaged: SkipDamagedOption = False,
    json: JsonFlag = False,
) -> None:
    """Prove that the engine, SLAYER and Lava execute a network alike: every layer, step, current, voltage and spike.

    Of sigma-delta layers: sigma, residue and message. Works on anybody's NetX file; what an executor cannot run is left
    out with the reason. Exit code 1 where they differ, naming the first place.

    Example: aoi verify runs/demo/network.net --against all
    """
    request = Request(data, split, samples, window_us, bins, download, skip_damaged=skip_damaged)
    result = verify(net, against, request, samples=samples, steps=steps, input_=input_, values=values)
    if json:
        print_json(result)
    else:
        for reason in result["left_out"]:
            say(f"left out: {reason}")
        verdict = "equal" if result["equal"] else f"{result['mismatches']} mismatches"
        executors = (" = " if result["equal"] else ", ").join(result["executors"])
        say(f"{verdict}: {executors}; {result['layers']} layers, {result['samples']} samples, {result['steps']} steps")
        for quantities, names in result["quantities"].items():
            say(f"{quantities} of layers {', '.join(names)}")
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
    values: bool = False,
) -> dict[str, Any]:
    """Runs the same samples in the engine and in the executors asked for, and compares what each layer did."""
    from aoi.engine import Engine
    from aoi.evaluation.equality import compare
    from aoi.netx.read import read_network

    if against not in AGAINST:
        raise DataError(f"--against {against}: choose one of {', '.join(AGAINST)}")
    network = read_network(net, input_block=values)
    if values and not network.description.takes_values:
        raise DataError(f"--values: {net} begins with no input block that has neurons; leave it out")
    inputs, what = _input(network, request, samples, steps, input_)
    engine = Engine(network.description)
    traces = {"engine": _quantities(network, engine.run(inputs, return_traces=True).traces)}
    left_out = []
    if against == "engine":
        traces |= _other_ways(network, engine, inputs)
    for name, execute in (("slayer", _in_slayer), ("lava", _in_lava)):
        if against not in (name, "all"):
            continue
        try:
            traces[name] = _quantities(network, execute(network, inputs))
        except NetXError as error:
            if against == name:
                raise
            left_out.append(f"{name}, because of {error}")
    if len(traces) == 1:
        raise NetXError(f"{net}: nothing can be compared with: {'; '.join(left_out)}; --against engine is left")
    reference = next(name for name in ("lava", "slayer", "engine") if name in traces)
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
    quantities: dict[str, list[str]] = {}
    for layer, found in zip(network.description.layers, traces["engine"], strict=True):
        quantities.setdefault(", ".join(found), []).append(layer.name)
    return {
        "equal": mismatches == 0,
        "mismatches": mismatches,
        "compared": compared,
        "quantities": quantities,
        "against": against,
        "first_mismatch": first,
        "executors": list(traces),
        "input": what,
        "left_out": left_out,
        "layers": len(network.description.layers),
        "samples": len(inputs),
        "steps": int(inputs.shape[-1]),
    }


def _in_slayer(network: NetworkFile, inputs: np.ndarray) -> Any:
    from aoi_models.network import AnytimeNetwork

    return AnytimeNetwork.from_description(network.description).stock_traces(inputs)


def _in_lava(network: NetworkFile, inputs: np.ndarray) -> Sequence[LayerTrace]:
    pools = [layer.name for layer in network.description.layers if layer.kind == "pool"]
    if pools:
        raise NetXError(
            f"{network.path}: layer {pools[0]} (pool): Lava loads no pool layers, only the engine and SLAYER run it; "
            "use --against slayer or engine"
        )
    from aoi_deploy.lava.trace import lava_trace

    say("running in Lava")
    return lava_trace(
        network.path,
        inputs,
        skip_layers=network.skip_layers,
        input_shape=maps_shape(network),
        input_block=network.description.takes_values,
    )


def _other_ways(network: NetworkFile, engine: Engine, inputs: np.ndarray) -> dict[str, Any]:
    """The engine as it runs live: each sample alone, and step by step (what its last layer sends)."""
    import numpy as np

    from aoi.engine import LayerTrace

    alone = [engine.run(inputs[i : i + 1], return_traces=True).traces for i in range(len(inputs))]
    joined = [
        LayerTrace(parts[0].name, *(np.concatenate([getattr(part, q) for part in parts]) for q in ("u", "v", "s")))
        for parts in zip(*alone, strict=True)
    ]
    state = engine.start(len(inputs))
    sent = np.stack([engine.step(state, inputs[..., t]) for t in range(inputs.shape[-1])], axis=-1)
    *hidden, last = _quantities(network, joined)
    message = "v" if engine.readout == "voltage" else "message" if "message" in last else "s"
    return {
        "engine, sample by sample": [*hidden, last],
        "engine, step by step": [*({} for _ in hidden), {message: sent.reshape(last[message].shape)}],
    }


def _quantities(network: NetworkFile, traces: Any) -> list[dict[str, np.ndarray]]:
    """What each layer did, by the names that its kind of neuron has; SLAYER's traces come as dictionaries."""
    from aoi.netx import Cuba, Delta, Sigma

    named = []
    for layer, trace in zip(network.description.layers, traces, strict=True):
        if isinstance(trace, dict):
            named.append(trace)
        elif isinstance(layer.neuron, Cuba):
            named.append({"s": trace.s, "u": trace.u, "v": trace.v})
        else:
            found = {"message": trace.s}
            if not isinstance(layer.neuron, Delta):
                found["sigma"] = trace.u
            if not isinstance(layer.neuron, Sigma):
                found["residue"] = trace.v
            named.append(found)
    return named


def _input(
    network: NetworkFile, request: Request, samples: int, steps: int | None, input_: str | None
) -> tuple[np.ndarray, str]:
    """Input (samples, *input shape, T), uint8 spikes or int32 values, and what it is: recordings where there are any,
    else random."""
    import numpy as np

    from aoi.netx import Input

    metadata = network.metadata
    if input_ is not None and request.data is not None:
        raise DataError("--input and --data exclude each other; leave one out")
    if input_ is None and (request.data is not None or (metadata and metadata.data)):
        try:
            data = load_split(network, request)
        except DataError as error:
            if request.data is not None:
                raise
            say(f"random input instead of recordings: {error}")
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
    shape = (samples, *network.description.input_shape, steps)
    active = generator.random(shape) < rate
    block = network.description.layers[0]
    if not isinstance(block, Input):
        return active.astype(np.uint8), text
    low, high = _usual_values(block)
    drawn = generator.integers(low, high + 1, shape, dtype=np.int32)
    return np.where(active, drawn, 0).astype(np.int32), f"{text}, values {low} to {high}, else 0"


def _usual_values(block: Input) -> tuple[int, int]:
    """What SLAYER's transform makes of inputs from 0 to 1 as biases; 8 bits signed for a sigma-delta encoder."""
    if block.neuron.graded:
        return -128, 127
    ends = sorted((block.offset, block.offset + block.scale))
    low, high = block.limits
    return max(low, ends[0]), min(high, ends[1])
