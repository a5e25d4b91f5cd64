"""A file of stock lava-dl without encoding, classes and rule: after one calibration it needs no options."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

import aoi
from aoi.netx import Cuba, Dense, NetworkDescription, write_network


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes on 6 x 4 pixels, each in its own columns."""
    random = np.random.default_rng(0)
    kind = [("x", "<u2"), ("y", "<u2"), ("t", "<i8"), ("p", "i1")]
    for part, count in (("Train", 40), ("Test", 20)):
        for index, label in enumerate(("a", "b", "c")):
            (tmp_path / "data" / part / label).mkdir(parents=True)
            for number in range(count):
                events = np.zeros(200, kind)
                events["x"] = np.where(random.random(200) < 0.8, 2 * index + random.integers(0, 2, 200), 5)
                events["x"][0] = 5
                events["y"] = random.integers(0, 4, 200)
                events["y"][0] = 3
                events["t"] = np.sort(random.integers(0, 100_000, 200))
                events["p"] = random.integers(0, 2, 200)
                np.save(tmp_path / "data" / part / label / f"{number:03}.npy", events)
    return tmp_path / "data"


@pytest.fixture
def stock(tmp_path: Path) -> Path:
    weight = np.full((3, 2, 4, 6), -2, np.int32)
    for index in range(3):
        weight[index, :, :, 2 * index : 2 * index + 2] = 6
    layer = Dense("0", weight.reshape(3, -1), Cuba(64, 4096, 0))
    path = tmp_path / "stock.net"
    write_network(path, NetworkDescription((2, 4, 6), (layer,)))
    with h5py.File(path, "r+") as file:
        if "aoi" in file:
            del file["aoi"]
    return path


def test_calibration_completes_the_file(stock: Path, folder: Path) -> None:
    net = aoi.load(stock)
    assert (net.encoding, net.classes, net.rule) == (None, (), None)
    with pytest.raises(aoi.DataError, match="window_us and bins"):
        aoi.open_data(folder, net)
    data = aoi.open_data(folder, net, split="calibration", window_us=100_000, bins=10)
    calibrated = aoi.calibrate(net, data, max_drop=0.05)
    net = aoi.load(stock)
    assert net.rule == calibrated.rule
    assert net.steps == 10
    assert net.classes == ("a", "b", "c")
    found = aoi.evaluate(net, aoi.open_data(None, net))
    assert found.full_accuracy > 0.9
    assert found.samples == 60
    with pytest.raises(aoi.DataError, match="its encoding is fixed"):
        aoi.open_data(folder, net, bins=40)


def test_output_that_never_fires_is_read_by_its_voltage(tmp_path: Path) -> None:
    """With and without metadata: scores are never silently zero."""
    weight = (2 * np.random.default_rng(0).integers(-40, 44, (3, 12))).astype(np.int32)
    path = tmp_path / "voltage.net"
    write_network(path, NetworkDescription((12,), (Dense("0", weight, Cuba(1 << 17, 4096, 0)),)))
    spikes = (np.random.default_rng(1).random((4, 12, 6)) < 0.4).astype(np.uint8)
    net = aoi.load(path)
    assert net.readout == "voltage"
    for engine in (aoi.Engine(net), aoi.Engine(net.description)):
        run = engine.run(spikes)
        assert run.scores.any()
        np.testing.assert_array_equal(run.scores, engine.run(spikes, readout="voltage").scores)
        with pytest.raises(aoi.DataError, match="never fire"):
            engine.run(spikes, readout="spikes")
