"""Rank and number of the processes of a distributed training, from torchrun or srun. Does not import torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Processes:
    """This process among all that train one network together."""

    rank: int = 0
    world_size: int = 1
    local_world_size: int = 1
    """Processes on this machine."""
    launcher: Literal["none", "torchrun", "slurm"] = "none"

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and messages."""
        return self.rank == 0


def processes() -> Processes:
    """Reads torchrun's environment variables, or srun's if it started several tasks; otherwise a single process."""
    number = {name: int(text) for name, text in os.environ.items() if text.isdecimal()}
    if {"RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"} <= number.keys() and "TORCHELASTIC_RUN_ID" in os.environ:
        return Processes(number["RANK"], number["WORLD_SIZE"], number["LOCAL_WORLD_SIZE"], "torchrun")
    if number.get("SLURM_STEP_NUM_TASKS", 1) > 1 and {"SLURM_PROCID", "SLURM_STEP_NUM_NODES"} <= number.keys():
        tasks = number["SLURM_STEP_NUM_TASKS"]
        return Processes(number["SLURM_PROCID"], tasks, tasks // number["SLURM_STEP_NUM_NODES"], "slurm")
    return Processes()
