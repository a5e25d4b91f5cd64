"""What a network must keep to so that SLAYER, Lava and the chip compute the same: one small function a rule.

Export refuses what breaks a rule; inspection lists it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from toolchain.errors import NetXError
from toolchain.netx.description import (
    DECAY_UNITY,
    MAX_DELAY,
    STATE_LIMIT,
    STATE_SHIFT,
    WEIGHT_MAX,
    WEIGHT_MIN,
    Conv,
    Dense,
    Layer,
    NetworkDescription,
)
from toolchain.netx.weights import effective_weights

EXACT_THRESHOLD = 64 << STATE_SHIFT  # from here on SLAYER fires at v == threshold, Lava only above it
_KERNEL_MAX = 127

Rule = Callable[[Layer], "str | None"]  # what breaks the rule, or None


@dataclass(frozen=True)
class Failure:
    """A broken rule."""

    rule: str
    layer: str
    text: str

    def __str__(self) -> str:
        return f"layer {self.layer}: {self.text} [{self.rule}]"


def _matrices(layer: Layer) -> Iterator[tuple[str, np.ndarray]]:
    yield "weight", layer.weight
    if isinstance(layer, Dense) and layer.weight_rec is not None:
        yield "weight_rec", layer.weight_rec


def weight_range(layer: Layer) -> str | None:
    """8 bits signed in even steps; NetX clips what lies beyond."""
    for name, weight in _matrices(layer):
        wrong = ~((weight >= WEIGHT_MIN) & (weight <= WEIGHT_MAX))
        if wrong.any():
            return f"{name} {weight[wrong][0]} is out of {WEIGHT_MIN}..{WEIGHT_MAX}; quantise to 8 bits"
    return None


def weight_even(layer: Layer) -> str | None:
    """SLAYER's 8-bit quantisation yields even weights, and the chip's synapse holds no others."""
    for name, weight in _matrices(layer):
        wrong = weight % 2 != 0
        if wrong.any():
            return f"{name} {weight[wrong][0]} is not an even number; quantise to 8 bits"
    return None


def weight_exact(layer: Layer) -> str | None:
    """Lava's synapse has to hold a dense layer's weights as they are; an all-zero layer cannot be loaded at all."""
    if isinstance(layer, Conv) or weight_range(layer) or weight_even(layer):
        return None
    weight = np.asarray(layer.weight).astype(np.int32)
    rec = None if layer.weight_rec is None else np.asarray(layer.weight_rec).astype(np.int32)
    try:
        executed = effective_weights(weight, rec)
    except NetXError as error:
        return str(error)
    for given, held in zip((weight, rec), executed, strict=True):
        if given is not None and held is not None and (given != held).any():
            wrong = given != held
            return f"weight {given[wrong][0]} becomes {held[wrong][0]} in Lava; give the layer a weight above 0"
    return None


def decay_range(layer: Layer) -> str | None:
    """12 bits."""
    neuron = layer.neuron
    for name, value in (("current_decay", neuron.current_decay), ("voltage_decay", neuron.voltage_decay)):
        if not 0 <= value <= DECAY_UNITY:
            return f"{name} {value} is out of 0..{DECAY_UNITY}"
    return None


def threshold_exact(layer: Layer) -> str | None:
    """From 64 on (in SLAYER's units) SLAYER fires at ``v == threshold``, Lava does not."""
    threshold = layer.neuron.threshold
    if threshold < 0 or (layer.neuron.fires and threshold >= EXACT_THRESHOLD):
        return f"threshold {threshold} is out of 0..{EXACT_THRESHOLD - 1} (below 64 in SLAYER's units); scale it down"
    return None


def delay_range(layer: Layer) -> str | None:
    """6 bits; 63 is not available to NetX."""
    if isinstance(layer, Dense) and layer.delay is not None:
        wrong = ~((layer.delay >= 0) & (layer.delay <= MAX_DELAY))
        if wrong.any():
            return f"delay {layer.delay[wrong][0]} is out of 0..{MAX_DELAY}; clamp it"
    return None


def recurrent_delay(layer: Layer) -> str | None:
    """Lava drops the weights' exponent in a recurrent layer with delays."""
    if isinstance(layer, Dense) and layer.delay is not None and layer.weight_rec is not None:
        return "delays in a recurrent layer are not executed exactly by Lava; leave the delays out"
    return None


def bias_without_delay(layer: Layer) -> str | None:
    """SLAYER delays the bias too, Lava does not."""
    if isinstance(layer, Dense) and layer.bias is not None and layer.delay is not None:
        return "bias and delay together differ between SLAYER and Lava; leave one out"
    return None


def no_bias(layer: Layer) -> str | None:
    """Lava applies a bias one step earlier than SLAYER."""
    if layer.bias is not None and np.any(layer.bias):
        worst = layer.bias.flat[np.abs(layer.bias).argmax()]
        return f"bias {worst}: Lava applies it one step earlier than SLAYER; train without bias"
    return None


def kernel_range(layer: Layer) -> str | None:
    """Lava keeps a convolution's parameters in 8 bits signed."""
    if isinstance(layer, Conv):
        values = (*layer.weight.shape[2:], *layer.stride, *layer.padding, *layer.dilation, layer.groups)
        if max(values) > _KERNEL_MAX:
            return f"kernel, stride, padding, dilation or groups {max(values)} is above {_KERNEL_MAX}"
    return None


RULES: tuple[Rule, ...] = (
    weight_range,
    weight_even,
    weight_exact,
    decay_range,
    threshold_exact,
    delay_range,
    recurrent_delay,
    bias_without_delay,
    no_bias,
    kernel_range,
)


def failures(description: NetworkDescription, *, waive: Collection[str] = ()) -> list[Failure]:
    """All broken rules but those named in ``waive``, first layer first."""
    rules = [rule for rule in RULES if rule.__name__ not in waive]
    found = ((layer, rule, rule(layer)) for layer in description.layers for rule in rules)
    return [
        *chain_failures(description),
        *(Failure(rule.__name__, layer.name, text) for layer, rule, text in found if text),
    ]


def chain_failures(description: NetworkDescription) -> list[Failure]:
    """Each layer has to take what the one before it gives; a convolution cannot follow a dense layer."""
    shape = description.input_shape
    found = []
    for layer in description.layers:
        takes = layer.input_shape if isinstance(layer, Conv) else (layer.weight.shape[1],)
        if takes != (shape if isinstance(layer, Conv) else (prod(shape),)):
            found.append(Failure("chain", layer.name, f"takes {takes}, is fed {shape}"))
        shape = layer.shape
        if min(shape) < 1:
            found.append(Failure("chain", layer.name, f"gives maps of shape {shape}; make kernel or stride smaller"))
    if not description.layers:
        found.append(Failure("chain", "-", "the network has no layers"))
    return found


def worst_case_current(layer: Layer, steps: int = 1024) -> int:
    """Bound on |u| after ``steps`` steps in which the worst inputs all spike, in state units.

    At 2**23 and above Lava wraps u and SLAYER does not: a warning, since real input is sparse.
    """
    per_neuron = sum(
        max(
            np.maximum(sign * weight.astype(np.int64), 0).reshape(len(weight), -1).sum(axis=1).max() for sign in (1, -1)
        )
        for _, weight in _matrices(layer)
    )
    remembered = min(steps, -(-DECAY_UNITY // max(layer.neuron.current_decay, 1)))
    return (int(per_neuron) << STATE_SHIFT) * remembered


def overflow_warnings(description: NetworkDescription, steps: int = 1024) -> list[str]:
    """One line for each layer whose current may leave 24 bits if all its worst inputs spike at once."""
    bounds = ((layer.name, worst_case_current(layer, steps)) for layer in description.layers)
    return [
        f"layer {name}: current may reach {bound} if all inputs spike at once; it wraps at {STATE_LIMIT}"
        for name, bound in bounds
        if bound >= STATE_LIMIT
    ]
