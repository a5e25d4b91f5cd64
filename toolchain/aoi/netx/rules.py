"""Rules that a network has to meet so that SLAYER, Lava and the chip compute the same; one small function per rule.

Export refuses violations; inspection lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from aoi.errors import NetXError
from aoi.netx.description import (
    DECAY_UNITY,
    KERNEL_MAX,
    MAX_DELAY,
    STATE_LIMIT,
    STATE_SHIFT,
    VALUE_MAX,
    WEIGHT_MAX,
    WEIGHT_MIN,
    Conv,
    Cuba,
    Dense,
    Input,
    Layer,
    NetworkDescription,
    Sigma,
)
from aoi.netx.weights import effective_weights

EXACT_THRESHOLD = 64 << STATE_SHIFT  # from this value on, SLAYER fires at v == threshold, Lava only above it

Rule = Callable[[Layer], "str | None"]  # returns the violation, or None


@dataclass(frozen=True)
class RuleViolation:
    """A rule that a layer violates. As text: ``layer 2: delay 63 is out of 0..62; clamp it [delay_range]``."""

    rule: str  # name of its function in this module, or "chain"
    layer: str  # name of the layer in the file
    text: str  # value, limit and remedy

    def __str__(self) -> str:
        return f"layer {self.layer}: {self.text} [{self.rule}]"


def _matrices(layer: Layer) -> Iterator[tuple[str, np.ndarray]]:
    if not isinstance(layer, Input):
        yield "weight", layer.weight
    if isinstance(layer, Dense) and layer.weight_rec is not None:
        yield "weight_rec", layer.weight_rec


def weight_range(layer: Layer) -> str | None:
    """Weights have 8 signed bits in even steps; NetX clips larger ones."""
    for name, weight in _matrices(layer):
        wrong = ~((weight >= WEIGHT_MIN) & (weight <= WEIGHT_MAX))
        if wrong.any():
            return f"{name} {weight[wrong][0]} is out of {WEIGHT_MIN}..{WEIGHT_MAX}; quantise to 8 bits"
    return None


def weight_even(layer: Layer) -> str | None:
    """Weights are even: SLAYER's 8-bit quantisation gives even weights, and the chip's synapses hold no others."""
    for name, weight in _matrices(layer):
        wrong = weight % 2 != 0
        if wrong.any():
            return f"{name} {weight[wrong][0]} is not an even number; quantise to 8 bits"
    return None


def weight_exact(layer: Layer) -> str | None:
    """Lava's synapses do not change the weights of a dense layer. (It cannot load weights that are all zero.)"""
    if not isinstance(layer, Dense) or weight_range(layer) or weight_even(layer):
        return None
    weight = np.asarray(layer.weight).astype(np.int32)
    rec = None if layer.weight_rec is None else np.asarray(layer.weight_rec).astype(np.int32)
    try:
        executed = effective_weights(weight, rec)
    except NetXError as error:
        return str(error)
    for given, ours in zip((weight, rec), executed, strict=True):
        if given is not None and ours is not None and (given != ours).any():
            wrong = given != ours
            return f"weight {given[wrong][0]} becomes {ours[wrong][0]} in Lava; give the layer a weight above 0"
    return None


def decay_range(layer: Layer) -> str | None:
    """Decays have 12 bits."""
    neuron = layer.neuron
    if not isinstance(neuron, Cuba):
        return None
    for name, value in (("current_decay", neuron.current_decay), ("voltage_decay", neuron.voltage_decay)):
        values = np.ravel(value)
        wrong = ~((values >= 0) & (values <= DECAY_UNITY))
        if wrong.any():
            return f"{name} {values[wrong][0]} is out of 0..{DECAY_UNITY}; clamp it"
    return None


def threshold_exact(layer: Layer) -> str | None:
    """Thresholds of CUBA neurons are below 64 in SLAYER's units: above, SLAYER fires at ``v == threshold``, Lava does
    not. Thresholds of sigma-delta neurons, shifted up by 12 bits, fit into 32."""
    if isinstance(layer.neuron, Sigma):
        return None
    thresholds = np.ravel(layer.neuron.threshold)
    exact = EXACT_THRESHOLD - 1 if isinstance(layer.neuron, Cuba) else VALUE_MAX
    wrong = (thresholds < 0) | ((thresholds > exact) & layer.neuron.fires)
    if wrong.any():
        hint = " (below 64 in SLAYER's units)" if isinstance(layer.neuron, Cuba) else ""
        return f"threshold {thresholds[wrong][0]} is out of 0..{exact}{hint}; scale it down"
    return None


def parameter_shape(layer: Layer) -> str | None:
    """Each parameter of CUBA neurons is one value, or one per channel."""
    neuron = layer.neuron
    if not isinstance(neuron, Cuba):
        return None
    for name in ("threshold", "current_decay", "voltage_decay"):
        shape = np.shape(getattr(neuron, name))
        if shape not in ((), layer.shape[:1]):
            return f"{name} has shape {shape}; it takes one value, or one per channel, {layer.shape[:1]}"
    return None


def loaded_by_lava(layer: Layer) -> str | None:
    """Lava can load the layer: ``hdf5.Network`` raises NotImplementedError at a pool layer."""
    if layer.kind == "pool":
        return "Lava loads no pool layers; use a strided convolution"
    return None


def delay_range(layer: Layer) -> str | None:
    """Delays have 6 bits; 63 is not available in NetX."""
    if isinstance(layer, Dense) and layer.delay is not None:
        wrong = ~((layer.delay >= 0) & (layer.delay <= MAX_DELAY))
        if wrong.any():
            return f"delay {layer.delay[wrong][0]} is out of 0..{MAX_DELAY}; clamp it"
    return None


def recurrent_delay(layer: Layer) -> str | None:
    """A recurrent layer has no delays: with delays, Lava drops the exponent of its weights."""
    if isinstance(layer, Dense) and layer.delay is not None and layer.weight_rec is not None:
        return "delays in a recurrent layer are not executed exactly by Lava; leave the delays out"
    return None


def bias_without_delay(layer: Layer) -> str | None:
    """No layer has both a bias and delays: SLAYER delays the bias too, Lava does not."""
    if isinstance(layer, Dense) and layer.bias is not None and layer.delay is not None:
        return "a bias together with delays differs between SLAYER and Lava; leave one out"
    return None


def no_bias(layer: Layer) -> str | None:
    """No layer has a bias: Lava applies it one step earlier than SLAYER."""
    if layer.bias is not None and np.any(layer.bias):
        worst = layer.bias.flat[np.abs(layer.bias).argmax()]
        return f"bias {worst}: Lava applies it one step earlier than SLAYER; train without bias"
    return None


def kernel_range(layer: Layer) -> str | None:
    """The parameters of a convolution fit into 8 signed bits, in which Lava holds them."""
    if isinstance(layer, Conv) and layer.kind != "pool":
        values = (*layer.weight.shape[2:], *layer.stride, *layer.padding, *layer.dilation, layer.groups)
        if max(values) > KERNEL_MAX:
            return f"kernel, stride, padding, dilation or groups {max(values)} is above {KERNEL_MAX}; make it smaller"
    return None


RULES: tuple[Rule, ...] = (
    weight_range,
    weight_even,
    weight_exact,
    decay_range,
    threshold_exact,
    parameter_shape,
    loaded_by_lava,
    delay_range,
    recurrent_delay,
    bias_without_delay,
    no_bias,
    kernel_range,
)


def violations(description: NetworkDescription, *, waive: Collection[str] = ()) -> list[RuleViolation]:
    """All violations, from the first layer to the last, without the rules named in ``waive``.

    The list is empty if SLAYER, Lava and the chip compute the same.

    Example:
        >>> for each in violations(read_network("network.net").description, waive=("no_bias",)):
        ...     print(each)
        layer 1: weight 3 is not an even number; quantise to 8 bits [weight_even]
    """
    rules = [rule for rule in RULES if rule.__name__ not in waive]
    found = ((layer, rule, rule(layer)) for layer in description.layers for rule in rules)
    average = [
        RuleViolation("loaded_by_lava", "average", "Lava loads no average layer; use one output neuron per class")
    ]
    return [
        *chain_violations(description),
        *(average if description.average is not None and "loaded_by_lava" not in waive else ()),
        *(RuleViolation(rule.__name__, layer.name, text) for layer, rule, text in found if text),
    ]


def chain_violations(description: NetworkDescription) -> list[RuleViolation]:
    """Layers whose input shape is not the output shape of the layer before; a convolution cannot follow a dense one."""
    return [RuleViolation("chain", layer, text) for layer, text in _broken_links(description)]


def _broken_links(description: NetworkDescription) -> Iterator[tuple[str, str]]:
    """Pairs of a layer's name and the violation."""
    shape = description.input_shape
    for index, layer in enumerate(description.layers):
        if isinstance(layer, Input) and index:
            yield layer.name, f"takes values, but is layer {index}; it can only come first"
        expected = (layer.weight.shape[1],) if isinstance(layer, Dense) else _input_shape(layer)
        if expected != ((prod(shape),) if isinstance(layer, Dense) else shape):
            yield layer.name, f"takes {expected}, is fed {shape}"
        shape = layer.shape
        if min(shape) < 1:
            yield layer.name, f"gives maps of shape {shape}; make kernel or stride smaller"
    if not any(not isinstance(layer, Input) for layer in description.layers):
        yield "-", "the network has no layers"
    elif description.average is not None and (description.average < 1 or prod(shape) % description.average):
        yield (
            "average",
            f"{description.average} groups do not divide the {prod(shape)} neurons of the last layer",
        )


def _input_shape(layer: Input | Conv) -> tuple[int, ...]:
    return layer.shape if isinstance(layer, Input) else layer.input_shape


def worst_case_current(layer: Layer, steps: int = 1024) -> int:
    """Upper bound of |u| of CUBA neurons if all inputs of one sign spike in each of ``steps`` steps, in state units.

    From 2**23 on, Lava wraps u and SLAYER does not. This is only a warning, since real input is sparse. 0 for an input
    block, which has no synapses.

    Example:
        >>> [worst_case_current(layer, steps=32) for layer in description.layers]
        [1236480, 892416]
    """
    per_neuron = sum(
        max(
            np.maximum(sign * weight.astype(np.int64), 0).reshape(len(weight), -1).sum(axis=1).max() for sign in (1, -1)
        )
        for _, weight in _matrices(layer)
    )
    slowest = int(np.min(layer.neuron.current_decay)) if isinstance(layer.neuron, Cuba) else 0
    accumulated_steps = min(steps, -(-DECAY_UNITY // max(slowest, 1)))
    return (int(per_neuron) << STATE_SHIFT) * accumulated_steps


def overflow_warnings(description: NetworkDescription, steps: int = 1024) -> list[str]:
    """One line for each layer whose current can exceed 24 bits if all inputs of one sign spike at once.

    Layers of sigma-delta neurons, and those that get their messages, have no such bound and are left out.
    """
    graded = [False, *(layer.neuron.graded for layer in description.layers)]
    bounds = (
        (layer.name, worst_case_current(layer, steps))
        for layer, messages in zip(description.layers, graded, strict=False)
        if isinstance(layer.neuron, Cuba) and not messages
    )
    return [
        f"layer {name}: current can reach {bound} if all inputs spike at once; Lava wraps it at {STATE_LIMIT}"
        for name, bound in bounds
        if bound >= STATE_LIMIT
    ]
