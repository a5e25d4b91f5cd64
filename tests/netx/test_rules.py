"""One violation of each rule of the export."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aoi.errors import NetXError
from aoi.netx import (
    Conv,
    Cuba,
    Delta,
    Dense,
    Input,
    NetworkDescription,
    Sigma,
    SigmaDelta,
    violations,
    write_network,
)
from aoi.netx.rules import overflow_warnings, worst_case_current
from aoi.netx.weights import effective_weights

DENSE = Dense("hidden", np.array([[2, -4], [6, 8]], np.int32), Cuba(80, 1024, 128))
CONV = Conv("conv", (1, 4, 4), np.full((1, 1, 2, 2), 2, np.int32), Cuba(80, 1024, 128))


def weight(*rows: list[float]) -> np.ndarray:
    return np.array(rows)


@pytest.mark.parametrize(
    ("rule", "layer", "says"),
    [
        ("weight_range", replace(DENSE, weight=weight([2, 256], [0, 2])), "256 is out of -256..254"),
        ("weight_range", replace(DENSE, weight=weight([2, np.nan], [0, 2])), "nan is out of"),
        ("weight_range", replace(DENSE, weight_rec=weight([2, -258], [0, 2])), "weight_rec -258"),
        ("weight_even", replace(DENSE, weight=weight([2, 3], [0, -2])), "3 is not an even number"),
        ("weight_even", replace(CONV, weight=np.full((1, 1, 2, 2), 0.5)), "0.5 is not"),
        ("weight_exact", replace(DENSE, weight=weight([0, 0], [0, 0])), "all weights are 0"),
        ("weight_exact", replace(DENSE, weight=weight([-256, -2], [-4, -2])), "-256 becomes -254 in Lava"),
        ("decay_range", replace(DENSE, neuron=Cuba(80, 4097, 0)), "current_decay 4097 is out of 0..4096"),
        ("decay_range", replace(DENSE, neuron=Cuba(80, 0, -1)), "voltage_decay -1"),
        ("threshold_exact", replace(CONV, neuron=Cuba(4096, 0, 0)), "4096 is out of 0..4095"),
        ("threshold_exact", replace(CONV, neuron=Cuba(-1, 0, 0)), "threshold -1"),
        ("delay_range", replace(DENSE, delay=weight([63], [0])), "delay 63 is out of 0..62"),
        ("bias_without_delay", replace(DENSE, delay=weight([1], [0]), bias=np.array([0, 0])), "leave one out"),
        ("recurrent_delay", replace(DENSE, delay=weight([1], [0]), weight_rec=DENSE.weight), "recurrent"),
        ("no_bias", replace(CONV, bias=np.array([-3])), "bias -3"),
        ("kernel_range", replace(CONV, groups=128), "128 is above 127"),
        ("decay_range", replace(CONV, neuron=Cuba(80, np.array([4097]), 0)), "current_decay 4097 is out of 0..4096"),
        ("threshold_exact", replace(DENSE, neuron=Cuba(np.array([1, 4096]), 0, 0)), "4096 is out of 0..4095"),
        ("threshold_exact", replace(DENSE, neuron=SigmaDelta(1 << 19)), "524288 is out of 0..524287; scale"),
        ("parameter_shape", replace(DENSE, neuron=Cuba(80, 0, np.zeros(3, int))), r"shape \(3,\); it takes .*, \(2,\)"),
        ("loaded_by_lava", replace(CONV, kind="pool"), "Lava loads no pool layers"),
        ("chain", Input("late", (1, 4, 3), Delta(1)), r"takes \(1, 4, 3\), is fed \(1, 4, 4\)"),
        ("chain", replace(CONV, input_shape=(1, 1, 4)), r"takes \(1, 1, 4\), is fed"),
        ("chain", replace(CONV, stride=(1, 1), dilation=(4, 1)), r"gives maps of shape \(1, 0, 3\)"),
        ("chain", replace(DENSE, weight=weight([2, 4, 6])), r"takes \(3,\), is fed"),
    ],
)
def test_refused(rule, layer, says, tmp_path):
    shape = (2,) if isinstance(layer, Dense) else (1, 4, 4)
    description = NetworkDescription(shape, (layer,))
    assert rule in {each.rule for each in violations(description)}
    with pytest.raises(NetXError, match=f"layer {layer.name}: .*{says}") as caught:
        write_network(tmp_path / "refused.net", description)
    assert f"[{rule}]" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_networks_without_violations():
    assert violations(NetworkDescription((2,), (DENSE, replace(DENSE, neuron=Cuba(1 << 17, 0, 0))))) == []
    assert violations(NetworkDescription((1, 4, 4), (CONV,))) == []
    assert violations(NetworkDescription((2,), ())) != []


def test_rules_of_the_whole_network():
    delta, sigma = Input("in", (2,), Delta(3)), replace(DENSE, neuron=Sigma(), name="out")
    whole = NetworkDescription((2,), (delta, replace(DENSE, neuron=SigmaDelta(3)), sigma))
    assert violations(whole) == []
    assert [str(f) for f in violations(replace(whole, average=2))] == [
        "layer average: Lava loads no average layer; use one output neuron per class [loaded_by_lava]"
    ]
    assert "3 groups do not divide the 2 neurons" in str(violations(replace(whole, average=3))[0])
    late = replace(whole, layers=(whole.layers[1], delta))
    assert "takes values, but is layer 1; it can only come first" in str(violations(late)[0])
    assert "no layers" in str(violations(replace(whole, layers=(delta,)))[0])
    heavy = replace(DENSE, weight=np.full((2, 2), 254), neuron=Cuba(80, 0, 0))
    assert overflow_warnings(NetworkDescription((2,), (heavy, heavy))) != []
    messages = NetworkDescription((2,), (delta, heavy, sigma))
    assert overflow_warnings(messages) == [], "sums of messages have no bound"


def test_worst_case_current_is_reached_and_never_exceeded():
    from aoi.engine import Engine

    for decay in (0, 1, 100, 1024, 4096):
        layer = replace(DENSE, neuron=Cuba(4095, decay, 4096))
        spikes = np.stack([np.ones((2, 200)), np.eye(2)[:, [0] * 200]])
        u = Engine(NetworkDescription((2,), (layer,))).run(spikes, return_traces=True).traces[0].u
        assert u.max() <= worst_case_current(layer, 200)
    assert worst_case_current(replace(DENSE, neuron=Cuba(0, 4096, 0))) == 14 << 6
    assert worst_case_current(replace(DENSE, neuron=Cuba(0, 0, 0)), steps=10) == 140 << 6
    heavy = replace(DENSE, weight=np.full((2, 600), 254), neuron=Cuba(80, 1024, 0))
    assert overflow_warnings(NetworkDescription((600,), (DENSE, heavy)))[0].startswith(
        "layer hidden: current can reach"
    )
    assert overflow_warnings(NetworkDescription((2,), (DENSE,))) == []


def lava_weights(weight: np.ndarray, recurrent: np.ndarray | None) -> tuple[list[np.ndarray], int]:
    """The matrices that Lava's synapses multiply by, and the exponent that they apply to the sums."""
    from lava.lib.dl.netx.utils import optimize_weight_bits
    from lava.utils.weightutils import clip_weights, determine_sign_mode, truncate_weights

    both = weight if recurrent is None else np.hstack((weight, recurrent))
    shifted, bits, exponent, _ = optimize_weight_bits(both)
    held = []
    for matrix in np.split(shifted, [weight.shape[1]], axis=1):
        if matrix.size:
            sign = determine_sign_mode(matrix)
            held.append(truncate_weights(clip_weights(matrix, sign, 8), sign, bits))
    return held, exponent


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_effective_weights_equal_lava_for_every_spike_pattern():
    from aoi.compat import enable_netx

    enable_netx()
    rng = np.random.default_rng(0)
    patterns = (np.arange(8) >> np.arange(3)[:, None]) & 1
    compared = altered = refused = 0
    for _ in range(3000):
        limit, step = rng.integers(1, 257), 2 ** rng.integers(0, 5)
        signs = (lambda w: w, np.abs, lambda w: -np.abs(w))
        matrices = [signs[rng.integers(3)](rng.integers(-limit, limit + 1, (2, 3)) // step * step) for _ in range(2)]
        first, second = (np.clip(matrix, -256, 254) for matrix in matrices)
        recurrent = second if rng.random() < 0.5 else None
        try:
            effective = effective_weights(first, recurrent)
        except NetXError:
            refused += 1
            continue
        held, exponent = lava_weights(first, recurrent)
        for matrix, ours in zip(held, effective, strict=False):
            np.testing.assert_array_equal((matrix @ patterns) >> -exponent, ours @ patterns)
        compared += 1
        altered += (effective[0] != first).any()
    assert min(compared / 100, altered, refused) > 20
