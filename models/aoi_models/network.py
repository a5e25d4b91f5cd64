"""AnytimeNetwork: the torch module of a NetworkSpec, with class scores at every timestep."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from aoi.errors import ConfigError, NetXError
from aoi.experiment.network import ConvSpec, DenseSpec, NetworkSpec, NeuronSpec
from aoi.netx.description import DECAY_UNITY, Conv, Cuba, Dense, Input, Layer, NetworkDescription
from aoi_models.blocks import CubaBlock, LayerActivity, State, conv_block, dense_block, integrator_block

WEIGHT_UNIT = 64  # weight on the chip that equals SLAYER's 1.0
STATE_UNIT = 4096  # state on the chip that equals SLAYER's 1.0

Summary = TypeVar("Summary")


class Response(NamedTuple):
    """Output of a network over T steps."""

    scores: torch.Tensor
    """Accumulated readout, float32 (N, classes, T): spike counts, or voltages in SLAYER's units."""
    layers: list[LayerActivity]  # the last is the readout


class AnytimeNetwork(nn.Module):
    """A sequence of blocks. Input: spikes float32 (N, C, H, W, T), or (N, C, T) if the input shape is (C,)."""

    def __init__(self, blocks: list[CubaBlock], input_shape: tuple[int, ...], readout: str) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.input_shape = input_shape
        self.readout = readout

    @classmethod
    def from_spec(cls, spec: NetworkSpec, input_shape: tuple[int, int, int], classes: int) -> AnytimeNetwork:
        """An untrained network, with SLAYER's random initial weights. Raises ConfigError if a layer does not fit."""
        shape: tuple[int, ...] = input_shape
        blocks: list[CubaBlock] = []
        for index, layer in enumerate(spec.layers):
            if isinstance(layer, ConvSpec):
                blocks.append(_checked_conv_block(layer, shape, spec, index))
                shape = blocks[-1].describe("").shape
            else:
                blocks.append(dense_block(layer, prod(shape), spec.neuron))
                shape = (layer.neurons,)
        if spec.readout == "voltage":
            blocks.append(integrator_block(prod(shape), classes, spec.readout_weight_scale))
        else:
            readout = DenseSpec(neurons=classes, weight_scale=spec.readout_weight_scale)
            blocks.append(dense_block(readout, prod(shape), spec.neuron))
        return cls(blocks, input_shape, spec.readout)

    @classmethod
    def from_description(cls, description: NetworkDescription) -> AnytimeNetwork:
        """The same network in SLAYER, for comparison.

        Raises NetXError if SLAYER executes one of its layers differently from the chip.
        """
        blocks: list[CubaBlock] = []
        for layer in description.layers:
            difference = _slayer_difference(layer)
            if difference:
                raise NetXError(f"layer {layer.name}: {difference}: SLAYER cannot execute it as the chip does")
            assert isinstance(layer.neuron, Cuba)
            assert not isinstance(layer, Input)
            neuron = NeuronSpec(
                threshold=layer.neuron.threshold / WEIGHT_UNIT if layer.neuron.fires else 1.0,
                current_decay=layer.neuron.current_decay / DECAY_UNITY,
                voltage_decay=layer.neuron.voltage_decay / DECAY_UNITY,
            )
            block: CubaBlock
            if isinstance(layer, Conv):
                spec = ConvSpec(
                    channels=layer.weight.shape[0],
                    kernel=(layer.weight.shape[2], layer.weight.shape[3]),
                    stride=layer.stride,
                    padding=layer.padding,
                    dilation=layer.dilation,
                    groups=layer.groups,
                )
                block = conv_block(spec, layer.input_shape, neuron)
            elif layer.neuron.fires:
                spec_dense = DenseSpec(neurons=layer.weight.shape[0], delay=layer.delay is not None)
                block = dense_block(spec_dense, layer.weight.shape[1], neuron)
            else:
                block = integrator_block(layer.weight.shape[1], layer.weight.shape[0], 1.0, neuron)
            with torch.no_grad():
                weight = block.block.synapse.weight
                weight.copy_(torch.from_numpy(layer.weight / WEIGHT_UNIT).reshape(weight.shape))
                if isinstance(layer, Dense) and layer.delay is not None:
                    block.block.delay.delay.copy_(torch.from_numpy(layer.delay[:, 0].copy()).reshape(-1))
            blocks.append(block)
        return cls(blocks, description.input_shape, "spikes" if description.fires else "voltage").eval()

    def forward(self, x: torch.Tensor, keep_current: bool = False, sums: bool = False) -> Response:
        """Runs all steps. ``keep_current`` and ``sums`` add to each layer's activity, see :class:`LayerActivity`."""
        layers = self._layers(x, [()] * len(self.blocks), keep_current, sums)
        return Response(self._scores(self._output(layers)), layers)

    def forward_in_chunks(
        self, x: torch.Tensor, steps: int, summarise: Callable[[LayerActivity, float], Summary], sums: bool = False
    ) -> tuple[torch.Tensor, list[tuple[Summary, ...]]]:
        """:meth:`forward` in chunks of ``steps`` timesteps, keeping only a summary of each layer's activity.

        The backward pass computes each chunk again, from the layers' states at its start; the gradients are those of
        :meth:`forward`. Memory grows with T only by ``x``, the states and the summaries. CPU only, see
        :meth:`CubaBlock.forward`.

        Args:
            x: spikes as in :meth:`forward`, of any dtype.
            steps: timesteps per chunk; the last may be shorter.
            summarise: called with the activity of a layer in a chunk, and the layer's threshold.
            sums: as in :meth:`forward`.

        Returns:
            The scores, as in :class:`Response`, and for each layer the summaries of its chunks.
        """
        states: list[State] = [()] * len(self.blocks)
        outputs, summaries = [], []
        for chunk in x.split(steps, dim=-1):
            output, of_chunk, states = checkpoint(
                self._forward_chunk, chunk, states, summarise, sums, use_reentrant=False, preserve_rng_state=False
            )
            outputs.append(output)
            summaries.append(of_chunk)
        return self._scores(torch.cat(outputs, -1)), list(zip(*summaries, strict=True))

    def _forward_chunk(
        self, x: torch.Tensor, states: list[State], summarise: Callable[[LayerActivity, float], Summary], sums: bool
    ) -> tuple[torch.Tensor, list[Summary], list[State]]:
        layers = self._layers(x.float(), states, sums=sums)
        summaries = [summarise(layer, block.threshold) for layer, block in zip(layers, self.blocks, strict=True)]
        return self._output(layers), summaries, [layer.final_state for layer in layers]

    def _layers(
        self, x: torch.Tensor, states: list[State], keep_current: bool = False, sums: bool = False
    ) -> list[LayerActivity]:
        layers = []
        for block, state in zip(self.blocks, states, strict=True):
            layers.append(block(x, state, keep_current, sums))
            x = layers[-1].sent
        return layers

    def _output(self, layers: list[LayerActivity]) -> torch.Tensor:
        return layers[-1].spikes if self.readout == "spikes" else layers[-1].voltage

    def _scores(self, output: torch.Tensor) -> torch.Tensor:
        return output.cumsum(-1) if self.readout == "spikes" else output

    def stock(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Runs SLAYER's own blocks, unchanged, on ``x`` as in :meth:`forward`.

        Returns the output of each layer, float32 (N, ..., T): its spikes, or the voltages of a readout that does not
        fire. Each layer's spikes come one step after its input.
        """
        outputs = []
        for block in self.blocks:
            assert isinstance(block, CubaBlock)
            x = block.stock_output(x)
            outputs.append(x)
        return outputs

    @torch.no_grad()
    def stock_traces(self, spikes: np.ndarray) -> list[dict[str, np.ndarray]]:
        """Runs SLAYER's own blocks, unchanged, on spikes (N, C, H, W, T), and removes the delay of each block.

        Returns for each block ``s``, bool (N, ..., T), and unless it has axonal delays ``u`` and ``v`` (after the
        reset), int64 (N, ..., T) in Loihi's units. The input is padded by one step per block, the blocks' delay.
        """
        self.eval()
        steps = spikes.shape[-1]
        x = nn.functional.pad(torch.from_numpy(spikes).float(), (0, len(self.blocks)))
        traces = []
        for index, block in enumerate(self.blocks):
            assert isinstance(block, CubaBlock)
            current, voltage, out = block.stock(x)
            fired = voltage >= block.threshold + block.block.neuron.threshold_eps if block.fires else torch.zeros(())
            span = slice(index, index + steps)
            trace = {"s": out[..., index + 1 : index + 1 + steps] > 0}
            if block.block.delay is None:
                trace["u"] = (current * STATE_UNIT).round().long()[..., span]
                trace["v"] = (voltage * (1 - fired.float()) * STATE_UNIT).round().long()[..., span]
            traces.append({name: value.numpy() for name, value in trace.items()})
            x = out
        return traces

    def describe(self) -> NetworkDescription:
        """The integers of the quantised network, as they are exported."""
        layers = []
        for index, block in enumerate(self.blocks):
            assert isinstance(block, CubaBlock)
            layers.append(block.describe(str(index)))
        return NetworkDescription(self.input_shape, tuple(layers))


def _checked_conv_block(layer: ConvSpec, shape: tuple[int, ...], spec: NetworkSpec, index: int) -> CubaBlock:
    where = f"network.layers[{index}]"
    if len(shape) != 3:
        raise ConfigError(f"{where}: a convolution cannot follow a dense layer; put the convolutions first")
    channels, height, width = shape
    if channels % layer.groups or layer.channels % layer.groups:
        raise ConfigError(
            f"{where}.groups = {layer.groups}: has to divide both the {channels} input and the {layer.channels} "
            "output channels"
        )
    block = conv_block(layer, (channels, height, width), spec.neuron)
    if min(block.describe("").shape) < 1:
        raise ConfigError(
            f"{where}.kernel = {layer.kernel}: larger than the {height}x{width} input of this layer; "
            "use a smaller kernel, smaller strides before it, or more padding"
        )
    return block


def _slayer_difference(layer: Layer) -> str | None:
    """What SLAYER executes differently from the chip in this layer, if anything."""
    if not isinstance(layer.neuron, Cuba) or isinstance(layer, Input):
        return f"{layer.kind} block of {type(layer.neuron).__name__} neurons"
    if any(np.ndim(value) for value in vars(layer.neuron).values()):
        return "neuron parameters that differ between channels"
    if layer.bias is not None:
        return "a bias, which Lava adds one step earlier"
    if layer.neuron.fires and not 0 < layer.neuron.threshold < 64 * WEIGHT_UNIT:
        return f"threshold {layer.neuron.threshold} (SLAYER is exact from 1 to {64 * WEIGHT_UNIT - 1})"
    if isinstance(layer, Dense):
        if layer.weight_rec is not None:
            return "recurrent weights"
        if layer.delay is not None and (layer.delay.shape[1] != 1 or not layer.neuron.fires):
            return "delays that are not one per output neuron"
    return None
