"""``training.chunk_steps``: training and validation give the same results as with all steps at once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from aoi.errors import ConfigError
from aoi.experiment.config import TrainingConfig, config_folder, load_config
from aoi.experiment.network import ConvSpec, DenseSpec, NetworkSpec
from aoi.experiment.regulariser import RegulariserConfig
from aoi_models.network import AnytimeNetwork
from aoi_models.training.module import AnytimeModule
from aoi_models.training.train import fit

SPIKES = (torch.rand(6, 2, 9, 9, 20, generator=torch.Generator().manual_seed(0)) < 0.3).to(torch.uint8)
LABELS = torch.arange(6) % 3


class Module(AnytimeModule):
    """Runs without Lightning's trainer."""

    global_step = global_rank = current_epoch = 0  # type: ignore[assignment]

    def log(self, name: str, value: torch.Tensor, **_: object) -> None:  # type: ignore[override]
        self.logged[name] = value.item()


def module(config: TrainingConfig) -> Module:
    torch.manual_seed(0)
    layers = (ConvSpec(channels=4, kernel=3, stride=2, weight_scale=3), DenseSpec(neurons=20, weight_scale=3))
    network = AnytimeNetwork.from_spec(NetworkSpec(layers=layers, readout_weight_scale=3), (2, 9, 9), 3)
    result = Module(network, config, seed=0, total_steps=1, classes=("a", "b", "c"))
    result.logged = {}
    return result


@pytest.mark.parametrize("name", ["str", "rate", "none"])
def test_training_step_and_validation_are_the_same(name: str) -> None:
    config = TrainingConfig(epochs=1, regulariser=RegulariserConfig(name=name, wrong=True))
    whole, chunked = module(config), module(config.model_copy(update={"chunk_steps": 7}))
    for each in (whole, chunked):
        each.training_step((SPIKES, LABELS), 0).backward()
        each.on_validation_epoch_start()
        with torch.no_grad():
            each.validation_step((SPIKES, LABELS), 0)
    assert len(whole.logged) == 9 + (name != "none")
    assert chunked.logged == pytest.approx(whole.logged, rel=1e-5)
    assert torch.equal(chunked.factors, whole.factors)
    gradients = [[p.grad for p in each.network.parameters() if p.grad is not None] for each in (whole, chunked)]
    assert len(gradients[0]) == 3
    for a, b in zip(*gradients, strict=True):
        assert float(a.abs().max()) > 0
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-5 * float(a.abs().max()))


def test_rcs_refuses_chunks() -> None:
    changes = [("training.chunk_steps", 4), ("training.regulariser", {"name": "rcs"})]
    with pytest.raises(ConfigError, match=r"training\.chunk_steps = 4: RCS"):
        load_config(config_folder() / "digits.yaml", changes)
    assert load_config(config_folder() / "digits.yaml", changes[:1]).training.chunk_steps == 4


def test_cuda_refuses_chunks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    config = load_config(config_folder() / "digits.yaml", [("training.chunk_steps", 4)])
    unused = SimpleNamespace()
    with pytest.raises(ConfigError, match=r"training\.chunk_steps = 4: .*CUDA"):
        fit(unused, config, unused, unused, unused)  # type: ignore[arg-type]
