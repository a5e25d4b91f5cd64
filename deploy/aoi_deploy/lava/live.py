"""Decisions in Lava while events arrive: each bin becomes a Lava step as soon as it is complete."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from aoi.cutoff.rule import Rule
from aoi.live.decide import Live, StepDecision
from aoi.live.windows import Bin, Windows
from aoi.netx.read import NetworkFile
from aoi_deploy.lava.session import LavaSession, SampleResult

if TYPE_CHECKING:
    from typing_extensions import Self


class _StepSession(LavaSession):
    """A session that gets each sample step by step."""

    _stepwise: ClassVar[bool] = True
    _fed = _reported = 0  # steps of the current sample: put into the feed, and reported by the monitor

    def feed(self, spikes: np.ndarray) -> SampleResult | None:
        """Feeds the next step of the current sample, (C, H, W) or (n,).

        Returns the sample's result if this step decides it; the next step then begins a new sample.

        Raises:
            DataError: the step does not fit the network; the session stays usable.
            DeployError: a process failed; the session is closed.
        """
        self._require_open()
        frame = self._frames(spikes[..., None], 1, f"step {self._fed + 1}")[0]
        try:
            if self._fed == 0:
                self._send_rule()
            self._feed.put_step(self._sent, self._fed, frame)
            self._fed += 1
            # Lava step n begins once n - 1 steps were fed. It outputs step n - L first, because every layer sends
            # before it receives. After step T the source sends zeros without waiting.
            due = self.steps if self._fed == self.steps else self._fed + 1 - self.latency
            while self._reported < due:
                self._reported += 1
                if message := self._message(f"output step {self._reported}"):
                    self._feed.release_remaining(self._fed)
                    self._sent += 1
                    self._received += 1
                    self._fed = self._reported = 0
                    return self._result(message, 0)
        except (KeyboardInterrupt, SystemExit):
            self.close()  # the exchange may be incomplete
            raise
        return None


class LiveLava(Live):
    """Live decisions like :class:`aoi.live.decide.LiveEngine`, in Lava.

    Source, network and monitor are processes of one endless run. After a decision, the further bins of the window are
    not executed, and the next window starts from cleared state.

    As on a chip, a spike takes one Lava step per layer: the monitor decides about bin t when bin t + L - 1 is complete,
    L being the number of layers, or at the end of the window. ``latency_s`` counts from the completion of the bin with
    which the decision came; ``steps_executed`` counts Lava steps, t + L per window.

    Use it as a context manager, or call :meth:`close`.
    """

    def __init__(self, network: NetworkFile, rule: Rule | None, windows: Windows, **options: Any) -> None:
        """Compiles the network and starts its processes.

        ``options`` are those of :class:`~aoi_deploy.lava.session.LavaSession`, such as ``model`` and ``timeout_s``.

        Raises:
            NetXError: Lava cannot run the file, or its output does not offer the readout.
            DeployError: a process failed during the build.
        """
        super().__init__(windows)
        self.session = _StepSession(network, steps=windows.encoding.bins, rule=rule, **options)

    def _step(self, each: Bin) -> StepDecision | None:
        result = self.session.feed(each.spikes.reshape(-1))
        if result is None:
            return None
        self.steps_executed += result.steps_executed
        return StepDecision(result.prediction, result.confidence, result.decision_step)

    def close(self) -> None:
        """Ends the processes and frees their memory. Can be called more than once."""
        self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
