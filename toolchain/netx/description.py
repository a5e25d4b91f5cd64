"""What the chip executes, as plain data: the one description that engine, board fit, inspection and deployment read.

Integers throughout, in Loihi's units: states ``u`` and ``v`` have 24 bits, weights, thresholds and biases stand 6
bits higher in the state (``<< 6``), decays are fractions of 4096. Feature maps are (C, H, W), kernels
(C_out, C_in / groups, kH, kW), as in SLAYER and torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

STATE_SHIFT = 6  # weights, biases and thresholds << 6 are in state units
STATE_LIMIT = 1 << 23  # |u|, |v| < 2**23: 24 bits, signed
DECAY_UNITY = 1 << 12
MAX_DELAY = 62  # steps
WEIGHT_MIN, WEIGHT_MAX = -256, 254  # 8 bit signed in even steps
THRESHOLD_MAX = (1 << 17) - 1
BIAS_MIN, BIAS_MAX = -4096, 4095  # 13 bit signed


@dataclass(frozen=True)
class Cuba:
    """Current-based leaky integrate-and-fire neuron (Lava: ``PyLifModelBitAcc``).

    ``u[t] = (u[t-1] * (4096 - current_decay)) >> 12 + (a[t] << 6)``, rounded towards zero, wraps at 24 bits;
    ``v[t] = (v[t-1] * (4096 - voltage_decay)) >> 12 + u[t] + (bias << 6)``, rounded towards zero, clips at 24 bits;
    a spike where ``v > threshold << 6``, then ``v = 0``.
    """

    threshold: int  # vThMant
    current_decay: int  # iDecay, 0 to 4096; 0 never leaks, 4096 forgets at once
    voltage_decay: int  # vDecay, 0 to 4096; 0 never leaks

    @property
    def fires(self) -> bool:
        """False for an integrator: its threshold lies at or above the clip, so that only its voltage can be read."""
        return (self.threshold << STATE_SHIFT) < STATE_LIMIT - 1


@dataclass(frozen=True, eq=False)
class Dense:
    """``a[t] = weight @ s[t - delay]``; a (C, H, W) input is flattened in that order."""

    name: str
    weight: np.ndarray  # int32 (out, in)
    neuron: Cuba
    bias: np.ndarray | None = None  # int32 (out,)
    delay: np.ndarray | None = None  # int32, broadcastable to weight: (out, 1), (1, in) or (out, in); steps
    weight_rec: np.ndarray | None = None  # int32 (out, out): recurrent weights
    kind = "dense"

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.weight.shape[0],)


@dataclass(frozen=True, eq=False)
class Conv:
    """Two-dimensional cross-correlation, as torch's ``conv2d``."""

    name: str
    input_shape: tuple[int, int, int]  # (C, H, W)
    weight: np.ndarray  # int32 (C_out, C_in / groups, kH, kW)
    neuron: Cuba
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    bias: np.ndarray | None = None  # int32 (C_out,)
    kind = "conv"

    @property
    def shape(self) -> tuple[int, ...]:
        size = tuple(
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(
                self.input_shape[1:], self.padding, self.dilation, self.weight.shape[2:], self.stride, strict=True
            )
        )
        return (self.weight.shape[0], *size)


Layer = Dense | Conv


@dataclass(frozen=True, eq=False)
class NetworkDescription:
    """The blocks of a network, first to last; each adds one step between its input and its output in Lava."""

    input_shape: tuple[int, ...]  # of the spikes fed in: (C, H, W) or (n,)
    layers: tuple[Layer, ...]

    @property
    def latency(self) -> int:
        """L: output step t is Lava step t + L."""
        return len(self.layers)

    @property
    def outputs(self) -> int:
        """Number of output neurons."""
        return prod(self.layers[-1].shape)

    @property
    def fires(self) -> bool:
        """False where the output has to be read through its voltage."""
        return self.layers[-1].neuron.fires

    @cached_property
    def neurons(self) -> int:
        return sum(prod(layer.shape) for layer in self.layers)

    @cached_property
    def synapses(self) -> int:
        """Stored weights (a convolution's kernel counts once)."""
        return sum(layer.weight.size for layer in self.layers)
