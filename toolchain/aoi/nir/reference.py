"""Executes a NIR graph in floating point, node by node: what an import is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from aoi.nir.maps import conv2d, pair, sum_pool
from aoi.nir.neurons import Difference, difference
from aoi.nir.numerics import Numerics
from aoi.nir.read import Graph
from aoi.nir.stages import Stage


@dataclass(frozen=True, eq=False)
class Reference:
    """What a graph did with N samples."""

    scores: np.ndarray
    """float64 (N, outputs, T), accumulated readout: spikes or output values added up until step t; of a leaky
    integrator its voltage at t."""
    spikes: np.ndarray
    """int64 (N, stages, T): spikes that each stage sent in each step; 0 for stages that never fire."""


def run_reference(graph: Graph, stages: list[Stage], inputs: np.ndarray, numerics: Numerics) -> Reference:
    """Runs a graph on ``inputs`` (N, \\*input_shape, T), from the state 0, in float64.

    A neuron sees the spikes of the layer before it in the same step, and its own of the step before.

    Raises ValueError if the shapes of two nodes do not match.
    """
    signal = np.moveaxis(np.asarray(inputs, np.float64), -1, 0)  # (T, N, *shape)
    steps, samples = signal.shape[:2]
    counts = np.zeros((samples, len(stages), steps), np.int64)
    for index, stage in enumerate(stages):
        for name in stage.linear:
            signal = apply_linear(graph.nodes[name], graph.kind(name), signal, numerics)
        if stage.neuron is None:
            break
        kind = graph.kind(stage.neuron)
        equation = difference(graph.nodes[stage.neuron], kind, signal.shape[2:], numerics)
        signal = _run_neuron(graph, stage, equation, signal, numerics)
        if equation.threshold is not None:
            counts[:, index] = signal.reshape(steps, samples, -1).sum(axis=-1).T
    rows = signal.reshape(steps, samples, -1).transpose(1, 2, 0)
    last = graph.kind(stages[-1].neuron) if stages[-1].neuron else None
    return Reference(rows if last in ("I", "LI", "CubaLI") else rows.cumsum(axis=-1), counts)


def _run_neuron(graph: Graph, stage: Stage, equation: Difference, signal: np.ndarray, numerics: Numerics) -> np.ndarray:
    """Spikes, or voltages of a neuron that never fires, (T, N, \\*shape)."""
    out = np.empty_like(signal)
    u, v, sent = (np.zeros(signal.shape[1:]) for _ in range(3))
    keep_u, keep_v = 1.0 - equation.current_share, 1.0 - equation.voltage_share
    for t, drive in enumerate(signal):
        for loop in stage.loops:
            back = sent[None]
            for name in loop:
                back = apply_linear(graph.nodes[name], graph.kind(name), back, numerics)
            drive = drive + back[0].reshape(drive.shape)
        u = keep_u * u + equation.gain * drive
        v = keep_v * v + u + equation.drive
        if equation.threshold is None:
            out[t] = v
            continue
        fired = v > equation.threshold
        sent = fired.astype(np.float64)
        out[t] = sent
        if numerics.reset == "subtract":
            v = v - sent * (equation.threshold - equation.reset)
        else:
            v = np.where(fired, equation.reset, v)
    return out


def apply_linear(node: Any, kind: str, signal: np.ndarray, numerics: Numerics) -> np.ndarray:
    """A linear node on a signal (T, N, \\*shape). Raises ValueError if it does not take that shape."""
    steps, samples, *shape = signal.shape
    if kind in ("Affine", "Linear"):
        rows = signal.reshape(steps * samples, -1) @ np.asarray(node.weight, np.float64).T
        if kind == "Affine":
            rows += np.asarray(node.bias, np.float64)
        return rows.reshape(steps, samples, -1)
    if kind == "Scale":
        scale = np.asarray(node.scale, np.float64)
        return signal * (scale.reshape(shape) if scale.size == prod(shape) else scale)
    if kind == "Flatten":
        return signal.reshape(steps, samples, -1)
    if kind == "Delay":
        return _delayed(signal, delay_steps(node, numerics))
    maps = signal.reshape(steps * samples, *as_maps(tuple(shape)))
    if kind in ("SumPool2d", "AvgPool2d"):
        kernel = pair(node.kernel_size)
        pooled = sum_pool(maps, kernel, pair(node.stride), pair(node.padding))
        out = pooled / prod(kernel) if kind == "AvgPool2d" else pooled
    else:
        weight, stride, padding, dilation = convolution(node, kind)
        out = conv2d(maps, weight, stride, padding, dilation, int(np.ravel(node.groups)[0]))
        out += np.asarray(node.bias, np.float64).reshape(-1, 1, 1)
    return out.reshape(steps, samples, *(out.shape[1::2] if kind == "Conv1d" else out.shape[1:]))


def as_maps(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(C, H, W) of a shape (C, H, W), or (C, W) of one-dimensional maps. Raises ValueError for others."""
    if len(shape) == 2:
        return shape[0], 1, shape[1]
    if len(shape) != 3:
        raise ValueError(f"takes maps (C, H, W), it is fed {shape}")
    return shape[0], shape[1], shape[2]


def convolution(node: Any, kind: str) -> tuple[np.ndarray, tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Weight (C_out, C / groups, kH, kW), stride, padding and dilation of a Conv1d or Conv2d.

    Raises ValueError for a padding "same" that is not symmetric.
    """
    weight = np.asarray(node.weight, np.float64)
    stride, dilation = pair(node.stride), pair(node.dilation)
    if kind == "Conv1d":
        weight, stride, dilation = weight[:, :, None, :], (1, stride[1]), (1, dilation[1])
    if weight.ndim != 4:
        raise ValueError(f"weight has shape {weight.shape}; it takes (C_out, C_in / groups, kH, kW)")
    if not isinstance(node.padding, str):
        padding = pair(node.padding)
        return weight, stride, (0, padding[1]) if kind == "Conv1d" else padding, dilation
    reach = tuple(d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True))
    if node.padding == "same" and any(each % 2 for each in reach):
        raise ValueError("padding 'same' of an even kernel is not symmetric; use an odd kernel")
    return weight, stride, (reach[0] // 2, reach[1] // 2) if node.padding == "same" else (0, 0), dilation


def delay_steps(node: Any, numerics: Numerics) -> np.ndarray:
    """Delays of a Delay node in steps, rounded, int64; at most 2**40."""
    return np.minimum(np.rint(np.asarray(node.delay, np.float64) / numerics.dt), 2.0**40).astype(np.int64)


def _delayed(signal: np.ndarray, delay: np.ndarray) -> np.ndarray:
    shape = signal.shape[2:]
    steps = np.broadcast_to(delay.reshape(shape) if delay.size == prod(shape) else delay, shape)
    out = np.zeros_like(signal)
    for each in np.unique(steps[steps < len(signal)]):
        place = (slice(None), slice(None), steps == each)
        out[place] = np.concatenate([np.zeros_like(signal[:each]), signal[: len(signal) - each]])[place]
    return out
