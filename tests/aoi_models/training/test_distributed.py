"""Distributed training with two processes on the CPU (gloo)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from aoi.command import aoi_command
from aoi.events.encoding import Encoding
from aoi.events.opening import open_dataset
from aoi.events.spikes import load_spikes
from aoi_models.training.batches import Shard, batches
from aoi_models.training.processes import Processes, processes

ROOT = Path(__file__).parents[3]


def test_processes_split_each_batch(tmp_path: Path) -> None:
    dataset = open_dataset("digits")
    data = load_spikes(
        dataset, range(41), Encoding(sensor_size=dataset.sensor_size, window_us=300_000, bins=4), cache_dir=tmp_path
    )
    alone = [labels for _, labels in batches(data, 8, 3, shuffle=True)]
    shards = [[labels for _, labels in batches(data, 8, 3, shuffle=True, shard=Shard(k, 2))] for k in range(2)]
    for whole, first, second in zip(alone[:-1], *(each[:-1] for each in shards), strict=True):
        assert torch.equal(whole[::2], first)
        assert torch.equal(whole[1::2], second)
    assert [len(each[-1]) for each in (alone, *shards)] == [1, 1, 1]  # both processes get the last batch, of one sample


def test_rank_and_world_size_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RUN_ID", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    assert processes() == Processes()
    for name, value in {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3", "SLURM_STEP_NUM_NODES": "2"}.items():
        monkeypatch.setenv(name, value)
    assert processes() == Processes(3, 4, 2, "slurm")
    for name, value in {
        "RANK": "1",
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "TORCHELASTIC_RUN_ID": "x",
    }.items():
        monkeypatch.setenv(name, value)
    assert processes() == Processes(1, 2, 2, "torchrun")
    assert not processes().first


def trained(run: Path, *more: str, processes: int = 1) -> float:
    """Test accuracy at T on the digits after a few epochs."""
    launch = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}", "-m", "--"] if processes > 1 else ["-m"]
    options = ["train", "configs/digits.yaml", "--run", str(run), "--set", "training.epochs=12"]
    options += ["--set", "network.readout=voltage", *more]  # with spike counts, some short trainings lose a class
    for command in (
        [sys.executable, *launch, "aoi.cli", *options],
        [*aoi_command(), "export", str(run)],
    ):
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True, timeout=500)
    command = [*aoi_command(), "evaluate", str(run / "network.net"), "--json"]
    found = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, timeout=300)
    return float(json.loads(found.stdout)["full_accuracy"])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_processes_reach_the_accuracy_of_one(tmp_path: Path) -> None:
    alone = [trained(tmp_path / f"seed{seed}", "--set", f"seed={seed}") for seed in range(3)]
    together = trained(tmp_path / "together", processes=2)
    spread = float(np.std(alone, ddof=1))
    assert abs(together - np.mean(alone)) <= max(3 * spread, 0.02), (alone, together)
