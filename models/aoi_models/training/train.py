"""Trains a network into a run folder. A run interrupted at any moment and resumed ends with the same weights.

Under torchrun, or srun with several tasks, the processes split each batch and average their gradients (DDP). Each
validates on all recordings, so all agree on the best epoch; rank 0 writes the files.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numba
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from safetensors.torch import load_file, save_file

from aoi.errors import ConfigError, WriteError
from aoi.events.spikes import SpikeData
from aoi.experiment.config import ExperimentConfig
from aoi.experiment.run_folder import RunFolder
from aoi.files import atomic_path
from aoi_models.network import AnytimeNetwork
from aoi_models.regularisers.hidden import run_observed
from aoi_models.regularisers.str_factor import spatial_temporal_factor
from aoi_models.training.batches import Shard, batches
from aoi_models.training.factors import FactorLog
from aoi_models.training.module import AnytimeModule
from aoi_models.training.processes import Processes, processes

_LOG = logging.getLogger("aoi")


@dataclass(frozen=True)
class TrainingResult:
    """Validation accuracies of the kept weights, and the speed of the training."""

    epochs: int
    val_accuracy: float  # at T
    val_accuracy_over_time: float  # mean over the timesteps
    kept_epoch: int  # from 1
    seconds: float  # wall time of the epochs that this process trained
    samples_per_s: float  # training samples per second of wall time, validation included


def build_network(config: ExperimentConfig, input_shape: tuple[int, int, int], classes: int) -> AnytimeNetwork:
    """The untrained network of ``config``; its initial weights depend only on ``config.seed``."""
    torch.manual_seed(config.seed)
    return AnytimeNetwork.from_spec(config.network, input_shape, classes)


def fit(
    network: AnytimeNetwork,
    config: ExperimentConfig,
    train: SpikeData,
    validation: SpikeData,
    run: RunFolder,
    *,
    resume: bool = False,
) -> TrainingResult:
    """Trains ``network``; writes the weights of the epoch that ``training.keep`` names to ``run.weights``.

    The best epoch has the highest validation accuracy averaged over timesteps, which rewards a network that is correct
    both early and at T. Checkpoints are read without unpickling (``weights_only``). Raises ConfigError if the
    configuration does not suit this machine, or if there is no readable checkpoint to resume from.
    """
    _silence_lightning()
    options = config.training
    # numba first: it starts its threads here and sets OpenMP's thread count, and thereby torch's, to all cores.
    numba.set_num_threads(min(options.threads, numba.config.NUMBA_NUM_THREADS))
    torch.set_num_threads(options.threads)
    gpu = torch.cuda.is_available()
    if gpu and options.chunk_steps is not None:
        raise ConfigError(
            f"training.chunk_steps = {options.chunk_steps}: on CUDA, SLAYER's kernels compute all steps at once; "
            "leave chunk_steps out"
        )
    first_epoch = int(_load_checkpoint(run.last_checkpoint)["epoch"]) + 1 if resume else 0
    group = processes()
    if group.world_size > options.batch_size:
        raise ConfigError(
            f"training.batch_size = {options.batch_size}: smaller than the number of processes, {group.world_size}; "
            "start fewer processes, or set a larger batch size"
        )
    loader = batches(train, options.batch_size, config.seed, shuffle=True, shard=Shard(group.rank, group.world_size))
    module = AnytimeModule(network, options, config.seed, len(loader) * options.epochs, train.classes)
    best = _Checkpoint(
        run.checkpoints,
        filename="best",
        monitor="val_accuracy_over_time",
        mode="max",
        enable_version_counter=False,
    )
    # A second callback: Lightning's save_last writes only when a best checkpoint is written. It has to come after
    # ``best``, whose state it stores.
    last = _Checkpoint(run.checkpoints, filename="last", enable_version_counter=False)
    interactive = sys.stderr.isatty()
    trainer = lightning.Trainer(
        max_epochs=options.epochs,
        callbacks=[best, last, FactorLog(run.logs), RichProgressBar() if interactive else _ProgressLines()],
        logger=[
            CSVLogger(run.logs, name="csv", version=""),
            TensorBoardLogger(run.logs, name="tensorboard", version=""),
        ],
        default_root_dir=run.path,
        enable_progress_bar=interactive,
        enable_model_summary=False,
        deterministic="warn",  # CUDA has no deterministic cumsum
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        accelerator="gpu" if gpu else "cpu",
        devices=group.local_world_size,
        num_nodes=group.world_size // group.local_world_size,
        strategy="ddp" if group.world_size > 1 else "auto",
        plugins=[_cluster_environment(group)],
        use_distributed_sampler=False,  # our sampler splits each batch
    )
    start = time.perf_counter()
    try:
        trainer.fit(
            module,
            loader,
            batches(validation, 128, config.seed, shuffle=False),
            ckpt_path=str(run.last_checkpoint) if resume else None,
            weights_only=True,
        )
    except SystemExit:  # how Lightning ends after Ctrl-C
        raise KeyboardInterrupt from None
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        lines = str(error).splitlines() or [""]
        reason = (error.strerror if isinstance(error, OSError) else None) or lines[0]
        if isinstance(error, RuntimeError) and not any(text in reason for text in _DISK):
            raise
        raise WriteError(
            f"{run.path}: the training cannot be written ({reason}); free space on its disk, then resume"
        ) from None
    seconds = time.perf_counter() - start
    kept = _load_checkpoint(run.checkpoints / f"{options.keep}.ckpt")
    network.load_state_dict({key.removeprefix("network."): value for key, value in kept["state_dict"].items()})
    if group.first:
        with atomic_path(run.weights) as temporary:
            save_file(network.state_dict(), temporary)
    at_end, over_time = _validate(network, validation, options.chunk_steps)
    speed = len(train) * (options.epochs - first_epoch) / seconds
    return TrainingResult(options.epochs, at_end, over_time, int(kept["epoch"]) + 1, seconds, speed)


_DISK = ("unexpected pos", "file write failed", "No space left", "PytorchStreamWriter")  # of torch on a full disk


def _cluster_environment(group: Processes) -> ClusterEnvironment:
    """Named explicitly: in any Slurm job Lightning would otherwise count that job's tasks, and requeue it."""
    if group.launcher == "torchrun":
        return TorchElasticEnvironment()
    return SLURMEnvironment(auto_requeue=False) if group.launcher == "slurm" else LightningEnvironment()


class _Checkpoint(ModelCheckpoint):
    """Finds the best epoch in a run folder that was moved or copied: its state holds the paths of the old folder."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        def relocate(path: str) -> str:
            return str(Path(self.dirpath or "") / Path(path).name) if path else path

        keys = ("best_model_path", "kth_best_model_path", "last_model_path")
        paths = {key: relocate(state_dict[key]) for key in keys}
        best = {relocate(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "best_k_models": best, "dirpath": self.dirpath})


class _ProgressLines(lightning.Callback):
    """Logs ten lines of progress per run where there is no terminal for a bar, such as a log file."""

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs or 1
        if trainer.is_global_zero and (epoch % max(1, epochs // 10) == 0 or epoch == epochs):
            accuracy = float(trainer.callback_metrics["val_accuracy"])
            _LOG.info("epoch %d of %d: validation accuracy at T %.4f", epoch, epochs, accuracy)


def _load_checkpoint(checkpoint: Path) -> dict[str, Any]:
    try:
        content = torch.load(checkpoint, weights_only=True, map_location="cpu")
        if not {"state_dict", "epoch", "loops", "optimizer_states"} <= content.keys():
            raise ValueError("not a checkpoint of this toolchain")
    except FileNotFoundError:
        raise ConfigError(f"{checkpoint}: no checkpoint to resume from; train without resume") from None
    except Exception as error:
        reason = " ".join(str(error).split())[:80]
        raise ConfigError(f"{checkpoint}: is damaged ({reason}); train again with overwrite, not resume") from None
    return dict(content)


@torch.no_grad()
def _validate(network: AnytimeNetwork, data: SpikeData, chunk_steps: int | None) -> tuple[float, float]:
    network.eval()
    correct = torch.cat(
        [
            run_observed(network, x, chunk_steps)[0].argmax(1) == y[:, None]
            for x, y in batches(data, 128, 0, shuffle=False)
        ]
    ).float()
    return float(correct[:, -1].mean()), float(correct.mean())


@torch.no_grad()
def spatial_temporal_factors(
    network: AnytimeNetwork, data: SpikeData, chunk_steps: int | None = None
) -> list[list[float]]:
    """STF of each hidden layer at each step, averaged over the recordings: a list of T floats per layer."""
    network.eval()
    total = torch.zeros(())
    for x, y in batches(data, 128, 0, shuffle=False):
        _, hidden = run_observed(network, x, chunk_steps)
        total = total + torch.stack([spatial_temporal_factor(layer).mean(0) for layer in hidden]) * len(y)
    return [[float(value) for value in layer] for layer in total / len(data)]


def load_network(run: RunFolder, input_shape: tuple[int, int, int], classes: int) -> AnytimeNetwork:
    """The trained network of a run folder, in eval mode.

    Raises ConfigError if its weights are missing or belong to another network.
    """
    if not run.weights.is_file():
        raise ConfigError(f"{run.path}: {run.weights.name} is missing; finish the training with resume")
    network = build_network(run.read_config(), input_shape, classes)
    try:
        network.load_state_dict(load_file(run.weights))
    except Exception as error:
        raise ConfigError(
            f"{run.weights}: does not hold the weights of this run ({' '.join(str(error).split())[:200]}); "
            "train again with overwrite"
        ) from None
    return network.eval()


def _silence_lightning() -> None:
    """Hides Lightning's advice on data loaders and devices, which does not apply here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\..*")
    warnings.filterwarnings("ignore", message=r".*does not have many workers.*")
