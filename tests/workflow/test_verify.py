"""What a comparison covered, and what it blames a difference on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import aoi
from aoi.netx import Cuba, Dense, NetworkDescription, write_network


def stored(path: Path, *layers: Dense) -> aoi.Network:
    write_network(path, NetworkDescription((layers[0].weight.shape[1],), layers))
    return aoi.load(path)


def dense(name: str, outputs: int, inputs: int, weight: int = 2, threshold: int = 64) -> Dense:
    weights = np.full((outputs, inputs), weight, np.int32)
    weights[0, 0] = -weight  # both signs, as Lava keeps the weights then
    return Dense(name, weights, Cuba(threshold, 1024, 128))


def test_silent_layers_are_named(tmp_path: Path) -> None:
    """Inputs that all spike do not reach the threshold of the second layer."""
    network = stored(tmp_path / "a.net", dense("0", 4, 40, weight=60), dense("1", 3, 4, threshold=4000))
    found = aoi.verify(network, against="engine", steps=12)
    assert found.equal
    assert found.silent_layers == ["1"]
    assert found.coverage["0"]["fired"] == 1.0
    assert found.coverage["1"]["fired"] == 0.0
    assert "never fired" in repr(found)


def test_random_input_gets_denser_until_every_layer_fires(tmp_path: Path) -> None:
    network = stored(tmp_path / "a.net", dense("0", 6, 8, weight=12, threshold=300))
    sparse = aoi.Engine(network).run(aoi_random(network, 0.05)).spikes.sum()
    found = aoi.verify(network, against="engine", steps=12, rate=0.05)
    assert sparse == 0
    assert found.silent_layers == []
    assert float(found.input.removeprefix("random:")) > 0.05


def aoi_random(network: aoi.Network, rate: float) -> np.ndarray:
    from aoi.workflow.verify import random_input

    return random_input(network, 8, 12, rate)[0]


def test_voltages_of_slayer_beyond_24_bits(tmp_path: Path) -> None:
    """SLAYER goes on where the chip and Lava clip; the message says so instead of blaming the engine."""
    weights = np.full((2, 64), -254, np.int32)
    weights[1] = 2
    layer = Dense("0", weights, Cuba(64, 0, 0))
    network = stored(tmp_path / "a.net", layer)
    inputs = np.ones((1, 64, 20), np.uint8)
    found = aoi.verify(network, inputs, against="slayer", samples=1)
    assert not found.equal
    assert found.coverage["0"]["saturated"] == 0.5
    assert found.first_mismatch is not None
    assert "beyond the 24 bits in which the chip clips it at -8388607" in found.first_mismatch


@pytest.mark.slow
def test_slow_steps_are_waited_for(tmp_path: Path) -> None:
    """A sample may take longer than the time limit, as long as steps go on."""
    from aoi_deploy.lava.trace import lava_trace

    wide = Dense("0", np.tile(np.array([[2, -2]], np.int32), (6000, 1500)), Cuba(64, 1024, 128))
    network = stored(tmp_path / "a.net", wide)
    steps: list[int] = []
    inputs = (np.random.default_rng(0).random((1, 3000, 60)) < 0.5).astype(np.uint8)
    trace = lava_trace(network, inputs, timeout_s=1.2, progress=lambda done, total: steps.append(done))
    assert trace[0].s.shape == (1, 6000, 60)
    assert steps == sorted(steps)
