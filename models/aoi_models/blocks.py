"""SLAYER's quantised CUBA blocks, handing out current, voltage and spikes of each step (STR needs them).

The blocks of :mod:`lava.lib.dl.slayer.block.cuba` stay inside: their weights, their 8-bit quantisation, their neuron
parameters. Only the way through them differs: time is aligned (no step of delay between layers, see
:class:`~aoi.netx.description.NetworkDescription.latency`) and on the CPU the dynamics are ours, with the same
values and gradients. ``stock`` runs SLAYER's own block.
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

# Loihi's largest threshold: at the clip, never exceeded. What NetX gives a dense layer without a neuron group.
INTEGRATOR_THRESHOLD = 1 << 17


State = tuple[torch.Tensor, ...]  # what a layer goes on from at the next step; its content is the layer's own affair


class LayerActivity(NamedTuple):
    """What a layer did. Tensors (N, ..., T), float32, in SLAYER's units (Loihi's state / 4096)."""

    current: torch.Tensor | None  # where it was asked for
    voltage: torch.Tensor  # before the reset
    spikes: torch.Tensor  # of the same step as the voltage
    sent: torch.Tensor  # the spikes after the axonal delay: what the next layer gets
    end: State = ()  # after the last step; on CUDA nothing to go on from
    sums: tuple[torch.Tensor, torch.Tensor] | None = None
    """(N, T) each: number of spikes, and positive voltage left after the reset, where they were asked for and the
    dynamics summed them on their way."""


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
        """Quantised weights with gradient: multiples of 2/64, torch layout without the time axis."""
        return self.block.synapse.pre_hook_fx(self.block.synapse.weight).squeeze(-1)

    def synapse(self, frames: torch.Tensor) -> torch.Tensor:
        """Spikes (frames, ...) → weighted sums (frames, neurons) or (frames, C, H, W), channels last in memory."""
        raise NotImplementedError

    def forward(
        self, x: torch.Tensor, start: State = (), keep_current: bool = False, sums: bool = False
    ) -> LayerActivity:
        """Spikes (N, C, H, W, T) or (N, C, T) → activity of this layer, at rest before it or in the state ``start``.

        The tensors are views: in memory time comes first and channels last, so that neither convolution nor dynamics
        has to copy.
        """
        steps, samples = x.shape[-1], x.shape[0]
        z = self.synapse(x.movedim(-1, 0).flatten(0, 1))
        spatial = z.shape[1:]
        rows = z.movedim(1, -1)

        def as_activity(y: torch.Tensor) -> torch.Tensor:
            return y.view(steps, samples, *spatial[1:], spatial[0]).movedim(-1, 2).movedim(0, -1)

        neuron = self.block.neuron
        at, *waiting = start or (None,)
        end: State = ()
        summed = None
        if z.is_cuda:
            assert at is None, "SLAYER's kernels start at rest"
            neuron.shape = None  # SLAYER remembers the first input's
            current, voltage = neuron.dynamics(as_activity(rows).contiguous())
            spikes = neuron.spike(voltage) if self.fires else torch.zeros_like(voltage)
        else:
            tau_rho, scale_rho = float(neuron.tau_rho), float(neuron.scale_rho)
            *flat, at, fired, kept = CubaDynamics.apply(
                rows.reshape(steps, -1),
                at,
                int(neuron.cx_current_decay),
                int(neuron.cx_voltage_decay),
                self.threshold,
                tau_rho * slayer.neuron.cuba.TAU_RHO_MULT if self.fires else 1.0,
                scale_rho * slayer.neuron.cuba.SCALE_RHO_MULT,
                keep_current,
                samples if sums else 0,
            )
            current, voltage, spikes = (None if y is None else as_activity(y) for y in flat)
            end = (at,)
            summed = (fired.T, kept.T) if sums else None
        sent = spikes
        if self.block.delay is not None:
            sent, late = self._delayed(spikes.contiguous(), *waiting)
            end = (*end, late)
        return LayerActivity(current if keep_current else None, voltage, spikes, sent, end, summed)

    def _delayed(self, spikes: torch.Tensor, waiting: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Spikes (N, neurons, T), and the last ones of the steps before → what is sent in these T steps, and the last
        spikes (N, neurons, longest delay + 1). One more than are still to be sent: SLAYER's gradient of a delay is the
        difference to what was sent the step before."""
        delay = self.block.delay
        delay.clamp()
        length = int(delay.delay.detach().max()) + 1
        seen = spikes if waiting is None else torch.cat([waiting, spikes], -1)
        last = nn.functional.pad(seen[..., -length:], (max(0, length - seen.shape[-1]), 0))  # a copy in any case
        sent = delay(seen)
        return sent if waiting is None else sent[..., -spikes.shape[-1] :], last

    def stock(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Current, voltage and output of SLAYER's own block, one step late at the output, as it simulates the chip."""
        neuron = self.block.neuron
        neuron.shape = None  # SLAYER remembers the first input's
        current, voltage = neuron.dynamics(self.block.synapse(x))
        neuron.shape = None
        return current, voltage, self.block(x) if self.fires else torch.zeros_like(voltage)

    def stock_output(self, x: torch.Tensor) -> torch.Tensor:
        """What SLAYER's own block hands on, spikes or a readout's voltage, with its gradients."""
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
    """A dense layer that also hears its own spikes of the step before, as NetX's ``dense_rec``.

    SLAYER's recurrent block walks the same steps with another order of delays; only the weights and neurons are its.
    """

    def __init__(self, block: nn.Module, recurrent: nn.Module) -> None:
        super().__init__(block)
        self.recurrent = recurrent

    def forward(
        self, x: torch.Tensor, start: State = (), keep_current: bool = False, sums: bool = False
    ) -> LayerActivity:
        steps, samples = x.shape[-1], x.shape[0]
        z = self.synapse(x.movedim(-1, 0).flatten(0, 1)).view(steps, samples, -1)
        back = self.recurrent.pre_hook_fx(self.recurrent.weight).flatten(1).T
        neuron = self.block.neuron
        parameters = (
            int(neuron.cx_current_decay),
            int(neuron.cx_voltage_decay),
            self.threshold,
            float(neuron.tau_rho) * slayer.neuron.cuba.TAU_RHO_MULT,
            float(neuron.scale_rho) * slayer.neuron.cuba.SCALE_RHO_MULT,
        )
        current, kept, spikes = start or (torch.zeros_like(z[0]),) * 3
        did = []
        for incoming in z:
            current, voltage, spikes, kept = CubaStep.apply(incoming + spikes @ back, current, kept, *parameters)
            did.append((current, voltage, spikes))
        currents, voltages, fired = (
            torch.stack(each).movedim(0, -1) if wanted else None
            for each, wanted in zip(zip(*did, strict=True), (keep_current, True, True), strict=True)
        )
        return LayerActivity(currents, voltages, fired, fired, (current, kept, spikes))

    def stock(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        raise NetXError("a recurrent layer: SLAYER executes it otherwise than the chip")

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
    """Also the recurrent one, where ``spec`` says so."""
    block = slayer.block.cuba.Dense(
        _neuron_parameters(neuron), inputs, spec.neurons, weight_scale=spec.weight_scale, delay=spec.delay
    )
    if block.delay is not None:  # SLAYER draws them at the first call, too late for an optimiser or a checkpoint
        block.delay.delay = nn.Parameter(torch.rand(spec.neurons))
        block.delay.init = True
    if not spec.recurrent:
        return DenseBlock(block)
    own = slayer.block.cuba.Dense(
        _neuron_parameters(neuron), spec.neurons, spec.neurons, weight_scale=spec.recurrent_scale
    )
    return RecurrentBlock(block, own.synapse)


INTEGRATOR = NeuronSpec(current_decay=1.0, voltage_decay=0.0)


def integrator_block(inputs: int, classes: int, weight_scale: float, neuron: NeuronSpec = INTEGRATOR) -> DenseBlock:
    """Readout that never fires: by default its voltage is the sum over time of the weighted spikes."""
    parameters = _neuron_parameters(neuron)
    block = slayer.block.cuba.Affine(parameters, inputs, classes, weight_scale=weight_scale)
    block.neuron.shape = None
    block.delay = None
    return DenseBlock(block, fires=False)


def conv_block(spec: ConvSpec, input_shape: tuple[int, int, int], neuron: NeuronSpec) -> ConvBlock:
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
