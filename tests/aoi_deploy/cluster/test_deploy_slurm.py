"""aoi deploy --target slurm and aoi jobs, on a real cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from aoi.command import aoi_command
from tests.cli.conftest import Aoi, aoi, calibrated_run, trained
from tests.slurm_cluster import Cluster

__all__ = ["aoi", "calibrated_run", "trained"]  # fixtures

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def results(folder: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    return [{key: value for key, value in each.items() if key != "wall_s"} for each in found]


def test_decisions_equal_those_of_this_machine(
    slurm_cluster: Cluster, aoi: Aoi, calibrated_run: Path, tmp_path: Path
) -> None:
    net = calibrated_run / "network.net"
    local = aoi("deploy", net, "--samples", 40, "--out", tmp_path / "local", "--json")
    assert local.returncode == 0, local.stderr
    options = ("--target", "slurm", "--on-node", "sim", "--partition", "oheogulch", "--chunk", 10)
    cluster = aoi("deploy", net, "--samples", 40, *options, "--out", tmp_path / "cluster", "--json")
    assert cluster.returncode == 0, cluster.stderr
    assert results(tmp_path / "cluster") == results(tmp_path / "local")
    a, b = json.loads(local.stdout), json.loads(cluster.stdout)
    for key in ("samples", "accuracy", "accuracy_drop", "mean_decision_step", "steps_executed"):
        assert a[key] == b[key]
    job = b["job"]
    listed = json.loads(aoi("jobs", "list", "--json").stdout)["jobs"]
    assert [(each["id"], each["state"], each["decided"]) for each in listed] == [(job, "done", 40)]
    status = json.loads(aoi("jobs", "status", job[:15], "--json").stdout)
    assert [chunk["decided"] for chunk in status["chunks"]] == [10] * 4
    fetched = aoi("jobs", "fetch", "last", "--out", tmp_path / "fetched", "--json")
    assert json.loads(fetched.stdout)["missing"] == 0
    assert results(tmp_path / "fetched") == results(tmp_path / "local")
    assert "Starting with JobEnvironment" in aoi("jobs", "logs", job, "--chunk", 1).stdout


def test_ctrl_c_detaches_and_names_attach(
    slurm_cluster: Cluster, aoi: Aoi, calibrated_run: Path, tmp_path: Path
) -> None:
    net = calibrated_run / "network.net"
    command = [*aoi_command(), "deploy", net, "--target", "slurm", "--on-node", "sim"]
    command += [
        "--partition",
        "oheogulch",
        "--samples",
        "60",
        "--model",
        "stock",
        "--no-cutoff",
        "--out",
        tmp_path / "out",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = ""
    while "Ctrl-C leaves them in the queue" not in said:
        said += process.stderr.readline()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    said += process.stderr.read()
    assert process.wait(timeout=30) == 130
    assert "aoi jobs attach" in said
    back = aoi("jobs", "attach", "last", "--out", tmp_path / "out", "--json")
    assert back.returncode == 0, back.stderr
    assert json.loads(back.stdout)["samples"] == 60


def test_impossible_jobs_are_refused_before_anything_is_written(
    slurm_cluster: Cluster, aoi: Aoi, calibrated_run: Path, tmp_path: Path
) -> None:
    net = calibrated_run / "network.net"
    before = set((calibrated_run / "jobs").iterdir()) if (calibrated_run / "jobs").is_dir() else set()
    for arguments, words in (
        (("--on-node", "sim", "--partition", "nowhere"), "this cluster has oheogulch, cpu"),
        (("--on-node", "sim", "--partition", "oheogulch", "--time", 5), "ends jobs after 2"),
        (("--on-node", "moon"), "choose one of sim, loihi"),
        (("--board", "nowhere"), "there is no such board"),
        (("--on-node", "sim", "--chunk", 1, "--login", "a b"), "is not a host name"),
    ):
        result = aoi("deploy", net, "--samples", 3, "--target", "slurm", *arguments, "--out", tmp_path / "out")
        assert result.returncode == 2, result.stderr
        assert words in result.stderr.splitlines()[-1]
    now = set((calibrated_run / "jobs").iterdir()) if (calibrated_run / "jobs").is_dir() else set()
    assert now == before


def test_error_of_a_node_without_the_extension(
    slurm_cluster: Cluster, aoi: Aoi, calibrated_run: Path, tmp_path: Path
) -> None:
    net = calibrated_run / "network.net"
    result = aoi("deploy", net, "--samples", 2, "--target", "slurm", "--board", "oheogulch", "--out", tmp_path / "out")
    assert result.returncode == 1
    assert "lava-loihi extension is not installed" in result.stderr
    assert "aoi jobs continue" in result.stderr


def test_over_ssh(slurm_cluster: Cluster, aoi: Aoi, calibrated_run: Path, login_host: str, tmp_path: Path) -> None:
    net = calibrated_run / "network.net"
    environment = f"env SLURM_CONF={os.environ['SLURM_CONF']} AOI_STATE_DIR={tmp_path / 'login'}"
    options = ["--target", "slurm", "--on-node", "sim", "--partition", "oheogulch"]
    options += ["--login", login_host, "--aoi", f"{environment} {sys.executable} -m aoi.cli"]
    remote = aoi("deploy", net, "--samples", 12, "--chunk", 6, *options, "--out", tmp_path / "remote-out", "--json")
    assert remote.returncode == 0, remote.stderr
    local = aoi("deploy", net, "--samples", 12, "--out", tmp_path / "local-out", "--json")
    assert local.returncode == 0
    assert results(tmp_path / "remote-out") == results(tmp_path / "local-out")
    status = json.loads(aoi("jobs", "status", "last", "--json").stdout)
    assert status["login"] == login_host
    assert "Starting with" in aoi("jobs", "logs", "last").stdout
    assert json.loads(aoi("jobs", "cancel", "last", "--json").stdout)["cancelled"] == 0
