"""Linear nodes in a row as one operator: a matrix, or a convolution."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd, prod
from typing import Any

import numpy as np

from aoi.nir.maps import Pair, conv2d, pair
from aoi.nir.numerics import Numerics
from aoi.nir.reference import as_maps, convolution, delay_steps

_UNITS = 64  # inputs that are tried at a time
_MAX_TAPS = 1 << 16  # products of taps of two convolutions that are joined
MAX_MATRIX = 1 << 24  # weights of a convolution or pool that is written out as a matrix


@dataclass(frozen=True, eq=False)
class Operator:
    """``y = W x + b`` on a signal of ``in_shape``; with neither matrix nor kernel it passes the signal on.

    ``bias``: per row of the matrix, or per channel of the kernel. Delays: steps, per input and per output element.
    """

    in_shape: tuple[int, ...]
    shape: tuple[int, ...]
    matrix: np.ndarray | None = None  # float64 (out, in)
    kernel: np.ndarray | None = None  # float64 (C_out, C_in / groups, kH, kW)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: np.ndarray | None = None
    scale: np.ndarray | None = None  # of an operator that passes on: factors, float64 in_shape
    in_delay: np.ndarray | None = None  # int64 in_shape
    out_delay: np.ndarray | None = None  # int64 shape

    @property
    def passes_on(self) -> bool:
        return self.matrix is None and self.kernel is None


def fold(operator: Operator, node: Any, kind: str, numerics: Numerics) -> Operator:
    """The operator followed by a linear node. Raises ValueError if that is none, with the reason and the remedy."""
    if kind == "Flatten":
        flat = (prod(operator.shape),)
        delay = operator.out_delay
        return replace(operator, shape=flat, out_delay=None if delay is None else delay.ravel())
    if kind == "Delay":
        return _delayed(operator, delay_steps(node, numerics))
    if operator.out_delay is not None:
        raise ValueError("follows a delay after weights; put the delay before the weights, or after the last of them")
    if kind == "Scale":
        return _scaled(operator, np.asarray(node.scale, np.float64))
    if kind in ("Affine", "Linear"):
        return _through_matrix(operator, node, kind)
    return _through_kernel(operator, _kernel_of(node, kind, operator.shape), kind)


def as_matrix(operator: Operator) -> Operator:
    """The same operator, written out as a matrix. Raises ValueError if that is too large."""
    inputs, outputs = prod(operator.in_shape), prod(operator.shape)
    if operator.matrix is not None:
        return operator
    if inputs * outputs > MAX_MATRIX:
        raise ValueError(
            f"would need a matrix of {outputs} x {inputs} weights, at most {MAX_MATRIX} are written out; put a neuron "
            "between, or make the maps smaller"
        )
    if operator.kernel is None:
        factors = np.ones(inputs) if operator.scale is None else operator.scale.ravel()
        return replace(operator, matrix=np.diag(factors), scale=None)
    geometry = (operator.stride, operator.padding, operator.dilation, operator.groups)
    matrix = np.empty((outputs, inputs))
    for begin in range(0, inputs, _UNITS):  # what each input alone gives
        count = min(_UNITS, inputs - begin)
        unit = np.zeros((count, inputs))
        unit[np.arange(count), begin + np.arange(count)] = 1.0
        maps = conv2d(unit.reshape(count, *as_maps(operator.in_shape)), operator.kernel, *geometry)
        matrix[:, begin : begin + count] = maps.reshape(count, outputs).T
    bias = operator.bias
    if bias is not None:
        bias = np.repeat(bias, outputs // len(bias))
    plain = Operator(operator.in_shape, operator.shape, matrix, bias=bias)
    return replace(plain, in_delay=operator.in_delay, out_delay=operator.out_delay)


def _delayed(operator: Operator, steps: np.ndarray) -> Operator:
    shape = operator.in_shape if operator.passes_on else operator.shape
    if steps.size not in (1, prod(shape)):
        raise ValueError(f"delay has {steps.size} values, it is fed {prod(shape)}")
    full = np.broadcast_to(steps.reshape(shape) if steps.size > 1 else steps.ravel()[:1], shape)
    earlier = operator.in_delay if operator.passes_on else operator.out_delay
    total = full if earlier is None else earlier + full
    return replace(operator, in_delay=total) if operator.passes_on else replace(operator, out_delay=total)


def _scaled(operator: Operator, scale: np.ndarray) -> Operator:
    try:
        full = np.broadcast_to(
            scale.reshape(operator.shape) if scale.size == prod(operator.shape) else scale, operator.shape
        )
    except ValueError:
        raise ValueError(f"scale has shape {scale.shape}, it is fed {operator.shape}") from None
    if operator.passes_on:
        earlier = 1.0 if operator.scale is None else operator.scale.reshape(operator.shape)
        return replace(operator, scale=(full * earlier).reshape(operator.in_shape))
    if operator.kernel is not None:
        by_channel = full.reshape(len(operator.kernel), -1)
        if np.all(by_channel == by_channel[:, :1]):
            factor = by_channel[:, 0]
            bias = None if operator.bias is None else operator.bias * factor
            return replace(operator, kernel=operator.kernel * factor[:, None, None, None], bias=bias)
    written = as_matrix(operator)
    assert written.matrix is not None
    bias = None if written.bias is None else written.bias * full.ravel()
    return replace(written, matrix=written.matrix * full.reshape(-1, 1), bias=bias)


def _through_matrix(operator: Operator, node: Any, kind: str) -> Operator:
    weight = np.asarray(node.weight, np.float64)
    if weight.ndim != 2:
        raise ValueError(f"weight has shape {weight.shape}; a layer takes (out, in): use one node for each matrix")
    if weight.shape[1] != prod(operator.shape):
        raise ValueError(f"weight takes {weight.shape[1]} inputs, it is fed {operator.shape}")
    bias = np.asarray(node.bias, np.float64).ravel() if kind == "Affine" else None
    if bias is not None and bias.size not in (1, len(weight)):
        raise ValueError(f"bias has {bias.size} values for {len(weight)} outputs")
    if bias is not None:
        bias = np.broadcast_to(bias, (len(weight),)).copy()
    if operator.passes_on:
        factors = 1.0 if operator.scale is None else operator.scale.reshape(1, -1)
        made = Operator(operator.in_shape, (len(weight),), weight * factors, bias=bias)
        return replace(made, in_delay=operator.in_delay)
    if prod(operator.in_shape) * len(weight) > MAX_MATRIX:
        raise ValueError(
            f"would need a matrix of {len(weight)} x {prod(operator.in_shape)} weights; put a neuron between"
        )
    written = as_matrix(operator)
    assert written.matrix is not None
    carried = weight @ written.bias if written.bias is not None else None
    joined = bias if carried is None else carried if bias is None else bias + carried
    made = Operator(operator.in_shape, (len(weight),), weight @ written.matrix, bias=joined)
    return replace(made, in_delay=operator.in_delay)


def _kernel_of(node: Any, kind: str, shape: tuple[int, ...]) -> Operator:
    """The operator of a convolution or pool that is fed ``shape``."""
    channels, height, width = as_maps(shape)
    if kind in ("SumPool2d", "AvgPool2d"):
        size = pair(node.kernel_size)
        around = pair(node.padding)
        if size[0] > height + 2 * around[0] or size[1] > width + 2 * around[1] or max(around) > max(size):
            raise ValueError(
                f"kernel {size} and padding {around} do not fit maps of {height} x {width}; make them smaller"
            )
        # In an average, padding counts as zeros, as in torch by default.
        kernel = np.full((channels, 1, *size), 1.0 / prod(size) if kind == "AvgPool2d" else 1.0)
        stride, padding, dilation, groups, bias = pair(node.stride), pair(node.padding), (1, 1), channels, None
    else:
        kernel, stride, padding, dilation = convolution(node, kind)
        groups = int(np.ravel(node.groups)[0])
        given = np.asarray(node.bias, np.float64).ravel()
        if given.size not in (1, len(kernel)):
            raise ValueError(f"bias has {given.size} values for {len(kernel)} channels")
        bias = np.broadcast_to(given, (len(kernel),)).copy()
        if len(kernel) % groups or kernel.shape[1] * groups != channels:
            raise ValueError(f"weight has shape {kernel.shape} in {groups} groups, it is fed {channels} channels")
    made = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip((height, width), padding, dilation, kernel.shape[2:], stride, strict=True)
    )
    if min(made) < 1:
        raise ValueError(f"gives maps of {made} pixels from {height} x {width}; make kernel or stride smaller")
    out = (len(kernel), made[1]) if kind == "Conv1d" else (len(kernel), *made)
    return Operator(shape, out, None, kernel, stride, padding, dilation, groups, bias)


def _through_kernel(operator: Operator, second: Operator, kind: str) -> Operator:
    if operator.in_delay is not None and np.any(operator.in_delay):
        raise ValueError("is a convolution after a delay, and convolutions have no delays; delay a dense layer instead")
    if operator.passes_on:
        made = replace(second, in_shape=operator.in_shape)
        if operator.scale is None:
            return made
        assert second.kernel is not None
        factors = operator.scale.reshape(as_maps(operator.shape)[0], -1)
        if np.all(factors == factors[:, :1]):
            each = second.kernel.shape[1]
            of_output = np.arange(len(second.kernel)) // (len(second.kernel) // second.groups)
            channel = of_output[:, None] * each + np.arange(each)
            return replace(made, kernel=second.kernel * factors[channel, 0][:, :, None, None])
        written = as_matrix(made)
        assert written.matrix is not None
        return replace(written, matrix=written.matrix * operator.scale.reshape(1, -1))
    if operator.kernel is not None:
        joined = _joined(operator, second)
        if joined is not None:
            return joined
    first, after = as_matrix(operator), as_matrix(second)
    assert first.matrix is not None
    assert after.matrix is not None
    bias = after.bias
    if first.bias is not None:
        bias = after.matrix @ first.bias + (0.0 if bias is None else bias)
    return Operator(operator.in_shape, second.shape, after.matrix @ first.matrix, bias=bias)


def _joined(first: Operator, second: Operator) -> Operator | None:
    """One convolution that equals two, or None where the border of the maps between them matters."""
    assert first.kernel is not None
    assert second.kernel is not None
    if prod(first.kernel.shape[2:]) * prod(second.kernel.shape[2:]) > _MAX_TAPS:
        return None
    size, between = as_maps(first.in_shape)[1:], as_maps(first.shape)[1:]
    after = as_maps(second.shape)[1:]
    if any(second.padding) and first.bias is not None and np.any(first.bias):
        return None
    for axis in (0, 1):
        s, p, d = first.stride[axis], first.padding[axis], first.dilation[axis]
        reach = d * (first.kernel.shape[2 + axis] - 1)
        last = (after[axis] - 1) * second.stride[axis] - second.padding[axis]
        last += second.dilation[axis] * (second.kernel.shape[2 + axis] - 1)
        if second.padding[axis] and -s - p + reach >= 0:
            return None
        if last >= between[axis] and between[axis] * s - p < size[axis]:
            return None
    a, b = _ungrouped(first), _ungrouped(second)
    (kh, kw), (lh, lw) = first.kernel.shape[2:], second.kernel.shape[2:]
    spread = [(first.stride[i] * second.dilation[i], first.dilation[i]) for i in (0, 1)]
    shape = [(n - 1) * spread[i][0] + (k - 1) * spread[i][1] + 1 for i, (n, k) in enumerate(((lh, kh), (lw, kw)))]
    kernel = np.zeros((len(b), a.shape[1], *shape))
    for jy in range(lh):
        for jx in range(lw):
            for iy in range(kh):
                for ix in range(kw):
                    y, x = jy * spread[0][0] + iy * spread[0][1], jx * spread[1][0] + ix * spread[1][1]
                    kernel[:, :, y, x] += b[:, :, jy, jx] @ a[:, :, iy, ix]
    bias = second.bias
    if first.bias is not None:
        bias = b.sum(axis=(2, 3)) @ first.bias + (0.0 if bias is None else bias)
    groups = gcd(first.groups, second.groups)
    if first.groups == first.kernel.shape[0]:  # the first keeps channels apart
        groups = second.groups
    elif second.groups == second.kernel.shape[0] == first.kernel.shape[0]:
        groups = first.groups
    return Operator(
        first.in_shape,
        second.shape,
        None,
        _grouped(kernel, groups),
        (first.stride[0] * second.stride[0], first.stride[1] * second.stride[1]),
        tuple(second.padding[i] * first.stride[i] + first.padding[i] for i in (0, 1)),  # type: ignore[arg-type]
        (1, 1),
        groups,
        bias,
    )


def _ungrouped(operator: Operator) -> np.ndarray:
    """The kernel with zeros for the channels of other groups: (C_out, C_in, kH, kW)."""
    kernel, groups = operator.kernel, operator.groups
    assert kernel is not None
    if groups == 1:
        return kernel
    made, each = len(kernel) // groups, kernel.shape[1]
    full = np.zeros((len(kernel), each * groups, *kernel.shape[2:]))
    for g in range(groups):
        full[g * made : (g + 1) * made, g * each : (g + 1) * each] = kernel[g * made : (g + 1) * made]
    return full


def _grouped(kernel: np.ndarray, groups: int) -> np.ndarray:
    """The inverse of :func:`_ungrouped`."""
    if groups == 1:
        return kernel
    made, each = len(kernel) // groups, kernel.shape[1] // groups
    return np.concatenate([kernel[g * made : (g + 1) * made, g * each : (g + 1) * each] for g in range(groups)])
