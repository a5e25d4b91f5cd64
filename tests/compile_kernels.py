"""Compiles the engine's kernels into numba's cache once, so that the workers of a test run do not each do it."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

import numpy as np

from aoi.engine import Engine
from aoi.netx import Conv, Cuba, Delta, Dense, Input, NetworkDescription, Sigma, SigmaDelta

NEURON = Cuba(80, 1024, 128)
BY_CHANNEL = Cuba(np.array([80, 90], np.int32), np.array([1024, 1000], np.int32), np.array([128, 100], np.int32))


def even(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-40, 40, shape, dtype=np.int32) * 2


NETWORKS = (
    NetworkDescription((2, 5, 5), (Conv("0", (2, 5, 5), even(2, 2, 3, 3), NEURON), Dense("1", even(3, 18), NEURON))),
    NetworkDescription(
        (2, 5, 5), (Conv("0", (2, 5, 5), even(2, 2, 3, 3), BY_CHANNEL), Dense("1", even(2, 18), BY_CHANNEL))
    ),
    NetworkDescription((6,), (Dense("0", even(4, 6), NEURON, delay=np.ones((4, 1), np.int32), bias=even(4)[:4]),)),
    NetworkDescription((6,), (Dense("0", even(4, 6), NEURON, weight_rec=even(4, 4)),)),
    NetworkDescription((2, 5, 5), (Input("0", (2, 5, 5), NEURON), Conv("1", (2, 5, 5), even(2, 2, 3, 3), NEURON))),
    NetworkDescription(
        (2, 5, 5),
        (
            Input("0", (2, 5, 5), Delta(2)),
            Conv("1", (2, 5, 5), even(3, 2, 3, 3), SigmaDelta(4)),
            Dense("2", even(4, 27), SigmaDelta(4)),
            Dense("3", even(4, 4), Sigma()),
        ),
    ),
)


def compile_for(description: NetworkDescription) -> None:
    shape = (4, *description.input_shape, 6)
    inputs = (np.random.default_rng(1).random(shape) < 0.4).astype(np.int32 if description.takes_values else np.uint8)
    engine = Engine(description)
    engine.run(inputs, readout=description.readout)
    engine.run(inputs, return_traces=True)
    engine.step(engine.start(4), inputs[..., 0])


def main() -> None:
    with ProcessPoolExecutor() as processes:
        list(processes.map(compile_for, NETWORKS))


if __name__ == "__main__":
    main()
