"""``aoi.import_nir`` and ``aoi import`` on networks that others published."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

import aoi
from aoi.cli.main import run
from aoi.errors import DataError, NetXError
from aoi.nir import Numerics, convert, read_graph
from aoi.nir.reference import run_reference


@pytest.fixture(scope="session")
def cnn(public_data: Path) -> Path:
    return public_data / "nir" / "cnn_sinabs.nir"


@pytest.mark.slow
def test_the_nmnist_network_of_the_nir_paper(cnn: Path, nmnist_folder: Path, tmp_path: Path) -> None:
    """Published: .9847 in Sinabs, .9815 in Lava-DL, .9785 in snnTorch."""
    found = aoi.import_nir(
        cnn, tmp_path / "cnn.net", data=nmnist_folder, split="train", samples=100, window_us=300_000, bins=300
    )
    comparison = found.comparison
    assert comparison is not None
    assert comparison.recordings == 100
    assert comparison.float_accuracy >= 0.97
    assert comparison.accuracy >= comparison.float_accuracy - 0.005
    assert comparison.agreement >= 0.98
    assert found.network.classes == tuple("0123456789")
    recordings = aoi.open_data(None, found.network, split="train", samples=2)
    assert aoi.verify(found.network, recordings, against="all", samples=2, steps=60).equal


def test_the_braille_network(public_data: Path, tmp_path: Path) -> None:
    path = public_data / "nir" / "braille_noDelay_bias_zero.nir"
    found = aoi.import_nir(path, tmp_path / "braille.net")
    text = " ".join(each.text for each in found.verdicts)
    assert all(word in text for word in ("recurrent", "bias", "reset to 0"))
    assert {each.verdict for each in found.verdicts} == {"exact", "approximate"}
    assert aoi.verify(found.network, against="engine", steps=50).equal
    layers = found.network.description.layers
    assert [layer.shape for layer in layers] == [(38,), (7,)]
    stages = list(convert(read_graph(path)).stages)
    spikes = (np.random.default_rng(1).random((40, 12, 256)) < 0.1).astype(np.uint8)
    reference = run_reference(read_graph(path), stages, spikes, Numerics())
    spikes_of = aoi.Engine(found.network).run(spikes).spikes.sum(axis=(0, 2))
    np.testing.assert_allclose(
        spikes_of, reference.spikes.sum(axis=(0, 2)), rtol=0.1
    )  # 8 bits next to recurrent weights of 13 thresholds


def test_command_line(cnn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import", str(cnn), "--out", str(tmp_path / "cnn.net"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["exact"], found["approximate"], found["unsupported"]) == (10, 5, 0)
    assert {each["node"]: each["verdict"] for each in found["nodes"]}["4"] == "exact"
    assert run(["inspect", str(cnn)]) == 2
    assert "'aoi import' translates it" in capsys.readouterr().err
    assert run(["check", str(cnn), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "NIR"


@pytest.mark.slow
def test_an_unsupported_node_refuses_the_import(cnn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "changed.nir"
    path.write_bytes(cnn.read_bytes())
    with h5py.File(path, "r+") as file:
        threshold = file["node/nodes/3/v_threshold"][()]
        threshold[0, 0, 0] = 2.0
        file["node/nodes/3/v_threshold"][...] = threshold
        file["node/nodes/12/v_reset"] = np.full(10, 5.0, np.float32)
    assert run(["import", str(path), "--out", str(tmp_path / "a.net"), "--json"]) == 2
    printed = capsys.readouterr()
    assert {each["node"] for each in json.loads(printed.out)["nodes"] if each["verdict"] == "unsupported"}
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "a.net").exists()


def test_the_zoo_there_and_back(tmp_path: Path) -> None:
    """The NIR file also carries what other programs do not read: encoding, classes and the calibrated rule."""
    path = aoi.export_nir("zoo:digits", tmp_path / "digits.nir")
    found = aoi.import_nir(path, tmp_path / "digits.net")
    ours, again = aoi.load("zoo:digits"), found.network
    assert (again.encoding, again.classes, again.rule) == (ours.encoding, ours.classes, ours.rule)
    data = aoi.open_data("digits", ours, split="test", samples=50)
    np.testing.assert_array_equal(
        aoi.Engine(again).run(data.batch(range(50))).scores, aoi.Engine(ours).run(data.batch(range(50))).scores
    )


def test_arguments(cnn: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="dt -1"):
        aoi.import_nir(cnn, dt=-1.0)
    with pytest.raises(DataError, match="weight_bits 9"):
        aoi.import_nir(cnn, weight_bits=9)
    with pytest.raises(NetXError, match="no such file"):
        aoi.import_nir(tmp_path / "none.nir")


@pytest.mark.slow
def test_a_recurrent_layer_that_lava_drops(public_data: Path, tmp_path: Path) -> None:
    """Read as its writer meant it, compared with a float reference, and rewritten for Lava."""
    path = public_data / "networks" / "br_th1.net"
    with pytest.raises(NetXError, match="layer 2: type 'recurrent' is one that Lava drops without a word"):
        aoi.load(path)
    network = aoi.load(path, recurrent=True)
    with pytest.raises(NetXError, match="Lava drops without a word"):
        aoi.verify(network, against="lava")
    graph = read_graph(aoi.export_nir(network, tmp_path / "braille.nir"))
    spikes = (np.random.default_rng(0).random((8, 48, 270)) < 0.05).astype(np.uint8)
    reference = run_reference(graph, list(convert(graph).stages), spikes, Numerics())
    spikes = spikes.reshape(8, 1, 1, 48, 270)
    ours = aoi.Engine(network).run(spikes)
    assert ours.spikes[:, 0].sum() > 1000
    assert (np.abs(ours.spikes - reference.spikes) <= 2).mean() > 0.95  # the chip rounds its states
    rewritten = aoi.import_netx(path, tmp_path / "braille.net", recurrent=True)
    np.testing.assert_array_equal(aoi.Engine(rewritten).run(spikes).scores, ours.scores)
    assert aoi.verify(rewritten, against="lava", samples=1, steps=40).equal


def test_options_that_do_not_belong_together(cnn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, says in (
        (["import", str(cnn), "--out", str(cnn)], "is the source itself"),
        (["import", "a.net", "--out", "b.net", "--dt", "1e-3"], "a.net"),
        (["export", "runs/none", "--dt", "1e-3"], "belong to --nir"),
    ):
        assert run(arguments) == 2
        printed = capsys.readouterr().err
        assert says in printed
        assert printed.count("\n") == 1
    path = tmp_path / "ours.net"
    path.write_bytes(aoi.load("zoo:digits").path.read_bytes())
    assert run(["import", str(path), "--out", str(tmp_path / "b.net"), "--dt", "1e-3"]) == 2
    assert "takes none of --data, --dt" in capsys.readouterr().err
    assert run(["import", str(path)]) == 2
    assert "--out FILE rewrites" in capsys.readouterr().err
    assert run(["export", str(path), "--nir", str(path)]) == 2
    assert "is the source itself" in capsys.readouterr().err
