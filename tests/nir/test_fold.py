"""Linear nodes folded into one operator compute what the nodes do one by one."""

from __future__ import annotations

from math import prod

import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aoi.nir.fold import Operator, fold
from aoi.nir.maps import conv2d
from aoi.nir.numerics import Numerics
from aoi.nir.reference import apply_linear, as_maps
from tests.nir.graphs import conv, pool


def execute(operator: Operator, maps: np.ndarray) -> np.ndarray:
    """The operator on maps (N, \\*in_shape), flat per sample."""
    n = len(maps)
    if operator.matrix is not None:
        out = maps.reshape(n, -1) @ operator.matrix.T
        return out if operator.bias is None else out + operator.bias
    if operator.kernel is None:
        return (maps if operator.scale is None else maps * operator.scale).reshape(n, -1)
    geometry = (operator.stride, operator.padding, operator.dilation, operator.groups)
    out = conv2d(maps.reshape(n, *as_maps(operator.in_shape)), operator.kernel, *geometry)
    if operator.bias is not None:
        out = out + operator.bias.reshape(-1, 1, 1)
    return out.reshape(n, -1)


@st.composite
def chains(draw):
    """Shape of the maps, and up to three nodes that follow one another."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    shape = (draw(st.sampled_from([1, 2, 4])), draw(st.integers(4, 9)), draw(st.integers(4, 9)))
    nodes, now = [], shape
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["conv", "sum", "average", "scale", "channel scale", "flatten", "affine"]))
        if len(now) == 1 and kind not in ("scale", "affine"):
            kind = "affine"
        if kind == "conv":
            groups = draw(st.sampled_from([g for g in (1, 2, 4) if now[0] % g == 0]))
            kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
            weight = rng.normal(size=(2 * groups, now[0] // groups, *kernel))
            bias = rng.normal(size=2 * groups) if draw(st.booleans()) else 0.0
            node = conv(weight, draw(st.integers(1, 2)), draw(st.integers(0, 2)), draw(st.integers(1, 2)), groups, bias)
        elif kind in ("sum", "average"):
            kind_of = nir.SumPool2d if kind == "sum" else nir.AvgPool2d
            node = pool(kind_of, draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(0, 1)))
        elif kind == "flatten":
            node = nir.Flatten(input_type={"input": np.array(now)}, start_dim=0, end_dim=-1)
        elif kind == "affine":
            node = nir.Affine(weight=rng.normal(size=(3, prod(now))), bias=rng.normal(size=3))
        else:
            scale = (
                rng.normal(size=(now[0], *(1,) * (len(now) - 1))) if kind == "channel scale" else rng.normal(size=now)
            )
            node = nir.Scale(scale=np.broadcast_to(scale, now).copy())
        try:
            made = apply_linear(node, type(node).__name__, np.zeros((1, 1, *now)), Numerics()).shape[2:]
        except ValueError:
            continue
        if min(made, default=0) < 1:
            continue
        nodes.append(node)
        now = made
    return shape, nodes


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=chains())
def test_the_same_as_node_by_node(drawn) -> None:
    shape, nodes = drawn
    maps = np.random.default_rng(0).normal(size=(3, *shape))
    signal, operator = maps[None], Operator(shape, shape)
    for node in nodes:
        kind = type(node).__name__
        signal = apply_linear(node, kind, signal, Numerics())
        operator = fold(operator, node, kind, Numerics())
    np.testing.assert_allclose(execute(operator, maps), signal[0].reshape(3, -1), atol=1e-9)


def test_a_sum_pool_becomes_a_repeated_kernel() -> None:
    """A convolution after a sum pool is one convolution, with a repeated kernel and the product of the strides."""
    weight = np.arange(9.0).reshape(1, 1, 3, 3)
    operator = Operator((1, 8, 8), (1, 8, 8))
    for node in (pool(nir.SumPool2d, 2), conv(weight, padding=1)):
        operator = fold(operator, node, type(node).__name__, Numerics())
    assert operator.kernel is not None
    np.testing.assert_array_equal(operator.kernel[0, 0], np.repeat(np.repeat(weight[0, 0], 2, 0), 2, 1))
    assert operator.stride == operator.padding == (2, 2)


@pytest.mark.parametrize(("size", "written_out"), [(8, False), (9, True)])
def test_a_border_that_the_pool_leaves_out(size: int, written_out: bool) -> None:
    """Of 9 pixels a pool of 2 leaves one out, which the joined convolution would see: it becomes a matrix."""
    operator = Operator((1, size, size), (1, size, size))
    for node in (pool(nir.SumPool2d, 2), conv(np.ones((1, 1, 3, 3)), padding=1)):
        operator = fold(operator, node, type(node).__name__, Numerics())
    assert (operator.matrix is not None) == written_out
