"""`aoi report` writes one self-contained page, and refuses bad input."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Aoi
from tests.cli.test_bad_input import refuse, refuse_usage


def data_of(page: Path) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.S)
    assert found
    return json.loads(found[1])


def test_page_of_a_run_folder(aoi: Aoi, calibrated_run: Path, tmp_path: Path) -> None:
    result = aoi("report", calibrated_run, "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    page = calibrated_run / "report.html"
    assert report == {"report": str(page), "bytes": page.stat().st_size}
    assert report["bytes"] < 8e6
    text = page.read_text()
    assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?(https?:|//)""", text)
    assert "default-src 'none'" in text

    summary = json.loads(aoi("evaluate", calibrated_run / "network.net", "--json").stdout)
    assert f'id="headline-accuracy">{summary["accuracy"]:.4f}<' in text
    assert f'id="headline-full-accuracy">{summary["full_accuracy"]:.4f}<' in text
    assert f'id="headline-mean-decision-step">{summary["mean_decision_step"]:.2f}<' in text
    low, high = summary["intervals"]["accuracy_drop"]
    assert f"{low:.4f} to {high:.4f}" in text
    assert "not certified" in text
    data = data_of(page)
    assert data["accuracy_at"] == summary["accuracy_at"]
    assert data["rules"][0]["thresholds"][data["start"]["position"]] == repr(summary["threshold"])
    assert data["training"]["epochs"] == 8
    assert len(data["layers"][0]["stf"]) == 24
    assert data["layers"][-1]["stf"] is None


def test_command_on_the_page_has_split_and_samples(aoi: Aoi, calibrated_run: Path, tmp_path: Path) -> None:
    page = tmp_path / "my page.html"
    net = calibrated_run / "network.net"
    result = aoi("report", net, "--split", "validation", "--samples", "30", "--out", page)
    assert result.returncode == 0, result.stderr
    data = data_of(page)
    assert data["samples"] == 30
    assert data["command"] == [f"aoi evaluate {net} --rule ", " --split validation --samples 30"]
    assert "of these recordings were seen in training" in page.read_text()
    assert not (tmp_path / "report.html").exists()


def test_without_a_cutoff_in_the_file(aoi: Aoi, trained: Path, tmp_path: Path) -> None:
    result = aoi("report", trained, "--samples", "40", "--out", tmp_path / "page.html")
    assert result.returncode == 0, result.stderr
    data = data_of(tmp_path / "page.html")
    assert {rule["name"] for rule in data["rules"]} == {"gap", "patience", "fixed"}
    assert data["rules"][data["start"]["rule"]]["name"] == "fixed"
    assert data["rules"][-1]["thresholds"][data["start"]["position"]] == "24"
    assert not data["calibrated"]


def test_too_many_recordings_are_cut_with_a_warning(
    aoi: Aoi, calibrated_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aoi.report import page

    monkeypatch.setattr(page, "_EXPLORER_BYTES", 24 * 7 * 50)
    result = aoi("report", calibrated_run, "--out", tmp_path / "page.html")
    assert result.returncode == 0
    assert "first 50 of 438 recordings" in result.stderr
    data = data_of(tmp_path / "page.html")
    assert data["samples"] == 50
    assert data["command"][1] == " --samples 50"


def test_bad_input(aoi: Aoi, calibrated_run: Path, tmp_path: Path) -> None:
    refuse(aoi("report", tmp_path / "none"), "none", "no such file")
    (tmp_path / "empty").mkdir()
    refuse(aoi("report", tmp_path / "empty"), "empty", "network.net", "aoi export")
    refuse_usage(aoi("report", calibrated_run, "--split", "exam"), "'exam'", "validation")
    refuse(aoi("report", calibrated_run, "--out", tmp_path), str(tmp_path), "is a folder")
    (tmp_path / "file").touch()
    refuse(aoi("report", calibrated_run, "--samples", "9", "--out", tmp_path / "file" / "page.html"), "page.html")


def test_names_are_escaped(hostile_report: Path) -> None:
    text = hostile_report.read_text()
    assert "<img" not in text
    assert "<svg onload" not in text
    assert "<script>hacked" not in text
    assert "<b>&" not in text
    assert text.count("<script") == 2
    data = data_of(hostile_report)
    assert data["classes"][1] == "<img src=x onerror=hacked=1>"
    assert any("<svg onload" in sample["id"] for sample in data["chosen"])
