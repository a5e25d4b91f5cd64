"""Networks of all kinds, drawn by hypothesis: what NetX can express, up to its limits and past those of the state."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

import h5py
import numpy as np
from hypothesis import strategies as st

from aoi.errors import NetXError
from aoi.netx import (
    Conv,
    Cuba,
    Delta,
    Dense,
    Input,
    Layer,
    NetworkDescription,
    NetworkFile,
    Neuron,
    Sigma,
    SigmaDelta,
    read_network,
)
from aoi.netx.description import BIAS_MAX, DECAY_UNITY, MAX_DELAY, THRESHOLD_MAX, VALUE_MAX
from aoi.netx.weights import effective_weights
from aoi.netx.write import _write_blocks

SAMPLES = 2
_STYLES = ("small", "wide", "odd", "positive", "negative", "extreme", "sparse", "one sign each")


@dataclass(frozen=True, eq=False)
class Case:
    """A network and samples for it."""

    description: NetworkDescription
    inputs: np.ndarray  # uint8 spikes or int32 values (SAMPLES, *input_shape, T)

    def __repr__(self) -> str:  # what hypothesis shows of a failing example
        layers = ", ".join(
            f"{layer.kind} {layer.shape} {type(layer.neuron).__name__}"
            + " bias" * (layer.bias is not None)
            + " delay" * (getattr(layer, "delay", None) is not None)
            + " recurrent" * (getattr(layer, "weight_rec", None) is not None)
            for layer in self.description.layers
        )
        return f"Case({self.inputs.shape} in {self.inputs.min()}..{self.inputs.max()}: {layers})"


def stored(case: Case, path: Path) -> NetworkFile:
    """The network as it comes back from a file, past the rules of the export: others' files may hold it."""
    with h5py.File(path, "w") as file:
        _write_blocks(file, case.description)
    return read_network(path, input_block=True)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    graded = draw(st.booleans())
    maps = draw(st.booleans())
    steps = draw(st.integers(1, 40))
    shape: tuple[int, ...] = (draw(st.integers(1, 48)),)
    if maps:
        shape = (draw(st.integers(1, 4)), draw(st.integers(4, 9)), draw(st.integers(4, 9)))
    layers: list[Layer] = []
    if draw(st.booleans()):
        encoder = Delta(int(rng.integers(0, 60))) if graded else _cuba(draw, rng, shape[0])
        layers.append(Input("0", shape, encoder))
    inputs = _values(draw, rng, layers[0], steps) if layers else _spikes(draw, rng, shape, steps)
    fed = shape
    for _ in range(draw(st.integers(1, 2)) if maps else 0):
        conv = _conv(draw, rng, fed, graded)
        if conv is not None:
            layers.append(conv)
            fed = conv.shape
    hidden = draw(st.integers(0, 3))
    if not any(isinstance(layer, Conv) for layer in layers):
        hidden = max(hidden, 1)
    for _ in range(hidden):
        layers.append(_dense(draw, rng, prod(fed), graded))
        fed = layers[-1].shape
    return Case(NetworkDescription(shape, tuple(layers)), inputs)


def _spikes(draw: st.DrawFn, rng: np.random.Generator, shape: tuple[int, ...], steps: int) -> np.ndarray:
    rate = draw(st.sampled_from([0.02, 0.1, 0.3, 0.7, 1.0]))
    return (rng.random((SAMPLES, *shape, steps)) < rate).astype(np.uint8)


def _values(draw: st.DrawFn, rng: np.random.Generator, block: Layer, steps: int) -> np.ndarray:
    assert isinstance(block, Input)
    low, high = block.limits
    style = draw(st.sampled_from(["small", "constant", "wide", "extreme"]))
    shape = (SAMPLES, *block.shape, steps)
    if style == "small":
        return rng.integers(-100, 101, shape, dtype=np.int32)
    if style == "constant":
        return np.repeat(rng.integers(-200, 201, (*shape[:-1], 1), dtype=np.int32), steps, axis=-1)
    if style == "wide":
        return rng.integers(low, high + 1, shape, dtype=np.int32)
    return rng.choice(np.array([low, high], np.int32), shape)


def _weights(draw: st.DrawFn, rng: np.random.Generator, *shape: int) -> np.ndarray:
    style = draw(st.sampled_from(_STYLES))
    if style == "small":
        weight = rng.integers(-10, 11, shape)
    elif style == "odd":
        weight = rng.integers(-127, 128, shape)
    elif style == "positive":
        weight = rng.integers(0, 255, shape)
    elif style == "negative":
        weight = -rng.integers(1, 129, shape) * 2
    elif style == "extreme":
        weight = rng.choice([-256, 254], shape)
    elif style == "one sign each":
        weight = np.where(np.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1)) % 2, 254, -256)
        weight = np.broadcast_to(weight, shape)
    else:
        weight = rng.integers(-128, 128, shape) * 2
        weight = weight * (rng.random(shape) < 0.2) if style == "sparse" else weight
    return weight.astype(np.int32)


def _cuba(draw: st.DrawFn, rng: np.random.Generator, channels: int) -> Cuba:
    high = draw(st.sampled_from([1, 50, 300, 4095, THRESHOLD_MAX]))
    integrates = draw(st.integers(0, 5)) == 0
    decays = [0, 0, 1, 100, 1024, 2048, 4095, DECAY_UNITY]
    if draw(st.integers(0, 3)) == 0:  # one value a channel
        return Cuba(
            rng.integers(0, high + 1, channels, dtype=np.int32),
            rng.choice(decays, channels).astype(np.int32),
            rng.choice(decays, channels).astype(np.int32),
        )
    threshold = 1 << 17 if integrates else int(rng.integers(0, high + 1))
    return Cuba(threshold, int(rng.choice(decays)), int(rng.choice(decays)))


def _neuron(draw: st.DrawFn, rng: np.random.Generator, channels: int, graded: bool) -> Neuron:
    if not graded or draw(st.integers(0, 5)) == 0:
        return _cuba(draw, rng, channels)
    if draw(st.integers(0, 3)) == 0:
        return Sigma()
    return SigmaDelta(int(rng.integers(0, draw(st.sampled_from([0, 20, 2000, VALUE_MAX])) + 1)))


def _bias(draw: st.DrawFn, rng: np.random.Generator, channels: int, neuron: Neuron) -> np.ndarray | None:
    if isinstance(neuron, Sigma) or draw(st.booleans()):
        return None
    high = draw(st.sampled_from([40, BIAS_MAX if isinstance(neuron, Cuba) else VALUE_MAX]))
    return rng.integers(-high, high + 1, channels, dtype=np.int32)


def _dense(draw: st.DrawFn, rng: np.random.Generator, inputs: int, graded: bool) -> Dense:
    outputs = draw(st.integers(1, 32))
    weight, recurrent = _weights(draw, rng, outputs, inputs), None
    if draw(st.integers(0, 3)) == 0:
        recurrent = _weights(draw, rng, outputs, outputs)
    try:
        effective_weights(weight, recurrent)
    except NetXError:  # all 0, odd weights beside large ones, or none above 0: Lava has no equal for them
        weight = weight // 2 * 2
        weight[0, 0] = 2
        recurrent = None if recurrent is None else recurrent // 2 * 2
    neuron = _neuron(draw, rng, outputs, graded)
    delay = None
    if recurrent is None and draw(st.booleans()):
        shape = draw(st.sampled_from([(outputs, 1), (1, inputs), (outputs, inputs)]))
        delay = rng.integers(0, draw(st.sampled_from([1, 5, MAX_DELAY])) + 1, shape, dtype=np.int32)
    return Dense("", weight, neuron, _bias(draw, rng, outputs, neuron), delay, recurrent)


def _conv(draw: st.DrawFn, rng: np.random.Generator, fed: tuple[int, ...], graded: bool) -> Conv | None:
    """None where no kernel fits any more."""
    channels = fed[0]
    groups = draw(st.sampled_from([n for n in range(1, channels + 1) if channels % n == 0]))
    out = groups * draw(st.integers(1, 3))
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride, dilation = draw(pair), draw(pair), draw(pair)
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    weight = _weights(draw, rng, out, channels // groups, *kernel)
    neuron = _neuron(draw, rng, out, graded)
    bias = _bias(draw, rng, out, neuron)
    conv = Conv("", (fed[0], fed[1], fed[2]), weight, neuron, stride, padding, dilation, groups, bias)
    return conv if min(conv.shape) > 0 else None
