"""Stock Lava models with small additions, which the run configuration selects instead of the stock ones.

The computation is inherited and stays bit-exact.

Clearing state: Lava's runtime service calls the management phase of *all* models when one of them requests it. Only the
monitor does, at the end of a sample. The phase therefore means "clear the state", and no message is needed.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from aoi.errors import NetXError
from aoi_deploy.lava.api import AbstractProcess, AbstractPyBlockModel, LavaPyType, Loihi2SimCfg, PyLoihiProcessModel
from aoi_deploy.lava.processes.network import SpikingNetwork

# State of neurons: u and v, in sigma-delta networks sigma, act, residue and error. State of synapses: the input in
# flight to later steps, a_buff or a_buf, (out, max_delay + 1) with delays.
_STATE = ("u", "v", "sigma", "act", "residue", "error", "a_buff", "a_buf")


class ClearsState:
    """Clears the state at the end of each sample."""

    phase: Any
    Phase: Any

    def post_guard(self) -> bool:
        return self.phase is self.Phase.POST_MGMT  # takes part in a management phase, never requests one

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
        self.s_out_buff = self.v  # sent in the next step


class TakesValues:
    """A CUBA neuron of an input block, with the incoming value as its bias for this step.

    Lava drives such a block by writing its variable ``bias_mant`` from outside, which acts one step late.
    """

    bias_mant: np.ndarray
    scale_bias: Any

    def subthr_dynamics(self, activation_in: np.ndarray) -> None:
        self.bias_mant[...] = activation_in
        self.scale_bias()
        super().subthr_dynamics(np.zeros_like(activation_in))  # type: ignore[misc]


class Records:
    """A neuron that writes its states of every step into the shared array ``record`` (slots, steps, 3, *shape)."""

    proc_params: Any

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)  # type: ignore[call-arg]
        self._slot = self._step = 0

    def write_row(self, *row: np.ndarray | int) -> None:
        for target, values in zip(self.proc_params["record"][self._slot, self._step], row, strict=True):
            target[...] = values
        self._step += 1

    def run_post_mgmt(self) -> None:
        super().run_post_mgmt()  # type: ignore[misc]
        self._slot = (self._slot + 1) % len(self.proc_params["record"])
        self._step = 0


class RecordsStates(Records):
    """Records u, v and spikes."""

    u: np.ndarray
    v: np.ndarray

    def reset_voltage(self, spike_vector: np.ndarray) -> None:
        super().reset_voltage(spike_vector)  # type: ignore[misc]
        self.write_row(self.u, self.v, spike_vector)


class RecordsMessages(Records):
    """Records sigma (0 in an encoder), residue (0 in a decoder) and message of a sigma-delta neuron."""

    sigma: np.ndarray
    s_out: Any

    def run_spk(self) -> None:
        if not isinstance(self.s_out, _RecordingPort):
            self.s_out = _RecordingPort(self.s_out)
        super().run_spk()  # type: ignore[misc]
        self.write_row(self.sigma, getattr(self, "residue", 0), self.s_out.sent)


class _RecordingPort:
    """A port that keeps the last sent message, which Lava's models do not."""

    def __init__(self, port: Any) -> None:
        self._port = port

    def send(self, data: np.ndarray) -> None:
        self.sent = data
        self._port.send(data)


class WideGeometry:
    """A convolution with sizes of 32 bits; the 8 bits of stock Lava overflow at 128 pixels with numpy 2."""

    kernel_size: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=8)
    stride: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=8)
    padding: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=8)
    dilation: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=8)
    groups: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=8)


@cache
def _extended(model: type, additions: tuple[type, ...]) -> type:
    return type(f"{''.join(a.__name__ for a in additions)}{model.__name__}", (*additions, model), {})


class SampleRunConfig(Loihi2SimCfg):
    """Selects Lava's bit-accurate models, extended so that state is cleared between samples.

    ``network``: how to run the network: as lava-dl's graph ("stock") or as one process ("fused").
    """

    def __init__(self, network: str) -> None:
        super().__init__(select_tag="fixed_pt")
        self._network_tag = "fused" if network == "fused" else "fixed_pt"

    def select(self, process: AbstractProcess, models: list[type]) -> type:
        if isinstance(process, SpikingNetwork):
            return next(each for each in models if self._network_tag in vars(each)["tags"])
        model: type = super().select(process, models)
        if issubclass(model, AbstractPyBlockModel) or "run_post_mgmt" in vars(model):
            return model  # a network, whose parts are selected separately, or the source or the monitor
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
