"""What is written is read, loads in stock Lava, and changes whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
import pytest

import toolchain.netx.write
from toolchain.errors import NetXError
from toolchain.netx import Conv, Cuba, Dense, NetworkDescription, read_network, update_metadata, write_network


def assert_same(a: NetworkDescription, b: NetworkDescription) -> None:
    assert a.input_shape == b.input_shape
    assert len(a.layers) == len(b.layers)
    for x, y in zip(a.layers, b.layers, strict=True):
        assert type(x) is type(y)
        for item in fields(x):
            given, found = getattr(x, item.name), getattr(y, item.name)
            np.testing.assert_array_equal(found, given, err_msg=f"{item.name} of layer {x.name}")
            if isinstance(given, np.ndarray):
                assert found.dtype == np.int32


def snapshot(path: Path) -> dict[str, tuple[np.dtype, bytes]]:
    found = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = (item.dtype, item[()].tobytes())

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def test_reads_what_was_written(network, description, metadata):
    file = read_network(network)
    assert_same(description, file.description)
    assert file.metadata == metadata
    assert file.trained_on.dtype == np.uint64
    np.testing.assert_array_equal(file.trained_on, np.arange(7, dtype=np.uint64) << np.uint64(60))
    assert file.skip_layers == 0
    assert file.description.latency == 4
    assert not file.description.fires


def test_dense_first_keeps_the_maps_of_the_input(tmp_path):
    dense = Dense("2", np.arange(-12, 12, dtype=np.int32).reshape(2, 12) * 2, Cuba(80, 1024, 128))
    for shape, name in (((3, 2, 2), "2"), ((12,), "0")):
        write_network(tmp_path / "dense.net", NetworkDescription(shape, (replace(dense, name=name),)))
        assert_same(
            NetworkDescription(shape, (replace(dense, name=name),)), read_network(tmp_path / "dense.net").description
        )


def test_synaptic_delays_and_biases_survive(tmp_path, description):
    delay = np.arange(15, dtype=np.int32).reshape(3, 5)
    layers = (*description.layers[:-1], replace(description.layers[-1], delay=delay))
    write_network(tmp_path / "delay.net", replace(description, layers=layers))
    assert_same(replace(description, layers=layers), read_network(tmp_path / "delay.net").description)
    first = replace(description.layers[0], bias=np.array([1, -2, 0, 4], np.int32))
    biased = replace(description, layers=(first, *description.layers[1:]))
    with pytest.raises(NetXError, match=r"layer 1: bias 4: .* \[no_bias\]"):
        write_network(tmp_path / "bias.net", biased)
    write_network(tmp_path / "bias.net", biased, allow_bias=True)
    assert_same(biased, read_network(tmp_path / "bias.net").description)


def test_stock_lava_loads_it(network, tmp_path, description):
    from toolchain.compat import enable_netx

    enable_netx()
    from lava.lib.dl.netx.hdf5 import Network

    net = Network(net_config=str(network))
    assert [type(block).__name__ for block in net.layers] == ["Conv", "Dense", "RecurrentDense", "Dense"]
    assert [block.shape for block in net.layers] == [(4, 4, 4), (5,), (5,), (3,)]
    assert net.inp.shape == (6, 7, 2), "maps are (W, H, C) in Lava"
    net.net_config.f.close()
    write_network(tmp_path / "dense.net", NetworkDescription((5, 1, 1), description.layers[-1:]))
    net = Network(net_config=str(tmp_path / "dense.net"))
    assert net.inp.shape == (5,)
    net.net_config.f.close()


def test_files_are_the_same_bytes_each_time(network, tmp_path, description, metadata):
    write_network(tmp_path / "again.net", description, metadata, np.arange(7, dtype=np.uint64) << np.uint64(60))
    assert (tmp_path / "again.net").read_bytes() == network.read_bytes()


def test_new_metadata_leaves_the_rest(network, metadata):
    before = snapshot(network)
    newer = metadata.model_copy(update={"policy": None, "classes": ("a", "b", "c")})
    update_metadata(network, newer)
    after = snapshot(network)
    assert read_network(network).metadata == newer
    assert before.pop("aoi/metadata") != after.pop("aoi/metadata")
    assert before == after
    assert [path.name for path in network.parent.iterdir()] == [network.name]


def test_metadata_for_a_file_without(network, metadata):
    with h5py.File(network, "r+") as file:
        del file["aoi"]
    assert read_network(network).metadata is None
    assert read_network(network).trained_on.size == 0
    update_metadata(network, metadata)
    assert read_network(network).metadata == metadata


def test_a_failed_write_leaves_the_old_file(network, description, metadata, monkeypatch):
    old = network.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(toolchain.netx.write, "_write_metadata", full_disk)
    with pytest.raises(NetXError, match="No space left"):
        update_metadata(network, metadata)
    with pytest.raises(NetXError, match="No space left"):
        write_network(network, description, metadata)
    assert network.read_bytes() == old
    assert [path.name for path in network.parent.iterdir()] == [network.name]


def test_update_of_what_is_no_network(tmp_path, metadata):
    with pytest.raises(NetXError, match=r"missing\.net"):
        update_metadata(tmp_path / "missing.net", metadata)
    (tmp_path / "text.net").write_text("no")
    with pytest.raises(NetXError, match=r"text\.net"):
        update_metadata(tmp_path / "text.net", metadata)
    assert (tmp_path / "text.net").read_text() == "no"


def test_metadata_has_to_fit(network, tmp_path, description, metadata):
    two = metadata.model_copy(update={"classes": ("a", "b")})
    with pytest.raises(NetXError, match="2 class names for 3 output neurons"):
        write_network(tmp_path / "two.net", description, two)
    update_metadata(network, two)
    with pytest.raises(NetXError, match="2 class names for 3 output neurons"):
        read_network(network)


def test_encoding_gives_the_shape_that_the_file_lacks(network, description):
    with h5py.File(network, "r+") as file:
        del file["layer/0"]
        for index in range(1, 6):
            file.move(f"layer/{index}", f"layer/{index - 1}")
    assert read_network(network).description.input_shape == (2, 7, 6)
    with h5py.File(network, "r+") as file:
        del file["aoi"]
    with pytest.raises(NetXError, match=r"input layer.*--input-shape"):
        read_network(network)
    assert read_network(network, input_shape=(2, 7, 6)).description.layers[0].shape == (4, 4, 4)
    with pytest.raises(NetXError, match=r"takes maps"):
        read_network(network, input_shape=(84,))


def test_imports_neither_torch_nor_lava_nor_numba():
    code = "import sys, toolchain.netx; print(*{'torch', 'lava', 'numba', 'scipy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_conv_shape_with_all_options(description):
    torch = pytest.importorskip("torch")
    conv = description.layers[0]
    assert isinstance(conv, Conv)
    out = torch.nn.functional.conv2d(
        torch.zeros(1, *conv.input_shape),
        torch.zeros(conv.weight.shape),
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=conv.groups,
    )
    assert tuple(out.shape[1:]) == conv.shape
