"""What a report is about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from aoi.cutoff.rule import Decisions, Rule, decide, rule_of_policy
from aoi.engine import Run
from aoi.events.spikes import SpikeData
from aoi.netx.description import Layer
from aoi.netx.metadata import Readout
from aoi.netx.read import NetworkFile
from aoi.report.run_files import LavaRun, lava_run, training_log


@dataclass(frozen=True)
class BoardNote:
    """What is to be said of a board, for people."""

    title: str
    fit: str
    """The verdict, and what stands against it."""
    decision: str | None
    """Energy and time until the decision; None without a rule."""
    full: str
    """Of all T steps."""


@dataclass(frozen=True, eq=False)
class Subject:
    """What a report is about."""

    network: NetworkFile
    data: SpikeData
    split: str
    readout: Readout
    batch: Callable[[np.ndarray], np.ndarray]
    """Indices into ``data`` → spikes in the shape that the network takes, (n, \\*input_shape, T)."""
    run: Run
    """All T steps of all recordings, without traces."""
    summary: dict[str, Any]
    """Of the file's rule, from :func:`aoi.evaluation.summary.summarise`."""
    rules: list[Rule]
    """What the explorer offers; the file's own first, if it has one."""
    command: tuple[str, str]
    """``aoi evaluate`` before and after the rule, so that it gives the explorer's numbers."""
    boards: tuple[BoardNote, ...] = ()
    """Fit and cost, which are worked out where deployment is known."""
    share: tuple[float, float] | None = None
    """Of the energy of all steps, what a decision takes at least and at most, on any board."""
    folder: Path | None = None
    """The run folder, for the course of training and what Lava measured."""

    @cached_property
    def own(self) -> Rule | None:
        """The rule that the network file holds."""
        metadata = self.network.metadata
        return rule_of_policy(metadata.policy) if metadata and metadata.policy else None

    @cached_property
    def decisions(self) -> Decisions:
        """Of the file's rule."""
        return decide(self.own, self.run.scores)

    @cached_property
    def lava(self) -> dict[str, LavaRun]:
        """What the run folder holds of deployments: "deploy" with the cutoff, "deploy-full" without."""
        if self.folder is None:
            return {}
        expected = {"deploy": self.decisions, "deploy-full": decide(None, self.run.scores)}
        found = {
            name: lava_run(self.folder, name, self.data.ids, each, self.classes) for name, each in expected.items()
        }
        return {name: each for name, each in found.items() if each}

    @cached_property
    def log(self) -> dict[str, list[float]]:
        """The course of training, column → value after each epoch."""
        return training_log(self.folder) if self.folder else {}

    @property
    def classes(self) -> list[str]:
        """Names of all outputs: the classes, and numbers for outputs beyond them."""
        names = list(self.data.classes)
        return names + [f"output {i}" for i in range(len(names), self.run.scores.shape[1])]

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self.network.description.layers

    @property
    def titles(self) -> list[str]:
        """Names of the layers on the page."""
        return [f"{layer.kind} {layer.name}" for layer in self.layers]

    @property
    def config(self) -> Any:
        """The configuration that the network was trained with, as the file holds it; None without one."""
        metadata = self.network.metadata
        return metadata.provenance.get("config") if metadata else None

    @property
    def name(self) -> str:
        name = self.config.get("name") if isinstance(self.config, dict) else None
        return str(name or self.network.path.stem)
