"""The Lightning module: TET + regulariser on an AnytimeNetwork, and what is logged."""

from __future__ import annotations

from typing import Any

import lightning
import torch

from models.network import AnytimeNetwork
from toolchain.training.augment import augment
from toolchain.training.config import TrainingConfig
from toolchain.training.losses import tet_loss
from toolchain.training.regularisers.base import Hidden, build
from toolchain.training.regularisers.str_factor import spatial_temporal_factor

Batch = tuple[torch.Tensor, torch.Tensor]  # spikes uint8 (N, C, H, W, T), labels int64 (N,)


class _OneCycle(torch.optim.lr_scheduler.OneCycleLR):
    """One cycle whose state is plain values: torch 2.3 keeps a function in it, which only unpickling could restore."""

    def state_dict(self) -> dict[str, Any]:
        return {key: value for key, value in super().state_dict().items() if key != "anneal_func"}


class AnytimeModule(lightning.LightningModule):
    """Trains ``network``. All randomness of a step comes from (seed, step), so that a resumed run repeats it."""

    def __init__(self, network: AnytimeNetwork, config: TrainingConfig, seed: int, total_steps: int) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.seed = seed
        self.total_steps = total_steps
        self.regulariser = build(config.regulariser)

    def training_step(self, batch: Batch, _: int) -> torch.Tensor:
        spikes, labels = batch
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.global_step)
        response = self.network(augment(spikes.float(), self.config.augment, generator))
        loss = tet_loss(response.scores, labels, self.config.loss)
        correct = response.scores[..., -1].argmax(1) == labels
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("train_accuracy", correct.float().mean(), on_step=False, on_epoch=True, prog_bar=True)
        if self.regulariser is not None and self.current_epoch >= self.config.regulariser.warmup_epochs:
            penalty = self.regulariser(self._hidden(response.layers), correct)
            self.log("train_penalty", penalty, on_step=False, on_epoch=True)
            loss = loss + penalty
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        spikes, labels = batch
        response = self.network(spikes.float())
        right = (response.scores.argmax(1) == labels[:, None]).float()
        size = len(labels)
        self.log("val_loss", tet_loss(response.scores, labels, self.config.loss), batch_size=size)
        self.log("val_accuracy", right[:, -1].mean(), prog_bar=True, batch_size=size)
        self.log("val_accuracy_over_time", right.mean(), prog_bar=True, batch_size=size)
        for index, layer in enumerate(self._hidden(response.layers)):
            self.log(f"rate_layer{index}", layer.activity.spikes.mean(), batch_size=size)
            self.log(f"stf_layer{index}", spatial_temporal_factor(*layer).mean(), batch_size=size)

    def _hidden(self, layers: list[Any]) -> list[Hidden]:
        """The layers that hand something on: the readout's spikes are the answer, the loss alone shapes them."""
        pairs = list(zip(layers, self.network.blocks, strict=True))[:-1]
        return [Hidden(layer, block.threshold) for layer, block in pairs]

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.network.parameters(), lr=self.config.learning_rate)
        schedule = _OneCycle(optimizer, self.config.learning_rate, self.total_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
