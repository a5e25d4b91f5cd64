"""Choices that commands, functions and network files share."""

from __future__ import annotations

from typing import Literal

Split = Literal["train", "validation", "calibration", "test"]
Readout = Literal["spikes", "voltage"]
Model = Literal["fused", "stock"]
"""How a network stands in Lava: as one process on the engine, or as lava-dl's graph of processes."""
Target = Literal["sim", "loihi", "slurm"]
OnNode = Literal["sim", "loihi"]
Against = Literal["all", "lava", "slayer", "engine"]
Temperature = Literal["shared", "step"]
