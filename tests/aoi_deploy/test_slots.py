"""Samples in slots of fixed length, as on a chip, in Lava's simulator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aoi.cutoff.rule import decide, make_rule, statistics
from aoi.engine import Engine
from aoi.errors import DeployError, NetXError
from aoi_deploy.lava.slots import SlotSession, slot_length
from tests.aoi_deploy.lava_networks import Make, spikes


@pytest.mark.parametrize(("steps", "latency", "slot"), [(13, 3, 16), (14, 3, 32), (1, 1, 2), (256, 4, 512)])
def test_slot_is_a_power_of_two(steps: int, latency: int, slot: int) -> None:
    assert slot_length(steps, latency) == slot


@pytest.mark.parametrize("kind", ["dense", "conv"])
@pytest.mark.parametrize("cuts", [False, True])
def test_decisions_equal_the_engine_and_slots_run_to_their_end(make: Make, kind: str, cuts: bool) -> None:
    file = make(kind)
    given = spikes(file, 7, 11)
    run = Engine(file.description).run(given, readout="spikes")
    rule = None
    if cuts:
        rule = make_rule("confidence", 0.5, 0.3)
        rule = replace(rule, threshold=float(np.quantile(statistics(rule, run.scores), 0.8)))
    expected = decide(rule, run.scores)
    if cuts:
        assert len(set(expected.step.tolist())) > 1
    with SlotSession(file, steps=11) as session:
        session.rule = rule
        results = list(session.run(given))
    assert [result.decision_step for result in results] == expected.step.tolist()
    for result in results:
        assert np.array_equal(result.scores, run.scores[result.index, :, result.decision_step - 1])
        assert result.steps_executed == 16


@pytest.mark.parametrize("kind", ["delay", "recurrent"])
def test_delays_and_recurrence_are_refused(make: Make, kind: str) -> None:
    with pytest.raises(NetXError, match=r"layer 0 has delays or recurrent weights"):
        SlotSession(make(kind), steps=8)


def test_voltage_readout_is_refused(make: Make) -> None:
    with pytest.raises(DeployError, match="voltage"):
        SlotSession(make("voltage"), steps=8, readout="voltage")
