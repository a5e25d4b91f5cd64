"""The peer: lava-dl's network in Lava's simulator, as released."""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from math import prod

import numpy as np

from aoi.engine import Engine
from aoi.errors import CheckFailed
from aoi_benchmarks.subjects import Subject


def seconds_a_sample(subject: Subject, samples: int, repeats: int) -> float:
    """Wall seconds a sample of a stream of samples, the best of ``repeats`` runs of ``samples`` each; without building.

    Nothing is attached to the network but the source, and nothing is cleared between samples: the least that Lava can
    be asked to do. What each run leaves in the output layer is compared with the engine, fed the same stream; raises
    CheckFailed where they differ.
    """
    from aoi.compat import enable_netx
    from aoi_deploy.lava.models import WideGeometry

    enable_netx()
    from lava.lib.dl.netx.hdf5 import Network
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.source import RingBuffer

    class Stock(Loihi2SimCfg):
        """As released, but that sizes of a convolution have 32 bits: with 8, numpy 2 refuses to run PilotNet."""

        def select(self, process, models):  # type: ignore[no-untyped-def]
            model = super().select(process, models)
            return type(model.__name__, (WideGeometry, model), {}) if hasattr(model, "kernel_size") else model

    description, steps = subject.file.description, subject.steps
    maps = len(description.input_shape) == 3
    order = np.arange(1 + samples * repeats) % len(subject.spikes)
    stream = np.concatenate(list(subject.spikes[order]), axis=-1)  # (*input_shape, T * all)
    wanted = Engine(description).run(stream[None], readout="voltage").scores[0]
    fed = stream.transpose(2, 1, 0, 3) if maps else stream.reshape(prod(description.input_shape), -1)
    tail = np.zeros((*fed.shape[:-1], description.latency), fed.dtype)

    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        network = Network(
            net_config=str(subject.file.path),
            skip_layers=subject.file.skip_layers,
            input_shape=description.input_shape[::-1] if maps else None,
        )
        source = RingBuffer(data=np.concatenate([fed, tail], axis=-1).astype(np.int32))
        source.s_out.connect(network.inp)
        configuration = Stock(select_tag="fixed_pt")
        times = []
        try:
            for n in range(1 + repeats):
                # The first run builds the network, fills its layers and takes one sample.
                count = n and samples
                begin = time.perf_counter()
                network.run(condition=RunSteps(count * steps or steps + description.latency), run_cfg=configuration)
                times.append(time.perf_counter() - begin)
                end = steps * (1 + n * samples)
                found = network.layers[-1].neuron.v.get().ravel()
                if not np.array_equal(found, wanted[:, end - 1]):
                    raise CheckFailed(
                        f"{subject.name}: the engine differs from stock Lava after {end} steps: output voltages "
                        f"{wanted[:, end - 1].tolist()} and {found.tolist()}"
                    )
        finally:
            network.stop()
            network.net_config.f.close()
    return min(times[1:]) / samples
