"""Looks at the layers of anybody's SLAYER network while it runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, overload

import torch
from torch import nn

from aoi_models.blocks import LayerActivity, slayer
from aoi_models.regularisers.hidden import Hidden

# SLAYER walks them step by step, with a gradient of its own that ends at each neuron.
_STEP_BY_STEP = (slayer.block.cuba.Recurrent, slayer.block.cuba.KWTA)


class Observed(Sequence[Hidden]):
    """The layers of the latest forward pass, in the order in which they ran, the readout among them.

    Each is a :class:`~aoi_models.regularisers.Hidden`: ``threshold`` and ``activity`` with ``current``, ``voltage``
    (before the reset) and ``spikes``, float32 (N, \\*neurons, T) with their gradients, in SLAYER's units. Spikes are
    those that the neurons hand on: after dropout, before the block's step of delay and its axonal delay. Raises
    RuntimeError where no layer has run yet.
    """

    def __init__(self, reads_current: bool) -> None:
        self._reads_current = reads_current  # the readout has no neurons, so that it is none of the layers
        self._layers: dict[str, Hidden] = {}
        self._late: dict[str, int] = {}  # steps that each layer's input is behind the network's
        self._shifts = 0  # blocks so far that hand their spikes on a step late

    @property
    def hidden(self) -> list[Hidden]:
        """The layers whose spikes go to others: all that fire, but for the last where it is the readout.

        The readout is a layer that never fires (an integrator, read by its voltage), or else the last layer. Where
        something that is no SLAYER layer reads the spikes, regularise the whole sequence instead.
        """
        return [self._layers[name] for name in self._hidden_names()]

    @property
    def aligned(self) -> list[Hidden]:
        """:attr:`hidden`, each from the step at which the network's first input reaches it.

        Blocks with ``delay_shift`` (SLAYER's default, as on the chip) hand their spikes on a step late. Of a run of
        S steps through L such blocks, each layer's T = S - L steps are left, which are those of the last T of the
        output. Pad the input by L steps to have them all.
        """
        names = self._hidden_names()
        return [_span(self._layers[name], self._late[name], self._shifts) for name in names]

    def _hidden_names(self) -> list[str]:
        firing = [name for name, layer in self._ran().items() if math.isfinite(layer.threshold)]
        read_elsewhere = self._reads_current or len(firing) < len(self._layers)
        return firing if read_elsewhere else firing[:-1]

    def _ran(self) -> dict[str, Hidden]:
        if not self._layers:
            raise RuntimeError("observe: no SLAYER layer has run; call the module inside 'with observe(module)'")
        return self._layers

    @overload
    def __getitem__(self, index: int) -> Hidden: ...
    @overload
    def __getitem__(self, index: slice) -> list[Hidden]: ...
    def __getitem__(self, index: int | slice) -> Hidden | list[Hidden]:
        return list(self._ran().values())[index]

    def __len__(self) -> int:
        return len(self._ran())

    def _begin(self) -> None:
        self._layers, self._late, self._shifts = {}, {}, 0

    def _handed_on(self) -> None:
        self._shifts += 1

    def _integrated(self, name: str, current: torch.Tensor, voltage: torch.Tensor) -> None:
        if name in self._layers:
            raise RuntimeError(
                f"observe: layer {name} ran twice in one forward pass; call the observed module as a whole, and "
                "give each layer neurons of its own"
            )
        silent = voltage.new_zeros(()).expand_as(voltage)
        self._layers[name] = Hidden(LayerActivity(current, voltage, silent, silent), math.inf)
        self._late[name] = self._shifts

    def _fired(self, name: str, threshold: float, spikes: torch.Tensor) -> None:
        activity = self._layers[name].activity
        assert isinstance(activity, LayerActivity)
        self._layers[name] = Hidden(activity._replace(spikes=spikes, sent=spikes), threshold)


@contextmanager
def observe(module: nn.Module) -> Iterator[Observed]:
    """Records what each SLAYER layer in ``module`` does while the context is open.

    Works on any module that holds CUBA blocks (``lava.lib.dl.slayer.block.cuba``: Dense, Conv, Pool, Affine, …) or
    neurons (``slayer.neuron.cuba.Neuron``), however deep, in training and in evaluation. Of several forward passes the
    last counts. Values and gradients of the module do not change, and after the context it is as it was.

    Args:
        module: what is called inside the context.

    Yields:
        :class:`Observed`, filled by each call of ``module``; it stays valid after the context.

    Raises:
        ValueError: ``module`` holds no SLAYER layer, or one that cannot be observed: neurons other than CUBA, graded
            spikes, and the blocks Recurrent and KWTA.
        RuntimeError: it is read before ``module`` was called, or a layer ran twice in one pass.

    Example:
        with observe(net) as layers:
            output = net(spikes)
        correct = output.cumsum(-1).argmax(1) == labels[:, None]
        loss = error(output, labels) + 0.5 * str_penalty(layers.hidden, correct)
    """
    neurons = _neurons(module)
    reads_current = any(neuron.threshold is None for neuron in neurons.values())  # Affine(dynamics=False)
    observed = Observed(reads_current)
    with ExitStack() as stack:
        stack.callback(module.register_forward_pre_hook(lambda *_: observed._begin()).remove)
        for block in module.modules():
            if getattr(block, "delay_shift", False):
                stack.callback(block.register_forward_hook(lambda *_: observed._handed_on()).remove)
        for name, neuron in neurons.items():
            if neuron.threshold is not None:
                stack.enter_context(_watched(neuron, name, observed))
        yield observed


def _neurons(module: nn.Module) -> dict[str, Any]:
    """Name → neuron; the name is the block's, where there is one."""
    kind = type(module).__name__
    found = {}
    for name, part in module.named_modules():
        if isinstance(part, _STEP_BY_STEP):
            raise ValueError(
                f"{kind}: layer {name} is a {type(part).__name__} block, whose spikes have no gradient outside of it; "
                "use Dense, Conv or Pool blocks"
            )
        if not isinstance(part, slayer.neuron.base.Neuron):
            continue
        name = name.removesuffix(".neuron") or kind
        if not isinstance(part, slayer.neuron.cuba.Neuron):
            raise ValueError(
                f"{kind}: layer {name} has neurons of {type(part).__module__}; only CUBA neurons can be observed"
            )
        if part.graded_spike:
            raise ValueError(f"{kind}: layer {name} sends graded spikes; leave out graded_spike")
        found[name] = part
    if not found:
        raise ValueError(f"{kind}: holds no SLAYER layer (a block of lava.lib.dl.slayer.block.cuba)")
    return found


@contextmanager
def _watched(neuron: Any, name: str, observed: Observed) -> Iterator[None]:
    dynamics, spike = neuron.dynamics, neuron.spike

    def watched_dynamics(input: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        current, voltage = dynamics(input)
        observed._integrated(name, current, voltage)
        return current, voltage

    def watched_spike(voltage: torch.Tensor) -> torch.Tensor:
        spikes: torch.Tensor = spike(voltage)
        observed._fired(name, float(neuron.threshold), spikes)
        return spikes

    with _replaced(neuron, "dynamics", watched_dynamics), _replaced(neuron, "spike", watched_spike):
        yield


@contextmanager
def _replaced(neuron: Any, name: str, method: Callable[..., Any]) -> Iterator[None]:
    """``neuron.name`` is ``method`` while open; then what it was, its class's or another observer's."""
    before = vars(neuron).get(name)
    setattr(neuron, name, method)
    try:
        yield
    finally:
        if before is None:
            delattr(neuron, name)
        else:
            setattr(neuron, name, before)


def _span(layer: Hidden, first: int, late: int) -> Hidden:
    """``layer`` without its ``first`` steps and so many of the last that ``late`` in all are left out."""
    activity = layer.activity
    assert isinstance(activity, LayerActivity)
    assert activity.current is not None
    steps = activity.voltage.shape[-1] - late
    if steps < 1:
        raise ValueError(f"a run of {steps + late} steps ends before {late} layers have answered; pad the input")
    tensors = (activity.current, activity.voltage, activity.spikes, activity.sent)
    return Hidden(LayerActivity(*(each[..., first : first + steps] for each in tensors)), layer.threshold)
