"""The Lightning module: loss and regulariser on an AnytimeNetwork, and its metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning
import torch

from aoi.errors import CheckFailed
from aoi.experiment.config import TrainingConfig
from aoi_models.losses import readout_loss
from aoi_models.network import AnytimeNetwork
from aoi_models.regularisers.base import build
from aoi_models.regularisers.hidden import Hidden, run_observed
from aoi_models.regularisers.layer_sums import layer_sums
from aoi_models.regularisers.str_factor import spatial_temporal_factor
from aoi_models.training.augment import augment
from aoi_models.training.event_augment import augment_events, mirror_table

Batch = tuple[torch.Tensor, torch.Tensor]  # spikes uint8 (N, C, H, W, T), labels int64 (N,)


class _OneCycle(torch.optim.lr_scheduler.OneCycleLR):
    """OneCycleLR whose state holds plain values only: torch 2.3 stores a function in it, which needs unpickling."""

    def state_dict(self) -> dict[str, Any]:
        return {key: value for key, value in super().state_dict().items() if key != "anneal_func"}


class AnytimeModule(lightning.LightningModule):
    """Trains ``network``. All random draws of a step depend on (seed, step) only, so a resumed run repeats them."""

    def __init__(
        self, network: AnytimeNetwork, config: TrainingConfig, seed: int, total_steps: int, classes: Sequence[str]
    ) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.seed = seed
        self.total_steps = total_steps
        self.mirror = mirror_table(config.augment.mirror, classes)
        self.regulariser = build(config.regulariser)

    def training_step(self, batch: Batch, _: int) -> torch.Tensor:
        spikes, labels = batch
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.global_step + (self.global_rank << 48))
        spikes, labels = augment_events(spikes.float(), labels, self.config.augment, generator, self.mirror)
        spikes = augment(spikes, self.config.augment, generator)
        scores, hidden = run_observed(self.network, spikes, self.config.chunk_steps, self.regulariser is not None)
        loss = self._loss(scores, labels)
        if labels.is_floating_point():  # mixed samples: the class of the larger share counts as correct
            labels = labels.argmax(1)
        correct = scores.argmax(1) == labels[:, None]
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("train_accuracy", correct[:, -1].float().mean(), on_step=False, on_epoch=True, prog_bar=True)
        if self.regulariser is not None:
            penalty = self.regulariser(hidden, correct, self.current_epoch)
            self.log("train_penalty", penalty, on_step=False, on_epoch=True)
            loss = loss + penalty
        if not torch.isfinite(loss):
            raise CheckFailed(
                f"epoch {self.current_epoch + 1}, step {self.global_step + 1}: the loss is {float(loss.detach())}: "
                "training has diverged; lower training.learning_rate or training.loss.gain"
            )
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        spikes, labels = batch
        scores, hidden = run_observed(self.network, spikes, self.config.chunk_steps)
        correct = (scores.argmax(1) == labels[:, None]).float()
        size = len(labels)
        self.log("val_loss", self._loss(scores, labels), batch_size=size)
        self.log("val_accuracy", correct[:, -1].mean(), prog_bar=True, batch_size=size)
        self.log("val_accuracy_over_time", correct.mean(), prog_bar=True, batch_size=size)
        sums = [layer_sums(*layer) for layer in hidden]
        factors = (spatial_temporal_factor(Hidden(each, at.threshold)) for each, at in zip(sums, hidden, strict=True))
        stf = torch.stack([factor.sum(0) for factor in factors])
        rate = torch.stack([each.sent.sum(0) / each.neurons for each in sums])
        self._factor_sums.append(torch.stack([stf, rate], dim=-1))  # (layers, T, 2)
        self._factor_samples += size
        for index, (factor, spikes) in enumerate(zip(stf, rate, strict=True)):
            self.log(f"rate_layer{index}", spikes.mean() / size, batch_size=size)
            self.log(f"stf_layer{index}", factor.mean() / size, batch_size=size)

    def on_validation_epoch_start(self) -> None:
        self._factor_sums: list[torch.Tensor] = []
        self._factor_samples = 0

    @property
    def factors(self) -> torch.Tensor:
        """STF and spikes per neuron, float32 (layers, T, 2), averaged over the recordings of the last validation."""
        return torch.stack(self._factor_sums).sum(0) / self._factor_samples

    def _loss(self, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        weights = (block.block.synapse.weight for block in self.network.blocks)  # type: ignore[union-attr]
        return readout_loss(scores, labels, self.config.loss, weights)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.network.parameters(), lr=self.config.learning_rate)
        schedule = _OneCycle(optimizer, self.config.learning_rate, self.total_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
