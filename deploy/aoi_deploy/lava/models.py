"""Stock Lava models with one thing added, chosen by the run configuration in place of the stock ones.

What a model computes is inherited and stays bit by bit Lava's.

Clearing state: Lava's runtime service calls the management phase of *all* models as soon as one asks for it. Only the
monitor asks, at the end of a sample, so the phase itself says "clear your state", and no message is needed.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from aoi.errors import NetXError
from aoi_deploy.lava.api import AbstractProcess, AbstractPyBlockModel, LavaPyType, Loihi2SimCfg, PyLoihiProcessModel
from aoi_deploy.lava.processes.network import SpikingNetwork

# Neurons hold u and v, those of sigma-delta networks sigma to error; synapses what is in flight to the next step
# (``a_buff``; (out, max_delay + 1) with delays).
_STATE = ("u", "v", "sigma", "act", "residue", "error", "a_buff", "a_buf")


class ClearsState:
    """Clears the state at the end of each sample."""

    phase: Any
    Phase: Any

    def post_guard(self) -> bool:
        return self.phase is self.Phase.POST_MGMT  # takes part in a management phase, never asks for one

    def run_post_mgmt(self) -> None:
        for name in _STATE:
            if hasattr(self, name):
                getattr(self, name)[...] = 0


class SendsVoltage:
    """A neuron that sends its voltage (24 bits, a graded spike) instead of spikes."""

    v: np.ndarray
    s_out_buff: np.ndarray

    def reset_voltage(self, spike_vector: np.ndarray) -> None:
        super().reset_voltage(spike_vector)  # type: ignore[misc]
        self.s_out_buff = self.v  # is sent next


class TakesValues:
    """A CUBA neuron of an input block: what arrives is its bias for this step.

    Lava drives such a block by writing its variable ``bias_mant`` from outside, which comes into force a step late.
    """

    bias_mant: np.ndarray
    scale_bias: Any

    def subthr_dynamics(self, activation_in: np.ndarray) -> None:
        self.bias_mant[...] = activation_in
        self.scale_bias()
        super().subthr_dynamics(np.zeros_like(activation_in))  # type: ignore[misc]


class Records:
    """A neuron that writes what it did in every step into the shared ``record`` (slots, steps, 3, *shape)."""

    proc_params: Any

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)  # type: ignore[call-arg]
        self._slot = self._step = 0

    def note(self, *row: np.ndarray | int) -> None:
        for place, values in zip(self.proc_params["record"][self._slot, self._step], row, strict=True):
            place[...] = values
        self._step += 1

    def run_post_mgmt(self) -> None:
        super().run_post_mgmt()  # type: ignore[misc]
        self._slot = (self._slot + 1) % len(self.proc_params["record"])
        self._step = 0


class RecordsStates(Records):
    """u, v and spikes."""

    u: np.ndarray
    v: np.ndarray

    def reset_voltage(self, spike_vector: np.ndarray) -> None:
        super().reset_voltage(spike_vector)  # type: ignore[misc]
        self.note(self.u, self.v, spike_vector)


class RecordsMessages(Records):
    """sigma (0 in an encoder), residue (0 in a decoder) and message of a sigma-delta neuron."""

    sigma: np.ndarray
    s_out: Any

    def run_spk(self) -> None:
        if not isinstance(self.s_out, _Tapped):
            self.s_out = _Tapped(self.s_out)
        super().run_spk()  # type: ignore[misc]
        self.note(self.sigma, getattr(self, "residue", 0), self.s_out.sent)


class _Tapped:
    """A port that remembers what it sent last: Lava's models keep no message."""

    def __init__(self, port: Any) -> None:
        self._port = port

    def send(self, data: np.ndarray) -> None:
        self.sent = data
        self._port.send(data)


class WideGeometry:
    """A convolution whose sizes have 32 bits: stock Lava's 8 overflow on maps of 128 pixels with numpy 2."""

    kernel_size: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=8)
    stride: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=8)
    padding: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=8)
    dilation: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=8)
    groups: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=8)


@cache
def _extended(model: type, additions: tuple[type, ...]) -> type:
    return type(f"{''.join(a.__name__ for a in additions)}{model.__name__}", (*additions, model), {})


class SampleRunConfig(Loihi2SimCfg):
    """Selects the bit-accurate models, extended so that samples can follow one another.

    ``network``: what stands for the network as a whole, lava-dl's graph ("stock") or one process ("fused").
    """

    def __init__(self, network: str) -> None:
        super().__init__(select_tag="fixed_pt")
        self._network_tag = "fused" if network == "fused" else "fixed_pt"

    def select(self, process: AbstractProcess, models: list[type]) -> type:
        if isinstance(process, SpikingNetwork):
            return next(each for each in models if self._network_tag in vars(each)["tags"])
        model: type = super().select(process, models)
        if issubclass(model, AbstractPyBlockModel) or "run_post_mgmt" in vars(model):
            return model  # a network, whose parts are selected on their own, or the source or the monitor
        if not issubclass(model, PyLoihiProcessModel) or not any(hasattr(model, name) for name in _STATE):
            raise NetXError(
                f"process {process.name!r} ({type(process).__name__}): its state cannot be cleared between samples; "
                "use CUBA or SDNN neurons with dense or convolutional synapses"
            )
        additions: tuple[type, ...] = (ClearsState,)
        if hasattr(model, "kernel_size"):
            additions = (WideGeometry, *additions)
        if process.proc_params.get("record") is not None:
            additions = (RecordsMessages if hasattr(model, "sigma") else RecordsStates, *additions)
        if process.proc_params.get("takes_values") and hasattr(model, "bias_mant"):
            additions = (TakesValues, *additions)
        if process.proc_params.get("sends_voltage"):
            additions = (SendsVoltage, *additions)
        return _extended(model, additions)
