"""Regularisers on activities small enough to compute by hand."""

from __future__ import annotations

import math

import pytest
import torch

from aoi.experiment.network import ConvSpec, DenseSpec, NetworkSpec
from aoi.experiment.regulariser import RegulariserConfig
from aoi_models.blocks import LayerActivity
from aoi_models.network import AnytimeNetwork
from aoi_models.regularisers import Hidden, build, rate_penalty, rcs_penalty, spatial_temporal_factor, str_penalty
from aoi_models.regularisers.layer_sums import layer_sums, rows
from aoi_models.regularisers.str_factor import target_over_time

NAMES = ("str", "rcs", "rate")


def activity(voltage: list[list[list[float]]], threshold: float = 1.0) -> LayerActivity:
    v = torch.tensor(voltage)  # (N, neurons, T), before the reset
    spikes = (v > threshold).float()
    return LayerActivity(torch.zeros_like(v), v, spikes, spikes)


def penalty(config: RegulariserConfig, layer: LayerActivity, correct: list[list[bool]], epoch: int = 0) -> float:
    regulariser = build(config)
    assert regulariser is not None
    return float(regulariser([Hidden(layer, 1.0)], torch.tensor(correct), epoch))


def test_factor_is_sent_over_sent_and_kept() -> None:
    # Step 1: one neuron fires (1.5), one keeps 0.5. Step 2: none fires, 0.25 is kept, -3 does not count. Step 3: both.
    layer = activity([[[1.5, 0.25, 2.0], [0.5, -3.0, 1.1]]])
    assert torch.allclose(spatial_temporal_factor(Hidden(layer, 1.0)), torch.tensor([[1 / 1.52, 0.0, 2 / 2.02]]))


def test_silent_layer_has_factor_zero() -> None:
    assert spatial_temporal_factor(Hidden(activity([[[0.0, -1.0]]]), 1.0)).tolist() == [[0.0, 0.0]]


def test_sums_do_not_depend_on_memory_order() -> None:
    generator = torch.Generator().manual_seed(0)
    time_first = torch.randn(5, 2, 3, 4, 6, generator=generator)  # (T, N, H, W, C), as the blocks keep it
    voltage = time_first.permute(1, 4, 2, 3, 0)
    spikes = (voltage > 1).float()
    sent, kept, neurons = layer_sums(LayerActivity(voltage, voltage, spikes, spikes), 1.0)
    assert neurons == 72
    assert torch.allclose(sent, spikes.sum((1, 2, 3)))
    assert torch.allclose(kept, (voltage.clamp(min=0) * (voltage <= 1)).sum((1, 2, 3)), atol=1e-5)
    assert rows(voltage).data_ptr() == voltage.data_ptr()  # not copied


def test_wrong_predictions_count_only_on_request() -> None:
    layer = activity([[[1.5, 1.5]], [[0.5, 0.5]]])  # factors 1 / 1.01 and 0
    sent, kept = (1 / 1.01 - 0.25) ** 2, 0.25**2
    config = RegulariserConfig(name="str", strength=2.0, target=0.25)
    at_end = [[False, True], [True, False]]
    assert penalty(config, layer, at_end) == pytest.approx(2 * sent)
    assert penalty(config, layer, [[True, False], [False, True]]) == pytest.approx(2 * kept)
    assert penalty(config, layer, [[True, False]] * 2) == 0.0
    both = config.model_copy(update={"wrong": True})
    assert penalty(both, layer, at_end) == pytest.approx(sent + kept)
    # The wrong prediction has factor 0, its target is 0.1.
    other = both.model_copy(update={"wrong_target": 0.1})
    assert penalty(other, layer, at_end) == pytest.approx(sent + 0.1**2)


def test_correctness_step_by_step() -> None:
    layer = activity([[[1.5, 0.5, 0.5]]])  # factors 1 / 1.01, 0, 0
    config = RegulariserConfig(name="str", strength=1.0, target=0.25, correct="step")
    assert penalty(config, layer, [[True, True, False]]) == pytest.approx(((1 / 1.01 - 0.25) ** 2 + 0.25**2) / 2)
    gated = config.model_copy(update={"wrong": True, "wrong_target": 0.9})
    expected = ((1 / 1.01 - 0.25) ** 2 + 0.25**2 + 0.9**2) / 3
    assert penalty(gated, layer, [[True, True, False]]) == pytest.approx(expected)


def test_target_decays_from_the_early_target_of_each_layer() -> None:
    targets = target_over_time((0.1, 0.3), 3, early_target=0.7, fall_steps=2.0)
    for layer, end in enumerate((0.1, 0.3)):
        expected = [end + (0.7 - end) * math.exp(-t / 2) for t in range(3)]
        assert targets[layer].tolist() == pytest.approx(expected)
    flat = target_over_time((0.2,), 4, early_target=None, fall_steps=2.0)
    assert flat.tolist() == [pytest.approx([0.2] * 4)]


def test_early_steps_can_weigh_more() -> None:
    layer = activity([[[1.5, 0.5, 0.5]]])  # factors 1 / 1.01, 0, 0
    config = RegulariserConfig(name="str", strength=1.0, target=0.25, weight_steps=2.0)
    weight = [math.exp(-t / 2) for t in range(3)]
    expected = (weight[0] * (1 / 1.01 - 0.25) ** 2 + (weight[1] + weight[2]) * 0.25**2) / sum(weight)
    assert penalty(config, layer, [[True] * 3]) == pytest.approx(expected)


def test_warmup_and_ramp() -> None:
    config = RegulariserConfig(strength=2.0, warmup_epochs=2, ramp_epochs=3)
    assert [config.strength_in(epoch) for epoch in range(7)] == [0.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.0]
    layer = activity([[[1.5]]])
    assert penalty(config, layer, [[True]], epoch=1) == 0.0
    assert penalty(config, layer, [[True]], epoch=3) == pytest.approx(penalty(config, layer, [[True]], epoch=9) / 2)


def test_rate_penalty_is_the_squared_relative_deviation() -> None:
    layer = activity([[[1.5, 0.5, 0.5, 0.5]]])  # rate 0.25
    config = RegulariserConfig(name="rate", strength=1.0, target=0.5)
    assert penalty(config, layer, [[False] * 4]) == pytest.approx(0.25**2 / 0.5**2)


def test_rcs_is_smallest_if_all_steps_are_alike() -> None:
    config = RegulariserConfig(name="rcs", strength=1.0)
    steady = activity([[[0.6, 0.6], [0.8, 0.8]]])
    assert penalty(config, steady, [[True] * 2]) == pytest.approx(1.0, abs=1e-3)
    # (1, 0) then (0, 1): each is at 45 degrees from the mean.
    turning = activity([[[2.0, 0.0], [0.0, 2.0]]])
    assert penalty(config, turning, [[True] * 2]) == pytest.approx(math.sqrt(2), abs=1e-3)
    assert penalty(config, turning, [[True, False]]) == 0.0


@pytest.mark.parametrize("config", [RegulariserConfig(name="none"), RegulariserConfig(name="str", strength=0)])
def test_no_regulariser_is_none(config: RegulariserConfig) -> None:
    assert build(config) is None


def network() -> AnytimeNetwork:
    torch.manual_seed(0)
    conv = ConvSpec(channels=4, kernel=3, stride=2, padding=1, weight_scale=3)
    return AnytimeNetwork.from_spec(NetworkSpec(layers=(conv, DenseSpec(neurons=20, weight_scale=2))), (2, 8, 8), 3)


def hidden(net: AnytimeNetwork, spikes: torch.Tensor, sums: bool = False) -> list[Hidden]:
    layers = net(spikes, sums=sums).layers[:-1]
    return [Hidden(layer, block.threshold) for layer, block in zip(layers, net.blocks[:-1], strict=True)]


def input_spikes() -> torch.Tensor:
    return (torch.rand(6, 2, 8, 8, 10, generator=torch.Generator().manual_seed(1)) < 0.3).float()


@pytest.mark.parametrize("target", [0.05, 0.95])
def test_gradient_descent_moves_the_factor_to_its_target(target: float) -> None:
    net, x = network(), input_spikes()
    regulariser = build(RegulariserConfig(name="str", strength=1.0, target=target))
    assert regulariser is not None
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    before = after = torch.zeros(())
    for step in range(12):
        layers = hidden(net, x)
        after = torch.stack([spatial_temporal_factor(layer).mean() for layer in layers]).mean().detach()
        before = after if step == 0 else before
        optimiser.zero_grad()
        regulariser(layers, torch.ones(6, 10, dtype=torch.bool), 0).backward()
        optimiser.step()
    assert (after - before) * (target - before) > 0
    assert (after - target).abs() < 0.8 * (before - target).abs()


def test_gradient_of_str_equals_autograd() -> None:
    config = RegulariserConfig(
        name="str", strength=1.0, target=0.2, early_target=0.7, correct="step", wrong=True, wrong_target=0.8
    )
    regulariser = build(config)
    assert regulariser is not None
    correct = torch.rand(6, 10, generator=torch.Generator().manual_seed(2)) < 0.5
    net, x = network(), input_spikes()
    layers = hidden(net, x, sums=True)
    value = regulariser(layers, correct, 0)
    value.backward()
    ours = [p.grad.clone() for p in net.parameters() if p.grad is not None]
    net.zero_grad()
    layers = hidden(net, x)
    factor = torch.stack([spatial_temporal_factor(layer) for layer in layers])
    target = torch.where(correct, target_over_time((0.2, 0.2), 10, 0.7, config.fall_steps)[:, None], 0.8)
    plain = (factor - target).square().mean()
    plain.backward()
    assert torch.allclose(value, plain)
    torchs = [p.grad for p in net.parameters() if p.grad is not None]
    for mine, theirs in zip(ours, torchs, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))
        assert theirs.any()


@pytest.mark.parametrize("name", ["str", "rate"])
def test_silence_is_not_the_minimum(name: str) -> None:
    config = RegulariserConfig(name=name, strength=1.0, target=0.3)
    steps = [[True, True]]
    silent = penalty(config, activity([[[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]]), steps)
    balanced = penalty(config, activity([[[1.5, 1.5], [0.9, 0.9], [0.9, 0.9]]]), steps)  # 1 of 3 fires
    assert balanced < silent


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_where_layers_are_silent(name: str) -> None:
    net = network()
    regulariser = build(RegulariserConfig(name=name, strength=1.0))
    assert regulariser is not None
    value = regulariser(hidden(net, torch.zeros(2, 2, 8, 8, 5)), torch.ones(2, 5, dtype=torch.bool), 0)
    value.backward()
    assert value.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("sums", [True, False])  # computed by the dynamics, or afterwards
def test_gradient_of_the_sums_equals_autograd(sums: bool) -> None:
    net, x = network(), input_spikes()
    layers = hidden(net, x, sums)
    parameters = [p for p in net.parameters() if p.requires_grad][:2]
    ours = torch.autograd.grad(sum(layer_sums(*each)[0].square().sum() for each in layers), parameters)
    plain = [each.activity.spikes.flatten(1, -2).sum(1) for each in hidden(net, x)]
    torchs = torch.autograd.grad(sum(each.square().sum() for each in plain), parameters)
    assert all(
        torch.allclose(a, b, rtol=1e-4, atol=1e-4 * float(b.abs().max())) for a, b in zip(ours, torchs, strict=True)
    )
    assert float(torchs[0].abs().sum()) > 0


def test_mismatched_arguments_are_refused() -> None:
    layers = [Hidden(activity([[[1.5, 0.5]]]), 1.0)]
    for penalty_of in (str_penalty, rcs_penalty):
        with pytest.raises(ValueError, match=r"correct has shape \(1, 3\).*1 samples and 2 steps"):
            penalty_of(layers, torch.ones(1, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="target: 2 values for 1 hidden layers"):
        str_penalty(layers, torch.ones(1, 2, dtype=torch.bool), target=(0.1, 0.2))
    with pytest.raises(ValueError, match=r"target = 1\.5"):
        rate_penalty(layers, target=1.5)


def test_functions_and_configuration_agree() -> None:
    layers, correct = [Hidden(activity([[[1.5, 0.5]], [[0.5, 0.2]]]), 1.0)], torch.tensor([[True, True], [True, False]])
    by_name = {"str": str_penalty(layers, correct), "rcs": rcs_penalty(layers, correct), "rate": rate_penalty(layers)}
    for name, value in by_name.items():
        regulariser = build(RegulariserConfig(name=name, strength=3.0))
        assert regulariser is not None
        assert float(regulariser(layers, correct, 0)) == pytest.approx(3 * float(value))
