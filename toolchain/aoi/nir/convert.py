"""NIR graph → NetworkDescription: time constants become 12-bit decays, gains and thresholds go into the weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Literal

import numpy as np

from aoi.netx.description import (
    DECAY_UNITY,
    KERNEL_MAX,
    MAX_DELAY,
    STATE_SHIFT,
    WEIGHT_MAX,
    WEIGHT_MIN,
    Conv,
    Cuba,
    Dense,
    Input,
    Layer,
    NetworkDescription,
)
from aoi.netx.read import MAX_NEURONS
from aoi.netx.weights import keeps_weights
from aoi.nir.fold import Operator, as_matrix, fold
from aoi.nir.neurons import Difference, difference
from aoi.nir.numerics import Numerics
from aoi.nir.quantise import Quantised, quantise
from aoi.nir.read import Graph
from aoi.nir.reference import as_maps
from aoi.nir.stages import Stage, split_stages
from aoi.nir.verdict import NodeVerdict

_EXACT = 1e-7  # relative deviation that float32 explains
Scale = Literal["layer", "channel"]


@dataclass(frozen=True, eq=False)
class Conversion:
    """The result of :func:`convert`."""

    verdicts: tuple[NodeVerdict, ...]  # one per node, in the order of execution
    stages: tuple[Stage, ...]  # stage k became layer k of the description
    notes: tuple[str, ...]  # what was assumed
    description: NetworkDescription | None  # None: a node is unsupported

    @property
    def unsupported(self) -> tuple[NodeVerdict, ...]:
        return tuple(each for each in self.verdicts if each.verdict == "unsupported")


class _Unsupported(Exception):
    """A node that the chip cannot execute."""

    def __init__(self, node: str, text: str) -> None:
        super().__init__(text)
        self.node = node


def convert(
    graph: Graph,
    numerics: Numerics | None = None,
    *,
    weight_bits: int = 8,
    scale: Scale = "layer",
    values: bool = False,
) -> Conversion:
    """Translates a graph into what the chip executes, with a verdict for each node.

    Args:
        graph: the graph, from :func:`read_graph`.
        numerics: time step and discretisation, with which τ becomes a decay.
        weight_bits: bits of the weights, sign included, 2 to 8.
        scale: one scale of the integers per layer, or per channel (dense: per neuron), which is finer and needs
            thresholds per channel.
        values: an input that feeds neurons directly gives them values instead of spikes.

    Example:
        >>> found = convert(read_graph("cnn_sinabs.nir"))
        >>> [each.node for each in found.verdicts if each.verdict != "exact"][:2]
        ['0', '1']
    """
    numerics = numerics or Numerics()
    stages, wrong = split_stages(graph)
    source = next((name for name in graph.nodes if graph.kind(name) == "Input"), "")
    shape = _input_shape(graph, source, stages)
    if source and not wrong and not 0 < prod(shape) <= MAX_NEURONS:
        wrong = {source: f"its shape {shape} has no values, or more than {MAX_NEURONS}; give the shape of one step"}
    verdicts = {name: NodeVerdict(name, graph.kind(name), "unsupported", text) for name, text in wrong.items()}
    layers: list[Layer] = []
    signal = shape
    if not wrong:
        for index, stage in enumerate(stages):
            try:
                one = _Translation(graph, stage, numerics, weight_bits, scale, written_out=_is_dense(layers))
                layer, found, gives = one.run(str(index), signal, values and not index)
            except _Unsupported as error:
                verdicts[error.node] = NodeVerdict(error.node, graph.kind(error.node), "unsupported", str(error))
                break
            layers.append(layer)
            verdicts |= {each.node: each for each in found}
            signal = gives
    order = [
        source,
        *(n for s in stages for n in (*s.linear, *([s.neuron] if s.neuron else []), *(m for w in s.loops for m in w))),
    ]
    known = [*dict.fromkeys(name for name in order if name in graph.nodes), *(n for n in graph.nodes if n not in order)]
    failed = bool(wrong) or len(layers) < len(stages)
    for name in known:
        if name not in verdicts:
            passed = graph.kind(name) in ("Input", "Output")
            text = "" if passed or not failed else "not looked at, because of the unsupported node"
            verdicts[name] = NodeVerdict(
                name, graph.kind(name), "exact" if not failed or passed else "approximate", text
            )
    description = None
    if not failed:
        flat = isinstance(layers[0], Dense) and prod(shape) != layers[0].weight.shape[1]
        takes = as_maps(shape) if len(shape) == 2 else shape
        description = NetworkDescription(
            (layers[0].weight.shape[1],) if flat and isinstance(layers[0], Dense) else takes, tuple(layers)
        )
    ordered = tuple(verdicts[name] for name in known)
    return Conversion(ordered, tuple(stages), tuple(_notes(graph, stages, numerics)), description)


def _input_shape(graph: Graph, source: str, stages: list[Stage]) -> tuple[int, ...]:
    """(C, H, W) or (n,) of the input, without the axes of batch and time that some exporters leave in."""
    if not source:
        return (1,)
    given = graph.nodes[source].input_type["input"]
    shape = tuple(int(n) for n in np.ravel(given)) if given is not None else ()
    first = stages[0].linear[0] if stages and stages[0].linear else None
    kind = graph.kind(first) if first else ""
    wanted = {"Conv1d": 2, "Conv2d": 3, "SumPool2d": 3, "AvgPool2d": 3}.get(kind)
    if wanted and len(shape) == wanted + 1 and shape[0] == 1:
        shape = shape[1:]
    if kind in ("Affine", "Linear") and first:
        inputs = int(graph.nodes[first].weight.shape[-1])
        if len(shape) not in (1, 3) or (prod(shape) != inputs and shape[-1] == inputs):
            return (inputs,)  # axes before are batch and time
    if len(shape) not in (1, 2, 3):
        return (prod(shape),) if shape else (1,)
    return shape


def _is_dense(layers: list[Layer]) -> bool:
    return bool(layers) and isinstance(layers[-1], Dense)


def _notes(graph: Graph, stages: list[Stage], numerics: Numerics) -> list[str]:
    kinds = {graph.kind(stage.neuron) for stage in stages if stage.neuron}
    notes = []
    if kinds & {"LIF", "CubaLIF", "LI", "CubaLI"}:
        notes.append(
            f"time step {numerics.dt:g} s ({numerics.discretisation}): the file does not say it; another one "
            "gives other decays and gains"
        )
    if kinds & {"IF", "I"}:
        by_time = any(
            np.any(numerics.step_gain(graph.nodes[stage.neuron].r) != graph.nodes[stage.neuron].r)
            for stage in stages
            if stage.neuron and graph.kind(stage.neuron) in ("IF", "I")
        )
        notes.append(
            f"IF and I add r · dt times their input in a step, because r is 1 / {numerics.dt:g} s"
            if by_time
            else "IF and I add r times their input in each step, whatever the time step"
        )
    if kinds & {"LIF", "CubaLIF", "IF"}:
        notes.append(
            "a spike sets the voltage to the reset value, as NIR says: a network that was trained with reset by "
            "subtraction (the default of snnTorch and Sinabs; NIR cannot say it) answers differently"
        )
    return notes


@dataclass(frozen=True, eq=False)
class _Translation:
    """One stage on its way to a layer."""

    graph: Graph
    stage: Stage
    numerics: Numerics
    weight_bits: int
    scale: Scale
    written_out: bool  # the layer before is a matrix, so that this one has to be one too

    def run(self, name: str, shape: tuple[int, ...], values: bool) -> tuple[Layer, list[NodeVerdict], tuple[int, ...]]:
        """The layer, the verdicts of the stage's nodes, and the shape of what it sends, as NIR has it."""
        end = self.stage.neuron or self.stage.linear[-1]
        operator = self._operator(shape)
        equation = self._equation(operator, end)
        return (*self._layer(name, operator, equation, end, values), operator.shape)

    def _layer(
        self, name: str, operator: Operator, equation: Difference, end: str, values: bool
    ) -> tuple[Layer, list[NodeVerdict]]:
        shape = operator.in_shape
        maps = len(shape) > 1 and not self.stage.loops and not self.written_out
        if values:
            if not operator.passes_on or operator.scale is not None or self.stage.loops:
                raise _Unsupported(end, "values: the first neurons are fed through weights; leave values out")
            return self._input_block(name, shape, equation, end)
        if operator.kernel is not None and maps:
            by_channel = _by_channel(equation, len(operator.kernel))
            if by_channel is not None:
                return self._conv(name, operator, by_channel, end)
        if operator.passes_on and operator.in_delay is None and maps and len(operator.shape) > 1:
            unit = _unit_kernel(operator)
            by_channel = _by_channel(equation, shape[0]) if unit is not None else None
            if unit is not None and by_channel is not None:
                return self._conv(name, unit, by_channel, end)
        try:
            return self._dense(name, as_matrix(operator), equation, end)
        except ValueError as error:
            text = str(error)
            if operator.kernel is not None:
                text = f"parameters differ within a channel, a convolution has one per channel; as a matrix it {text}"
            raise _Unsupported(end, text) from None

    def _operator(self, shape: tuple[int, ...]) -> Operator:
        operator = Operator(shape, shape)
        for name in self.stage.linear:
            node, kind = self.graph.nodes[name], self.graph.kind(name)
            if kind == "Conv1d" and len(operator.shape) == 3 and operator.shape[1] == 1:
                operator = replace(operator, shape=(operator.shape[0], operator.shape[2]))
            try:
                operator = fold(operator, node, kind, self.numerics)
            except ValueError as error:
                raise _Unsupported(name, str(error)) from None
            if prod(operator.shape) > MAX_NEURONS:
                raise _Unsupported(
                    name, f"gives a signal of {operator.shape}, more than {MAX_NEURONS} values; make it smaller"
                )
        for side in (operator.in_delay, operator.out_delay):
            if side is not None and side.max() > MAX_DELAY:
                node_name = next(n for n in self.stage.linear if self.graph.kind(n) == "Delay")
                raise _Unsupported(
                    node_name,
                    f"delays up to {int(side.max())} steps of {self.numerics.dt:g} s, the chip has at most "
                    f"{MAX_DELAY}; use a longer time step or shorter delays",
                )
        return operator

    def _equation(self, operator: Operator, end: str) -> Difference:
        if self.stage.neuron is None:  # the output adds its input up
            one, zero = np.ones(operator.shape), np.zeros(operator.shape)
            return Difference(one, zero, one, zero, None, zero)
        try:
            found = difference(self.graph.nodes[end], self.graph.kind(end), operator.shape, self.numerics)
        except ValueError:
            raise _Unsupported(end, f"its parameters do not match what it is fed, {operator.shape}") from None
        for share in (found.current_share, found.voltage_share):
            if share.max() > 1 + _EXACT:
                tau = self.numerics.dt / share.max()
                raise _Unsupported(
                    end,
                    f"time constant {tau:.4g} s is below the time step {self.numerics.dt:g} s; use a smaller time step",
                )
        if found.threshold is None and not self._is_last():
            raise _Unsupported(
                end, "never fires, and the chip sends only spikes from one layer to the next; use a firing neuron"
            )
        if self.graph.kind(end) == "Threshold" and found.threshold is not None and np.any(found.threshold < 0):
            raise _Unsupported(end, "a negative threshold; the chip's are at least 0")
        if found.threshold is not None and np.any(found.threshold < found.reset):
            raise _Unsupported(end, "v_reset lies above the threshold; the chip resets to below it")
        return found

    def _is_last(self) -> bool:
        after = self.graph.after(self.stage.neuron or self.stage.linear[-1])
        return any(self.graph.kind(name) == "Output" for name in after)

    def _input_block(
        self, name: str, shape: tuple[int, ...], equation: Difference, end: str
    ) -> tuple[Layer, list[NodeVerdict]]:
        by_channel = _by_channel(equation, shape[0])
        if by_channel is None:
            raise _Unsupported(end, "parameters differ within a channel; an input block has one value per channel")
        rows = len(by_channel.gain)
        ones = np.ones((rows, 1)) * by_channel.gain[:, None]
        quantised = self._quantised(ones, by_channel, by_channel.shifted_drive, end)
        if not np.allclose(ones[:, 0] / quantised.scale, 1.0):
            raise _Unsupported(
                end, "values: the gain r · share is not 1, and an input block has no weights; scale the values"
            )
        neuron, verdicts = self._neuron(by_channel, quantised, end, np.zeros(rows))
        return Input(name, as_maps(shape) if len(shape) == 2 else shape, neuron), verdicts

    def _conv(self, name: str, operator: Operator, equation: Difference, end: str) -> tuple[Layer, list[NodeVerdict]]:
        kernel = operator.kernel
        assert kernel is not None
        node = self._weight_node(end)
        numbers = (*kernel.shape[2:], *operator.stride, *operator.padding, *operator.dilation, operator.groups)
        if max(numbers) > KERNEL_MAX:
            raise _Unsupported(
                node,
                f"kernel, stride, padding, dilation or groups {max(numbers)} is above {KERNEL_MAX}; make it smaller",
            )
        if operator.out_delay is not None and np.any(operator.out_delay):
            raise _Unsupported(node, "a convolution has no delays; delay a dense layer instead")
        channels = len(kernel)
        weight = kernel.reshape(channels, -1) * equation.gain[:, None]
        given = np.zeros(channels) if operator.bias is None else operator.bias
        bias = given * equation.steady_gain + equation.shifted_drive
        quantised = self._quantised(weight, equation, bias, node)
        neuron, verdicts = self._neuron(equation, quantised, end, given)
        conv = Conv(
            name,
            as_maps(operator.in_shape),
            quantised.weight.reshape(kernel.shape),
            neuron,
            operator.stride,
            operator.padding,
            operator.dilation,
            operator.groups,
            quantised.bias if quantised.bias.any() else None,
        )
        return conv, [*self._weights(weight, quantised, bias, equation), *verdicts]

    def _dense(self, name: str, operator: Operator, equation: Difference, end: str) -> tuple[Layer, list[NodeVerdict]]:
        node = self._weight_node(end)
        flat = equation.reshaped(-1)
        assert operator.matrix is not None
        weight = operator.matrix * flat.gain[:, None]
        given = np.zeros(len(weight)) if operator.bias is None else operator.bias
        recurrent = self._recurrent(operator.shape)
        loops = [name for loop in self.stage.loops for name in loop]
        if recurrent is not None:
            given = given + recurrent[1]
        bias = given * flat.steady_gain + flat.shifted_drive
        both = weight if recurrent is None else np.hstack([weight, recurrent[0] * flat.gain[:, None]])
        if not both.any():
            raise _Unsupported(node, "all weights are 0, which Lava cannot load; remove the layer")
        inputs = weight.shape[1]
        for lowest in (WEIGHT_MIN, -WEIGHT_MAX):
            quantised = self._quantised(both, flat, bias, node, lowest)
            forward = quantised.weight[:, :inputs]
            back = quantised.weight[:, inputs:] if recurrent is not None else None
            if keeps_weights(forward, back):
                break
        else:
            raise _Unsupported(node, "Lava's synapses change such weights; give the layer weights of both signs")
        delay = self._delay(operator, weight.shape, bool(loops), node)
        delayed = operator.out_delay is not None and operator.out_delay.any() and np.any(given)
        late = "the bias acts at once, not after the delay" if delayed else ""
        neuron, verdicts = self._neuron(flat, quantised, end, given, late)
        layer = Dense(name, forward, neuron, quantised.bias if quantised.bias.any() else None, delay, back)
        return layer, [*self._weights(both, quantised, bias, flat), *verdicts]

    def _recurrent(self, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray] | None:
        """Float weights (n, n) from the neurons back to themselves, and their biases (n,); None without loops."""
        if not self.stage.loops:
            return None
        neurons = prod(shape)
        weight, bias = np.zeros((neurons, neurons)), np.zeros(neurons)
        for loop in self.stage.loops:
            operator = Operator(shape, shape)
            for name in loop:
                try:
                    operator = fold(operator, self.graph.nodes[name], self.graph.kind(name), self.numerics)
                except ValueError as error:
                    raise _Unsupported(name, f"{error} (in a loop of {neurons} neurons)") from None
            name = loop[-1] if loop else self.stage.neuron or ""
            written = as_matrix(operator)
            if prod(written.shape) != neurons or written.matrix is None:
                raise _Unsupported(name, f"gives {written.shape} back to {neurons} neurons")
            if any(side is not None and side.any() for side in (operator.in_delay, operator.out_delay)):
                raise _Unsupported(name, "a delay in a loop; Lava's recurrent layers have none")
            weight += written.matrix
            bias += 0.0 if written.bias is None else written.bias
        return weight, bias

    def _delay(self, operator: Operator, shape: tuple[int, int], recurrent: bool, node: str) -> np.ndarray | None:
        """int32 (1, in), (out, 1) or (out, in); None without delays."""
        before = None if operator.in_delay is None else operator.in_delay.reshape(1, -1)
        after = None if operator.out_delay is None else operator.out_delay.reshape(-1, 1)
        if before is None and after is None:
            return None
        total = (0 if before is None else before) + (0 if after is None else after)
        if not np.any(total):
            return None
        if recurrent:
            raise _Unsupported(node, "delays in a layer with a loop; Lava's recurrent layers have none")
        if np.max(total) > MAX_DELAY:
            raise _Unsupported(node, f"delays up to {int(np.max(total))} steps, the chip has at most {MAX_DELAY}")
        return np.asarray(total, np.int32)

    def _threshold(self, equation: Difference) -> np.ndarray | None:
        return None if equation.threshold is None else equation.threshold - equation.reset

    def _quantised(
        self, weight: np.ndarray, equation: Difference, bias: np.ndarray, node: str, lowest: int = WEIGHT_MIN
    ) -> Quantised:
        by_row = self.scale == "channel"
        lifetimes, exact = 0.0, True
        for share in (equation.current_share, equation.voltage_share):
            exact &= bool(
                np.allclose(share * DECAY_UNITY, np.rint(share * DECAY_UNITY), rtol=0, atol=_EXACT * DECAY_UNITY)
            )
            decays = (share > 0) & (share < 1)
            lifetimes += float(np.minimum(1.0 / share[decays], DECAY_UNITY).max(initial=0.0))
        try:
            return quantise(
                weight,
                self._threshold(equation),
                bias,
                bits=self.weight_bits,
                by_row=by_row,
                lowest=lowest,
                truncation=0.5 / (1 << STATE_SHIFT) * lifetimes,
                as_is=exact,  # others' integers next to decays that are not the chip's gain from a finer scale
            )
        except ValueError as error:
            raise _Unsupported(node, str(error)) from None

    def _weight_node(self, end: str) -> str:
        """The node that a fault of the weights is about: the last linear one, or the neuron."""
        return self.stage.linear[-1] if self.stage.linear else end

    def _weights(
        self, weight: np.ndarray, quantised: Quantised, bias: np.ndarray, equation: Difference
    ) -> list[NodeVerdict]:
        """The same verdict for all linear nodes of the stage: their product is what was rounded."""
        largest = float(np.abs(weight).max()) or 1.0
        off = float(np.abs(quantised.weight * quantised.scale[:, None] - weight).max()) / largest
        deviation = {"weight": off}
        texts = []
        if off > _EXACT:
            clipped = "; clipped" if off > 1 / 64 else ""
            texts.append(f"weights rounded to {self.weight_bits} bits: {_percent(off)} of the largest{clipped}")
        threshold = self._threshold(equation)
        unit = np.full(len(bias), largest) if threshold is None else _or_one(threshold)
        away = float((np.abs(quantised.bias * quantised.scale - bias) / unit).max(initial=0.0))
        if bias.any():
            deviation["bias"] = away
            if away > _EXACT:
                texts.append(f"bias rounded: {_percent(away)} of the threshold in each step")
        if self.stage.neuron is None:
            texts.append("added up over time by neurons that never fire, and read by their voltage")
        rounded = "; ".join(texts)
        out = []
        for name in (*self.stage.linear, *(n for loop in self.stage.loops for n in loop)):
            kind = self.graph.kind(name)
            if kind in ("Flatten",):
                out.append(NodeVerdict(name, kind, "exact", ""))
                continue
            if kind == "Delay":
                out.append(self._delay_verdict(name))
                continue
            folded = "folded into the weights of the layer" if kind in ("Scale", "SumPool2d", "AvgPool2d") else ""
            if any(name in loop for loop in self.stage.loops):
                folded = "recurrent: adds to the layer's own input a step later"
            if kind in ("Scale", "SumPool2d", "AvgPool2d"):
                out.append(NodeVerdict(name, kind, "exact", folded))
                continue
            out.append(NodeVerdict(name, kind, "approximate" if rounded else "exact", _and(folded, rounded), deviation))
        return out

    def _delay_verdict(self, name: str) -> NodeVerdict:
        steps = np.asarray(self.graph.nodes[name].delay, np.float64) / self.numerics.dt
        off = float(np.abs(np.rint(steps) - steps).max())
        exact = off <= 1e-6
        text = "" if exact else f"delays rounded to whole steps: {off:.2g} steps"
        return NodeVerdict(name, "Delay", "exact" if exact else "approximate", text, {"delay": off})

    def _neuron(
        self, equation: Difference, quantised: Quantised, end: str, given: np.ndarray, extra: str = ""
    ) -> tuple[Cuba, list[NodeVerdict]]:
        """The chip's neuron and its verdict; none if the stage has no neuron node.

        ``given``: bias of the linear nodes, per row; ``extra``: something else that the chip does differently.
        """
        shares = {"current_decay": equation.current_share, "voltage_decay": equation.voltage_share}
        decays = {key: np.rint(np.clip(share, 0.0, 1.0) * DECAY_UNITY) for key, share in shares.items()}
        neuron = Cuba(_one_or_all(quantised.threshold), **{key: _one_or_all(each) for key, each in decays.items()})
        if self.stage.neuron is None:
            return neuron, []
        about, changed = [], [extra] if extra else []
        off = max(float(np.abs(decays[key] / DECAY_UNITY - shares[key]).max()) for key in shares)
        deviation = {"decay": off}
        if off > _EXACT:
            changed.append(f"decay rounded to 12 bits: {off:.2g} of the state in a step")
        if self.stage.loops:
            about.append("recurrent")
        threshold = self._threshold(equation)
        if threshold is None:
            about.append("read by its voltage")
        else:
            off = float((np.abs(quantised.threshold * quantised.scale - threshold) / _or_one(threshold)).max())
            deviation["threshold"] = off
            if off > _EXACT:
                changed.append(f"threshold rounded: {_percent(off)}")
            if self.graph.kind(end) != "Threshold":
                about.append(f"reset to {float(np.ravel(equation.reset)[0]):.4g}")
            if np.any(equation.reset):
                changed.append("all voltages are shifted by the reset value, and start from it")
        if np.any(given) and np.any(equation.current_share < 1 - _EXACT):
            changed.append(
                "bias: NIR filters it through the current, the chip adds its final value from the first step"
            )
        text = "; ".join([*about, *changed])
        return neuron, [NodeVerdict(end, self.graph.kind(end), "approximate" if changed else "exact", text, deviation)]


def _unit_kernel(operator: Operator) -> Operator | None:
    """A 1 x 1 convolution for neurons that are fed maps directly; None if factors differ within a channel."""
    channels = operator.in_shape[0]
    factors = np.ones((channels, 1)) if operator.scale is None else operator.scale.reshape(channels, -1)
    if not np.all(factors == factors[:, :1]):
        return None
    by_group = channels <= KERNEL_MAX
    kernel = factors[:, :1].reshape(-1, 1, 1, 1) if by_group else np.diag(factors[:, 0])[:, :, None, None]
    return replace(operator, kernel=kernel, groups=channels if by_group else 1, scale=None)


def _by_channel(equation: Difference, channels: int) -> Difference | None:
    """The equation with one value per channel, or None if values differ within a channel."""
    rows = equation.reshaped(channels, -1)
    values = [each for each in vars(rows).values() if each is not None]
    if any(np.any(each != each[:, :1]) for each in values):
        return None
    return replace(rows, **{key: each[:, 0] for key, each in vars(rows).items() if each is not None})


def _or_one(threshold: np.ndarray) -> np.ndarray:
    return np.where(threshold > 0, threshold, 1.0)


def _one_or_all(values: np.ndarray) -> int | np.ndarray:
    return int(values[0]) if np.all(values == values[0]) else values.astype(np.int32)


def _percent(part: float) -> str:
    return f"{part:.2g}" if part < 1e-4 else f"{100 * part:.2g} %"


def _and(*texts: str) -> str:
    return "; ".join(text for text in texts if text)
