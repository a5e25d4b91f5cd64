"""Targets in this process, and the error if the extension for boards is missing."""

from __future__ import annotations

import numpy as np
import pytest

from aoi.cutoff.rule import decide, make_rule
from aoi.engine import Engine
from aoi.errors import AoiError
from aoi.events.spikes import SpikeData, pack
from aoi.netx import NetworkFile
from aoi_deploy.targets import Work, open_session
from aoi_deploy.targets.in_process import InProcess
from tests.aoi_deploy.lava_networks import Make, spikes


def work_of(file: NetworkFile, samples: int, steps: int) -> Work:
    given = spikes(file, samples, steps)
    shape = file.description.input_shape
    data = SpikeData(
        ids=tuple(map(str, range(samples))),
        labels=np.zeros(samples, np.int64),
        classes=tuple(map(str, range(10))),
        fingerprints=np.arange(samples, dtype=np.uint64),
        shape=(*((1,) * (3 - len(shape))), *shape, steps),  # type: ignore[arg-type]
        packed=np.stack([pack(each) for each in given]),
        rows=np.arange(samples),
    )
    return Work(file, data, make_rule("confidence", 0.7, 0.3))


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_prepare_run_collect(make: Make, kind: str) -> None:
    work = work_of(make(kind), 6, 20)
    with InProcess("sim") as target:
        target.prepare(work)
        seen = list(target.run())
        assert target.collect() == seen
    samples = np.stack([work.sample(index) for index in range(6)])
    expected = decide(work.rule, Engine(work.network.description).run(samples, readout="spikes").scores)
    assert [outcome.decision_step for outcome in seen] == expected.step.tolist()
    assert [outcome.prediction for outcome in seen] == expected.prediction.tolist()


def test_error_names_the_missing_extension(make: Make) -> None:
    work = work_of(make("dense"), 1, 5)
    with pytest.raises(AoiError, match=r"lava-loihi extension is not installed.*aoi doctor.*target sim") as raised:
        open_session("loihi", work.network, steps=work.steps, board="oheogulch")
    assert raised.value.exit_code == 2
