"""Where a network can be deployed. A target prepares a piece of work, runs it, and collects what was decided.

``sim`` and ``loihi`` run in this process (:mod:`aoi_deploy.targets.in_process`); ``slurm`` hands the work to jobs of a
cluster (:mod:`aoi_deploy.targets.cluster`), which run one of the other two on their nodes.
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
    """What was decided about one sample."""

    index: int  # among the samples of the work
    prediction: int  # class index
    confidence: float
    decision_step: int  # output step 1..T
    steps_executed: int  # steps that the target really ran, L included
    wall_s: float  # from the sample's first step to its decision


@dataclass(frozen=True, eq=False)
class Work:
    """What is to be decided, and how."""

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
        """Spikes (\\*network's input shape, T) uint8 of one recording."""
        spikes = self.spikes.batch([index])[0]
        return spikes.reshape(*self.network.description.input_shape, self.steps)

    @staticmethod
    def outcome(result: SampleResult, index: int) -> Outcome:
        """A session's result, of the sample ``index``."""
        return Outcome(
            index, result.prediction, result.confidence, result.decision_step, result.steps_executed, result.wall_s
        )


class Target(Protocol):
    """A context manager: what it holds is freed on every way out."""

    def prepare(self, work: Work) -> None:
        """Builds or stores the work; whatever can be refused is refused here."""

    def run(self) -> Iterator[Outcome]:
        """Decides, and yields each outcome when it is known."""

    def collect(self) -> list[Outcome]:
        """All outcomes in the order of the samples."""

    def __enter__(self) -> Target: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Session(Protocol):
    """A network at work in this process."""

    rule: Rule | None  # of the next run
    latency: int  # L
    build_s: float  # wall time of compiling and starting
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
    """Compiles a network on ``sim``, Lava's simulator, or on ``loihi`` and starts it; its first import takes seconds.

    ``steps``: T, where the file does not say it. ``model``: of the simulator, as for
    :class:`~aoi_deploy.lava.session.LavaSession`. ``board``: name of the board's file, for ``loihi``; ``host``: address
    of the board's host, where no Slurm stands before it. Raises NetXError, DeployError.
    """
    session: Session
    if target == "loihi":
        from aoi_deploy.targets.loihi import LoihiSession

        session = LoihiSession(network, steps=steps, rule=rule, board=board, host=host)
    else:
        from aoi_deploy.lava.session import LavaSession

        session = LavaSession(network, steps=steps, rule=rule, model=model)
    return session
