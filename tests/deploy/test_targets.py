from __future__ import annotations

import pytest

from deploy.targets import find_target
from tests.deploy.lava_networks import Make, spikes
from toolchain.errors import AoiError


def test_the_simulator_is_a_target(make: Make) -> None:
    file = make("dense")
    open_session = find_target("sim")
    with open_session(
        file.path, steps=5, readout="spikes", rule=None, skip_layers=0, input_shape=None, model="fused", timeout_s=30
    ) as session:
        assert [r.decision_step for r in session.run(spikes(file, 2, 5))] == [5, 5]


@pytest.mark.parametrize(("name", "words"), [("loihi", "not available yet"), ("nowhere", "unknown")])
def test_other_targets_say_so(name: str, words: str) -> None:
    with pytest.raises(AoiError, match=f"{name}.*{words}.*sim"):
        find_target(name)
