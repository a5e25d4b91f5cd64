from __future__ import annotations

import itertools
import logging
import os
import threading
import time
import warnings
from collections.abc import Iterator

import numpy as np
import psutil
import pytest

from aoi.cutoff.rule import ConfidenceRule, decide
from aoi.engine import Engine
from aoi.errors import DataError, DeployError, NetXError
from aoi.netx import NetworkFile
from aoi_deploy.lava.channel import shared_array
from aoi_deploy.lava.processes.source import PyEventSourceModel
from aoi_deploy.lava.session import LavaSession
from tests.aoi_deploy.lava_networks import Make, spikes

RULES = {
    "spikes": ConfidenceRule(threshold=0.6, scale=0.7),
    "voltage": ConfidenceRule(threshold=0.6, scale=2e-5),
    "conv": ConfidenceRule(threshold=0.6, scale=2.0),
}


def readout_of(kind: str) -> str:
    return "voltage" if kind == "voltage" else "spikes"


@pytest.mark.parametrize("model", ["fused", "stock"])
@pytest.mark.parametrize("kind", ["dense", "delay", "recurrent", "voltage", "conv"])
def test_decisions_equal_the_rule_on_the_full_output(make: Make, kind: str, model: str) -> None:
    """For 200 samples in one session, with the number of executed steps."""
    file, readout, steps = make(kind), readout_of(kind), 16
    rule, samples = RULES.get(kind, RULES[readout]), spikes(file, 200, steps)
    scores = Engine(file.description).run(samples, readout=readout).scores  # type: ignore[arg-type]
    expected = decide(rule, scores)
    assert len(set(expected.step.tolist())) > 3, "the samples should decide at different steps"

    with LavaSession(file, steps=steps, readout=readout, rule=rule, model=model) as session:
        results = list(session.run(samples))
    assert [r.index for r in results] == list(range(200))
    np.testing.assert_array_equal([r.decision_step for r in results], expected.step)
    np.testing.assert_array_equal([r.prediction for r in results], expected.prediction)
    np.testing.assert_array_equal([r.confidence for r in results], expected.confidence)
    assert [r.steps_executed for r in results] == [s + file.description.latency for s in expected.step]
    for result, sample in zip(results, scores, strict=True):
        np.testing.assert_array_equal(result.scores, sample[:, result.decision_step - 1])


@pytest.mark.parametrize("readout", ["spikes", "voltage"])
def test_without_a_rule_all_steps_run(make: Make, readout: str) -> None:
    file = make("voltage" if readout == "voltage" else "conv")
    samples = spikes(file, 6, 9)
    scores = Engine(file.description).run(samples, readout=readout).scores  # type: ignore[arg-type]
    with LavaSession(file, steps=9, readout=readout, model="stock") as session:
        results = list(session.run(samples))
    np.testing.assert_array_equal([r.scores for r in results], scores[..., -1])
    expected = decide(None, scores)
    np.testing.assert_array_equal([r.prediction for r in results], expected.prediction)
    np.testing.assert_array_equal([r.confidence for r in results], expected.confidence)


def test_lava_executes_only_the_reported_steps(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in the source, which does not see decisions; and the time decreases with the steps."""
    counted = shared_array((1,), np.int64)
    original = PyEventSourceModel.run_spk

    def run_spk(self: PyEventSourceModel) -> None:
        original(self)
        counted[0] += 1

    monkeypatch.setattr(PyEventSourceModel, "run_spk", run_spk)
    file = make("dense")
    samples = spikes(file, 20, 60)
    with LavaSession(file, steps=60, model="stock") as session:
        full = list(session.run(samples))
        assert counted[0] == sum(r.steps_executed for r in full) == 20 * 62
        session.rule = RULES["spikes"]
        mixed = list(session.run(samples))
        assert counted[0] - 20 * 62 == sum(r.decision_step + 2 for r in mixed)
        session.rule = ConfidenceRule(threshold=0.05, scale=1.0)  # always reached with ten classes
        early = list(session.run(samples))
    assert {r.steps_executed for r in early} == {3}
    assert sum(r.wall_s for r in early) < 0.5 * sum(r.wall_s for r in full[1:])


def test_one_session_runs_many_rules(make: Make) -> None:
    file = make("dense")
    samples = spikes(file, 15, 10)
    scores = Engine(file.description).run(samples).scores
    rules = [None, RULES["spikes"], ConfidenceRule(0.5, 0.3), None, ConfidenceRule(1.0, 1e-9)]  # the last never fires
    with LavaSession(file, steps=10, model="stock") as session:
        pids, build_s = session.pids, session.build_s
        for rule in rules:
            session.rule = rule
            expected = decide(rule, scores)
            results = list(session.run(iter(samples)))
            assert [(r.decision_step, r.prediction) for r in results] == list(
                zip(expected.step, expected.prediction, strict=True)
            )
        assert list(session.run([])) == []
        assert (session.pids, session.build_s) == (pids, build_s)
    assert session.run_s > 0


def test_single_step(make: Make) -> None:
    file = make("dense")
    samples = spikes(file, 20, 1)
    scores = Engine(file.description).run(samples).scores
    with LavaSession(file, steps=1, rule=RULES["spikes"], model="stock") as session:
        results = list(session.run(samples))
    assert [r.decision_step for r in results] == [1] * 20
    np.testing.assert_array_equal([r.scores for r in results], scores[..., 0])


def test_results_come_as_they_are_decided(make: Make) -> None:
    """At most two samples are taken before their results."""
    file, asked, told = make("dense"), [0], []
    data = spikes(file, 8, 5)

    def stream() -> Iterator[np.ndarray]:
        for sample in data:
            asked[0] += 1
            yield sample

    with LavaSession(file, steps=5, model="stock") as session:
        for number, result in enumerate(session.run(stream(), on_result=told.append)):
            assert told[-1] is result
            assert asked[0] <= number + 2


def test_an_abandoned_run_does_not_disturb_the_next(make: Make) -> None:
    file = make("dense")
    samples = spikes(file, 12, 10)
    with LavaSession(file, steps=10, rule=RULES["spikes"], model="stock") as session:
        whole = list(session.run(samples))
        run = session.run(samples)
        next(run)
        with pytest.raises(DeployError, match="a run is in progress"):
            next(session.run(samples))
        run.close()
        again = list(session.run(samples))
    assert [(r.index, r.prediction, r.steps_executed) for r in again] == [
        (r.index, r.prediction, r.steps_executed) for r in whole
    ]


def test_session_survives_a_failing_sample_iterator(make: Make) -> None:
    file = make("dense")
    samples = spikes(file, 4, 10)

    def stream() -> Iterator[np.ndarray]:
        yield from samples[:3]
        raise OSError("disk on fire")

    with LavaSession(file, steps=10, model="stock") as session:
        with pytest.raises(OSError, match="disk on fire"):
            list(session.run(stream()))
        for bad, words in [
            (samples[0][:40], r"sample 1 has shape \(40, 10\)"),
            (samples[0][:, :4], "timesteps last"),
            (samples[0] * 3, "holds 0..3"),
        ]:
            with pytest.raises(DataError, match=words):
                list(session.run([samples[0], bad]))
        assert [r.index for r in session.run(samples)] == [0, 1, 2, 3]


def test_misuse_is_refused(make: Make) -> None:
    dense = make("dense")
    with pytest.raises(NetXError, match="output layer fires"):
        LavaSession(dense, steps=4, readout="voltage", model="stock")
    for model in ("stock", "fused"):
        with pytest.raises(NetXError, match="never fires"):
            LavaSession(make("voltage"), steps=4, readout="spikes", model=model)
    with pytest.raises(NetXError, match="voltage of a recurrent output layer"):
        LavaSession(make("recurrent voltage"), steps=4, readout="voltage", model="stock")
    with pytest.raises(DeployError, match="steps = 0"):
        LavaSession(dense, steps=0, model="stock")
    with pytest.raises(DeployError, match="give steps"):
        LavaSession(dense)
    damaged = make("voltage")
    damaged.path.write_text("not a network")
    with pytest.raises(NetXError, match="lava-dl cannot build"):
        LavaSession(damaged, steps=4, model="stock")
    session = LavaSession(dense, steps=4, model="stock")
    session.close()
    session.close()
    with pytest.raises(DeployError, match="closed"):
        list(session.run(spikes(dense, 1, 4)))


def test_session_left_open_warns_and_is_closed(make: Make) -> None:
    session = LavaSession(make("dense"), steps=4, model="stock")
    with pytest.warns(ResourceWarning, match="left open"):
        del session


def test_two_sessions_at_once(make: Make) -> None:
    """Also if another thread, which has ended, started one of them."""
    dense, conv = make("dense"), make("conv")
    opened: list[LavaSession] = []
    starter = threading.Thread(target=lambda: opened.append(LavaSession(dense, steps=6, model="stock")))
    starter.start()
    starter.join()
    with opened[0] as first, LavaSession(conv, steps=6, model="stock") as second:
        pairs = zip(first.run(spikes(dense, 5, 6)), second.run(spikes(conv, 5, 6)), strict=True)
        assert [(a.index, b.index) for a, b in pairs] == [(n, n) for n in range(5)]


def test_lava_leaves_nothing_in_the_interpreter(make: Make) -> None:
    from lava.magma.core.process.process import ProcessServer
    from lava.magma.core.process.variable import VarServer

    file = make("dense")
    handlers, threads = list(logging.getLogger().handlers), threading.active_count()
    children, processes, variables = psutil.Process().children(), len(ProcessServer().processes), len(VarServer().vars)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        for _ in range(2):
            with LavaSession(file, steps=4, model="stock") as session:
                list(session.run(spikes(file, 2, 4)))
    assert len(ProcessServer().processes) <= processes
    assert len(VarServer().vars) <= variables
    assert logging.getLogger().handlers == handlers
    assert threading.active_count() == threads
    assert psutil.Process().children() == children


def _resident(session: LavaSession) -> int:
    """Resident memory of the host and the actors in bytes; it does not grow by pages that a write unshares."""
    return sum(psutil.Process(pid).memory_info().rss for pid in (os.getpid(), *session.pids.values()))


def test_memory_stays_flat_over_a_thousand_samples(make: Make) -> None:
    file = make("dense")
    block = spikes(file, 50, 4)
    with LavaSession(file, steps=4, rule=RULES["spikes"], model="stock") as session:
        sizes = []
        for _ in range(24):
            assert len(list(session.run(block))) == 50
            sizes.append(_resident(session))
    assert sizes[-1] - sizes[3] < 2 << 20, sizes  # 1,000 samples after the first 200


@pytest.mark.slow
def test_memory_stays_flat_over_sessions(make: Make) -> None:
    file = make("dense")
    sizes, files = [], []
    for _ in range(15):
        with LavaSession(file, steps=4, model="stock") as session:
            list(session.run(spikes(file, 2, 4)))
        sizes.append(psutil.Process().memory_info().rss)
        files.append(psutil.Process().num_fds())
    assert sizes[-1] - sizes[3] < 4 << 20, sizes
    assert files[-1] == files[3]


def test_endless_stream(make: Make) -> None:
    file = make("dense")
    stream = itertools.cycle(spikes(file, 3, 4))
    with LavaSession(file, steps=4, model="stock") as session:
        begin = time.monotonic()
        assert len(list(itertools.islice(session.run(stream), 40))) == 40
        assert time.monotonic() - begin < 20


def test_feature_maps_and_flat_samples_are_equal(make: Make) -> None:
    """A sample gives the same as (C, H, W, T) and as (n, T); maps of another shape are refused."""
    file: NetworkFile = make("conv")
    samples = spikes(file, 3, 8)
    with LavaSession(file, steps=8, model="stock") as session:
        maps = [r.scores for r in session.run(samples)]
        flat = [r.scores for r in session.run(samples.reshape(3, -1, 8))]
        np.testing.assert_array_equal(maps, flat)
        with pytest.raises(DataError, match="takes"):
            list(session.run(samples.transpose(0, 1, 3, 2, 4)))
