"""Targets that run in this process: Lava's simulator, or a board that this machine can reach."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from aoi.choices import OnNode
from aoi_deploy.targets import Outcome, Session, Work, open_session

if TYPE_CHECKING:
    from typing_extensions import Self


class InProcess:
    """The targets ``sim`` and ``loihi``."""

    def __init__(self, name: OnNode, *, board: str | None = None, host: str | None = None) -> None:
        """``board`` and ``host`` as for :func:`aoi_deploy.targets.open_session`."""
        self.name: OnNode = name
        self._board, self._host = board, host
        self._session: Session | None = None
        self._outcomes: list[Outcome] = []
        self.build_s = 0.0

    def prepare(self, work: Work) -> None:
        """Compiles the network and starts it. Raises as :func:`aoi_deploy.targets.open_session`."""
        self._work = work
        self._session = open_session(
            self.name, work.network, steps=work.steps, model=work.model, board=self._board, host=self._host
        )
        self.build_s = self._session.build_s

    def run(self) -> Iterator[Outcome]:
        """Runs all samples. Raises DeployError."""
        assert self._session is not None, "prepare() comes first"
        self._session.rule = self._work.rule
        samples = (self._work.sample(index) for index in range(len(self._work.spikes)))
        for result in self._session.run(samples):
            outcome = self._work.outcome(result, result.index)
            self._outcomes.append(outcome)
            yield outcome

    def collect(self) -> list[Outcome]:
        return sorted(self._outcomes, key=lambda outcome: outcome.index)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            self._session.close()
