"""A training killed within an epoch and resumed ends with the same weights, bit for bit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from aoi.command import aoi_command

ROOT = Path(__file__).parents[3]


EVENTS = "training.augment={roll: 1, jitter: 0.5, mix: 0.5, drop: 0.1}"


def command(run: Path, *more: str, augment: str = "training.augment={shift: 1, rotate: 10}") -> list[str]:
    options = ["--set", "training.epochs=5", "--set", augment, "--run", str(run), *more]
    return [*aoi_command(), "train", "configs/digits.yaml", *options]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("augment", ["training.augment={shift: 1, rotate: 10}", EVENTS], ids=["spikes", "events"])
def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path, augment: str) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(whole, augment=augment), check=True, cwd=ROOT, capture_output=True)
    process = subprocess.Popen(
        command(killed, augment=augment), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    last = killed / "checkpoints" / "last.ckpt"
    first_seen = None
    while process.poll() is None:
        if last.exists():
            if first_seen is None:
                first_seen = last.stat().st_mtime_ns
            elif last.stat().st_mtime_ns != first_seen:  # the second epoch has been written
                time.sleep(0.05)
                os.kill(process.pid, signal.SIGKILL)
                break
        time.sleep(0.002)
    process.wait()
    assert process.returncode == -signal.SIGKILL, "training ended before it could be killed"
    assert not (killed / "weights.safetensors").exists()
    subprocess.run(command(killed, "--resume", augment=augment), check=True, cwd=ROOT, capture_output=True)
    assert (killed / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_copied_run_keeps_its_best_epoch(tmp_path: Path) -> None:
    run, copy = tmp_path / "run", tmp_path / "copy"
    harder = ("--set", "training.learning_rate=0.1", "--json")
    first = subprocess.run(command(run, *harder), check=True, cwd=ROOT, capture_output=True)
    assert json.loads(first.stdout)["kept_epoch"] < 5, "the last epoch is the best: the test shows nothing"
    shutil.copytree(run, copy)
    # The checkpoint of the last epoch exists although an earlier epoch was the best.
    last, best = (
        torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)["epoch"] for name in ("last", "best")
    )
    assert (last, best) == (4, json.loads(first.stdout)["kept_epoch"] - 1)
    (copy / "weights.safetensors").unlink()
    subprocess.run(command(copy, *harder, "--resume"), check=True, cwd=ROOT, capture_output=True)
    assert (copy / "weights.safetensors").read_bytes() == (run / "weights.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_keep_last_keeps_the_last_epoch(tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = ("--set", "training.learning_rate=0.1", "--set", "training.keep=last", "--json")
    done = subprocess.run(command(run, *options), check=True, cwd=ROOT, capture_output=True)
    assert json.loads(done.stdout)["kept_epoch"] == 5
    last, best = (
        torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"] for name in ("last", "best")
    )
    kept = load_file(run / "weights.safetensors")
    assert all(torch.equal(last[f"network.{name}"], value) for name, value in kept.items())
    assert not all(torch.equal(best[f"network.{name}"], value) for name, value in kept.items())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ctrl_c_exits_with_130_and_names_resume(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = subprocess.Popen(command(run), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (run / "checkpoints" / "last.ckpt").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "--resume" in errors
    assert "Traceback" not in errors
    subprocess.run(command(run, "--resume"), check=True, cwd=ROOT, capture_output=True)
    assert (run / "weights.safetensors").exists()
