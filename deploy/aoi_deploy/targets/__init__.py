"""Targets of a deployment. A target prepares the work, runs it, and collects the outcomes.

``sim`` and ``loihi`` run in this process (:mod:`aoi_deploy.targets.in_process`); ``slurm`` submits jobs to a cluster
(:mod:`aoi_deploy.targets.cluster`), which run ``sim`` or ``loihi`` on their nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from aoi.choices import Model, OnNode
from aoi.events.spikes import SpikeData
from aoi.netx.read import NetworkFile

if TYPE_CHECKING:
    from aoi.cutoff.rule import Rule
    from aoi_deploy.lava.session import SampleResult


@dataclass(frozen=True)
class Outcome:
    """The decision about one sample, and its cost."""

    index: int  # position among the samples of the work
    prediction: int  # class index
    confidence: float
    decision_step: int  # output step 1..T
    steps_executed: int  # steps that the target executed, L included
    wall_s: float  # from the first step of the sample to its decision


@dataclass(frozen=True, eq=False)
class Work:
    """Samples to run, on which network, with which rule."""

    network: NetworkFile
    spikes: SpikeData
    rule: Rule | None
    """None runs all T steps."""
    model: Model = "fused"
    split: str = "test"

    @property
    def steps(self) -> int:
        return self.spikes.shape[-1]

    def sample(self, index: int) -> np.ndarray:
        """Spikes of one recording, uint8 (\\*input_shape, T)."""
        spikes = self.spikes.batch([index])[0]
        return spikes.reshape(*self.network.description.input_shape, self.steps)

    @staticmethod
    def outcome(result: SampleResult, index: int) -> Outcome:
        """The outcome of sample ``index`` from the result of a session."""
        return Outcome(
            index, result.prediction, result.confidence, result.decision_step, result.steps_executed, result.wall_s
        )


class Target(Protocol):
    """A context manager, which frees its resources however the block ends."""

    def prepare(self, work: Work) -> None:
        """Builds or stores the work. Everything that can be refused is refused here."""

    def run(self) -> Iterator[Outcome]:
        """Runs the work and yields each outcome as soon as it is known."""

    def collect(self) -> list[Outcome]:
        """All outcomes, in the order of the samples."""

    def __enter__(self) -> Target: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Session(Protocol):
    """A compiled network in this process, ready to run samples."""

    rule: Rule | None  # for the next run
    latency: int  # L
    build_s: float  # wall time to compile and start
    run_s: float  # wall time of all runs so far

    def run(
        self, samples: Iterable[np.ndarray], on_result: Callable[[SampleResult], None] | None = None
    ) -> Iterator[SampleResult]: ...

    def close(self) -> None: ...

    def __enter__(self) -> Any: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_session(
    target: OnNode,
    network: NetworkFile,
    *,
    steps: int | None = None,
    rule: Rule | None = None,
    model: Model = "fused",
    board: str | None = None,
    host: str | None = None,
) -> Session:
    """Compiles a network for ``sim``, Lava's simulator, or for ``loihi``, and starts it. The first call takes seconds.

    Args:
        target: ``sim`` or ``loihi``.
        network: the network file.
        steps: T; None: as in the file.
        rule: stopping rule; None runs all T steps.
        model: for ``sim``, as for :class:`~aoi_deploy.lava.session.LavaSession`.
        board: for ``loihi``, name of the board's file.
        host: for ``loihi``, address of the board's host, if it is not behind Slurm.

    Raises:
        NetXError: the target cannot run the file.
        DeployError: T is unknown, a process failed during the build, or the board cannot be reached.
        AoiError: the extension for ``loihi`` is not installed.
    """
    session: Session
    if target == "loihi":
        from aoi_deploy.targets.loihi import LoihiSession

        session = LoihiSession(network, steps=steps, rule=rule, board=board, host=host)
    else:
        from aoi_deploy.lava.session import LavaSession

        session = LavaSession(network, steps=steps, rule=rule, model=model)
    return session
