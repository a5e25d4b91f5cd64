"""The choices that commands, configuration files and functions share. Importing it costs nothing."""

from __future__ import annotations

from typing import Literal, get_args

from aoi.errors import DataError

Split = Literal["train", "validation", "calibration", "test"]
"""Which part of a data set."""

Readout = Literal["spikes", "voltage"]
"""What the output layer is read by: accumulated spike counts, or membrane voltages of a layer that never fires."""

Model = Literal["fused", "stock"]
"""How Lava runs a network: as one process, or as lava-dl's graph of processes."""

Target = Literal["sim", "loihi", "slurm"]
"""Where a deployment runs."""

OnNode = Literal["sim", "loihi"]
"""Where a Slurm job runs the network on its node."""

Against = Literal["all", "lava", "slayer", "engine"]
"""What the engine is compared with; engine: with its own live steps."""

RuleName = Literal[
    "fixed", "confidence", "entropy", "gap", "conformal", "patience", "int-confidence", "int-gap"
]  # in the order of aoi.cutoff.rules.RULES
"""A stopping rule."""

Temperature = Literal["shared", "step"]
"""The temperature of the confidence: one for all steps, or one for each."""

CorruptionKind = Literal["drop", "noise", "jitter", "hot"]
"""What makes recordings worse: lost events, noise events, time jitter, hot pixels."""

SPLITS: tuple[Split, ...] = get_args(Split)


def parse_split(text: str) -> Split:
    """The split of this name, in upper or lower case. Raises DataError where there is none."""
    name = text.lower()
    for split in SPLITS:
        if name == split:
            return split
    raise DataError(f"split {text!r}: is not one of {', '.join(SPLITS)}")
