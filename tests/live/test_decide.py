"""Live decisions against those over whole recordings."""

from __future__ import annotations

import numpy as np
import pytest

from aoi.cutoff.rule import decide
from aoi.cutoff.rules import ConfidenceRule, PatienceRule
from aoi.engine import Engine
from aoi.events.encode import encode
from aoi.events.encoding import Encoding
from aoi.events.recording import make_events
from aoi.events.stream import split_frames
from aoi.live.decide import Latencies, LiveEngine
from aoi.live.receive import Arrival
from aoi.live.windows import Windows
from aoi.netx import Cuba, Dense, NetworkDescription

ENCODING = Encoding(sensor_size=(6, 5, 2), window_us=1000, bins=12)


@pytest.fixture(scope="module")
def description() -> NetworkDescription:
    rng = np.random.default_rng(0)
    first = Dense("a", rng.integers(-30, 50, (20, 60), dtype=np.int32) * 2, Cuba(120, 1000, 200))
    last = Dense("b", rng.integers(-40, 50, (4, 20), dtype=np.int32) * 2, Cuba(90, 1000, 200))
    return NetworkDescription((2, 5, 6), (first, last))


@pytest.fixture(scope="module")
def recordings() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [
        make_events(
            rng.integers(0, 6, n), rng.integers(0, 5, n), np.sort(rng.integers(0, 1100, n)), rng.random(n) < 0.5
        )
        for n in rng.integers(40, 400, 30)
    ]


@pytest.mark.parametrize("rule", [None, ConfidenceRule(0.32, 0.5), PatienceRule(4)])
@pytest.mark.parametrize("readout", ["spikes", "voltage"])
def test_decisions_equal_those_over_whole_recordings(description, recordings, rule, readout) -> None:
    engine = Engine(description)
    spikes = np.stack([encode(events, ENCODING) for events in recordings])
    wanted = decide(rule, engine.run(spikes, readout=readout).scores)
    assert rule is None or len(set(wanted.step.tolist())) > 2
    live = LiveEngine(engine, rule, readout, Windows(ENCODING))
    frames = [frame for n, events in enumerate(recordings) for frame in split_frames(events, n + 1, max_events=13)]
    found = list(live.run(Arrival(frame, 0.0) for frame in frames))
    assert [each.step for each in found] == wanted.step.tolist()
    assert [each.prediction for each in found] == wanted.prediction.tolist()
    np.testing.assert_array_equal([each.confidence for each in found], wanted.confidence)
    assert [each.recording for each in found] == list(range(1, 31))
    assert live.steps_executed == wanted.step.sum()  # nothing runs after a decision
    assert live.latencies.counts.sum() == 30


def test_the_end_of_the_stream_and_silence_end_a_window(description, recordings) -> None:
    frames = list(split_frames(recordings[0], 1, max_events=13))[:-1]  # without the end
    for arrivals in (
        [Arrival(frame, 0.0) for frame in frames],
        [*(Arrival(frame, 0.0) for frame in frames), Arrival(None, 0.0)],
    ):
        live = LiveEngine(Engine(description), None, "spikes", Windows(ENCODING))
        assert [each.step for each in live.run(arrivals)] == [12]


def test_percentiles() -> None:
    latencies = Latencies()
    assert latencies.percentile(50) == 0
    values = np.exp(np.random.default_rng(0).normal(-7, 1.5, 5000))
    for value in values:
        latencies.add(float(value))
    for share in (50, 90, 99):
        assert latencies.percentile(share) == pytest.approx(np.percentile(values, share), rel=0.025)
    assert latencies.percentile(100) == latencies.most == values.max()
