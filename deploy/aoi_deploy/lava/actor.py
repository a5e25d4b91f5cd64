"""What our own Lava process models have in common."""

from __future__ import annotations

from typing import Any

from aoi_deploy.lava.api import PyLoihiProcessModel


class SampleModel(PyLoihiProcessModel):
    """A model whose loop does what the protocol asks of it and nothing else: these have no variables to be polled.

    Stock Lava looks at every attribute that is set whether it is a port, makes a selector's list before each command,
    and asks for phases that never come: in processes as small as ours that is most of a step.
    """

    service_to_process: Any
    process_to_service: Any

    def run(self) -> None:
        type(self).__setattr__ = object.__setattr__  # type: ignore[method-assign, assignment]  # all ports are known
        while True:  # until it is killed: see aoi_deploy.lava.runtime
            self._cmd_handlers[self.service_to_process.recv()[0]]()

    def _spike(self) -> None:
        self.time_step += 1
        self.phase = self.Phase.SPK
        self.run_spk()
        answer = self.Response.REQ_POST_LRN_MGMT if self.post_guard() else self.Response.STATUS_DONE
        self.process_to_service.send(answer)
