"""The engine against Lava's models on networks that hypothesis draws: every layer, neuron and step.

Lava runs in :func:`aoi_deploy.lava.trace.lava_trace`, which extends its models so that samples can follow one another;
``test_the_recorder_is_stock_lava`` compares that with Lava left alone.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from aoi.engine import Engine, LayerTrace
from aoi.netx import Conv, Cuba, Dense, Input, NetworkFile
from aoi.netx.description import STATE_LIMIT
from aoi_deploy.lava.trace import lava_trace
from tests.engine.drawn_networks import Case, cases, stored

pytestmark = pytest.mark.filterwarnings("ignore:divide by zero")  # lava-dl, where no weight is above 0
LAVA = settings(
    deadline=None,
    database=None,
    print_blob=True,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


def assert_equal(case: Case, path: Path, seen: Counter[str]) -> None:
    file = stored(case, path)
    traces = Engine(file.description).run(case.inputs, return_traces=True).traces
    expected = lava_trace(file, case.inputs)
    assert [trace.name for trace in traces] == [trace.name for trace in expected]
    for trace, lava in zip(traces, expected, strict=True):
        for quantity in ("u", "v", "s"):
            found, wanted = getattr(trace, quantity), getattr(lava, quantity)
            assert found.dtype == wanted.dtype, f"{quantity} of layer {trace.name}"
            np.testing.assert_array_equal(found, wanted, err_msg=f"{quantity} of layer {trace.name} of {case}")
    seen.update(what_happened(file, expected))


def what_happened(file: NetworkFile, traces: list[LayerTrace]) -> set[str]:
    """What this network exercised, as far as its layers were reached at all."""
    seen = set()
    graded = False
    for layer, trace in zip(file.description.layers, traces, strict=True):
        neuron = layer.neuron
        u, v = trace.u.astype(np.int64), trace.v
        if trace.s.any():
            seen |= {layer.kind, type(neuron).__name__}
            seen |= {f"{layer.kind} fed messages"} if graded and not isinstance(layer, Input) else set()
            seen |= {f"bias of {type(neuron).__name__}"} if layer.bias is not None else set()
            if isinstance(layer, Dense):
                seen |= {"recurrent"} if layer.weight_rec is not None else set()
                if layer.delay is not None:
                    rows, columns = layer.delay.shape
                    seen.add(
                        "delay an output" if columns == 1 else "delay an input" if rows == 1 else "delay a synapse"
                    )
            if isinstance(layer, Conv):
                values = {"groups": layer.groups, "stride": layer.stride, "dilation": layer.dilation}
                seen |= {name for name, value in values.items() if np.max(value) > 1}
                seen |= {"padding"} if max(layer.padding) else set()
            if isinstance(neuron, Cuba) and np.ndim(neuron.threshold):
                seen.add("one parameter a channel")
        if isinstance(neuron, Cuba):
            seen |= {"u wraps"} if (np.abs(np.diff(u)) > STATE_LIMIT).any() else set()
            seen |= {"v clips"} if (np.abs(v) == STATE_LIMIT - 1).any() else set()
        else:
            seen |= {"sigma wraps"} if (np.abs(np.diff(u)) > 2**31).any() else set()
        graded = neuron.graded
    return seen


EVERYTHING = {
    *("input", "dense", "conv", "recurrent", "groups", "stride", "dilation", "padding"),
    *("delay an output", "delay an input", "delay a synapse"),
    *("Cuba", "Delta", "SigmaDelta", "Sigma", "dense fed messages", "conv fed messages", "one parameter a channel"),
    *("bias of Cuba", "bias of SigmaDelta", "u wraps", "v clips", "sigma wraps"),
}


def check(tmp_path: Path, examples: int, *, derandomize: bool) -> Counter[str]:
    seen: Counter[str] = Counter()

    @settings(LAVA, max_examples=examples, derandomize=derandomize)
    @given(case=cases())
    def every_case(case: Case) -> None:
        assert_equal(case, tmp_path / "drawn.net", seen)

    every_case()
    return seen


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_few_networks(tmp_path):
    seen = check(tmp_path, 6, derandomize=True)
    assert {"dense", "conv", "input", "Cuba", "SigmaDelta"} <= set(seen)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_networks(tmp_path):
    """300 of them, other ones each time, and nothing that NetX can express is left out."""
    seen = check(tmp_path, 300, derandomize=False)
    assert set(seen) >= EVERYTHING


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("first", "graded"),
    [
        ("spikes", False),
        ("values", True),
        pytest.param("spikes", True, marks=pytest.mark.slow),
        pytest.param("values", False, marks=pytest.mark.slow),
    ],
)
def test_the_recorder_is_stock_lava(first, graded, tmp_path, networks, lava_traces):
    description = networks.mixed(graded=graded, values=first == "values")
    shape = (2, *description.input_shape, 12)
    low, high = (-90, 91) if first == "values" else (0, 2)
    inputs = networks.rng.integers(low, high, shape, dtype=np.int32)
    if not graded:
        inputs[:] = inputs[..., :1]  # stock Lava's input block of CUBA neurons takes a constant
    file = stored(Case(description, inputs), tmp_path / "mixed.net")
    recorded = lava_trace(file, inputs)
    for sample in range(2):
        for trace, (s, u, v) in zip(recorded, lava_traces(file, inputs[sample]), strict=True):
            np.testing.assert_array_equal(trace.s[sample], s, err_msg=f"sent by layer {trace.name}")
            np.testing.assert_array_equal(trace.u[sample], u, err_msg=f"u of layer {trace.name}")
            np.testing.assert_array_equal(trace.v[sample], v, err_msg=f"v of layer {trace.name}")
            assert s.any()
