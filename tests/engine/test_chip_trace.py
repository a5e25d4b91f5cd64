"""The engine, the fused process and stock Lava against a neuron that others measured on a Loihi 2.

neuromorphs/NIR, paper/01_lif, commit ce078e7: one LIF neuron, 1,000 steps. In all of them the input reaches the neuron
a step later. The chip's probe shows a spike itself as a voltage of 128; Lava shows the voltage after the reset.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aoi.engine import Engine
from aoi.netx import Cuba, Dense, NetworkDescription, read_network, write_network
from aoi_deploy.lava.session import LavaSession
from aoi_deploy.lava.trace import lava_trace

NEURON = NetworkDescription((1,), (Dense("0", np.array([[10]], np.int32), Cuba(25, 4096, 163)),))


@pytest.fixture(scope="module")
def measured(public_data: Path) -> dict[str, np.ndarray]:
    """Columns input spike, v and output spike, (1000, 3), of the chip and of Lava's simulator."""
    folder = public_data / "loihi-trace"
    return {
        name: np.loadtxt(folder / f"lif_lava_{file}_fixed.csv", delimiter=",")
        for name, file in (("chip", "loihi"), ("simulator", "cpu"))
    }


def assert_measured(measured: dict[str, np.ndarray], spikes: np.ndarray, voltage: np.ndarray | None) -> None:
    chip, simulator = measured["chip"], measured["simulator"]
    np.testing.assert_array_equal(spikes[:-1], chip[1:, 2])
    np.testing.assert_array_equal(spikes[:-1], simulator[1:, 2])
    assert spikes.sum() == 4
    if voltage is not None:
        np.testing.assert_array_equal(voltage[:-1], simulator[1:, 1])
        differs = np.flatnonzero(voltage[:-1] != chip[1:, 1])
        np.testing.assert_array_equal(differs, np.flatnonzero(spikes))
        assert set(chip[1:, 1][differs]) == {128.0}


def test_engine(measured: dict[str, np.ndarray]) -> None:
    inputs = measured["chip"][:, 0].astype(np.uint8)[None, None]
    trace = Engine(NEURON).run(inputs, return_traces=True).traces[0]
    assert_measured(measured, trace.s[0, 0], trace.v[0, 0])


def test_lava(measured: dict[str, np.ndarray], tmp_path: Path) -> None:
    inputs = measured["chip"][:, 0].astype(np.uint8)[None, None]
    write_network(tmp_path / "neuron.net", NEURON)
    file = read_network(tmp_path / "neuron.net")
    trace = lava_trace(file, inputs)[0]
    assert_measured(measured, trace.s[0, 0], trace.v[0, 0])
    with LavaSession(file, steps=1000, model="fused") as session:
        (result,) = session.run(inputs)
    assert result.scores.tolist() == [4]
