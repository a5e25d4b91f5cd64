"""``train``: data → run folder. Interrupted at any moment, ``resume`` continues to the same weights.

Under torchrun, or srun with several tasks, the processes share each batch and average their gradients (DDP); each
validates on all recordings, so that all agree on the best epoch, and the first writes.
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

from aoi.errors import ConfigError
from aoi.events.spikes import SpikeData
from aoi.experiment.config import ExperimentConfig
from aoi.experiment.run_folder import RunFolder
from aoi.files import atomic_path
from aoi_models.network import AnytimeNetwork
from aoi_models.regularisers.hidden import run_observed
from aoi_models.regularisers.str_factor import spatial_temporal_factor
from aoi_models.training.batches import Share, batches
from aoi_models.training.factors import FactorLog
from aoi_models.training.module import AnytimeModule
from aoi_models.training.processes import Processes, processes


@dataclass(frozen=True)
class TrainingResult:
    epochs: int
    val_accuracy: float
    val_accuracy_over_time: float
    kept_epoch: int
    seconds: float  # wall time of the epochs that this process trained
    samples_per_s: float  # trained, validation included in the time


def build_network(config: ExperimentConfig, input_shape: tuple[int, int, int], classes: int) -> AnytimeNetwork:
    """The untrained network of ``config``, with its seed's initial weights."""
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
    """Trains ``network`` and leaves in ``run.weights`` those of the epoch that ``training.keep`` names.

    The best epoch is the one with the highest validation accuracy, averaged over timesteps: a network that is right
    early and at T. Checkpoints are read without unpickling (``weights_only``).
    """
    _quiet()
    options = config.training
    # In this order: numba starts its threads here, and sets the number that OpenMP has, torch's too, to all cores.
    numba.set_num_threads(min(options.threads, numba.config.NUMBA_NUM_THREADS))
    torch.set_num_threads(options.threads)
    gpu = torch.cuda.is_available()
    if gpu and options.chunk_steps is not None:
        raise ConfigError(
            f"training.chunk_steps = {options.chunk_steps}: SLAYER's kernels, which run on CUDA, take all steps at "
            "once; leave it out"
        )
    first = int(_load(run.last_checkpoint)["epoch"]) + 1 if resume else 0
    place = processes()
    if place.world_size > options.batch_size:
        raise ConfigError(
            f"training.batch_size = {options.batch_size}: {place.world_size} processes share a batch; "
            "start fewer, or set a larger one"
        )
    loader = batches(train, options.batch_size, config.seed, shuffle=True, share=Share(place.rank, place.world_size))
    module = AnytimeModule(network, options, config.seed, len(loader) * options.epochs, train.classes)
    best = _Checkpoint(
        run.checkpoints,
        filename="best",
        monitor="val_accuracy_over_time",
        mode="max",
        enable_version_counter=False,
    )
    # Of its own, and after the best, which it remembers: Lightning's save_last writes together with a best one only.
    last = _Checkpoint(run.checkpoints, filename="last", enable_version_counter=False)
    show = sys.stderr.isatty()
    trainer = lightning.Trainer(
        max_epochs=options.epochs,
        callbacks=[best, last, FactorLog(run.logs), RichProgressBar() if show else _ProgressLines()],
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
        accelerator="gpu" if gpu else "cpu",
        devices=place.local_world_size,
        num_nodes=place.world_size // place.local_world_size,
        strategy="ddp" if place.world_size > 1 else "auto",
        plugins=[_environment(place)],
        use_distributed_sampler=False,  # ours divides each batch
    )
    began = time.perf_counter()
    try:
        trainer.fit(
            module,
            loader,
            batches(validation, 128, config.seed, shuffle=False),
            ckpt_path=str(run.last_checkpoint) if resume else None,
            weights_only=True,
        )
    except SystemExit:  # Lightning's answer to Ctrl-C
        raise KeyboardInterrupt from None
    seconds = time.perf_counter() - began
    kept = _load(run.checkpoints / f"{options.keep}.ckpt")
    network.load_state_dict({key.removeprefix("network."): value for key, value in kept["state_dict"].items()})
    if place.rank == 0:
        with atomic_path(run.weights) as temporary:
            save_file(network.state_dict(), temporary)
    at_end, over_time = _validate(network, validation, options.chunk_steps)
    speed = len(train) * (options.epochs - first) / seconds
    return TrainingResult(options.epochs, at_end, over_time, int(kept["epoch"]) + 1, seconds, speed)


def _environment(place: Processes) -> ClusterEnvironment:
    """Named, so that Lightning does not guess: inside any Slurm job it would count that job's tasks, and requeue it."""
    if place.starter == "torchrun":
        return TorchElasticEnvironment()
    return SLURMEnvironment(auto_requeue=False) if place.starter == "slurm" else LightningEnvironment()


class _Checkpoint(ModelCheckpoint):
    """Knows the best epoch of a run folder that was moved or copied: the paths that it kept are those of before."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        def here(path: str) -> str:
            return str(Path(self.dirpath or "") / Path(path).name) if path else path

        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        moved = {key: here(state_dict[key]) for key in paths}
        best = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **moved, "best_k_models": best, "dirpath": self.dirpath})


class _ProgressLines(lightning.Callback):
    """Where no bar can move, in a log file or a job's output: ten lines over the run."""

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs or 1
        if trainer.is_global_zero and (epoch % max(1, epochs // 10) == 0 or epoch == epochs):
            accuracy = float(trainer.callback_metrics["val_accuracy"])
            print(f"epoch {epoch} of {epochs}: validation accuracy at T {accuracy:.4f}", file=sys.stderr, flush=True)


def _load(checkpoint: Path) -> dict[str, Any]:
    try:
        content = torch.load(checkpoint, weights_only=True, map_location="cpu")
        if not {"state_dict", "epoch", "loops", "optimizer_states"} <= content.keys():
            raise ValueError("it is not a checkpoint of this toolchain")
    except FileNotFoundError:
        raise ConfigError(f"{checkpoint}: there is no checkpoint to resume from; train without resume") from None
    except Exception as error:
        reason = " ".join(str(error).split())[:80]
        raise ConfigError(f"{checkpoint}: is damaged ({reason}); overwrite instead of resume starts anew") from None
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
    """STF of each hidden layer at each step, (layers, T), mean over the recordings."""
    network.eval()
    total = torch.zeros(())
    for x, y in batches(data, 128, 0, shuffle=False):
        _, hidden = run_observed(network, x, chunk_steps)
        total = total + torch.stack([spatial_temporal_factor(layer).mean(0) for layer in hidden]) * len(y)
    return [[float(value) for value in layer] for layer in total / len(data)]


def load_network(run: RunFolder, input_shape: tuple[int, int, int], classes: int) -> AnytimeNetwork:
    """The trained network of a run folder, in eval mode."""
    if not run.weights.is_file():
        raise ConfigError(f"{run.path}: {run.weights.name} is missing; let the training finish; resume continues it")
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
