"""The subject of a report: network, recordings and results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from aoi.choices import Readout
from aoi.cutoff.rule import Decisions, Rule, decide, rule_of_policy
from aoi.engine import Run
from aoi.events.spikes import SpikeData
from aoi.netx.description import Layer
from aoi.netx.read import NetworkFile
from aoi.report.run_files import LavaRun, lava_run, training_log


@dataclass(frozen=True)
class BoardNote:
    """A row about a board, in words."""

    title: str
    fit: str
    """The verdict, with the first finding."""
    decision: str | None
    """Energy and time until the decision; None without a rule."""
    full: str
    """Energy and time of all T steps."""


@dataclass(frozen=True, eq=False)
class Subject:
    """Everything that a report shows."""

    network: NetworkFile
    data: SpikeData
    split: str
    readout: Readout
    batch: Callable[[np.ndarray], np.ndarray]
    """Indices (n,) into ``data`` → spikes in the network's input shape, (n, \\*input_shape, T)."""
    run: Run
    """The engine's run of all T steps of all recordings, without traces."""
    summary: dict[str, Any]
    """Numbers of the file's rule, from :func:`aoi.evaluation.summary.summarise`."""
    rules: list[Rule]
    """The rules of the explorer; the file's own first, if it has one."""
    command: tuple[str, str]
    """The ``aoi evaluate`` command that gives the explorer's numbers, before and after the rule."""
    boards: tuple[BoardNote, ...] = ()
    """Fit and cost on each board."""
    share: tuple[float, float] | None = None
    """Energy until the decision as a share of that of all steps, lower and upper bound on any board."""
    folder: Path | None = None
    """The run folder, for the training log and results of deployments in Lava."""

    @cached_property
    def file_rule(self) -> Rule | None:
        """The rule in the network file, if it has one."""
        metadata = self.network.metadata
        return rule_of_policy(metadata.policy) if metadata and metadata.policy else None

    @cached_property
    def decisions(self) -> Decisions:
        """The decisions of the file's rule."""
        return decide(self.file_rule, self.run.scores)

    @cached_property
    def lava(self) -> dict[str, LavaRun]:
        """The deployments in the run folder: "deploy" with the cutoff, "deploy-full" without."""
        if self.folder is None:
            return {}
        expected = {"deploy": self.decisions, "deploy-full": decide(None, self.run.scores)}
        found = {
            name: lava_run(self.folder, name, self.data.ids, each, self.classes) for name, each in expected.items()
        }
        return {name: each for name, each in found.items() if each}

    @cached_property
    def log(self) -> dict[str, list[float]]:
        """The training log: column → values after each epoch."""
        return training_log(self.folder) if self.folder else {}

    @property
    def classes(self) -> list[str]:
        """Names of all outputs: the classes, and numbers for further outputs."""
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
        """The training configuration in the network file; None without one."""
        metadata = self.network.metadata
        return metadata.provenance.get("config") if metadata else None

    @property
    def name(self) -> str:
        name = self.config.get("name") if isinstance(self.config, dict) else None
        return str(name or self.network.path.stem)
