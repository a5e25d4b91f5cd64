"""aoi.load: files, run folders and the zoo, and the default folders of their results."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import aoi
from aoi.netx import Conv, Cuba, Dense, NetworkDescription, write_network
from aoi.workflow.network import output_folder


def test_run_folder_and_file_are_the_same_network(tmp_path: Path) -> None:
    zoo = aoi.load("zoo:digits")
    shutil.copy(zoo.path, tmp_path / "network.net")
    folder, file = aoi.load(tmp_path), aoi.load(str(tmp_path / "network.net"))
    assert folder.path == file.path
    assert folder.rule == file.rule == zoo.rule
    assert (file.readout, file.steps, len(file.classes)) == ("spikes", 24, 10)
    for words in ("2x16x16 spikes per step", "10 outputs", "T = 24", "rule confidence >= "):
        assert words in repr(file)


def test_missing_networks_are_named(tmp_path: Path) -> None:
    with pytest.raises(aoi.DataError, match=r"zoo:letters.*the zoo has digits"):
        aoi.load("zoo:letters")
    with pytest.raises(aoi.DataError, match=r"holds no network\.net; write it with 'aoi export"):
        aoi.load(tmp_path)
    with pytest.raises(aoi.NetXError, match="no such file"):
        aoi.load(tmp_path / "nothing.net")


def test_input_shape_of_a_first_convolution(tmp_path: Path) -> None:
    """A file of stock lava-dl that begins with a convolution does not state its input shape."""
    neuron = Cuba(100, 1024, 128)
    conv = Conv("0", (2, 12, 20), _weight(4, 2, 3, 5), neuron, stride=(2, 3), padding=(1, 2))
    flat = conv.shape[0] * conv.shape[1] * conv.shape[2]
    write_network(tmp_path / "full.net", NetworkDescription((2, 12, 20), (conv, Dense("2", _weight(3, flat), neuron))))
    import h5py

    with h5py.File(tmp_path / "full.net") as full, h5py.File(tmp_path / "stock.net", "w") as stock:
        layers = [name for name in sorted(full["layer"], key=int) if full["layer"][name]["type"][()] != b"input"]
        for index, name in enumerate(layers):
            full.copy(full["layer"][name], stock.require_group("layer"), str(index))
    with pytest.raises(aoi.NetXError, match=r"input.shape"):
        aoi.load(tmp_path / "stock.net")
    net = aoi.load(tmp_path / "stock.net", input_shape=(2, 12, 20))
    assert net.description.input_shape == (2, 12, 20)
    assert aoi.verify(net, against="lava", samples=2, steps=8).equal


def test_zoo_files_are_not_rewritten(tmp_path: Path) -> None:
    zoo = aoi.load("zoo:digits")
    before = zoo.path.read_bytes()
    with pytest.raises(aoi.DataError, match="belongs to the package"):
        aoi.calibrate(zoo, aoi.open_data(None, zoo, split="calibration", samples=20))
    assert zoo.path.read_bytes() == before
    assert output_folder("zoo:digits") == Path("runs/digits")
    assert output_folder(tmp_path) == output_folder(tmp_path / "network.net") == tmp_path


def _weight(*shape: int) -> np.ndarray:
    return (2 * np.random.default_rng(0).integers(-40, 44, shape)).astype(np.int32)
