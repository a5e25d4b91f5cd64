"""Every field of a file is executed, known to be without effect, refused, or noted."""

from __future__ import annotations

import fcntl
from pathlib import Path

import h5py
import numpy as np
import pytest

from aoi.errors import NetXError
from aoi.netx import Cuba, Dense, NetworkDescription, read_network, write_network
from aoi.workflow.network import load


def changed(network: Path, **fields: object) -> Path:
    with h5py.File(network, "r+") as file:
        for name, value in fields.items():
            place = f"layer/5/{name.replace('__', '/')}"
            if place in file:
                del file[place]
            file[place] = value
    return network


@pytest.mark.parametrize(("field", "value"), [("weight_exp", 3), ("wgtExp", 1), ("refDelay", 2), ("refDelay", [1, 4])])
def test_what_slayer_applies_and_lava_passes_over(field: str, value: object, network: Path) -> None:
    path = changed(network, **{f"neuron__{field}": value})
    with pytest.raises(NetXError, match=rf"layer 5 \(dense\), neuron: {field}: .*Lava passes over it"):
        read_network(path)


def test_the_values_that_change_nothing(network: Path) -> None:
    path = changed(network, neuron__weight_exp=0, neuron__wgtExp=0, neuron__refDelay=1, neuron__theta=64)
    assert read_network(path).notes == ()


def test_fields_that_nobody_reads_are_noted(network: Path) -> None:
    path = changed(network, neuron__tau=3.0, colour="red")
    notes = read_network(path).notes
    assert [note.rpartition(": ")[2] for note in notes] == [
        "field 'tau' is read by nobody",
        "field 'colour' is read by nobody",
    ]
    with pytest.raises(NetXError, match="a strict reading refuses that"):
        load(path, strict=True)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_sixteen_bits_are_compared_as_numbers(value: float, network: Path) -> None:
    """In float16 the limits above 65,504 are infinite, and inf <= inf."""
    with pytest.raises(NetXError, match=r"vThMant: .* is out of"):
        read_network(changed(network, neuron__vThMant=np.float16(value)))
    assert read_network(changed(network, neuron__vThMant=np.float16(80))).description.layers[-1].neuron.threshold == 80


def test_a_pool_kernel_is_not_copied_for_each_channel(tmp_path: Path) -> None:
    """127 x 127 weights for 8,192 channels would be 132 million."""
    with h5py.File(tmp_path / "pool.net", "w") as file:
        layer = file.create_group("layer/0")
        layer["type"], layer["shape"] = "input", [8192, 40, 40]
        layer = file.create_group("layer/1")
        layer["type"], layer["shape"] = "pool", [8192, 34, 34]
        layer.create_dataset("weight", data=np.ones((1, 1, 127, 127), np.float32), compression="gzip")
        layer["stride"], layer["padding"], layer["dilation"] = [1, 1], [60, 60], [1, 1]
        neuron = layer.create_group("neuron")
        neuron["type"], neuron["iDecay"], neuron["vDecay"], neuron["vThMant"] = "CUBA", 1024, 128, 80
    with pytest.raises(NetXError, match="the kernel for 8192 channels makes 132128768 values; a file may hold"):
        read_network(tmp_path / "pool.net")


def test_a_file_that_is_being_written_is_not_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    write_network(path, NetworkDescription((3,), (Dense("0", np.array([[2, -2, 4]], np.int32), Cuba(64, 1024, 0)),)))
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(NetXError, match="another program is writing it"):
            read_network(path)
