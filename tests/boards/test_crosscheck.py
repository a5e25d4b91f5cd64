"""The Loihi 1 estimate against SANA-FE, if it is installed."""

from __future__ import annotations

import numpy as np
import pytest

from aoi.boards.board import load_board
from aoi.boards.cost import estimate, workload
from aoi.boards.crosscheck import simulate
from aoi.engine import Engine
from aoi.errors import DataError
from aoi.netx import Cuba, Dense, NetworkDescription

ALIKE = Cuba(threshold=20, current_decay=4096, voltage_decay=0)


def drawn(seed: int, neuron: Cuba = ALIKE) -> NetworkDescription:
    generator = np.random.default_rng(seed)

    def dense(name: str, inputs: int, outputs: int) -> Dense:
        return Dense(name, 2 * generator.integers(-4, 8, (outputs, inputs), dtype=np.int32), neuron)

    return NetworkDescription((20,), (dense("a", 20, 30), dense("b", 30, 15), dense("c", 15, 5)))


@pytest.mark.parametrize("seed", range(3))
def test_sana_fe_counts_the_same_and_lies_within_the_range(seed: int) -> None:
    """Spikes and synaptic operations are equal; energy and time lie within the estimated range."""
    pytest.importorskip("sanafe", reason="SANA-FE is not installed: pip install 'aoi-toolchain[sanafe]'")
    network = drawn(seed)
    spikes = np.random.default_rng(seed).random((1, 20, 12)) < 0.3
    run = Engine(network).run(spikes)
    found = simulate(network, spikes[0])
    assert found.operations == run.operations.sum() > 0
    assert found.spikes == run.spikes.sum() > 0
    ours = estimate(network, workload(network, run.spikes, run.operations, np.array([12])), load_board("nahuku"))
    assert found.synapse_j == pytest.approx(run.operations.sum() * 35.5e-12)
    inputs = int(spikes.sum()) * (111 + 10 * 4.2) * 1e-12  # SANA-FE's messages begin with the input's
    total = found.synapse_j + found.soma_j + found.network_j
    assert ours.dynamic_j.low <= total <= ours.dynamic_j.high + inputs
    assert ours.latency_s.low <= found.seconds <= ours.latency_s.high


def test_unsupported_neurons_are_refused() -> None:
    pytest.importorskip("sanafe", reason="SANA-FE is not installed: pip install 'aoi-toolchain[sanafe]'")
    leaky = drawn(0, Cuba(threshold=20, current_decay=4096, voltage_decay=100))
    with pytest.raises(DataError, match="voltage decay 0"):
        simulate(leaky, np.zeros((20, 3), bool))


def test_without_sana_fe_the_error_names_the_package() -> None:
    try:
        import sanafe  # noqa: F401
    except ImportError:
        with pytest.raises(DataError, match="aoi-toolchain"):
            simulate(drawn(0), np.zeros((20, 3), bool))
    else:
        pytest.skip("SANA-FE is installed")
