"""The network as the chip executes it, as plain data, for engine, board fit, inspection and deployment.

All values are integers in Loihi's units: states ``u`` and ``v`` have 24 bits; weights, thresholds and biases are
shifted up by 6 bits in the state (``<< 6``); decays are fractions of 4096. Feature maps are (C, H, W), kernels
(C_out, C_in / groups, kH, kW), as in SLAYER and torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from aoi.choices import Readout
from aoi.netx.weights import weight_shift

STATE_SHIFT = 6  # weights, biases and thresholds << 6 have the units of the states
STATE_LIMIT = 1 << 23  # |u|, |v| < 2**23: 24 bits, signed
DECAY_UNITY = 1 << 12
MAX_DELAY = 62  # steps
KERNEL_MAX = 127  # kernel size, stride, padding, dilation and groups: Lava holds them in 8 signed bits
WEIGHT_MIN, WEIGHT_MAX = -256, 254  # 8 bit signed in even steps
THRESHOLD_MAX = (1 << 17) - 1
BIAS_MIN, BIAS_MAX = -4096, 4095  # 13 bit signed
VALUE_MIN, VALUE_MAX = -(1 << 19), (1 << 19) - 1  # 32 bits, after a sigma-delta network has shifted it up by 12 bits


@dataclass(frozen=True)
class Cuba:
    """Current-based leaky integrate-and-fire neuron (Lava: ``PyLifModelBitAcc``).

    ``u[t] = (u[t-1] * (4096 - current_decay)) >> 12 + (a[t] << 6)``, rounded towards zero, wraps at 24 bits;
    ``v[t] = (v[t-1] * (4096 - voltage_decay)) >> 12 + u[t] + (bias << 6)``, rounded towards zero, clips at 24 bits;
    a spike where ``v > threshold << 6``, then ``v = 0``. Each parameter is one number for all neurons, or an int32
    array with one number per channel. There is no refractory period: Lava's model ignores ``refDelay`` of a file.
    """

    threshold: int | np.ndarray  # vThMant
    current_decay: int | np.ndarray  # iDecay, 0 (no leak) to 4096 (no memory)
    voltage_decay: int | np.ndarray  # vDecay, 0 (no leak) to 4096 (no memory)
    graded = False  # sends spikes, 0 or 1

    @property
    def fires(self) -> bool:
        """False for an integrator: the voltage saturates below its threshold, so only the voltage can be read."""
        return bool(np.any((np.asarray(self.threshold) << STATE_SHIFT) < STATE_LIMIT - 1))


@dataclass(frozen=True)
class Delta:
    """Encoder of a sigma-delta network (Lava: ``PyDeltaModelFixed``). All values are int32 and wrap.

    ``act[t] = a[t] << (spike_exp + state_exp)``; ``d = act[t] - act[t-1] + residue``. Where
    ``|d| >= threshold << (spike_exp + state_exp)`` the message ``d >> state_exp`` is sent, rounded down, and the
    residue becomes 0; the bits shifted out are lost. Elsewhere the message is 0 and ``residue = d``. Lava does not clip
    messages.
    """

    threshold: int  # vThMant, 0 to VALUE_MAX
    spike_exp: int = 6  # not in the file: an argument of ``hdf5.Network``, 6 by default
    state_exp: int = 6  # fixed by ``hdf5.Network``
    graded = True  # sends messages of 32 bits
    fires = True


@dataclass(frozen=True)
class SigmaDelta:
    """Neuron of a sigma-delta network (Lava: ``PySigmaDeltaModelFixed``). All values are int32 and wrap.

    ``sigma += a[t]``, where weights carry the bits of ``state_exp`` and messages those of ``spike_exp``;
    ``act[t] = max(sigma + (bias << (spike_exp + state_exp)), 0)``; then as :class:`Delta`.
    """

    threshold: int  # vThMant, 0 to VALUE_MAX
    spike_exp: int = 6
    state_exp: int = 6
    graded = True
    fires = True


@dataclass(frozen=True)
class Sigma:
    """Decoder of a sigma-delta network (Lava: ``PySigmaModelFixed``), without threshold and bias.

    It sends ``sigma += a[t]``, int32 that wraps, in every step.
    """

    graded = True
    fires = True


Neuron = Cuba | Delta | SigmaDelta | Sigma


@dataclass(frozen=True, eq=False)
class Input:
    """A first block that takes values instead of spikes: one int32 per neuron and step.

    CUBA neurons take them as their bias (``a = 0``), as ``hdf5.Network`` drives its input block; a Delta encoder takes
    them as ``a``. It has no synapses and adds no latency.
    """

    name: str
    shape: tuple[int, ...]  # (C, H, W) or (n,)
    neuron: Cuba | Delta
    scale: int = 64  # value = scale * input + offset in SLAYER; for information, not executed
    offset: int = 0
    kind = "input"
    bias = None

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest allowed value."""
        return (BIAS_MIN, BIAS_MAX) if isinstance(self.neuron, Cuba) else (VALUE_MIN, VALUE_MAX)


@dataclass(frozen=True, eq=False)
class Dense:
    """A fully connected layer: ``a[t] = weight @ s[t - delay]``; a (C, H, W) input is flattened in this order.

    Graded messages are multiplied in wrapping int32, with the weights shifted up as far as 8 bits allow
    (:attr:`shift`): sums wrap at 32 bits minus that shift; with delays, each product wraps by itself. A recurrent layer
    gets its own messages back as graded only if its input is graded too; otherwise every nonzero message counts as a
    spike.
    """

    name: str
    weight: np.ndarray  # int32 (out, in)
    neuron: Neuron
    bias: np.ndarray | None = None  # int32 (out,)
    delay: np.ndarray | None = None  # int32, broadcastable to weight: (out, 1), (1, in) or (out, in); steps
    weight_rec: np.ndarray | None = None  # int32 (out, out): recurrent weights
    file_shift: int | None = None  # :attr:`shift` for the weights in the file, if Lava changes them
    kind = "dense"

    @cached_property
    def shift(self) -> int:
        """Bits by which Lava's synapses shift the weights up; it matters only where sums of messages wrap."""
        return weight_shift(self.weight, self.weight_rec) if self.file_shift is None else self.file_shift

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.weight.shape[0],)


@dataclass(frozen=True, eq=False)
class Conv:
    """Two-dimensional cross-correlation like torch's ``conv2d``. Sums wrap at 24 bits; from 2**31 on they give 0.

    ``kind`` is "pool" for NetX's pool layers: convolutions with one kernel for all channels (``groups = C``), like
    SLAYER's ``synapse.Pool``. Lava cannot load them.
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
    """The layers of a network, from the first to the last. In Lava, each layer with synapses adds one step of delay."""

    input_shape: tuple[int, ...]  # of the input spikes: (C, H, W) or (n,)
    layers: tuple[Layer, ...]
    average: int | None = None
    """Number of groups into which the output spikes are summed: output k is the sum of the k-th ``neurons / average``
    successive neurons. (SLAYER's ``Average`` also divides by the size of a group, a constant factor.)"""

    @property
    def latency(self) -> int:
        """L: output step t is Lava step t + L."""
        return sum(not isinstance(layer, Input) for layer in self.layers)

    @property
    def takes_values(self) -> bool:
        """Whether the network begins with an :class:`Input` and takes int32 values; otherwise it takes spikes."""
        return isinstance(self.layers[0], Input)

    @property
    def outputs(self) -> int:
        """Number of outputs: groups of :attr:`average`, or neurons of the last layer."""
        return self.average or prod(self.layers[-1].shape)

    @property
    def fires(self) -> bool:
        """Whether the output layer fires; if not, its readout is the voltage."""
        return self.layers[-1].neuron.fires

    @property
    def readout(self) -> Readout:
        """ "spikes" if the output layer fires, otherwise "voltage". A file can state its own, see
        :attr:`aoi.netx.NetworkFile.readout`."""
        return "spikes" if self.fires else "voltage"

    @cached_property
    def neurons(self) -> int:
        return sum(prod(layer.shape) for layer in self.layers)

    @cached_property
    def synapses(self) -> int:
        """Number of stored weights; the kernel of a convolution counts once."""
        return sum(layer.weight.size for layer in self.layers if not isinstance(layer, Input))
