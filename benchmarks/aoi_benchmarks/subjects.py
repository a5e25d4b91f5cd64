"""The measured networks and their samples, from lava-dl and scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aoi.netx import Cuba, NetworkDescription, NetworkFile, read_network
from aoi.workflow.cost import lava_dl_file

_MNIST_STEPS = 32


@dataclass(frozen=True, eq=False)
class Subject:
    """A network file and samples for it."""

    name: str
    file: NetworkFile
    spikes: np.ndarray  # uint8 (N, *input_shape, T)

    @property
    def steps(self) -> int:
        return int(self.spikes.shape[-1])

    def first(self, samples: int) -> Subject:
        return replace(self, spikes=self.spikes[:samples])


def mnist(samples: int) -> Subject:
    """lava-dl's mnist.net (784-512-512-10, voltage readout) with the built-in digits, T = 32.

    The camera has 28 x 28 pixels; polarities are merged.
    """
    from aoi.events.digits import Digits, DigitsOptions
    from aoi.events.encode import encode
    from aoi.events.encoding import Encoding

    digits = Digits(DigitsOptions(size=28))
    encoding = Encoding(sensor_size=digits.sensor_size, window_us=300_000, bins=_MNIST_STEPS, merge_polarities=True)
    spikes = [encode(digits.read(ref), encoding) for ref in digits.recordings[:samples]]
    return Subject("mnist", read_network(lava_dl_file("mnist.net")), np.stack(spikes).reshape(-1, 784, _MNIST_STEPS))


def pilotnet(samples: int, steps: int = 16) -> Subject:
    """lava-dl's PilotNet (3 x 66 x 200 inputs, five convolutions, four dense layers) with its own spikes.

    The samples are one recording of 24 steps, shifted in time.
    """
    recording = np.load(lava_dl_file("gts/pilotnet_lif/input-s.npy")).astype(np.uint8).transpose(2, 1, 0, 3)
    spikes = [np.roll(recording, -n, axis=-1)[..., :steps] for n in range(samples)]
    return Subject("pilotnet", read_network(lava_dl_file("gts/pilotnet_lif/network.net")), np.stack(spikes))


def read_by_voltage(description: NetworkDescription) -> NetworkDescription:
    """The same network with an output layer that never fires; PilotNet's could, near the largest voltage."""
    last = description.layers[-1]
    assert isinstance(last.neuron, Cuba)
    return replace(
        description, layers=(*description.layers[:-1], replace(last, neuron=replace(last.neuron, threshold=1 << 17)))
    )
