"""The peer Lava: lava-dl's network in Lava's simulator, as released."""

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


def seconds_per_sample(subject: Subject, samples: int, repeats: int) -> float:
    """Wall seconds per sample of a stream, the best of ``repeats`` runs of ``samples`` each, without the build.

    This is the least work for Lava: only a source is connected to the network, and no state is cleared between samples.
    The output voltages after each run are compared with the engine on the same stream; raises CheckFailed if they
    differ.
    """
    from aoi.compat import enable_netx
    from aoi_deploy.lava.models import WideGeometry

    enable_netx()
    from lava.lib.dl.netx.hdf5 import Network
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.source import RingBuffer

    class Stock(Loihi2SimCfg):
        """As released, except that sizes of convolutions have 32 bits; with 8, PilotNet does not run on numpy 2."""

        def select(self, process, models):  # type: ignore[no-untyped-def]
            model = super().select(process, models)
            return type(model.__name__, (WideGeometry, model), {}) if hasattr(model, "kernel_size") else model

    description, steps = subject.file.description, subject.steps
    maps = len(description.input_shape) == 3
    order = np.arange(1 + samples * repeats) % len(subject.spikes)
    stream = np.concatenate(list(subject.spikes[order]), axis=-1)  # (*input_shape, T * all)
    expected = Engine(description).run(stream[None], readout="voltage").scores[0]
    spikes = stream.transpose(2, 1, 0, 3) if maps else stream.reshape(prod(description.input_shape), -1)
    tail = np.zeros((*spikes.shape[:-1], description.latency), spikes.dtype)

    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        network = Network(
            net_config=str(subject.file.path),
            skip_layers=subject.file.skip_layers,
            input_shape=description.input_shape[::-1] if maps else None,
        )
        source = RingBuffer(data=np.concatenate([spikes, tail], axis=-1).astype(np.int32))
        source.s_out.connect(network.inp)
        configuration = Stock(select_tag="fixed_pt")
        times = []
        try:
            for n in range(1 + repeats):
                # The first run builds the network, fills its pipeline and runs one sample.
                count = n and samples
                begin = time.perf_counter()
                network.run(condition=RunSteps(count * steps or steps + description.latency), run_cfg=configuration)
                times.append(time.perf_counter() - begin)
                end = steps * (1 + n * samples)
                found = network.layers[-1].neuron.v.get().ravel()
                if not np.array_equal(found, expected[:, end - 1]):
                    raise CheckFailed(
                        f"{subject.name}: the engine differs from stock Lava after {end} steps: output voltages "
                        f"{expected[:, end - 1].tolist()} and {found.tolist()}"
                    )
        finally:
            network.stop()
            network.net_config.f.close()
    return min(times[1:]) / samples
