"""The folder of a job: what it stores, incomplete and wrong lines, and its lock."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from aoi.errors import DataError
from aoi_deploy.jobs.folder import JobFolder, JobPlan
from aoi_deploy.jobs.registry import find, register, registered
from aoi_deploy.jobs.worker import run_chunk
from aoi_deploy.targets import Outcome
from aoi_deploy.targets.cluster import chunk_size
from tests.aoi_deploy.cluster.conftest import MakeWork, decisions, expected

CHUNKS = ((0, 3), (3, 5))


@pytest.fixture
def folder(work: MakeWork, tmp_path: Path) -> JobFolder:
    asked = work(5, 12)
    job = JobFolder(tmp_path / "job")
    from aoi.netx.metadata import CutoffPolicy

    plan = JobPlan(
        id="one", created=0.0, network="dense.net", split="test", readout=asked.network.readout,
        policy=CutoffPolicy(rule="fixed", threshold=11, scale=1.0), model="fused", on_node="sim", chunks=CHUNKS,
    )  # fmt: skip
    job.create(plan, asked)
    return job


def outcome(index: int) -> Outcome:
    return Outcome(index, 1, 0.5, 3, 5, 0.1)


def test_work_round_trips(folder: JobFolder, work: MakeWork) -> None:
    asked, read = work(5, 12), folder.work()
    assert read.spikes.ids == asked.spikes.ids
    assert read.spikes.shape == asked.spikes.shape
    assert all(np.array_equal(read.sample(n), asked.sample(n)) for n in range(5))
    assert read.rule is not None
    assert (read.rule.name, read.rule.threshold) == ("fixed", 11)


def test_incomplete_line_is_removed_and_the_first_of_two_counts(folder: JobFolder) -> None:
    file = folder.path / "chunks" / "000.jsonl"
    line = json.dumps(asdict(outcome(1))).encode()
    other = json.dumps(asdict(outcome(1)) | {"prediction": 7}).encode()
    file.write_bytes(line + b"\n" + other + b"\n" + line[:20])
    assert list(folder.decided(0)) == [1]
    with folder.results(0) as results:
        folder.append(results, outcome(2))
    assert list(folder.decided(0)) == [1, 2]
    assert folder.decided(0)[1].prediction == 1


def test_wrong_line_is_named(folder: JobFolder) -> None:
    (folder.path / "chunks" / "000.jsonl").write_bytes(b'{"index": 0}\n')
    with pytest.raises(DataError, match=r"000.jsonl.*not a result.*aoi jobs continue one"):
        folder.decided(0)


def test_worker_runs_only_undecided_samples(folder: JobFolder) -> None:
    for chunk, given in enumerate(([0, 2], [])):
        with folder.results(chunk) as results:
            for index in given:
                folder.append(results, outcome(index))
        run_chunk(folder, chunk)
    found = folder.outcomes()
    assert [each.index for each in found] == list(range(5))
    assert found[0] == outcome(0)  # not run again
    truth = expected(folder.work())
    assert decisions(found)[1] == truth[1]
    assert decisions(found)[3:] == truth[3:]
    note = folder.read_note(1)
    assert note is not None
    assert note.state == "done"


def _hold_lock(path: Path, ready: object, go: object) -> None:
    with JobFolder(path).results(0):
        ready.set()  # type: ignore[attr-defined]
        go.wait()  # type: ignore[attr-defined]


def test_only_one_worker_writes_at_a_time(folder: JobFolder) -> None:
    context = multiprocessing.get_context("spawn")
    ready, go = context.Event(), context.Event()
    other = context.Process(target=_hold_lock, args=(folder.path, ready, go))
    other.start()
    assert ready.wait(30)
    waiting = context.Process(target=run_chunk, args=(folder, 0))
    waiting.start()
    waiting.join(1.5)
    assert waiting.is_alive()
    assert not folder.decided(0)
    go.set()
    other.join(30)
    waiting.join(60)
    assert waiting.exitcode == 0
    assert len(folder.decided(0)) == 3


def test_jobs_are_found_by_id_prefix_and_folder(folder: JobFolder, tmp_path: Path) -> None:
    register(folder, "20260101-aa")
    register(folder, "20260102-bb")
    assert list(registered()) == ["20260101-aa", "20260102-bb"]
    assert find("20260101").path == find("last").path == find(str(folder.path)).path
    for name, words in (("2026", "2 jobs begin with it"), ("x", "no such job"), ("", "no such job")):
        with pytest.raises(DataError, match=words):
            find(name)
    with pytest.raises(DataError, match="is not a job folder"):
        find(str(tmp_path))
    (folder.path / "job.json").write_text("{}")
    with pytest.raises(DataError, match="is damaged"):
        find(str(folder.path))


def test_chunk_size_grows_with_the_time_limit() -> None:
    assert chunk_size(30, 2) > 100
    assert chunk_size(30, 60) > 20 * chunk_size(30, 2)
    assert chunk_size(100_000, 1) == 1
