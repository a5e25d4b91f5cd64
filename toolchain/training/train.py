"""``train``: data → run folder. Interrupted at any moment, ``resume`` goes on to the same weights."""

from __future__ import annotations

import logging
import sys
import warnings
from dataclasses import dataclass
from typing import Any

import lightning
import numba
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from safetensors.torch import load_file, save_file

from models.network import AnytimeNetwork
from toolchain.errors import ConfigError
from toolchain.events.spikes import SpikeData
from toolchain.files import atomic_path
from toolchain.training.batches import batches
from toolchain.training.config import ExperimentConfig
from toolchain.training.module import AnytimeModule
from toolchain.training.run_folder import RunFolder


@dataclass(frozen=True)
class TrainingResult:
    epochs: int
    val_accuracy: float
    val_accuracy_over_time: float
    best_epoch: int


def build_network(config: ExperimentConfig, input_shape: tuple[int, int, int], classes: int) -> AnytimeNetwork:
    """The untrained network of ``config``, with its seed's initial weights."""
    torch.manual_seed(config.seed)
    return AnytimeNetwork.from_spec(config.network, input_shape, classes)


def fit(
    config: ExperimentConfig,
    train: SpikeData,
    validation: SpikeData,
    run: RunFolder,
    *,
    resume: bool = False,
    progress: bool | None = None,
) -> TrainingResult:
    """Trains and leaves the best weights by validation in ``run.weights``.

    The best epoch is the one with the highest validation accuracy, averaged over timesteps: a network that is right
    early and at T. Lightning's checkpoints are read without unpickling (``weights_only``).
    """
    if resume and not run.last_checkpoint.is_file():
        raise ConfigError(f"{run.path}: nothing to resume ({run.last_checkpoint.name} is missing); leave out --resume")
    _quiet()
    options = config.training
    torch.set_num_threads(options.threads)
    numba.set_num_threads(min(options.threads, numba.config.NUMBA_NUM_THREADS))
    channels, height, width, _ = train.shape
    network = build_network(config, (channels, height, width), len(train.classes))
    loader = batches(train, options.batch_size, config.seed, shuffle=True)
    module = AnytimeModule(network, options, config.seed, total_steps=len(loader) * options.epochs)
    checkpoint = ModelCheckpoint(
        run.checkpoints, filename="best", monitor="val_accuracy_over_time", mode="max", save_last=True,
        enable_version_counter=False,
    )  # fmt: skip
    show = sys.stderr.isatty() if progress is None else progress
    callbacks: list[Any] = [checkpoint]
    if show:
        callbacks.append(RichProgressBar())
    trainer = lightning.Trainer(
        max_epochs=options.epochs,
        callbacks=callbacks,
        logger=[
            CSVLogger(run.logs, name="csv", version=""),
            TensorBoardLogger(run.logs, name="tensorboard", version=""),
        ],
        default_root_dir=run.path,
        enable_progress_bar=show,
        enable_model_summary=False,
        deterministic="warn",  # CUDA has no deterministic cumsum
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        accelerator="gpu" if torch.cuda.is_available() else "cpu",
        devices=1,
    )
    trainer.fit(
        module,
        loader,
        batches(validation, 128, config.seed, shuffle=False),
        ckpt_path=str(run.last_checkpoint) if resume else None,
        weights_only=True,
    )
    if trainer.interrupted:
        raise KeyboardInterrupt
    best = torch.load(checkpoint.best_model_path, weights_only=True, map_location="cpu")
    network.load_state_dict({key.removeprefix("network."): value for key, value in best["state_dict"].items()})
    with atomic_path(run.weights) as temporary:
        save_file(network.state_dict(), temporary)
    metrics = _validate(network, validation)
    return TrainingResult(options.epochs, metrics[0], metrics[1], int(best["epoch"]) + 1)


@torch.no_grad()
def _validate(network: AnytimeNetwork, data: SpikeData) -> tuple[float, float]:
    network.eval()
    right = torch.cat(
        [network(x.float()).scores.argmax(1) == y[:, None] for x, y in batches(data, 128, 0, shuffle=False)]
    ).float()
    return float(right[:, -1].mean()), float(right.mean())


def load_network(run: RunFolder, input_shape: tuple[int, int, int], classes: int) -> AnytimeNetwork:
    """The trained network of a run folder, in eval mode."""
    if not run.weights.is_file():
        raise ConfigError(f"{run.path}: {run.weights.name} is missing; let aoi train finish (aoi train … --resume)")
    network = build_network(run.read_config(), input_shape, classes)
    try:
        network.load_state_dict(load_file(run.weights))
    except Exception as error:
        raise ConfigError(
            f"{run.weights}: does not hold this run's weights: {' '.join(str(error).split())[:200]}"
        ) from None
    return network.eval()


def _quiet() -> None:
    """Lightning's advice on loaders and devices is for other set-ups."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\..*")
    warnings.filterwarnings("ignore", message=r".*does not have many workers.*")
