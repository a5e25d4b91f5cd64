"""Compares the spikes and states of engine, SLAYER and Lava: ``aoi.verify``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np

from aoi.choices import Against
from aoi.compat.extras import needs
from aoi.engine import Engine, LayerTrace
from aoi.errors import DataError, MissingDependency, NetXError
from aoi.evaluation.equality import Mismatch, Trace, compare
from aoi.netx import Cuba, Delta, Input, Layer, Sigma
from aoi.netx.description import STATE_LIMIT
from aoi.workflow.network import Network
from aoi.workflow.progress import Progress, counter, log
from aoi.workflow.recordings import Recordings
from aoi.workflow.result import Result


@dataclass(frozen=True, repr=False)
class Verification(Result):
    """The result of a comparison between executors."""

    equal: bool
    mismatches: int
    """Number of different values."""
    compared: int
    """Number of compared values: currents, voltages and spikes of every layer, step and neuron."""
    quantities: dict[str, list[str]]
    """Names of the layers for each kind of values."""
    against: str
    first_mismatch: str | None
    """Executors, layer, step and neuron of the first difference."""
    executors: list[str]
    input: str
    left_out: list[str]
    """Executors that cannot run the network, each with the reason."""
    layers: int
    samples: int
    steps: int
    silent_layers: list[str]
    """Layers that can fire and never did: there, nothing but zeros and voltages was compared."""
    slayer_from: str | None
    """What SLAYER's side was made from; None if it did not run. From the file, it cannot notice what the reading of the
    file lost of the training."""
    coverage: dict[str, dict[str, float]]
    """For each layer, shares of its neurons: "fired" at least once; "saturated", a state at the limit of 24 bits."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def rows(self) -> Sequence[tuple[str, str]]:
        verdict = "equal" if self.equal else f"{self.mismatches} mismatches: {self.first_mismatch}"
        return [
            ((" = " if self.equal else ", ").join(self.executors), verdict),
            ("compared", f"{self.compared:,} values: {self.layers} layers, {self.samples} samples, {self.steps} steps"),
            ("input", self.input),
            *((("never fired", ", ".join(self.silent_layers)),) if self.silent_layers else ()),
            *(("left out", reason) for reason in self.left_out),
        ]


def verify(
    network: Network,
    data: Recordings | np.ndarray | None = None,
    *,
    against: Against = "all",
    samples: int = 8,
    steps: int | None = None,
    rate: float = 0.1,
    progress: Progress | None = None,
) -> Verification:
    """Runs the same samples in the engine and in other executors, and compares all layers.

    Compared are currents, voltages and spikes of every layer, step and neuron; for sigma-delta layers sigma, residue
    and message.

    Random input gets denser until every layer has fired, or all inputs spike in every step.

    Args:
        network: the network, from :func:`aoi.load`; any NetX file.
        data: recordings, or an array (N, \\*input_shape, T); None: random input.
        against: "lava", "slayer", "all" (both), or "engine": the engine step by step and sample by sample.
        samples: number of samples to compare.
        steps: timesteps of random input; None: the network's T, or 32. With ``data``: only its first steps.
        rate: probability that an input spikes in a step of random input.
        progress: called with (label, done, total).

    Raises:
        NetXError: no other executor can run the network.
        DataError: the input does not fit the network, or ``rate`` or ``steps`` is out of range.

    Example:
        >>> aoi.verify(net, against="engine").equal
        True
    """
    if against not in get_args(Against):
        raise DataError(f"against {against!r}: is not one of {', '.join(get_args(Against))}")
    engine = Engine(network.description)
    inputs, description = _inputs(network, engine, data, samples, steps, rate)
    traces = {"engine": _quantities(network, engine.run(inputs, return_traces=True).traces)}
    left_out = []
    if against == "engine":
        traces |= _engine_live(network, engine, inputs)
    for name, execute in (("slayer", _in_slayer), ("lava", _in_lava)):
        if against not in (name, "all"):
            continue
        report = counter(progress, f"running in {name}")
        try:
            traces[name] = _quantities(network, execute(network, inputs, report))
        except (NetXError, MissingDependency) as error:
            if against == name:
                raise
            left_out.append(f"{name}: {error}")
    if len(traces) == 1:
        raise NetXError(
            f"{network.path}: no executor to compare with ({'; '.join(left_out)}); against='engine' compares the "
            "engine with its own live steps"
        )
    return _verdict(network, traces, against, description, left_out, inputs)


def random_input(network: Network, samples: int, steps: int | None, rate: float) -> tuple[np.ndarray, str]:
    """Random spikes uint8, or values int32, (samples, \\*input_shape, T), and their description.

    The same at each call. Raises DataError unless ``rate`` is within 0..1.
    """
    if not 0 <= rate <= 1:
        raise DataError(f"rate {rate:g}: has to lie between 0 and 1")
    text = f"random:{rate:g}"
    generator = np.random.default_rng(0)
    shape = (samples, *network.description.input_shape, steps or network.steps or 32)
    active = generator.random(shape) < rate
    block = network.description.layers[0]
    if not isinstance(block, Input):
        return active.astype(np.uint8), text
    low, high = _typical_values(block)
    drawn = generator.integers(low, high + 1, shape, dtype=np.int32)
    return np.where(active, drawn, 0).astype(np.int32), f"{text}, values {low} to {high}, else 0"


def _inputs(
    network: Network,
    engine: Engine,
    data: Recordings | np.ndarray | None,
    samples: int,
    steps: int | None,
    rate: float,
) -> tuple[np.ndarray, str]:
    if data is None:
        return _dense_enough(network, engine, samples, steps, rate)
    available = data.shape[-1] if isinstance(data, np.ndarray) else data.steps
    if steps is not None and steps > available:
        raise DataError(f"steps {steps}: the recordings have {available}; set fewer, or use random input")
    if isinstance(data, np.ndarray):
        return data[:samples, ..., :steps], "the given samples"
    return data.batch(range(min(samples, len(data))))[..., :steps], f"{data.split} recordings"


def _dense_enough(
    network: Network, engine: Engine, samples: int, steps: int | None, rate: float
) -> tuple[np.ndarray, str]:
    """Random input at the first of ``rate``, twice ``rate``, … 1 at which every layer fires that can; otherwise at that
    with the fewest silent layers."""
    best: tuple[int, np.ndarray, str] | None = None
    while True:
        inputs, description = random_input(network, samples, steps, rate)
        sent = engine.run(inputs).spikes.sum(axis=(0, 2))
        silent = sum(layer.neuron.fires and not n for layer, n in zip(network.description.layers, sent, strict=True))
        if best is None or silent < best[0]:
            best = (silent, inputs, description)
        if not silent or not 0 < rate < 1:
            return best[1:]
        rate = min(2 * rate, 1.0)


def _typical_values(block: Input) -> tuple[int, int]:
    """Biases that SLAYER's transform makes from inputs 0 to 1; 8 signed bits for a sigma-delta encoder."""
    if block.neuron.graded:
        return -128, 127
    ends = sorted((block.offset, block.offset + block.scale))
    low, high = block.limits
    return max(low, ends[0]), min(high, ends[1])


def _in_slayer(network: Network, inputs: np.ndarray, report: Callable[[int, int], None]) -> Any:
    with needs("train"):
        from aoi_models.network import AnytimeNetwork

    report(0, len(inputs))
    found = AnytimeNetwork.from_description(network.description).stock_traces(inputs)
    report(len(inputs), len(inputs))
    return found


def _in_lava(network: Network, inputs: np.ndarray, report: Callable[[int, int], None]) -> Sequence[LayerTrace]:
    pools = [layer.name for layer in network.description.layers if layer.kind == "pool"]
    if pools:
        raise NetXError(
            f"{network.path}: layer {pools[0]} (pool): Lava loads no pool layers, only engine and SLAYER run them; "
            "compare against slayer or engine"
        )
    from aoi_deploy.lava.trace import lava_trace

    log.info("running in Lava")
    return lava_trace(network, inputs, progress=report)


def _engine_live(network: Network, engine: Engine, inputs: np.ndarray) -> dict[str, list[Trace]]:
    """The engine as in live use: one sample at a time, and step by step (output of the last layer only)."""
    single = [engine.run(inputs[i : i + 1], return_traces=True).traces for i in range(len(inputs))]
    joined = [
        LayerTrace(parts[0].name, *(np.concatenate([getattr(part, q) for part in parts]) for q in ("u", "v", "s")))
        for parts in zip(*single, strict=True)
    ]
    state = engine.start(len(inputs))
    sent = np.stack([engine.step(state, inputs[..., t]) for t in range(inputs.shape[-1])], axis=-1)
    *hidden, last = _quantities(network, joined)
    name = "message" if "message" in last else "s" if network.description.fires else "v"
    return {
        "engine, sample by sample": [*hidden, last],
        "engine, step by step": [*({} for _ in hidden), {name: sent.reshape(last[name].shape)}],
    }


def _quantities(network: Network, traces: Any) -> list[Trace]:
    """The traces of each layer, named as for its kind of neuron. SLAYER's traces are dictionaries already."""
    named: list[Trace] = []
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


def _verdict(
    network: Network,
    traces: dict[str, list[Trace]],
    against: str,
    description: str,
    left_out: list[str],
    inputs: np.ndarray,
) -> Verification:
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
            if "slayer" in (name, reference):
                first += _cause(traces["slayer"], comparison.first)
    quantities: dict[str, list[str]] = {}
    for layer, found in zip(network.description.layers, traces["engine"], strict=True):
        quantities.setdefault(", ".join(found), []).append(layer.name)
    coverage = {
        layer.name: _coverage(layer, found)
        for layer, found in zip(network.description.layers, traces["engine"], strict=True)
    }
    return Verification(
        equal=mismatches == 0,
        mismatches=mismatches,
        compared=compared,
        quantities=quantities,
        against=against,
        first_mismatch=first,
        executors=list(traces),
        input=description,
        left_out=left_out,
        layers=len(network.description.layers),
        samples=len(inputs),
        steps=int(inputs.shape[-1]),
        silent_layers=[
            layer.name
            for layer in network.description.layers
            if layer.neuron.fires and not coverage[layer.name].get("fired", 1.0)
        ],
        slayer_from="the network file" if "slayer" in traces else None,
        coverage=coverage,
    )


def _coverage(layer: Layer, trace: Trace) -> dict[str, float]:
    """Shares of the layer's neurons that fired, and whose voltage reached the limit of 24 bits, in any sample."""
    found = {}
    sent = trace.get("s", trace.get("message"))
    if sent is not None:
        found["fired"] = _share(np.asarray(sent) != 0)
    if isinstance(layer.neuron, Cuba) and "v" in trace:
        found["saturated"] = _share(np.abs(np.asarray(trace["v"], np.int64)) >= STATE_LIMIT - 1)
    return found


def _share(happened: np.ndarray) -> float:
    """Share of the neurons, from (samples, ..., T), to which it happened at all."""
    return float(happened.any(axis=(0, -1)).mean())


def _cause(slayer: list[Trace], first: Mismatch) -> str:
    """What explains a difference between SLAYER and the others: SLAYER holds states that the chip's 24 bits clip."""
    found = slayer[first.layer]
    if "v" not in found:
        return ""
    voltages = np.asarray(found["v"])[..., : first.step].astype(np.int64)
    largest = voltages.flat[int(np.abs(voltages).argmax())]
    if abs(largest) < STATE_LIMIT:
        return ""
    return (
        f"; SLAYER's voltage reaches {largest}, beyond the 24 bits in which the chip clips it at "
        f"{int(np.sign(largest)) * (STATE_LIMIT - 1)}: scale weights and thresholds down"
    )
