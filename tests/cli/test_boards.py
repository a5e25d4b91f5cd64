"""aoi inspect --board, aoi cost, aoi export-monitor, and the boards in the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aoi.boards.board import load_board
from aoi.boards.profile import Measurement
from aoi.netx import read_network
from aoi.workflow.cost import lava_dl_file
from tests.cli.conftest import Aoi


@pytest.mark.slow
def test_counts_of_pilotnet_equal_the_board_file(aoi: Aoi) -> None:
    """The counts in the board file equal the engine's, and the measurement is shown."""
    anchor = load_board("oheogulch").chip.anchor
    assert anchor is not None
    network = read_network(lava_dl_file("gts/pilotnet_lif/network.net"), input_block=True).description
    result = aoi("cost", "--pilotnet", "--board", "oheogulch", "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["counts"]["at_t"]["operations"] == anchor.counts.operations
    assert found["counts"]["at_t"]["spikes"] == anchor.counts.spikes
    assert anchor.counts.updates == network.neurons * anchor.counts.steps
    assert found["steps"] == anchor.counts.steps == 16
    assert found["measured"]["total_j"] == 1.661e-3
    assert found["boards"]["oheogulch"]["at_t"]["dynamic_j"][0] == pytest.approx(1.094e-3)
    assert "measured" in aoi("cost", "--pilotnet").stdout


def test_cost_of_a_decision(aoi: Aoi, calibrated_run: Path) -> None:
    """The counts are those of aoi evaluate, plus the work of the pipeline ahead of the decision."""
    net = calibrated_run / "network.net"
    found = json.loads(aoi("cost", net, "--json").stdout)
    summary = json.loads(aoi("evaluate", net, "--json").stdout)
    counts = found["counts"]
    assert counts["at_t"]["operations"] == pytest.approx(summary["operations"]["full"])
    assert summary["operations"]["until_decision"] <= counts["until_decision"]["operations"]
    assert counts["until_decision"]["operations"] < counts["at_t"]["operations"]
    latency = read_network(net).description.latency
    assert counts["until_decision"]["steps"] == pytest.approx(summary["mean_decision_step"] + latency)
    assert 0 < found["share"][0] <= found["share"][1] < 1
    assert set(found["boards"]) == {"kapohopoint", "nahuku", "oheogulch"}
    shown = aoi("cost", net, "--board", "nahuku")
    assert "nahuku, until the decision" in shown.stdout
    assert "not published" in shown.stdout
    assert "oheogulch" not in shown.stdout


def test_inspect_shows_the_fit(aoi: Aoi, calibrated_run: Path) -> None:
    net = calibrated_run / "network.net"
    assert "oheogulch: fits, " in aoi("inspect", net).stdout
    shown = aoi("inspect", net, "--board", "oheogulch").stdout
    assert "synapse words" in shown
    assert "fits" in shown
    found = json.loads(aoi("inspect", net, "--board", "oheogulch", "--json").stdout)["boards"]["oheogulch"]
    assert found["verdict"] == "fits"
    assert found["cores"] == sum(layer["cores"] for layer in found["layers"])
    assert all(limit["source"] for limit in found["limits"].values())


def test_inspect_lists_uncertain_findings(aoi: Aoi) -> None:
    shown = aoi("inspect", lava_dl_file("ntidigits.net"), "--board", "oheogulch").stdout
    assert "unknown" in shown
    assert "delays" in shown


def test_report_shows_the_boards(aoi: Aoi, calibrated_run: Path) -> None:
    assert aoi("report", calibrated_run).returncode == 0
    page = (calibrated_run / "report.html").read_text()
    assert "not assessed" not in page
    assert "Oheo Gulch" in page
    assert "of 128 cores" in page
    assert "of the energy of all steps" in page


def test_export_monitor_writes_the_code(aoi: Aoi, calibrated_run: Path, tmp_path: Path) -> None:
    net, out = calibrated_run / "network.net", tmp_path / "monitor"
    result = aoi("export-monitor", net, "--out", out, "--rule", "int-confidence:0.9", "--json")
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in out.iterdir()) == ["monitor.c", "monitor.h", "monitor_tables.h"]
    assert 0 < json.loads(result.stdout)["table_bytes"] < 4096
    assert "#define AOI_OUTPUTS 10u" in (out / "monitor_tables.h").read_text()


def test_measurement_is_shown_with_the_estimate(aoi: Aoi, calibrated_run: Path, tmp_path: Path) -> None:
    found = Measurement(source="a board", samples=4, steps=40, total_j=1e-3, latency_s=2e-3)
    (tmp_path / "profile.json").write_text(found.model_dump_json())
    shown = aoi("cost", calibrated_run / "network.net", "--samples", "8", "--measured", tmp_path / "profile.json")
    assert "measured, static and dynamic" in shown.stdout
    assert "1 mJ" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cost",), "--pilotnet"),
        (("cost", "NET", "--board", "loihi3"), "oheogulch"),
        (("inspect", "NET", "--board", "loihi3"), "oheogulch"),
        (("export-monitor", "NET", "--out", "OUT"), "int-confidence"),
        (("export-monitor", "NET", "--out", "NET", "--rule", "int-gap:1"), "is not a folder"),
    ],
)
def test_bad_input(aoi: Aoi, calibrated_run: Path, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    names = {"NET": calibrated_run / "network.net", "OUT": tmp_path / "out"}
    result = aoi(*(names.get(each, each) for each in arguments))
    assert result.returncode == 2
    assert words in result.stderr
