"""The zoo: each network exports, and the engine executes the file with the same spikes as in training."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from aoi.command import aoi_command
from aoi.engine import Engine
from aoi.errors import ConfigError
from aoi.experiment.network import DenseSpec, NetworkSpec, NeuronSpec
from aoi.experiment.zoo import expand, names
from aoi.netx.read import read_network
from aoi.netx.write import write_network
from aoi_models.blocks import dense_block
from aoi_models.network import STATE_UNIT, AnytimeNetwork

ZOO = Path(__file__).parents[2] / "models/aoi_models/zoo"
INPUTS = {"dense": (2, 16, 16), "conv": (2, 34, 34), "vgg": (2, 48, 48), "audio": (1, 1, 64)}


def exported(name: str, folder: Path) -> tuple[AnytimeNetwork, Path]:
    """A network with random weights and delays, and its file."""
    torch.manual_seed(0)
    network = AnytimeNetwork.from_spec(NetworkSpec.model_validate(expand(f"zoo:{name}")), INPUTS[name], 10).eval()
    for block in network.blocks:
        if block.block.delay is not None:
            block.block.delay.delay.data.uniform_(0, 5)
    path = folder / f"{name}.net"
    write_network(path, network.describe())
    return network, path


def test_all_are_tested() -> None:
    assert set(names()) == INPUTS.keys()


@pytest.mark.parametrize("name", INPUTS)
def test_engine_equals_training(name: str, tmp_path: Path) -> None:
    network, path = exported(name, tmp_path)
    spikes = (np.random.default_rng(0).random((3, *INPUTS[name], 12)) < 0.2).astype(np.uint8)
    with torch.no_grad():
        response = network(torch.from_numpy(spikes).float(), keep_current=True)
    description = read_network(path).description
    run = Engine(description).run(spikes.reshape(3, *description.input_shape, 12), return_traces=True)
    for layer, trace, block in zip(response.layers, run.traces, network.blocks, strict=True):
        assert np.array_equal(layer.sent.numpy() > 0, trace.s > 0)
        if block.block.delay is None:  # the chip delays a layer's input, SLAYER its output
            assert np.array_equal((layer.current * STATE_UNIT).numpy().astype(np.int64), trace.u)
        assert block is network.blocks[-1] or trace.s.any()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dense", "audio"])
def test_lava_equals_engine(name: str, tmp_path: Path) -> None:
    _, path = exported(name, tmp_path)
    command = [*aoi_command(), "verify", str(path), "--against", "lava"]
    command += ["--input", "random:0.2", "--samples", "2", "--steps", "8"]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), timeout=280)
    assert done.returncode == 0, done.stderr


def test_digits_network_has_the_numbers_of_its_card() -> None:
    file = ZOO / "digits.net"
    assert file.stat().st_size < 300_000
    command = [*aoi_command(), "evaluate", str(file), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    card = {row[0]: row[1:] for row in table_rows((ZOO / "digits.md").read_text())}
    assert card["accuracy"][0].startswith(f"{found['full_accuracy']:.4f} ")
    assert card["accuracy"][1].startswith(f"{found['accuracy']:.4f} ")
    assert card["mean decision step"][0] == str(found["steps"])
    assert card["mean decision step"][1].startswith(f"{found['mean_decision_step']:.2f} ")
    for row, key in (("spikes", "spikes"), ("synaptic operations", "operations")):
        # Tighter than one recording; the last digit depends on the processor.
        counts = [float(cell.replace(",", "")) for cell in card[row]]
        assert counts == pytest.approx([found[key]["full"], found[key]["until_decision"]], rel=0.01)
    network = read_network(file)
    weights = np.concatenate([layer.weight.ravel() for layer in network.description.layers])
    assert f"from {weights.min():.0f} to {weights.max():.0f}; " in card["layers"][0]
    assert f"{found['threshold']:.5f} at scale {found['scale']:.4f}" in card["cutoff"][0]


def table_rows(card: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in card.splitlines() if line.startswith("|")]


def test_digits_network_holds_no_local_path() -> None:
    network = read_network(ZOO / "digits.net")
    assert network.metadata is not None
    assert network.metadata.policy is not None
    assert "/" not in network.metadata.model_dump_json()


def test_zoo_networks_by_name_with_changes() -> None:
    assert expand("zoo:conv")["readout"] == "voltage"
    changed = expand({"zoo": "conv", "readout": "spikes"})
    assert changed["readout"] == "spikes"
    assert changed["layers"] == expand("zoo:conv")["layers"]
    with pytest.raises(ConfigError, match=r"zoo:resnet.*audio, conv, dense, vgg"):
        expand("zoo:resnet")


def test_recurrent_layer_without_recurrent_weights_equals_dense() -> None:
    torch.manual_seed(0)
    spec = DenseSpec(neurons=30, weight_scale=3, recurrent=True)
    loop = dense_block(spec, 20, NeuronSpec())
    plain = dense_block(spec.model_copy(update={"recurrent": False}), 20, NeuronSpec())
    plain.block.load_state_dict(loop.block.state_dict())
    x = (torch.rand(4, 20, 15) < 0.3).float()
    with_loop = loop(x).spikes
    with torch.no_grad():
        loop.recurrent.weight.zero_()
    weights = torch.randn(4, 30, 15)
    for block in (loop, plain):
        done = block(x, keep_current=True)
        ((done.spikes + done.voltage + done.current) * weights).sum().backward()
    assert torch.equal(loop(x).spikes, plain(x).spikes)
    mine, theirs = loop.block.synapse.weight.grad, plain.block.synapse.weight.grad
    assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-5 * float(theirs.abs().max()))
    assert loop.recurrent.weight.grad.abs().max() > 0
    assert not torch.equal(with_loop, plain(x).spikes)
