"""Executes a NetworkDescription bit for bit as stock Lava does (``Loihi2SimCfg(select_tag="fixed_pt")``).

Layers run one after the other over all steps: a network without loops between layers needs no common clock. Only
biases make the latency visible, since Lava applies them from its very first step, before any input arrives: with
biases each layer runs one step longer than the one before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from toolchain.engine.kernels import run_conv, run_dense
from toolchain.errors import DataError, NetXError
from toolchain.netx.description import STATE_SHIFT, Conv, Layer, NetworkDescription
from toolchain.netx.metadata import Readout
from toolchain.netx.rules import chain_failures

_CHUNK_VALUES = 1 << 25  # spikes of one layer that are held at a time
_NONE = np.empty((0, 0, 0), np.int32)


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """What a layer did at each aligned step: index t depends on inputs up to and including t. Shape (N, *shape, T)."""

    name: str
    u: np.ndarray  # int32, current
    v: np.ndarray  # int32, voltage after the reset of the neurons that fired
    s: np.ndarray  # uint8, spikes


@dataclass(frozen=True, eq=False)
class Run:
    """Result of a run over N samples."""

    scores: np.ndarray
    """int64 (N, outputs, T), accumulated readout. "spikes": number of spikes of each output neuron up to and including
    step t; "voltage": its voltage at step t in state units. Output maps are flattened in the order C, H, W."""
    spikes: np.ndarray
    """int64 (N, layers): spikes that each layer sent."""
    operations: np.ndarray
    """int64 (N, layers): synaptic operations, i.e. input spikes times the weights other than 0 that each reaches."""
    traces: tuple[LayerTrace, ...] = ()


class Engine:
    """A network ready to run. Immutable: threads may share one."""

    def __init__(self, description: NetworkDescription) -> None:
        broken = chain_failures(description)
        if broken:
            raise NetXError(f"the network cannot run: {broken[0]}")
        self.description = description
        self._lead = int(any(layer.bias is not None for layer in description.layers))
        shapes = [description.input_shape, *(layer.shape for layer in description.layers)]
        maps = [isinstance(description.layers[0], Conv), *(isinstance(layer, Conv) for layer in description.layers)]
        self._layers = [
            _Plan(layer, shapes[i] if maps[i] else None, self._lead) for i, layer in enumerate(description.layers)
        ]

    def run(self, spikes: np.ndarray, *, readout: Readout = "spikes", keep: bool = False) -> Run:
        """Runs samples from a cleared state.

        ``spikes``: (N, \\*input_shape, T), 0 or 1 (any value but 0 is a spike), T from 1. ``keep``: return the traces
        of all layers. Raises DataError for another shape.
        """
        spikes = np.asarray(spikes)
        shape = self.description.input_shape
        if spikes.ndim != len(shape) + 2 or spikes.shape[1:-1] != shape or not spikes.shape[-1]:
            raise DataError(f"spikes have shape {spikes.shape}; the network takes (N, {', '.join(map(str, shape))}, T)")
        samples, steps = len(spikes), spikes.shape[-1]
        widest = max(prod(shape), *(prod(layer.shape) for layer in self.description.layers))
        chunk = max(1, _CHUNK_VALUES // (widest * steps))
        parts = [self._run(spikes[i : i + chunk], readout, keep) for i in range(0, max(samples, 1), chunk)]
        return parts[0] if len(parts) == 1 else _join(parts)

    def run_scores(
        self,
        samples: int,
        batch: Callable[[np.ndarray], np.ndarray],
        *,
        readout: Readout = "spikes",
        chunk: int = 64,
        progress: Callable[[int], None] | None = None,
    ) -> np.ndarray:
        """Scores int64 (samples, outputs, T) of more samples than fit into memory at once.

        ``batch(indices)`` gives the spikes of those samples, (len(indices), \\*input_shape, T); ``progress(n)`` is told
        how many samples are done.
        """
        parts = []
        for first in range(0, samples, chunk):
            indices = np.arange(first, min(first + chunk, samples))
            parts.append(self.run(batch(indices), readout=readout).scores)
            if progress is not None:
                progress(int(indices[-1]) + 1)
        return np.concatenate(parts) if parts else np.empty((0, self.description.outputs, 0), np.int64)

    def _run(self, spikes: np.ndarray, readout: Readout, keep: bool) -> Run:
        x = self._time_major(spikes)
        sent, operations, traces = [], [], []
        for index, plan in enumerate(self._layers):
            last = index == len(self._layers) - 1
            s, u, v = plan.run(x, want_u=keep, want_v=keep or (last and readout == "voltage"))
            sent.append(s.sum(axis=(1, 2), dtype=np.int64))
            operations.append(plan.operations(x, s))
            first = (index + 1) * self._lead
            if keep:
                traces.append(LayerTrace(plan.layer.name, *(plan.natural(each[:, first:]) for each in (u, v, s))))
            if last:
                scores = plan.natural((v if readout == "voltage" else s)[:, first:])
            x = s
        scores = scores.reshape(len(spikes), self.description.outputs, spikes.shape[-1])
        total = scores.astype(np.int64) if readout == "voltage" else scores.cumsum(axis=-1, dtype=np.int64)
        return Run(total, np.stack(sent, axis=1), np.stack(operations, axis=1), tuple(traces))

    def _time_major(self, spikes: np.ndarray) -> np.ndarray:
        """(N, \\*input_shape, T) → uint8 (N, T, n), maps as (H, W, C) if a convolution comes first."""
        if isinstance(self.description.layers[0], Conv):
            moved = spikes.transpose(0, 4, 2, 3, 1)
        else:
            moved = spikes.reshape(len(spikes), prod(spikes.shape[1:-1]), -1).transpose(0, 2, 1)
        return np.ascontiguousarray(moved != 0).view(np.uint8).reshape(*moved.shape[:2], prod(moved.shape[2:]))


class _Plan:
    """A layer in the form that the kernels take."""

    def __init__(self, layer: Layer, maps: tuple[int, ...] | None, lead: int) -> None:
        """``maps``: (C, H, W) of what the layer is fed if that lies as (H, W, C), otherwise None."""
        self.layer = layer
        self._lead = lead
        self._neurons = prod(layer.shape)
        neuron = layer.neuron
        self._tail = (neuron.current_decay, neuron.voltage_decay, neuron.threshold << STATE_SHIFT)
        bias = np.zeros(layer.weight.shape[0], np.int32) if layer.bias is None else layer.bias.astype(np.int32)
        self._bias = np.tile(bias, self._neurons // bias.size)
        self._recurrent = np.empty((0, 0), np.int32)
        if isinstance(layer, Conv):
            self._weight = np.ascontiguousarray(_by_input(layer), np.int32)
            self._fan_out = _conv_fan_out(layer)
        else:
            order = slice(None) if maps is None else np.arange(prod(maps)).reshape(maps).transpose(1, 2, 0).ravel()
            self._weight = np.ascontiguousarray(layer.weight.T[order], np.int32)
            self._delay = np.empty((0, 0), np.uint8)
            if layer.delay is not None:
                self._delay = np.ascontiguousarray(np.broadcast_to(layer.delay, layer.weight.shape).T[order], np.uint8)
            if layer.weight_rec is not None:
                self._recurrent = np.ascontiguousarray(layer.weight_rec.T, np.int32)
            self._fan_out = np.count_nonzero(self._weight, axis=1)
            self._fan_out_recurrent = np.count_nonzero(self._recurrent, axis=1)

    def run(self, x: np.ndarray, *, want_u: bool, want_v: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Spikes uint8, u and v int32 (empty unless wanted), each (N, T + lead, n)."""
        shape = (len(x), x.shape[1] + self._lead, self._neurons)
        s = np.empty(shape, np.uint8)
        u, v = (np.empty(shape, np.int32) if want else _NONE for want in (want_u, want_v))
        layer = self.layer
        if isinstance(layer, Conv):
            run_conv(
                x, self._lead, layer.input_shape, self._weight, layer.shape, layer.stride, layer.padding,
                layer.dilation, self._bias, *self._tail, s, u, v,
            )  # fmt: skip
        else:
            run_dense(x, self._lead, self._weight, self._delay, self._recurrent, self._bias, *self._tail, s, u, v)
        return s, u, v

    def operations(self, x: np.ndarray, s: np.ndarray) -> np.ndarray:
        """int64 (N,): synaptic operations that the layer's input and its own spikes cause."""
        total = x.sum(axis=1, dtype=np.int64) @ self._fan_out
        if self._recurrent.size:
            total += s[:, :-1].sum(axis=1, dtype=np.int64) @ self._fan_out_recurrent
        return total

    def natural(self, values: np.ndarray) -> np.ndarray:
        """(N, T, n) → (N, \\*shape, T)."""
        if isinstance(self.layer, Conv):
            channels, height, width = self.layer.shape
            moved = values.reshape(*values.shape[:2], height, width, channels).transpose(0, 4, 2, 3, 1)
        else:
            moved = values.transpose(0, 2, 1)
        return np.ascontiguousarray(moved)


def _by_input(conv: Conv) -> np.ndarray:
    """Kernels (C_out, C / groups, kH, kW) → (C, kH, kW, C_out / groups)."""
    out, inputs, height, width = conv.weight.shape
    grouped = conv.weight.reshape(conv.groups, out // conv.groups, inputs, height, width)
    return grouped.transpose(0, 2, 3, 4, 1).reshape(conv.groups * inputs, height, width, out // conv.groups)


def _conv_fan_out(conv: Conv) -> np.ndarray:
    """int64 (H * W * C,): weights other than 0 that a spike of each input pixel reaches, padding and stride counted."""
    reach = []  # (n, k): does kernel row k of some output lie on input row n?
    for axis in (0, 1):
        size, kernel = conv.input_shape[1 + axis], conv.weight.shape[2 + axis]
        at = np.arange(size)[:, None] + conv.padding[axis] - np.arange(kernel) * conv.dilation[axis]
        limit = conv.shape[1 + axis] * conv.stride[axis]
        reach.append(((at >= 0) & (at % conv.stride[axis] == 0) & (at < limit)).astype(np.int64))
    nonzero = np.count_nonzero(_by_input(conv), axis=3)
    return np.einsum("yp,xq,cpq->yxc", *reach, nonzero).ravel()


def _join(parts: list[Run]) -> Run:
    def cat(arrays: Any) -> np.ndarray:
        return np.concatenate(list(arrays))

    traces = tuple(
        LayerTrace(group[0].name, cat(g.u for g in group), cat(g.v for g in group), cat(g.s for g in group))
        for group in zip(*(part.traces for part in parts), strict=True)
    )
    return Run(
        cat(part.scores for part in parts), cat(part.spikes for part in parts), cat(part.operations for part in parts),
        traces,
    )  # fmt: skip
