"""Observing stock SLAYER blocks in a user's own module and training loop."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import aoi_models.regularisers
from aoi.engine import Engine
from aoi.experiment.network import ConvSpec, DenseSpec, NetworkSpec
from aoi.netx.read import read_network
from aoi_deploy.lava.trace import lava_trace
from aoi_models.blocks import slayer
from aoi_models.network import AnytimeNetwork
from aoi_models.regularisers import Observed, observe, spatial_temporal_factor, str_penalty
from aoi_models.regularisers.hidden import run_observed

cuba = slayer.block.cuba
NEURON = {"threshold": 1.0, "current_decay": 0.4, "voltage_decay": 0.1, "tau_grad": 0.1, "scale_grad": 1.0}
STEPS = 12


class UserNetwork(nn.Module):
    """A user's module: a sequence of blocks, each with SLAYER's step of delay."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def dense(readout: nn.Module | None = None, **options: object) -> UserNetwork:
    torch.manual_seed(0)
    first = cuba.Dense(NEURON, 20, 16, weight_scale=3, **options)
    second = cuba.Dense(NEURON, 16, 12, weight_scale=3, **options)
    return UserNetwork(first, second, readout or cuba.Dense(NEURON, 12, 4, weight_scale=3))


def spikes(*shape: int) -> torch.Tensor:
    return (torch.rand(*shape, STEPS, generator=torch.Generator().manual_seed(1)) < 0.4).float()


def delayed(x: torch.Tensor, steps: int = 1) -> torch.Tensor:
    return functional.pad(x, (steps, 0))[..., : x.shape[-1]]


def test_spikes_are_the_output_of_the_block_one_step_later() -> None:
    net, x = dense(), spikes(3, 20)
    with observe(net) as layers:
        output = net(x)
    assert len(layers) == 3
    sent = x
    for block, layer in zip(net.blocks, layers, strict=True):
        sent = block(sent)
        assert torch.equal(delayed(layer.activity.spikes), sent)
        assert layer.threshold == 1.0
        assert layer.activity.spikes.any()
    assert torch.equal(delayed(layers[-1].activity.spikes), output)
    assert list(layers.hidden) == list(layers)[:2]


def test_voltage_is_the_neurons() -> None:
    net, x = dense(), spikes(3, 20)
    with observe(net) as layers:
        net(x)
    block = net.blocks[0]
    current, voltage = block.neuron.dynamics(block.synapse(x))
    assert torch.equal(layers[0].activity.voltage, voltage)
    assert torch.equal(layers[0].activity.current, current)
    assert torch.equal(layers[0].activity.spikes > 0, voltage > 1.0)


def test_observing_changes_nothing() -> None:
    plain, watched, x = dense(), dense(), spikes(3, 20)
    plain(x).sum().backward()
    with observe(watched):
        watched(x).sum().backward()
    for ours, theirs in zip(watched.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)
        if theirs.grad is not None:
            assert torch.equal(ours.grad, theirs.grad)


def hooks_and_attributes(module: nn.Module) -> Iterator[tuple[str, list[str], int, int]]:
    for name, part in module.named_modules():
        yield name, sorted(vars(part)), len(part._forward_hooks), len(part._forward_pre_hooks)


def test_module_is_restored_also_after_an_error() -> None:
    net, x = dense(), spikes(3, 20)
    net(x)
    before = list(hooks_and_attributes(net))
    with observe(net):
        net(x)
        assert list(hooks_and_attributes(net)) != before
    assert list(hooks_and_attributes(net)) == before
    with pytest.raises(ZeroDivisionError), observe(net):
        raise ZeroDivisionError
    assert list(hooks_and_attributes(net)) == before
    assert not [name for name in vars(net.blocks[0].neuron) if name in ("dynamics", "spike")]


def test_observers_can_be_nested_and_repeated() -> None:
    net, x = dense(), spikes(3, 20)
    with observe(net) as outer:
        with observe(net.blocks[1]) as inner:
            net(x)
        assert torch.equal(inner[0].activity.spikes, outer[1].activity.spikes)
        net(1 - x)
    assert len(inner) == 1
    assert not torch.equal(inner[0].activity.spikes, outer[1].activity.spikes)  # the last pass counts
    with observe(net) as again:
        net(1 - x)
    assert torch.equal(again[1].activity.spikes, outer[1].activity.spikes)


def test_dropout_and_axonal_delays() -> None:
    net, x = dense(delay=True), spikes(3, 20)
    for block in net.blocks[:2]:
        block.neuron.drop = slayer.neuron.Dropout(p=0.5)
    net(x)  # SLAYER draws delays at the first call
    with torch.no_grad():
        net.blocks[0].delay.delay.fill_(3.0)
    torch.manual_seed(7)
    with observe(net) as layers:
        net(x)
    dropped = layers[0].activity
    assert set(dropped.spikes.unique().tolist()) == {0.0, 2.0}  # dropout scales the spikes that it keeps
    assert ((dropped.voltage > 1.0) & (dropped.spikes == 0)).any()
    net.eval()
    with observe(net) as layers:
        net(x)
    assert torch.equal(
        delayed(layers[0].activity.spikes, 4), net.blocks[0](x)
    )  # one step of the block, three of the axonal delay
    assert torch.equal(layers[0].activity.spikes > 0, layers[0].activity.voltage > 1.0)


def test_layer_that_never_fires_is_the_readout() -> None:
    integrator = cuba.Affine({**NEURON, "current_decay": 1.0, "voltage_decay": 0.0}, 12, 4, weight_scale=3)
    net, x = dense(integrator), spikes(3, 20)
    with observe(net) as layers:
        output = net(x)
    assert math.isinf(layers[-1].threshold)
    assert torch.equal(layers[-1].activity.voltage, output)
    assert not layers[-1].activity.spikes.any()
    assert len(layers.hidden) == 2
    assert layers.aligned[1].activity.spikes.shape == (3, 12, STEPS - 2)  # an Affine block has no delay


def test_with_a_readout_without_neurons_all_layers_are_hidden() -> None:
    net, x = dense(cuba.Affine(NEURON, 12, 4, weight_scale=3, dynamics=False)), spikes(3, 20)
    with observe(net) as layers:
        net(x)
    assert len(layers.hidden) == len(layers) == 2


def test_feature_maps_pooling_and_bare_neurons() -> None:
    torch.manual_seed(0)
    net = UserNetwork(
        cuba.Conv(NEURON, 2, 4, 3, padding=1, weight_scale=3),
        cuba.Pool(NEURON, 2, weight_scale=3),
        cuba.Flatten(),
        nn.Sequential(slayer.synapse.Dense(36, 5, weight_scale=3), slayer.neuron.cuba.Neuron(**NEURON)),
    )
    with observe(net) as layers:
        output = net(spikes(2, 2, 6, 6))
    assert [tuple(layer.activity.spikes.shape[1:-1]) for layer in layers] == [(4, 6, 6), (4, 3, 3), (5,)]
    assert torch.equal(layers[-1].activity.spikes, output)  # no step of delay
    assert [layer.activity.spikes.shape[-1] for layer in layers.aligned] == [STEPS - 2] * 2


def test_layers_are_in_execution_order() -> None:
    class Backwards(UserNetwork):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.blocks[0](self.blocks[1](x))

    net = Backwards(cuba.Dense(NEURON, 16, 4), cuba.Dense(NEURON, 20, 16))
    with observe(net) as layers:
        net(spikes(2, 20))
    assert [layer.activity.spikes.shape[1] for layer in layers] == [16, 4]


def test_errors_name_the_layer() -> None:
    with pytest.raises(ValueError, match="Linear: holds no SLAYER layer"), observe(nn.Linear(2, 2)):
        pass
    net = dense()
    with observe(net) as layers:
        for access in (len, list, lambda each: each.hidden, lambda each: each.aligned, lambda each: each[0]):
            with pytest.raises(RuntimeError, match="no SLAYER layer has run"):
                access(layers)
    with (
        pytest.raises(ValueError, match=r"layer blocks\.3 is a Recurrent block"),
        observe(UserNetwork(*net.blocks, cuba.Recurrent({**NEURON}, 4, 4))),  # a copy, as SLAYER changes the dictionary
    ):
        pass
    alif = {"threshold": 1, "threshold_step": 0.5, "current_decay": 1, "voltage_decay": 1, "threshold_decay": 1}
    with (
        pytest.raises(ValueError, match=r"layer blocks\.0 has neurons of .*alif"),
        observe(UserNetwork(slayer.block.alif.Dense({**alif, "refractory_decay": 1}, 4, 4))),
    ):
        pass
    with (
        pytest.raises(ValueError, match=r"layer blocks\.0 sends graded spikes"),
        observe(UserNetwork(cuba.Dense({**NEURON, "graded_spike": True}, 4, 4))),
    ):
        pass
    with observe(net.blocks):
        net.blocks[0](spikes(2, 20))
        with pytest.raises(RuntimeError, match="layer 0 ran twice"):
            net.blocks[0](spikes(2, 20))


def observed(net: nn.Module, x: torch.Tensor) -> Observed:
    with observe(net) as layers:
        net(x)
    return layers


def test_penalty_lowers_the_factor() -> None:
    net, x = dense(), spikes(6, 20)
    correct = torch.ones(6, STEPS, dtype=torch.bool)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.05)
    factors = []
    for _ in range(25):
        layers = observed(net, x).hidden
        factors.append([float(spatial_temporal_factor(layer).mean().detach()) for layer in layers])
        optimiser.zero_grad()
        str_penalty(layers, correct, target=0.05).backward()
        for block in net.blocks[:2]:
            assert block.synapse.weight.grad.abs().sum() > 0
        optimiser.step()
    for before, after in zip(factors[0], factors[-1], strict=True):
        assert after < 0.85 * before


def test_equals_anytime_network_of_the_same_blocks() -> None:
    torch.manual_seed(0)
    conv = ConvSpec(channels=4, kernel=3, stride=2, padding=1, weight_scale=3)
    spec = NetworkSpec(layers=(conv, DenseSpec(neurons=20, weight_scale=2)), readout="spikes")
    ours, x = AnytimeNetwork.from_spec(spec, (2, 8, 8), 3), spikes(6, 2, 8, 8)
    stock = UserNetwork(ours.blocks[0].block, cuba.Flatten(), ours.blocks[1].block, ours.blocks[2].block)
    output = stock(functional.pad(x, (0, 3)))
    layers = observed(stock, functional.pad(x, (0, 3))).aligned
    scores, hidden = run_observed(ours, x, None)
    assert torch.equal(output[..., 3:].cumsum(-1), scores)
    correct = torch.rand(6, STEPS, generator=torch.Generator().manual_seed(2)) < 0.5
    options = {"target": (0.1, 0.2), "early_target": 0.7, "correct_at": "step", "weight_steps": 4.0}
    for mine, theirs in zip(layers, hidden, strict=True):
        assert torch.allclose(spatial_temporal_factor(mine), spatial_temporal_factor(theirs))
        assert spatial_temporal_factor(mine).any()
    weight = ours.blocks[0].block.synapse.weight
    values = [str_penalty(each, correct, **options) for each in (layers, hidden)]
    gradients = [torch.autograd.grad(value, weight)[0] for value in values]
    assert torch.allclose(*values)
    assert torch.allclose(*gradients, rtol=1e-3, atol=1e-3 * float(gradients[0].abs().max()))


def test_aligned_refuses_a_run_that_is_too_short() -> None:
    net = dense()
    with pytest.raises(ValueError, match="a run of 3 steps"):
        _ = observed(net, spikes(2, 20)[..., :3]).aligned


def test_public_names_import() -> None:
    for name in aoi_models.regularisers.__all__:
        assert getattr(aoi_models.regularisers, name).__module__.startswith("aoi_models.regularisers") or name == (
            "Regulariser"
        )
    assert set(aoi_models.regularisers.__all__) == set(aoi_models.regularisers._HOMES)


def test_export_of_stock_blocks_runs_bit_exactly(tmp_path: Path) -> None:
    """With weight norm, dropout, trained decays and axonal delays."""
    net, x = dense(delay=True, weight_norm=True), spikes(3, 20)
    net(x)
    with torch.no_grad():
        for index, block in enumerate(net.blocks):
            block.neuron.drop = slayer.neuron.Dropout(p=0.3)
            block.neuron.current_decay += 3.4 + index
            block.neuron.voltage_decay -= 2.6 * index
        net.blocks[0].delay.delay.copy_(torch.linspace(0, 5.9, 16))
        net.blocks[1].delay.delay.copy_(torch.linspace(70, 0.2, 12))  # SLAYER clamps at 62
    net.eval()
    with h5py.File(tmp_path / "own.net", "w") as file:
        for index, block in enumerate(net.blocks):
            block.export_hdf5(file.create_group(f"layer/{index}"))
    with torch.no_grad(), observe(net) as layers:
        output = net(functional.pad(x, (0, 3)))[..., 3:]
        # NetX applies the axonal delay before the neuron, which delays its voltage and spikes.
        sent = [block.delay(layer.activity.spikes) for block, layer in zip(net.blocks, layers.aligned, strict=False)]
    inputs = x.numpy().astype(np.uint8)
    network = read_network(tmp_path / "own.net")
    of_engine = Engine(network.description).run(inputs, return_traces=True).traces
    of_lava = lava_trace(network, inputs)
    for mine, engine, lava in zip([*sent, output], of_engine, of_lava, strict=True):
        assert engine.s.any()
        np.testing.assert_array_equal(mine > 0, engine.s > 0)
        np.testing.assert_array_equal(engine.s, lava.s)


# What the script ends with.
RUN_SCRIPT = """
import json, runpy, sys
end = runpy.run_path(sys.argv[1])
found = {name: getattr(end["verified"], name) for name in ("equal", "executors")}
found |= {name: getattr(end["evaluated"], name) for name in ("full_accuracy", "mean_decision_step")}
found |= {"accuracy_at_T": float(end["accuracy_over_time"][-1]), "different": end["different"]}
print(json.dumps(found | {"in_lava": float(sum(end["right"]) / len(end["right"]))}))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_tutorial_script(nmnist_folder: Path, tmp_path: Path) -> None:
    """Runs docs/tutorials/own_slayer_script.py like a user."""
    script = Path(__file__).parents[2] / "docs" / "tutorials" / "own_slayer_script.py"
    marked = re.findall(r"# STR (\d)$", script.read_text(), re.MULTILINE)
    assert marked == [str(line + 1) for line in range(len(marked))]
    assert len(marked) <= 5
    environment = {**os.environ, "AOI_DATA_DIR": str(nmnist_folder)}
    run = subprocess.run(
        [sys.executable, "-c", RUN_SCRIPT, str(script)],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["accuracy_at_T"] >= 0.9
    assert found["different"] == [0, 0, 0]
    assert found["equal"]
    assert found["executors"] == ["engine", "slayer", "lava"]
    assert found["full_accuracy"] == pytest.approx(found["accuracy_at_T"])
    assert found["mean_decision_step"] < 25
    assert found["in_lava"] >= 0.8  # of 50 recordings
