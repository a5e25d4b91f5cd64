"""The base class of our own Lava process models."""

from __future__ import annotations

from typing import Any

from aoi_deploy.lava.api import PyLoihiProcessModel


class SampleModel(PyLoihiProcessModel):
    """A model whose loop only handles the commands of the protocol, as it has no variables to poll.

    Stock Lava checks every attribute assignment for a port, builds a selector's list before each command, and asks for
    phases that never come. In small processes like ours this takes most of a step.
    """

    service_to_process: Any
    process_to_service: Any

    def run(self) -> None:
        type(self).__setattr__ = object.__setattr__  # type: ignore[method-assign, assignment]  # all ports are assigned
        while True:  # until it is killed, see aoi_deploy.lava.runtime
            self._cmd_handlers[self.service_to_process.recv()[0]]()

    def _spike(self) -> None:
        self.time_step += 1
        self.phase = self.Phase.SPK
        self.run_spk()
        answer = self.Response.REQ_POST_LRN_MGMT if self.post_guard() else self.Response.STATUS_DONE
        self.process_to_service.send(answer)
