"""Samples in slots of fixed length: what a chip can do that no host clears between two samples.

The neurons clear themselves every ``slot`` steps (lava-dl's ``reset_interval``), a power of two on Loihi, at least
T + L. A decision still comes as soon as the rule allows it, but the slot runs on to its end: ``steps_executed`` is the
slot. Each block clears itself a step after the one before, so that what a block sends last is the last that the next
one takes into its old state: nothing is in flight between samples. Delays and loops would keep something, and are
refused.
"""

from __future__ import annotations

from typing import Any

from aoi.choices import Model
from aoi.errors import DeployError, NetXError
from aoi.netx import NetworkFile
from aoi_deploy.lava.api import Loihi2SimCfg
from aoi_deploy.lava.networks import LavaNetwork, stock_network
from aoi_deploy.lava.session import LavaSession


class SlotSession(LavaSession):
    """As a chip runs samples, in Lava's simulator: lava-dl's graph of processes, none of it changed."""

    def __init__(self, network: NetworkFile, **options: Any) -> None:
        """As :class:`LavaSession`, without ``model``. Raises NetXError, DeployError."""
        super().__init__(network, model="stock", **options)

    def _network(self, file: NetworkFile, model: Model, record: bool) -> LavaNetwork:
        if self.readout == "voltage":
            raise DeployError(
                f"{self.path}: read through a voltage, which a chip does not send; train with readout: spikes"
            )
        for layer in file.description.layers:
            if getattr(layer, "delay", None) is not None or getattr(layer, "weight_rec", None) is not None:
                raise NetXError(
                    f"{self.path}: layer {layer.name} has delays or a loop, which keep spikes in flight when a chip "
                    "clears its neurons: the next sample would not start from nothing; use target sim"
                )
        slot = slot_length(self.steps, file.description.latency)
        return stock_network(file, self.readout, reset_interval=slot)

    def _slot_length(self) -> int:
        return slot_length(self.steps, self.latency)

    def _run_config(self, model: Model) -> Any:
        return Loihi2SimCfg(select_tag="fixed_pt")


def slot_length(steps: int, latency: int) -> int:
    """Timesteps of a slot for samples of ``steps`` timesteps: the power of two that holds T + L."""
    return 1 << (steps + latency - 1).bit_length()
