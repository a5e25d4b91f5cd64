"""Decisions while the events arrive, in a Lava run: each bin is one Lava step as soon as it is complete."""

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
    """A session whose samples come step by step."""

    _stepwise: ClassVar[bool] = True
    _fed = _judged = 0  # steps of the open sample: handed over, and told of by the monitor

    def feed(self, spikes: np.ndarray) -> SampleResult | None:
        """Takes the next step of the open sample, (C, H, W) or (n,); its result, if it falls now: the next step is then
        the first one of another sample.

        Raises:
            DataError: the step does not fit the network; the session stays usable.
            DeployError: a process failed; the session is closed.
        """
        self._require_open()
        frame = self._frames(spikes[..., None], 1, f"step {self._fed + 1}")[0]
        try:
            if self._fed == 0:
                self._tell_rule()
            self._feed.put_step(self._sent, self._fed, frame)
            self._fed += 1
            # Lava step n begins when n - 1 steps were fed, and first brings output step n - L: every layer sends what
            # it has before it takes what comes. Behind step T the source sends silence and waits for nobody.
            due = self.steps if self._fed == self.steps else self._fed + 1 - self.latency
            while self._judged < due:
                self._judged += 1
                if message := self._message(f"output step {self._judged}"):
                    self._feed.release_remaining(self._fed)
                    self._sent += 1
                    self._received += 1
                    self._fed = self._judged = 0
                    return self._result(message, 0)
        except (KeyboardInterrupt, SystemExit):
            self.close()  # who knows in the middle of what
            raise
        return None


class LiveLava(Live):
    """As :class:`aoi.live.decide.LiveEngine`, in Lava: source, network and monitor are processes of one run that
    goes on and on. The monitor decides in that run, the window's further bins are not executed, and the next window
    starts from cleared state.

    A spike takes a Lava step a layer, here as on a chip: what the monitor says about bin t it says L - 1 bins later, L
    being the number of layers, or at the end of the window. ``latency_s`` counts from the bin that let the decision
    fall, ``steps_executed`` counts Lava steps: t + L a window.

    Use it as a context manager, or call :meth:`close`.
    """

    def __init__(self, network: NetworkFile, rule: Rule | None, windows: Windows, **options: Any) -> None:
        """Compiles the network and starts its processes. ``options`` as of
        :class:`~aoi_deploy.lava.session.LavaSession`, such as ``model`` and ``timeout_s``.

        Raises:
            NetXError: Lava cannot run the file, or not with this readout.
            DeployError: a process failed while it was built.
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
        """Ends the processes and frees their memory; may be called again."""
        self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
