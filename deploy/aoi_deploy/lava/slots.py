"""Samples in slots of fixed length, for a chip whose neurons the host cannot clear between two samples.

The neurons clear themselves every ``slot`` steps (lava-dl's ``reset_interval``): at least T + L, and a power of two on
Loihi. A decision still comes as soon as the rule allows it, but the slot runs to its end: ``steps_executed`` is the
length of the slot. Each block clears itself one step after the block before it, so the last spikes of a block reach the
next one before that is cleared, and none are in flight between samples. Networks with delays or recurrent layers are
refused, because they would keep spikes in flight.
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
    """Runs samples in slots as on a chip, in Lava's simulator, on lava-dl's unchanged graph of processes."""

    def __init__(self, network: NetworkFile, **options: Any) -> None:
        """Arguments as :class:`LavaSession`, without ``model``. Raises NetXError, DeployError."""
        super().__init__(network, model="stock", **options)

    def _network(self, file: NetworkFile, model: Model, record: bool) -> LavaNetwork:
        if self.readout == "voltage":
            raise DeployError(
                f"{self.path}: its readout is a voltage, which a chip does not send; train with readout: spikes"
            )
        for layer in file.description.layers:
            if getattr(layer, "delay", None) is not None or getattr(layer, "weight_rec", None) is not None:
                raise NetXError(
                    f"{self.path}: layer {layer.name} has delays or recurrent weights, which keep spikes in flight "
                    "while a chip clears its neurons and pass them to the next sample; use target sim"
                )
        slot = slot_length(self.steps, file.description.latency)
        return stock_network(file, self.readout, reset_interval=slot)

    def _slot_length(self) -> int:
        return slot_length(self.steps, self.latency)

    def _run_config(self, model: Model) -> Any:
        return Loihi2SimCfg(select_tag="fixed_pt")


def slot_length(steps: int, latency: int) -> int:
    """Timesteps of a slot for samples of ``steps`` timesteps: the smallest power of two of at least T + L."""
    return 1 << (steps + latency - 1).bit_length()
