"""The fused network against lava-dl's graph of processes: the monitor receives the same in every Lava step."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from aoi.cutoff.rule import ConfidenceRule
from aoi.errors import DeployError, NetXError
from aoi.netx import Conv, NetworkFile, read_network
from aoi.netx.write import _write_blocks
from aoi_deploy.lava.channel import shared_array
from aoi_deploy.lava.processes.monitor import PyCutoffMonitorModel
from aoi_deploy.lava.session import LavaSession
from tests.aoi_deploy.lava_networks import Make, describe, spikes
from tests.aoi_deploy.test_values import built, values

STEPS = 14


def received(file: NetworkFile, samples: np.ndarray, model: str, monkeypatch: pytest.MonkeyPatch, **options) -> list:
    """Each message to the monitor with its Lava step, from the first step to the last decision; and the decisions."""
    width = int(np.prod(file.description.layers[-1].shape))
    log = shared_array((len(samples) * (STEPS + 9), 1 + width), np.int64)
    count = shared_array((1,), np.int64)
    original = PyCutoffMonitorModel.run_spk

    def run_spk(self: PyCutoffMonitorModel) -> None:
        port = self.s_in

        class RecordingPort:
            def recv(self) -> np.ndarray:
                message = port.recv()
                log[count[0], 0], log[count[0], 1:] = step, message.T.ravel()
                count[0] += 1
                return message

        step, self.s_in = self.time_step, RecordingPort()
        try:
            original(self)
        finally:
            self.s_in = port

    monkeypatch.setattr(PyCutoffMonitorModel, "run_spk", run_spk)
    with LavaSession(file, steps=STEPS, model=model, **options) as session:
        results = list(session.run(samples))
    monkeypatch.undo()
    executed = sum(result.steps_executed for result in results)
    rows = log[: count[0]]
    assert rows[:executed, 0].tolist() == list(range(1, executed + 1))
    return [rows[:executed].tolist(), [(r.prediction, r.decision_step, r.steps_executed) for r in results]]


def network(kind: str, make: Make, path: Path) -> tuple[NetworkFile, np.ndarray]:
    if kind in ("sdnn", "cuba"):
        file = built(path / "values.net", kind, average=None)
        return file, np.concatenate([values(3), values(3)[..., :2]], axis=-1)
    if kind == "biased":  # neurons that fire before any input arrives, so that Lava's first L steps are not empty
        description = describe("conv")
        layers = tuple(
            replace(layer, bias=np.full(layer.weight.shape[0], 140, np.int32)) for layer in description.layers
        )
        with h5py.File(path / "biased.net", "w") as handle:
            _write_blocks(handle, replace(description, layers=layers))
        file = read_network(path / "biased.net", input_shape=description.input_shape)
    else:
        file = make(kind)
    return file, spikes(file, 6, STEPS)


@pytest.mark.parametrize(
    "kind",
    [
        *("dense", "recurrent", "conv", "sdnn"),
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("delay", "voltage", "biased", "cuba")),
    ],
)
def test_same_spikes_in_the_same_lava_steps(kind, make: Make, tmp_path: Path, monkeypatch) -> None:
    """Also if the rule stops samples early and the next one starts from cleared state."""
    file, samples = network(kind, make, tmp_path)
    options = {"readout": "voltage" if kind == "voltage" else "spikes"}
    scale = {"voltage": 2e-5, "sdnn": 1e-3}.get(kind, 0.7)
    for rule in (None, ConfidenceRule(0.5, scale)):
        fused, stock = (
            received(file, samples, model, monkeypatch, rule=rule, **options) for model in ("fused", "stock")
        )
        assert fused == stock
        sent = np.array(stock[0])
        assert len(np.unique(sent[:, 1:])) > 1  # the output is active
    assert len({step for _, step, _ in stock[1]}) > 1 or kind in ("biased", "sdnn", "cuba")
    if kind == "biased":
        assert sent[: file.description.latency, 1:].any()


def test_fused_runs_what_lava_dl_cannot_load(make: Make, tmp_path: Path) -> None:
    """A pooling layer: the stock model refuses it, the fused model runs it."""
    description = describe("conv")
    first = description.layers[0]
    assert isinstance(first, Conv)
    kernel = np.full((first.shape[0], 1, 2, 2), 64, np.int32)
    pool = Conv("1", first.shape, kernel, first.neuron, (2, 2), groups=first.shape[0], kind="pool")
    dense = describe("dense").layers[-1]
    flat = int(np.prod(pool.shape))
    weight = np.resize(dense.weight, (10, flat)).astype(np.int32)
    layers = (first, pool, replace(dense, weight=weight))
    with h5py.File(tmp_path / "pool.net", "w") as handle:
        _write_blocks(handle, replace(description, layers=layers))
    file = read_network(tmp_path / "pool.net", input_shape=description.input_shape)
    with pytest.raises(NetXError, match="lava-dl cannot build this network"):
        LavaSession(file, steps=4, model="stock")
    with LavaSession(file, steps=4, model="fused") as session:
        assert len(list(session.run(spikes(file, 3, 4)))) == 3


def test_fused_refuses_to_record(make: Make) -> None:
    with pytest.raises(DeployError, match="only model='stock'"):
        LavaSession(make("dense"), steps=4, model="fused", record=True)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_fused_network_gets_its_own_core(make: Make) -> None:
    mine = os.sched_getaffinity(0)
    with LavaSession(make("dense"), steps=4, model="fused") as session:
        cores = {name: os.sched_getaffinity(pid) for name, pid in session.pids.items()}
    own = cores.pop("SpikingNetwork")
    assert len(own) == 1
    assert all(others == mine - own for others in cores.values())
    assert os.sched_getaffinity(0) == mine
