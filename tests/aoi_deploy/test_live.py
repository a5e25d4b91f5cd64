"""Live decisions in Lava equal those on the engine."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from aoi.cutoff.rule import ConfidenceRule, Rule
from aoi.cutoff.rules import PatienceRule
from aoi.engine import Engine
from aoi.errors import DeployError
from aoi.events.encoding import Encoding
from aoi.events.recording import make_events
from aoi.events.stream import Frame, split_frames
from aoi.live.decide import Decision, LiveEngine
from aoi.live.receive import Arrival
from aoi.live.windows import Windows
from aoi.netx import NetworkFile
from aoi_deploy.lava.live import LiveLava
from tests.aoi_deploy.lava_networks import Make

KINDS = {"dense": (8, 3, 2), "delay": (8, 3, 2), "recurrent": (8, 3, 2), "voltage": (8, 3, 2), "conv": (7, 9, 2)}
STEPS = 12


def encoding_of(kind: str, steps: int = STEPS) -> Encoding:
    return Encoding(sensor_size=KINDS[kind], window_us=1000, bins=steps)


def stream(kind: str, recordings: int, most: int = 13) -> list[Arrival]:
    """Recordings with different rates, some shorter and some longer than their window."""
    rng = np.random.default_rng(3)
    width, height, _ = KINDS[kind]
    frames: list[Frame] = []
    for number in range(1, recordings + 1):
        n = int(rng.integers(50, 900))
        t = np.sort(rng.integers(0, rng.integers(300, 1200), n))
        events = make_events(rng.integers(0, width, n), rng.integers(0, height, n), t, rng.random(n) < 0.5)
        frames += split_frames(events, number, len(frames), max_events=most)
    return [Arrival(frame, 0.0) for frame in frames]


def fields(decisions: list[Decision]) -> list[tuple]:
    return [(each.window, each.recording, each.prediction, each.confidence, each.step) for each in decisions]


def on_the_engine(file: NetworkFile, rule: Rule | None, readout: str, encoding: Encoding) -> LiveEngine:
    return LiveEngine(Engine(file.description), rule, readout, Windows(encoding))  # type: ignore[arg-type]


@pytest.mark.parametrize("model", ["fused", "stock"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_decisions_equal_the_engine(make: Make, kind: str, model: str) -> None:
    file, readout = make(kind), "voltage" if kind == "voltage" else "spikes"
    rule = ConfidenceRule(0.3, {"voltage": 2e-5, "conv": 2.0}.get(kind, 0.7))
    arrivals, encoding = stream(kind, 40), encoding_of(kind)
    engine = on_the_engine(file, rule, readout, encoding)
    wanted = list(engine.run(arrivals))
    assert len({each.step for each in wanted}) > 3
    with LiveLava(file, rule, Windows(encoding), model=model) as live:
        found = list(live.run(arrivals))
        assert live.windows.counts == engine.windows.counts
        assert live.steps_executed == sum(each.step + file.description.latency for each in wanted)
        assert live.latencies.counts.sum() == 40
    assert fields(found) == fields(wanted)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("rule", [None, PatienceRule(2)])
def test_windows_shorter_than_the_latency(make: Make, steps: int, rule: Rule | None) -> None:
    file, encoding, arrivals = make("dense"), encoding_of("dense", steps), stream("dense", 10)
    with LiveLava(file, rule, Windows(encoding), model="fused") as live:
        assert fields(list(live.run(arrivals))) == fields(
            list(on_the_engine(file, rule, "spikes", encoding).run(arrivals))
        )


def test_decisions_come_without_extra_delay(make: Make) -> None:
    """L - 1 bins after the bin that decides, or at the end of the window, and not one bin later."""
    file, encoding, rule = make("conv"), encoding_of("conv"), ConfidenceRule(0.6, 2.0)
    arrivals, complete = stream("conv", 20, most=1), [0]  # one event per frame

    class Counted(Windows):
        def feed(self, frame: Frame) -> Iterator:
            for each in super().feed(frame):
                complete[0] = each.step
                yield each

    with LiveLava(file, rule, Counted(encoding), model="fused") as live:
        for decision in live.run(arrivals):
            assert complete[0] == min(decision.step + file.description.latency - 1, STEPS)


def test_continuous_stream_and_repeated_runs(make: Make) -> None:
    """A continuous recording (0) is cut into windows; a pause or the end of the stream ends one."""
    file, encoding, rule = make("dense"), encoding_of("dense"), ConfidenceRule(0.6, 0.7)
    rng = np.random.default_rng(5)
    t = np.sort(rng.integers(0, 30_500, 3000))
    events = make_events(rng.integers(0, 8, 3000), rng.integers(0, 3, 3000), t, rng.random(3000) < 0.5)
    arrivals = [
        Arrival(Frame(frame.sequence, 0, frame.events, False), 0.0) for frame in split_frames(events, 1, max_events=40)
    ]
    arrivals.insert(5, Arrival(None, 0.0))
    engine = on_the_engine(file, rule, "spikes", encoding)
    with LiveLava(file, rule, Windows(encoding), model="fused") as live:
        for _ in range(2):
            wanted = list(engine.run(arrivals))
            assert len(wanted) > 25
            assert fields(list(live.run(arrivals))) == fields(wanted)
        assert live.windows.counts == engine.windows.counts


def _raise(error: type[BaseException]) -> Callable[[], None]:
    def end() -> None:
        raise error

    return end


@pytest.fixture
def ctrl_c_enabled() -> Iterator[None]:
    """Makes Ctrl-C raise KeyboardInterrupt, also in tests that run as a background job of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_enabled")
@pytest.mark.parametrize(
    ("end", "error"),
    [
        (_raise(KeyboardInterrupt), KeyboardInterrupt),
        (_raise(ZeroDivisionError), ZeroDivisionError),
        (lambda: os.kill(os.getpid(), signal.SIGINT), KeyboardInterrupt),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), SystemExit),
    ],
)
def test_errors_and_signals_close_the_session(make: Make, end: Callable[[], None], error: type[BaseException]) -> None:
    """Within a window; conftest.py checks that nothing is left behind."""
    arrivals = stream("dense", 5)

    def broken() -> Iterator[Arrival]:
        yield from arrivals[:9]
        end()

    live = LiveLava(make("dense"), None, Windows(encoding_of("dense")), model="fused")
    with pytest.raises(error), live:
        list(live.run(broken()))
    live.close()
    with pytest.raises(DeployError, match="closed"):
        list(live.run(arrivals))


@pytest.mark.parametrize(("name", "how"), [("SpikingNetwork", signal.SIGKILL), ("CutoffMonitor", signal.SIGSTOP)])
def test_killed_or_stopped_process_is_an_error(make: Make, name: str, how: int) -> None:
    file, windows = make("dense"), Windows(encoding_of("dense"))
    with LiveLava(file, None, windows, model="fused", timeout_s=1.0) as live:
        os.kill(live.session.pids[name], how)
        with pytest.raises(DeployError, match="died of SIGKILL" if how == signal.SIGKILL else "within 1 s"):
            list(live.run(stream("dense", 2)))
        assert live.session.pids == {}
