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

from aoi.choices import Readout
from aoi.netx.weights import weight_shift

STATE_SHIFT = 6  # weights, biases and thresholds << 6 are in state units
STATE_LIMIT = 1 << 23  # |u|, |v| < 2**23: 24 bits, signed
DECAY_UNITY = 1 << 12
MAX_DELAY = 62  # steps
KERNEL_MAX = 127  # kernel size, stride, padding, dilation and groups: Lava keeps them in 8 bits signed
WEIGHT_MIN, WEIGHT_MAX = -256, 254  # 8 bit signed in even steps
THRESHOLD_MAX = (1 << 17) - 1
BIAS_MIN, BIAS_MAX = -4096, 4095  # 13 bit signed
VALUE_MIN, VALUE_MAX = -(1 << 19), (1 << 19) - 1  # what a sigma-delta network shifts up by 12 bits: it stays in 32


@dataclass(frozen=True)
class Cuba:
    """Current-based leaky integrate-and-fire neuron (Lava: ``PyLifModelBitAcc``).

    ``u[t] = (u[t-1] * (4096 - current_decay)) >> 12 + (a[t] << 6)``, rounded towards zero, wraps at 24 bits;
    ``v[t] = (v[t-1] * (4096 - voltage_decay)) >> 12 + u[t] + (bias << 6)``, rounded towards zero, clips at 24 bits;
    a spike where ``v > threshold << 6``, then ``v = 0``. Each parameter is one number for all neurons or an int32
    array, one a channel. There is no refractory period: a file's ``refDelay`` never reaches Lava's model.
    """

    threshold: int | np.ndarray  # vThMant
    current_decay: int | np.ndarray  # iDecay, 0 to 4096; 0 never leaks, 4096 forgets at once
    voltage_decay: int | np.ndarray  # vDecay, 0 to 4096; 0 never leaks
    graded = False  # sends spikes of 0 and 1

    @property
    def fires(self) -> bool:
        """False for an integrator: its threshold lies at or above the clip, so that only its voltage can be read."""
        return bool(np.any((np.asarray(self.threshold) << STATE_SHIFT) < STATE_LIMIT - 1))


@dataclass(frozen=True)
class Delta:
    """Encoder of a sigma-delta network (Lava: ``PyDeltaModelFixed``); int32 that wraps throughout.

    ``act[t] = a[t] << (spike_exp + state_exp)``; ``d = act[t] - act[t-1] + residue``. Where
    ``|d| >= threshold << (spike_exp + state_exp)`` the message ``d >> state_exp`` is sent, rounded down, and the
    residue becomes 0: the bits shifted out are lost. Elsewhere the message is 0 and ``residue = d``. Lava clips no
    message.
    """

    threshold: int  # vThMant, 0 to VALUE_MAX
    spike_exp: int = 6  # not in the file: an argument of ``hdf5.Network``, which takes 6
    state_exp: int = 6  # fixed by ``hdf5.Network``
    graded = True  # sends messages of 32 bits
    fires = True


@dataclass(frozen=True)
class SigmaDelta:
    """Neuron of a sigma-delta network (Lava: ``PySigmaDeltaModelFixed``); int32 that wraps throughout.

    ``sigma += a[t]``: weights bring the bits of ``state_exp``, messages those of ``spike_exp``;
    ``act[t] = max(sigma + (bias << (spike_exp + state_exp)), 0)``; then as :class:`Delta`.
    """

    threshold: int  # vThMant, 0 to VALUE_MAX
    spike_exp: int = 6
    state_exp: int = 6
    graded = True
    fires = True


@dataclass(frozen=True)
class Sigma:
    """Decoder of a sigma-delta network (Lava: ``PySigmaModelFixed``): ``sigma += a[t]``, which it sends whole; int32
    that wraps. It has no threshold and no bias."""

    graded = True
    fires = True


Neuron = Cuba | Delta | SigmaDelta | Sigma


@dataclass(frozen=True, eq=False)
class Input:
    """First block that takes values instead of spikes: one int32 a neuron and step.

    CUBA neurons take them as their bias (``a = 0``), which is how ``hdf5.Network`` wants its input block driven; a
    Delta encoder takes them as ``a``. Adds no latency, since no synapse stands before it.
    """

    name: str
    shape: tuple[int, ...]  # (C, H, W) or (n,)
    neuron: Cuba | Delta
    scale: int = 64  # what SLAYER multiplied its input by, and added, to get the values: for the user, not executed
    offset: int = 0
    kind = "input"
    bias = None

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest value that it takes."""
        return (BIAS_MIN, BIAS_MAX) if isinstance(self.neuron, Cuba) else (VALUE_MIN, VALUE_MAX)


@dataclass(frozen=True, eq=False)
class Dense:
    """``a[t] = weight @ s[t - delay]``; a (C, H, W) input is flattened in that order.

    Graded messages are multiplied in int32 that wraps, with the weights shifted up as far as 8 bits allow
    (:attr:`shift`): sums wrap at 32 bits less that shift; with delays each product does, on its own. The messages of
    a recurrent layer go back into it as such only if its input is graded too; otherwise any message but 0 counts as
    a spike.
    """

    name: str
    weight: np.ndarray  # int32 (out, in)
    neuron: Neuron
    bias: np.ndarray | None = None  # int32 (out,)
    delay: np.ndarray | None = None  # int32, broadcastable to weight: (out, 1), (1, in) or (out, in); steps
    weight_rec: np.ndarray | None = None  # int32 (out, out): recurrent weights
    file_shift: int | None = None  # :attr:`shift` of the file's weights, where Lava does not hold them as they are
    kind = "dense"

    @cached_property
    def shift(self) -> int:
        """Bits by which Lava's synapses hold the weights shifted up; shows only where sums of messages wrap."""
        return weight_shift(self.weight, self.weight_rec) if self.file_shift is None else self.file_shift

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.weight.shape[0],)


@dataclass(frozen=True, eq=False)
class Conv:
    """Two-dimensional cross-correlation, as torch's ``conv2d``; its sums wrap at 24 bits, those from 2**31 on give 0.

    ``kind`` is "pool" for a layer that NetX calls so: a convolution with one kernel for all channels
    (``groups = C``), as SLAYER's ``synapse.Pool`` is; Lava loads none.
    """

    name: str
    input_shape: tuple[int, int, int]  # (C, H, W)
    weight: np.ndarray  # int32 (C_out, C_in / groups, kH, kW)
    neuron: Neuron
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    bias: np.ndarray | None = None  # int32 (C_out,)
    kind: str = "conv"

    @property
    def shape(self) -> tuple[int, ...]:
        size = tuple(
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(
                self.input_shape[1:], self.padding, self.dilation, self.weight.shape[2:], self.stride, strict=True
            )
        )
        return (self.weight.shape[0], *size)


Layer = Input | Dense | Conv


@dataclass(frozen=True, eq=False)
class NetworkDescription:
    """The blocks of a network, first to last; each that has synapses adds one step between its input and its output
    in Lava."""

    input_shape: tuple[int, ...]  # of the spikes fed in: (C, H, W) or (n,)
    layers: tuple[Layer, ...]
    average: int | None = None
    """Groups into which the output spikes are summed before they are read (SLAYER's ``Average``, which divides by the
    group's size besides: a constant): output k is the sum over the k-th run of ``neurons / average`` neurons."""

    @property
    def latency(self) -> int:
        """L: output step t is Lava step t + L."""
        return sum(not isinstance(layer, Input) for layer in self.layers)

    @property
    def takes_values(self) -> bool:
        """True if the network begins with an :class:`Input`: it is fed int32 values, otherwise spikes."""
        return isinstance(self.layers[0], Input)

    @property
    def outputs(self) -> int:
        """Number of outputs that are read."""
        return self.average or prod(self.layers[-1].shape)

    @property
    def fires(self) -> bool:
        """False where the output has to be read through its voltage."""
        return self.layers[-1].neuron.fires

    @property
    def readout(self) -> Readout:
        """ "spikes" where the output layer fires, otherwise "voltage". A network file may say what it is read by:
        :attr:`aoi.netx.NetworkFile.readout`."""
        return "spikes" if self.fires else "voltage"

    @cached_property
    def neurons(self) -> int:
        return sum(prod(layer.shape) for layer in self.layers)

    @cached_property
    def synapses(self) -> int:
        """Stored weights (a convolution's kernel counts once)."""
        return sum(layer.weight.size for layer in self.layers if not isinstance(layer, Input))
