"""Which process this is among those that train together, as torchrun or srun say. No torch here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Processes:
    """This process among those that train together."""

    rank: int = 0
    world_size: int = 1
    local_world_size: int = 1
    """Processes on this machine."""
    starter: Literal["none", "torchrun", "slurm"] = "none"

    @property
    def first(self) -> bool:
        """The one that writes files and messages."""
        return self.rank == 0


def processes() -> Processes:
    """From torchrun's variables; else from srun's, where it started several tasks; else one process."""
    number = {name: int(text) for name, text in os.environ.items() if text.isdecimal()}
    if {"RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"} <= number.keys() and "TORCHELASTIC_RUN_ID" in os.environ:
        return Processes(number["RANK"], number["WORLD_SIZE"], number["LOCAL_WORLD_SIZE"], "torchrun")
    if number.get("SLURM_STEP_NUM_TASKS", 1) > 1 and {"SLURM_PROCID", "SLURM_STEP_NUM_NODES"} <= number.keys():
        tasks = number["SLURM_STEP_NUM_TASKS"]
        return Processes(number["SLURM_PROCID"], tasks, tasks // number["SLURM_STEP_NUM_NODES"], "slurm")
    return Processes()
