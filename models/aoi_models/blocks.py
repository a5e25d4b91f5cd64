"""SLAYER's quantised CUBA blocks, with the current, voltage and spikes of each step as output (STR needs them).

Each wraps a block of :mod:`lava.lib.dl.slayer.block.cuba` and uses its weights, 8-bit quantisation and neuron
parameters. Two things differ in the forward pass: layers follow each other without a step of delay (see
:class:`~aoi.netx.description.NetworkDescription.latency`), and on the CPU the dynamics are ours, with the same values
and gradients. ``stock`` runs SLAYER's own block.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from aoi.compat import enable_slayer
from aoi.errors import NetXError
from aoi.experiment.network import ConvSpec, DenseSpec, NeuronSpec, pair
from aoi.netx.description import Conv, Cuba, Dense
from aoi_models.dynamics import CubaDynamics, CubaStep

enable_slayer()
from lava.lib.dl import slayer  # noqa: E402

# Loihi's largest threshold. The voltage saturates there, so the neuron never fires. NetX uses it for a dense layer
# without a neuron group.
INTEGRATOR_THRESHOLD = 1 << 17


State = tuple[torch.Tensor, ...]  # state of a layer between two steps; its content is private to the layer


class LayerActivity(NamedTuple):
    """Activity of a layer over T steps: tensors float32 (N, ..., T) in SLAYER's units (Loihi's state / 4096)."""

    current: torch.Tensor | None  # None unless requested
    voltage: torch.Tensor  # before the reset
    spikes: torch.Tensor  # in the same step as the voltage that causes them
    sent: torch.Tensor  # the spikes after the axonal delay: input of the next layer
    final_state: State = ()  # after the last step; empty on CUDA
    sums: tuple[torch.Tensor, torch.Tensor] | None = None
    """Number of spikes, and positive voltage after the reset, summed over the neurons, float32 (N, T) each; None unless
    requested and computed by the dynamics."""


class CubaBlock(nn.Module):
    """One layer: synapse, CUBA neurons, optional axonal delay."""

    def __init__(self, block: nn.Module, fires: bool = True) -> None:
        super().__init__()
        self.block = block
        self.fires = fires

    @property
    def threshold(self) -> float:
        return float(self.block.neuron.threshold) if self.fires else math.inf

    def weight(self) -> torch.Tensor:
        """Quantised weights, with gradient: multiples of 2/64, in torch's layout without the time axis."""
        return self.block.synapse.pre_hook_fx(self.block.synapse.weight).squeeze(-1)

    def synapse(self, frames: torch.Tensor) -> torch.Tensor:
        """Weighted sums of spikes (frames, ...): (frames, neurons), or (frames, C, H, W) channels-last in memory."""
        raise NotImplementedError

    def forward(
        self, x: torch.Tensor, start: State = (), keep_current: bool = False, sums: bool = False
    ) -> LayerActivity:
        """Activity of this layer for spikes (N, C, H, W, T) or (N, C, T), from rest or from the state ``start``.

        The tensors are views: in memory, time is the first axis and channels the last, so neither the convolution nor
        the dynamics have to copy.
        """
        steps, samples = x.shape[-1], x.shape[0]
        z = self.synapse(x.movedim(-1, 0).flatten(0, 1))
        spatial = z.shape[1:]
        rows = z.movedim(1, -1)

        def as_activity(y: torch.Tensor) -> torch.Tensor:
            return y.view(steps, samples, *spatial[1:], spatial[0]).movedim(-1, 2).movedim(0, -1)

        neuron = self.block.neuron
        neuron_state, *last_spikes = start or (None,)
        final_state: State = ()
        summed = None
        if z.is_cuda:
            assert neuron_state is None, "SLAYER's kernels start at rest"
            neuron.shape = None  # SLAYER stores the shape of the first input
            current, voltage = neuron.dynamics(as_activity(rows).contiguous())
            spikes = neuron.spike(voltage) if self.fires else torch.zeros_like(voltage)
        else:
            tau_rho, scale_rho = float(neuron.tau_rho), float(neuron.scale_rho)
            *flat, neuron_state, fired, kept = CubaDynamics.apply(
                rows.reshape(steps, -1),
                neuron_state,
                int(neuron.cx_current_decay),
                int(neuron.cx_voltage_decay),
                self.threshold,
                tau_rho * slayer.neuron.cuba.TAU_RHO_MULT if self.fires else 1.0,
                scale_rho * slayer.neuron.cuba.SCALE_RHO_MULT,
                keep_current,
                samples if sums else 0,
            )
            current, voltage, spikes = (None if y is None else as_activity(y) for y in flat)
            final_state = (neuron_state,)
            summed = (fired.T, kept.T) if sums else None
        sent = spikes
        if self.block.delay is not None:
            sent, pending = self._delayed(spikes.contiguous(), *last_spikes)
            final_state = (*final_state, pending)
        return LayerActivity(current if keep_current else None, voltage, spikes, sent, final_state, summed)

    def _delayed(self, spikes: torch.Tensor, before: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Applies the axonal delays to spikes (N, neurons, T); ``before`` are the last spikes of the earlier steps.

        Returns the spikes sent in these T steps, and the last spikes, (N, neurons, longest delay + 1), for the next
        call. These are one step more than the delay: SLAYER's gradient of a delay is the difference to what was sent
        in the previous step.
        """
        delay = self.block.delay
        delay.clamp()
        length = int(delay.delay.detach().max()) + 1
        history = spikes if before is None else torch.cat([before, spikes], -1)
        last = nn.functional.pad(history[..., -length:], (max(0, length - history.shape[-1]), 0))  # always a copy
        sent = delay(history)
        return sent if before is None else sent[..., -spikes.shape[-1] :], last

    def stock(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Current, voltage and output of SLAYER's own block; the output is one step later, as on the chip."""
        neuron = self.block.neuron
        neuron.shape = None  # SLAYER stores the shape of the first input
        current, voltage = neuron.dynamics(self.block.synapse(x))
        neuron.shape = None
        return current, voltage, self.block(x) if self.fires else torch.zeros_like(voltage)

    def stock_output(self, x: torch.Tensor) -> torch.Tensor:
        """Output of SLAYER's own block with its gradients: spikes, or the voltage of a readout that does not fire."""
        neuron = self.block.neuron
        neuron.shape = None
        output: torch.Tensor = self.block(x) if self.fires else neuron.dynamics(self.block.synapse(x))[1]
        return output

    def describe(self, name: str) -> Dense | Conv:
        """The quantised layer as the chip executes it."""
        raise NotImplementedError

    def describe_neuron(self) -> Cuba:
        neuron = self.block.neuron
        return Cuba(
            threshold=int(neuron.v_th_mant) if self.fires else INTEGRATOR_THRESHOLD,
            current_decay=int(neuron.cx_current_decay),
            voltage_decay=int(neuron.cx_voltage_decay),
        )

    def describe_weight(self) -> np.ndarray:
        synapse = self.block.synapse
        return synapse.pre_hook_fx(synapse.weight, descale=True).squeeze(-1).round().int().detach().cpu().numpy()


class DenseBlock(CubaBlock):
    def synapse(self, frames: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(frames.flatten(1), self.weight().flatten(1))

    def stock(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return super().stock(x.flatten(1, -2))

    def stock_output(self, x: torch.Tensor) -> torch.Tensor:
        return super().stock_output(x.flatten(1, -2))

    def describe(self, name: str) -> Dense:
        delay = None
        if self.block.delay is not None:
            self.block.delay.clamp()
            delay = self.block.delay.delay.floor().int().detach().cpu().numpy().reshape(-1, 1)
            delay = delay if delay.any() else None
        weight = self.describe_weight()
        return Dense(name, weight.reshape(weight.shape[0], -1), self.describe_neuron(), delay=delay)


class RecurrentBlock(DenseBlock):
    """A dense layer that also gets its own spikes of the step before, like NetX's ``dense_rec``.

    SLAYER's recurrent block orders the delays differently; only its weights and neurons are used.
    """

    def __init__(self, block: nn.Module, recurrent: nn.Module) -> None:
        super().__init__(block)
        self.recurrent = recurrent

    def forward(
        self, x: torch.Tensor, start: State = (), keep_current: bool = False, sums: bool = False
    ) -> LayerActivity:
        steps, samples = x.shape[-1], x.shape[0]
        z = self.synapse(x.movedim(-1, 0).flatten(0, 1)).view(steps, samples, -1)
        weight_rec = self.recurrent.pre_hook_fx(self.recurrent.weight).flatten(1).T
        neuron = self.block.neuron
        parameters = (
            int(neuron.cx_current_decay),
            int(neuron.cx_voltage_decay),
            self.threshold,
            float(neuron.tau_rho) * slayer.neuron.cuba.TAU_RHO_MULT,
            float(neuron.scale_rho) * slayer.neuron.cuba.SCALE_RHO_MULT,
        )
        current, kept, spikes = start or (torch.zeros_like(z[0]),) * 3
        by_step = []
        for z_t in z:
            current, voltage, spikes, kept = CubaStep.apply(z_t + spikes @ weight_rec, current, kept, *parameters)
            by_step.append((current, voltage, spikes))
        currents, voltages, fired = (
            torch.stack(each).movedim(0, -1) if keep else None
            for each, keep in zip(zip(*by_step, strict=True), (keep_current, True, True), strict=True)
        )
        return LayerActivity(currents, voltages, fired, fired, (current, kept, spikes))

    def stock(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        raise NetXError("recurrent layer: SLAYER executes it differently from the chip; compare with Lava instead")

    def stock_output(self, x: torch.Tensor) -> torch.Tensor:
        return self.stock(x)[2]

    def describe(self, name: str) -> Dense:
        synapse = self.recurrent
        weight = synapse.pre_hook_fx(synapse.weight, descale=True).flatten(1).round().int().detach().cpu().numpy()
        return replace(super().describe(name), weight_rec=weight)


class ConvBlock(CubaBlock):
    def __init__(self, block: nn.Module, input_shape: tuple[int, int, int]) -> None:
        super().__init__(block)
        self.input_shape = input_shape

    def synapse(self, frames: torch.Tensor) -> torch.Tensor:
        synapse = self.block.synapse
        frames = frames.contiguous(memory_format=torch.channels_last)
        weight = self.weight().contiguous(memory_format=torch.channels_last)
        return nn.functional.conv2d(
            frames, weight, None, synapse.stride[:2], synapse.padding[:2], synapse.dilation[:2], synapse.groups
        )

    def describe(self, name: str) -> Conv:
        synapse = self.block.synapse
        return Conv(
            name,
            self.input_shape,
            self.describe_weight(),
            self.describe_neuron(),
            stride=tuple(synapse.stride[:2]),
            padding=tuple(synapse.padding[:2]),
            dilation=tuple(synapse.dilation[:2]),
            groups=synapse.groups,
        )


def _neuron_parameters(spec: NeuronSpec) -> dict[str, object]:
    return {**spec.model_dump(), "requires_grad": False, "persistent_state": False}


def dense_block(spec: DenseSpec, inputs: int, neuron: NeuronSpec) -> DenseBlock:
    """A dense block with SLAYER's random initial weights; a :class:`RecurrentBlock` if ``spec.recurrent``."""
    block = slayer.block.cuba.Dense(
        _neuron_parameters(neuron), inputs, spec.neurons, weight_scale=spec.weight_scale, delay=spec.delay
    )
    if block.delay is not None:  # SLAYER draws delays at the first call, too late for the optimiser and checkpoints
        block.delay.delay = nn.Parameter(torch.rand(spec.neurons))
        block.delay.init = True
    if not spec.recurrent:
        return DenseBlock(block)
    recurrent = slayer.block.cuba.Dense(
        _neuron_parameters(neuron), spec.neurons, spec.neurons, weight_scale=spec.recurrent_scale
    )
    return RecurrentBlock(block, recurrent.synapse)


INTEGRATOR = NeuronSpec(current_decay=1.0, voltage_decay=0.0)


def integrator_block(inputs: int, classes: int, weight_scale: float, neuron: NeuronSpec = INTEGRATOR) -> DenseBlock:
    """A readout that never fires; by default its voltage is the weighted sum of all spikes so far."""
    parameters = _neuron_parameters(neuron)
    block = slayer.block.cuba.Affine(parameters, inputs, classes, weight_scale=weight_scale)
    block.neuron.shape = None
    block.delay = None
    return DenseBlock(block, fires=False)


def conv_block(spec: ConvSpec, input_shape: tuple[int, int, int], neuron: NeuronSpec) -> ConvBlock:
    """A convolution with SLAYER's random initial weights; ``input_shape`` is (C, H, W)."""
    block = slayer.block.cuba.Conv(
        _neuron_parameters(neuron),
        input_shape[0],
        spec.channels,
        pair(spec.kernel),
        stride=pair(spec.stride),
        padding=pair(spec.padding),
        dilation=pair(spec.dilation),
        groups=spec.groups,
        weight_scale=spec.weight_scale,
    )
    return ConvBlock(block, input_shape)
