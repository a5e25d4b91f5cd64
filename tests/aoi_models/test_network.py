"""AnytimeNetwork: its forward pass against SLAYER's own blocks, and its integer description."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from aoi.errors import ConfigError, NetXError
from aoi.experiment.network import ConvSpec, DenseSpec, NetworkSpec, NeuronSpec
from aoi.netx.description import Cuba, Dense, NetworkDescription
from aoi_models.network import STATE_UNIT, AnytimeNetwork

SHAPE = (2, 9, 8)


@st.composite
def specs(draw: st.DrawFn) -> NetworkSpec:
    convolutions = [
        ConvSpec(
            channels=draw(st.sampled_from([2, 4, 6])),
            kernel=draw(st.sampled_from([1, 3, (2, 3)])),
            stride=draw(st.sampled_from([1, 2])),
            padding=draw(st.sampled_from([0, 1])),
            groups=draw(st.sampled_from([1, 2])),
            weight_scale=3,
        )
        for _ in range(draw(st.integers(0, 2)))
    ]
    dense = [
        DenseSpec(neurons=draw(st.integers(1, 20)), delay=draw(st.booleans()), weight_scale=3)
        for _ in range(draw(st.integers(0 if convolutions else 1, 2)))
    ]
    neuron = NeuronSpec(
        threshold=draw(st.floats(0.2, 4)), current_decay=draw(st.floats(0, 1)), voltage_decay=draw(st.floats(0, 1))
    )
    readout = draw(st.sampled_from(["spikes", "voltage"]))
    return NetworkSpec(layers=(*convolutions, *dense), neuron=neuron, readout=readout, readout_weight_scale=3)


@settings(max_examples=40, deadline=None)
@given(spec=specs(), seed=st.integers(0, 2**31), steps=st.integers(1, 20))
def test_forward_equals_slayer(spec: NetworkSpec, seed: int, steps: int) -> None:
    torch.manual_seed(seed)
    network = AnytimeNetwork.from_spec(spec, SHAPE, 4)
    spikes = (np.random.default_rng(seed).random((3, *SHAPE, steps)) < 0.3).astype(np.uint8)
    for block in network.blocks:
        if block.block.delay is not None:
            block.block.delay.delay.data.uniform_(0, 5)
    network.eval()
    with torch.no_grad():
        response = network(torch.from_numpy(spikes).float(), keep_current=True)
    for layer, trace in zip(response.layers, network.stock_traces(spikes), strict=True):
        assert np.array_equal(layer.sent.numpy() > 0, trace["s"])
        if "u" in trace:
            assert np.array_equal((layer.current * STATE_UNIT).long().numpy(), trace["u"])
    rebuilt = AnytimeNetwork.from_description(network.describe())
    for a, b in zip(network.stock_traces(spikes), rebuilt.stock_traces(spikes), strict=True):
        assert np.array_equal(a["s"], b["s"])


@pytest.mark.parametrize("readout", ["spikes", "voltage"])
@pytest.mark.parametrize("training", [True, False])
def test_gradients_equal_slayer(readout: str, training: bool) -> None:
    torch.manual_seed(0)
    layers = (
        ConvSpec(channels=6, kernel=3, stride=2, padding=1, weight_scale=3),
        ConvSpec(channels=8, kernel=3, groups=2, weight_scale=3),
        DenseSpec(neurons=20, weight_scale=3),
    )
    spec = NetworkSpec(layers=layers, readout=readout, readout_weight_scale=3)  # type: ignore[arg-type]
    network = AnytimeNetwork.from_spec(spec, SHAPE, 4).train(training)
    steps, late = 12, len(network.blocks) - (readout == "voltage")
    spikes = (torch.rand(5, *SHAPE, steps) < 0.3).float()
    weights = torch.randn(5, 4, steps)

    def gradients(output: torch.Tensor) -> list[torch.Tensor]:
        network.zero_grad()
        (output * weights).sum().backward()
        return [block.block.synapse.weight.grad.clone() for block in network.blocks]

    ours = network(spikes)
    theirs = network.stock(torch.nn.functional.pad(spikes, (0, late)))[-1][..., late:]
    last = ours.layers[-1]
    found = last.spikes if readout == "spikes" else last.voltage
    assert torch.equal(found, theirs)
    for mine, slayers in zip(gradients(found), gradients(theirs), strict=True):
        assert torch.isfinite(slayers).all()
        assert slayers.abs().max() > 0
        assert torch.allclose(mine, slayers, rtol=1e-4, atol=1e-5 * float(slayers.abs().max()))


def test_scores_accumulate() -> None:
    torch.manual_seed(0)
    network = AnytimeNetwork.from_spec(NetworkSpec(layers=(DenseSpec(neurons=30, weight_scale=3),)), (1, 5, 5), 3)
    response = network((torch.rand(4, 1, 5, 5, 12) < 0.5).float())
    assert response.scores.shape == (4, 3, 12)
    assert (torch.diff(response.scores, dim=-1) >= 0).all()
    assert response.scores.max() > 0


def test_weights_are_even_eight_bit_integers() -> None:
    spec = NetworkSpec(layers=(DenseSpec(neurons=30, weight_scale=100),))
    weight = AnytimeNetwork.from_spec(spec, (1, 5, 5), 3).describe().layers[0].weight
    assert weight.min() == -256
    assert weight.max() == 254
    assert not (weight % 2).any()


def test_error_names_layer_and_value() -> None:
    with pytest.raises(ConfigError, match=r"layers\[0\]\.kernel = 11.*9x8"):
        AnytimeNetwork.from_spec(NetworkSpec(layers=(ConvSpec(channels=2, kernel=11),)), SHAPE, 3)
    with pytest.raises(ConfigError, match=r"layers\[1\]: a convolution cannot follow a dense"):
        AnytimeNetwork.from_spec(NetworkSpec(layers=(DenseSpec(neurons=3), ConvSpec(channels=2, kernel=1))), SHAPE, 3)
    with pytest.raises(ConfigError, match=r"groups = 3"):
        AnytimeNetwork.from_spec(NetworkSpec(layers=(ConvSpec(channels=2, kernel=1, groups=3),)), SHAPE, 3)
    with pytest.raises(ValidationError, match="less than 64"):
        NeuronSpec(threshold=64)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Dense("0", np.full((2, 3), 2, np.int32), Cuba(64, 2048, 0), bias=np.ones(2, np.int32)), "bias"),
        (Dense("0", np.full((2, 3), 2, np.int32), Cuba(64 * 64, 2048, 0)), "threshold 4096"),
        (
            Dense("0", np.full((2, 3), 2, np.int32), Cuba(64, 2048, 0), weight_rec=np.ones((2, 2), np.int32)),
            "recurrent",
        ),
        (Dense("0", np.full((2, 3), 2, np.int32), Cuba(64, 2048, 0), delay=np.ones((2, 3), np.int32)), "delays"),
    ],
)
def test_layers_that_slayer_executes_differently_are_refused(layer: Dense, reason: str) -> None:
    with pytest.raises(NetXError, match=rf"layer 0: .*{reason}"):
        AnytimeNetwork.from_description(NetworkDescription((3,), (layer,)))
