"""Stock Lava as the reference, and networks to compare it with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import pytest

from aoi.netx import (
    Conv,
    Cuba,
    Delta,
    Dense,
    Input,
    NetworkDescription,
    NetworkFile,
    Neuron,
    Sigma,
    SigmaDelta,
)

Traces = list[tuple[np.ndarray, np.ndarray, np.ndarray]]


@pytest.fixture(scope="session")
def lava_traces() -> Callable[[NetworkFile, np.ndarray], Traces]:
    """Runs stock Lava on one sample (*input_shape, T) → (s, u, v) of each layer, (*shape, T), latency removed.

    Of sigma-delta neurons: message, sigma, residue. Values for CUBA neurons have to be the same in every step: stock
    Lava takes them as a constant.
    """
    from aoi.compat import enable_netx

    enable_netx()
    from lava.lib.dl.netx.hdf5 import Network
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source
    from lava.proc.monitor.process import Monitor

    def run(file: NetworkFile, spikes: np.ndarray) -> Traces:
        layers, steps, latency = file.description.layers, spikes.shape[-1], file.description.latency
        total = steps + latency
        maps = spikes.ndim == 4 and not isinstance(layers[0], Dense)
        fed = spikes.transpose(2, 1, 0, 3) if maps else spikes.reshape(-1, steps)
        net = Network(net_config=str(file.path), skip_layers=file.skip_layers)
        if isinstance(layers[0], Input) and isinstance(layers[0].neuron, Cuba):
            assert (fed == fed[..., :1]).all(), "stock Lava takes a constant bias"
            net.in_layer.neuron.bias_mant.init = fed[..., 0]
        else:
            fed = np.concatenate([fed, np.zeros((*fed.shape[:-1], latency), fed.dtype)], axis=-1)
            source = Source(data=fed.astype(np.int32))
            source.s_out.connect(net.in_layer.neuron.a_in if isinstance(layers[0], Input) else net.inp)
        watched: list[tuple[Any, list[tuple[Any, Any]]]] = []
        for block in net.layers:
            sink = Sink(shape=block.neuron.s_out.shape, buffer=total)
            block.neuron.s_out.connect(sink.a_in)
            monitors = []
            for name in _STATES[type(block.neuron).__name__]:
                monitor = Monitor()
                if name is not None:
                    monitor.probe(getattr(block.neuron, name), total)
                monitors.append((monitor, name))
            watched.append((sink, monitors))
        try:
            net.run(condition=RunSteps(total), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
            raw = []
            for block, (sink, monitors) in zip(net.layers, watched, strict=True):
                sent = sink.data.get()
                states = [
                    np.moveaxis(monitor.get_data()[block.neuron.name][name], 0, -1) if name else np.zeros_like(sent)
                    for monitor, name in monitors
                ]
                raw.append((sent, *states))
        finally:
            net.stop()
            net.net_config.f.close()
        aligned = []
        first = int(not isinstance(layers[0], Input))  # an input block answers in the same step
        for index, (layer, arrays) in enumerate(zip(layers, raw, strict=True), first):
            cut = [array[..., index : index + steps] for array in arrays]
            if len(layer.shape) == 3:
                cut = [array.transpose(2, 1, 0, 3) for array in cut]
            aligned.append((cut[0], cut[1], cut[2]))
        return aligned

    return run


# What stands for u and v in the traces, by Lava's neuron process.
_STATES = {
    "LIF": ("u", "v"),
    "Delta": (None, "residue"),
    "SigmaDelta": ("sigma", "residue"),
    "Sigma": ("sigma", None),
}


class Networks:
    """Random networks whose neurons neither sleep nor fire at every step."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def weight(self, *shape: int, low: int = -100, high: int = 110) -> np.ndarray:
        return self.rng.integers(low // 2, high // 2 + 1, shape, dtype=np.int32) * 2

    def neuron(self, drive: float) -> Cuba:
        """``drive``: typical input a step, in weight units."""
        rng = self.rng
        current = int(rng.choice([0, 100, 1024, 2048, 4095, 4096]))
        voltage = int(rng.choice([0, 1, 128, 1000, 4096]))
        return Cuba(max(0, min(int(drive * rng.uniform(0.3, 2)), 4095)), current, voltage)

    def dense(self, inputs: int, outputs: int, **options: Any) -> Dense:
        weight = self.weight(outputs, inputs)
        return Dense("dense", weight, self.neuron(50 * (0.1 * inputs) ** 0.5), **options)

    def bias(self, size: int) -> np.ndarray:
        return self.rng.integers(-20, 21, size, dtype=np.int32)

    def mlp(self, *sizes: int, delays: bool = False, biases: bool = False) -> NetworkDescription:
        layers = []
        for inputs, outputs in pairwise(sizes):
            delay = self.rng.integers(0, 63, (outputs, 1), dtype=np.int32) // 8 if delays else None
            layers.append(self.dense(inputs, outputs, delay=delay, bias=self.bias(outputs) if biases else None))
        return NetworkDescription((sizes[0],), tuple(layers))

    def conv(self, input_shape: tuple[int, int, int], out: int, kernel: tuple[int, int], **options: Any) -> Conv:
        groups = options.get("groups", 1)
        weight = self.weight(out, input_shape[0] // groups, *kernel)
        return Conv("conv", input_shape, weight, self.neuron(50 * (0.1 * prod(weight.shape[1:])) ** 0.5), **options)

    def mixed(self, *, graded: bool, values: bool) -> NetworkDescription:
        """Convolution, recurrent and dense, with biases and all neurons of their kind."""
        shape = (2, 7, 6)
        neurons: list[Neuron] = [SigmaDelta(0), SigmaDelta(3 * values), Sigma()] if graded else [Cuba(60, 900, 300)] * 3
        first = replace(self.conv(shape, 4, (3, 2), stride=(2, 1), bias=self.bias(4)), neuron=neurons[0])
        loop = self.weight(9, 9, low=-8, high=8)
        second = Dense("", self.weight(9, prod(first.shape)), neurons[1], self.bias(9), weight_rec=loop)
        last = Dense("", self.weight(4, 9), neurons[2])
        block = (Input("0", shape, Delta(2) if graded else Cuba(50, 1024, 400)),) if values else ()
        return NetworkDescription(shape, (*block, first, second, last))


@pytest.fixture
def networks(request: pytest.FixtureRequest) -> Networks:
    """Seeded by the test's parameter ``seed``, if it has one."""
    call = getattr(request.node, "callspec", None)
    return Networks(call.params.get("seed", 0) if call else 0)
