"""Compares the spikes and states of engine, SLAYER and Lava: ``aoi.verify``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np

from aoi.choices import Against
from aoi.compat.extras import needs
from aoi.engine import Engine, LayerTrace
from aoi.errors import DataError, MissingDependency, NetXError
from aoi.evaluation.equality import Trace, compare
from aoi.netx import Cuba, Delta, Input, Sigma
from aoi.workflow.network import Network
from aoi.workflow.progress import Progress, log
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

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def rows(self) -> Sequence[tuple[str, str]]:
        verdict = "equal" if self.equal else f"{self.mismatches} mismatches: {self.first_mismatch}"
        return [
            ((" = " if self.equal else ", ").join(self.executors), verdict),
            ("compared", f"{self.compared:,} values: {self.layers} layers, {self.samples} samples, {self.steps} steps"),
            ("input", self.input),
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
    inputs, description = _inputs(network, data, samples, steps, rate)
    engine = Engine(network.description)
    traces = {"engine": _quantities(network, engine.run(inputs, return_traces=True).traces)}
    left_out = []
    if against == "engine":
        traces |= _engine_live(network, engine, inputs)
    for name, execute in (("slayer", _in_slayer), ("lava", _in_lava)):
        if against not in (name, "all"):
            continue
        if progress is not None:
            progress(f"running in {name}", 0, len(inputs))
        try:
            traces[name] = _quantities(network, execute(network, inputs))
        except (NetXError, MissingDependency) as error:
            if against == name:
                raise
            left_out.append(f"{name}: {error}")
        if progress is not None:
            progress(f"running in {name}", len(inputs), len(inputs))
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
    network: Network, data: Recordings | np.ndarray | None, samples: int, steps: int | None, rate: float
) -> tuple[np.ndarray, str]:
    if data is None:
        return random_input(network, samples, steps, rate)
    available = data.shape[-1] if isinstance(data, np.ndarray) else data.steps
    if steps is not None and steps > available:
        raise DataError(f"steps {steps}: the recordings have {available}; set fewer, or use random input")
    if isinstance(data, np.ndarray):
        return data[:samples, ..., :steps], "the given samples"
    return data.batch(range(min(samples, len(data))))[..., :steps], f"{data.split} recordings"


def _typical_values(block: Input) -> tuple[int, int]:
    """Biases that SLAYER's transform makes from inputs 0 to 1; 8 signed bits for a sigma-delta encoder."""
    if block.neuron.graded:
        return -128, 127
    ends = sorted((block.offset, block.offset + block.scale))
    low, high = block.limits
    return max(low, ends[0]), min(high, ends[1])


def _in_slayer(network: Network, inputs: np.ndarray) -> Any:
    with needs("train"):
        from aoi_models.network import AnytimeNetwork

    return AnytimeNetwork.from_description(network.description).stock_traces(inputs)


def _in_lava(network: Network, inputs: np.ndarray) -> Sequence[LayerTrace]:
    pools = [layer.name for layer in network.description.layers if layer.kind == "pool"]
    if pools:
        raise NetXError(
            f"{network.path}: layer {pools[0]} (pool): Lava loads no pool layers, only engine and SLAYER run them; "
            "compare against slayer or engine"
        )
    from aoi_deploy.lava.trace import lava_trace

    log.info("running in Lava")
    return lava_trace(network, inputs)


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
    quantities: dict[str, list[str]] = {}
    for layer, found in zip(network.description.layers, traces["engine"], strict=True):
        quantities.setdefault(", ".join(found), []).append(layer.name)
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
    )
