"""AnytimeNetwork: a NetworkSpec as a torch module that answers at every timestep."""

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

WEIGHT_UNIT = 64  # the chip's weight for SLAYER's 1.0
STATE_UNIT = 4096  # the chip's state for SLAYER's 1.0

Seen = TypeVar("Seen")


class Response(NamedTuple):
    """What a network did over T steps."""

    scores: torch.Tensor  # (N, classes, T): accumulated readout, spike counts or voltage in SLAYER's units
    layers: list[LayerActivity]  # the readout is the last


class AnytimeNetwork(nn.Module):
    """Blocks in a row. Input (N, C, H, W, T) spikes, float32, or (N, C, T) where the input shape is (C,)."""

    def __init__(self, blocks: list[CubaBlock], input_shape: tuple[int, ...], readout: str) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.input_shape = input_shape
        self.readout = readout

    @classmethod
    def from_spec(cls, spec: NetworkSpec, input_shape: tuple[int, int, int], classes: int) -> AnytimeNetwork:
        """A network to train, with SLAYER's random initial weights."""
        shape: tuple[int, ...] = input_shape
        blocks: list[CubaBlock] = []
        for index, layer in enumerate(spec.layers):
            if isinstance(layer, ConvSpec):
                blocks.append(_conv(layer, shape, spec, index))
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
        """SLAYER's form of a network file, for comparison; refuses what SLAYER executes otherwise than the chip."""
        blocks: list[CubaBlock] = []
        for layer in description.layers:
            reason = _not_in_slayer(layer)
            if reason:
                raise NetXError(f"layer {layer.name}: {reason}: SLAYER cannot execute it as the chip does")
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
        """``keep_current``, ``sums``: what else is wanted of each layer, see :class:`LayerActivity`."""
        layers = self._layers(x, [()] * len(self.blocks), keep_current, sums)
        return Response(self._scores(self._output(layers)), layers)

    def in_chunks(
        self, x: torch.Tensor, steps: int, look: Callable[[LayerActivity, float], Seen], sums: bool = False
    ) -> tuple[torch.Tensor, list[tuple[Seen, ...]]]:
        """:meth:`forward` some ``steps`` at a time; of what a layer did, only what ``look`` sees in it is kept.

        ``x`` of any type; ``look`` gets the layer's activity in a chunk and its threshold → scores as in
        :class:`Response` and, for each layer, what was seen in each chunk. The backward pass computes each chunk once
        more, from the layers' states at its start, and the gradients are those of the whole: memory grows with T by
        the states, ``x`` and what is seen alone. CPU only, see :meth:`CubaBlock.forward`.
        """
        states: list[State] = [()] * len(self.blocks)
        outputs, seen = [], []
        for chunk in x.split(steps, dim=-1):
            output, looks, states = checkpoint(
                self._chunk, chunk, states, look, sums, use_reentrant=False, preserve_rng_state=False
            )
            outputs.append(output)
            seen.append(looks)
        return self._scores(torch.cat(outputs, -1)), list(zip(*seen, strict=True))

    def _chunk(
        self, x: torch.Tensor, states: list[State], look: Callable[[LayerActivity, float], Seen], sums: bool
    ) -> tuple[torch.Tensor, list[Seen], list[State]]:
        layers = self._layers(x.float(), states, sums=sums)
        looks = [look(layer, block.threshold) for layer, block in zip(layers, self.blocks, strict=True)]
        return self._output(layers), looks, [layer.end for layer in layers]

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
        """SLAYER's own blocks in a row, as it trains them: ``x`` as :meth:`forward` → what each layer sends, and the
        voltage of a readout that does not fire, (N, ..., T). Each output is a step later than the layer's input."""
        outputs = []
        for block in self.blocks:
            assert isinstance(block, CubaBlock)
            x = block.stock_output(x)
            outputs.append(x)
        return outputs

    @torch.no_grad()
    def stock_traces(self, spikes: np.ndarray) -> list[dict[str, np.ndarray]]:
        """Runs SLAYER's own blocks, unchanged, and aligns their time.

        ``spikes`` (N, C, H, W, T) → for each block ``s`` bool and, where it has no axonal delay, ``u`` and ``v``
        (after the reset) int64, in Loihi's units, (N, ..., T). Each block is a step late at its output, so the input
        is padded by one step a block.
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
        """Integer description of the quantised network, as exported."""
        layers = []
        for index, block in enumerate(self.blocks):
            assert isinstance(block, CubaBlock)
            layers.append(block.describe(str(index)))
        return NetworkDescription(self.input_shape, tuple(layers))


def _conv(layer: ConvSpec, shape: tuple[int, ...], spec: NetworkSpec, index: int) -> CubaBlock:
    where = f"network.layers[{index}]"
    if len(shape) != 3:
        raise ConfigError(f"{where}: a convolution cannot follow a dense layer; put the convolutions first")
    channels, height, width = shape
    if channels % layer.groups or layer.channels % layer.groups:
        raise ConfigError(
            f"{where}.groups = {layer.groups}: has to divide {channels} input and {layer.channels} channels"
        )
    block = conv_block(layer, (channels, height, width), spec.neuron)
    if min(block.describe("").shape) < 1:
        raise ConfigError(
            f"{where}.kernel = {layer.kernel}: larger than its {height}x{width} input; "
            "use a smaller kernel, less stride before it, or more padding"
        )
    return block


def _not_in_slayer(layer: Layer) -> str | None:
    if not isinstance(layer.neuron, Cuba) or isinstance(layer, Input):
        return f"{layer.kind} block of {type(layer.neuron).__name__} neurons"
    if any(np.ndim(value) for value in vars(layer.neuron).values()):
        return "parameters that differ from channel to channel"
    if layer.bias is not None:
        return "a bias, which Lava adds one step earlier"
    if layer.neuron.fires and not 0 < layer.neuron.threshold < 64 * WEIGHT_UNIT:
        return f"threshold {layer.neuron.threshold} (SLAYER is exact from 1 to {64 * WEIGHT_UNIT - 1})"
    if isinstance(layer, Dense):
        if layer.weight_rec is not None:
            return "recurrent weights"
        if layer.delay is not None and (layer.delay.shape[1] != 1 or not layer.neuron.fires):
            return "delays other than one an output neuron"
    return None
