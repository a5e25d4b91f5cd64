"""The table and the plot of the Spatial-Temporal Factor that training writes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from aoi.experiment.config import TrainingConfig
from aoi.experiment.network import DenseSpec, NetworkSpec
from aoi_models.network import AnytimeNetwork
from aoi_models.regularisers import Hidden, spatial_temporal_factor
from aoi_models.training.factors import FactorLog, plot_factors, read_factors
from aoi_models.training.module import AnytimeModule


def after_validation(log: FactorLog, epoch: int, values: list[list[list[float]]]) -> None:
    log.on_validation_epoch_end(
        SimpleNamespace(current_epoch=epoch),
        SimpleNamespace(factors=torch.tensor(values)),  # type: ignore[arg-type]
    )


def test_table_holds_every_epoch_layer_and_step(tmp_path: Path) -> None:
    log = FactorLog(tmp_path)
    after_validation(log, 0, [[[0.1, 0.01], [0.2, 0.02]], [[0.3, 0.0], [0.4, 0.5]]])
    after_validation(log, 1, [[[0.5, 0.0], [0.5, 0.0]], [[0.5, 0.0], [0.5, 0.0]]])
    assert (tmp_path / "stf.csv").read_text().splitlines()[:3] == [
        "epoch,layer,step,stf,rate",
        "1,0,1,0.1000,0.01000",
        "1,0,2,0.2000,0.02000",
    ]
    rows = read_factors(tmp_path / "stf.csv")
    assert len(rows) == 8
    assert rows[3] == (1, 1, 2, 0.4, 0.5)


def test_resumed_run_continues_after_its_checkpoint(tmp_path: Path) -> None:
    log = FactorLog(tmp_path)
    for epoch in range(3):
        after_validation(log, epoch, [[[0.1 * epoch, 0.0]]])
    resumed = FactorLog(tmp_path)
    resumed.on_fit_start(SimpleNamespace(current_epoch=2), SimpleNamespace())  # type: ignore[arg-type]
    after_validation(resumed, 2, [[[0.7, 0.0]]])
    assert [(row[0], row[3]) for row in read_factors(tmp_path / "stf.csv")] == [(1, 0.0), (2, 0.1), (3, 0.7)]
    fresh = FactorLog(tmp_path)
    fresh.on_fit_start(SimpleNamespace(current_epoch=0), SimpleNamespace())  # type: ignore[arg-type]
    after_validation(fresh, 0, [[[0.9, 0.0]]])
    assert [row[0] for row in read_factors(tmp_path / "stf.csv")] == [1]


def test_plot_has_one_panel_per_layer(tmp_path: Path) -> None:
    from PIL import Image

    widths = []
    for layers in (1, 3):
        rows = [(e, layer, t, 0.5, 0.1) for e in range(1, 9) for layer in range(layers) for t in range(1, 6)]
        plot_factors(rows, tmp_path / "stf.png")
        with Image.open(tmp_path / "stf.png") as image:
            widths.append(image.width)
    assert widths[1] > 2 * widths[0]


def test_module_averages_over_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = AnytimeNetwork.from_spec(NetworkSpec(layers=(DenseSpec(neurons=9, weight_scale=3),)), (1, 4, 4), 3)
    module = AnytimeModule(net, TrainingConfig(epochs=1), seed=0, total_steps=1, classes=("a", "b"))
    monkeypatch.setattr(module, "log", lambda *_, **__: None)  # Lightning's log needs a trainer
    spikes = (torch.rand(5, 1, 4, 4, 6) < 0.5).to(torch.uint8)
    module.on_validation_epoch_start()
    with torch.no_grad():
        for part in (slice(0, 4), slice(4, 5)):
            module.validation_step((spikes[part], torch.zeros(len(spikes[part]), dtype=torch.int64)), 0)
        layer = net(spikes.float()).layers[0]
        stf = spatial_temporal_factor(Hidden(layer, net.blocks[0].threshold)).mean(0)
    assert module.factors.shape == (1, 6, 2)
    assert torch.allclose(module.factors[0, :, 0], stf, atol=1e-6)
    assert torch.allclose(module.factors[0, :, 1], layer.spikes.mean((0, 1)), atol=1e-6)
