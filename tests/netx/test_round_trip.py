"""Network files round-trip, load in stock Lava, and are replaced atomically."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
import pytest

import aoi.netx.write
from aoi.errors import NetXError
from aoi.netx import (
    Conv,
    Cuba,
    Delta,
    Dense,
    Input,
    NetworkDescription,
    Sigma,
    SigmaDelta,
    read_network,
    update_metadata,
    write_network,
)


def assert_same(a: NetworkDescription, b: NetworkDescription) -> None:
    assert a.input_shape == b.input_shape
    assert len(a.layers) == len(b.layers)
    for x, y in zip(a.layers, b.layers, strict=True):
        assert type(x) is type(y)
        for item in fields(x):
            given, found = getattr(x, item.name), getattr(y, item.name)
            if item.name == "neuron":
                assert type(given) is type(found)
                for key, value in vars(given).items():
                    np.testing.assert_array_equal(getattr(found, key), value, err_msg=f"{key} of layer {x.name}")
                continue
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


def test_round_trip(network, description, metadata):
    file = read_network(network)
    assert_same(description, file.description)
    assert file.metadata == metadata
    assert file.trained_on.dtype == np.uint64
    np.testing.assert_array_equal(file.trained_on, np.arange(7, dtype=np.uint64) << np.uint64(60))
    assert file.skip_layers == 0
    assert file.description.latency == 4
    assert not file.description.fires


def test_first_dense_layer_keeps_the_input_shape(tmp_path):
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
    write_network(tmp_path / "bias.net", biased, waive=("no_bias",))
    assert_same(biased, read_network(tmp_path / "bias.net").description)


def test_stock_lava_loads_it(network, tmp_path, description):
    from aoi.compat import enable_netx

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


def test_new_metadata_keeps_the_rest(network, metadata):
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


def everything() -> NetworkDescription:
    """A network with each kind of layer and neuron, parameters per channel, and delays as lists and as a matrix."""
    rng = np.random.default_rng(3)

    def even(*shape: int) -> np.ndarray:
        return rng.integers(-128, 128, shape, dtype=np.int32) * 2

    many = Cuba(rng.integers(0, 4096, 4, dtype=np.int32), np.arange(4, dtype=np.int32), np.array([9] * 4, np.int32))
    kernel = np.repeat(even(1, 1, 2, 1), 4, axis=0)
    return NetworkDescription(
        (2, 8, 6),
        (
            Input("0", (2, 8, 6), Cuba(80, 4096, 123), scale=76, offset=-6),
            Conv("1", (2, 8, 6), even(4, 2, 3, 3), many),
            Conv(
                "2", (4, 6, 4), kernel, SigmaDelta(9), (2, 1), (1, 0), (2, 1), 4, np.array([1, 2, 3, 1 << 18]), "pool"
            ),
            Dense("4", even(9, 4 * 3 * 4), SigmaDelta(0), delay=rng.integers(0, 63, (1, 48), dtype=np.int32)),
            Dense("5", even(8, 9), Cuba(1 << 17, 0, 4096), delay=rng.integers(0, 63, (8, 9), dtype=np.int32)),
            Dense("6", even(6, 8), Sigma(), weight_rec=even(6, 6)),
        ),
        average=2,
    )


def test_round_trip_of_every_kind_of_layer_and_neuron(tmp_path):
    description = everything()
    delta = replace(description, layers=(Input("0", (2, 8, 6), Delta(5)), *description.layers[1:]))
    for given in (description, delta):
        with h5py.File(tmp_path / "all.net", "w") as file:
            aoi.netx.write._write_blocks(file, given)
        file = read_network(tmp_path / "all.net", input_block=True)
        assert_same(given, file.description)
        assert (file.skip_layers, file.description.average, file.description.outputs) == (0, 2, 2)
        assert file.description.takes_values
        assert file.description.latency == 5
    assert read_network(tmp_path / "all.net").description.takes_values, "a sigma-delta network keeps its encoder"


def test_input_block_of_cuba_neurons_is_left_out_by_default(tmp_path):
    with h5py.File(tmp_path / "all.net", "w") as file:
        aoi.netx.write._write_blocks(file, everything())
    file = read_network(tmp_path / "all.net")
    assert file.skip_layers == 1
    assert not file.description.takes_values
    assert file.description.input_shape == (2, 8, 6)
    assert_same(replace(everything(), layers=everything().layers[1:]), file.description)


def test_slayers_export_of_parameters_per_channel(tmp_path):
    """``shared_param=False``: one decay per channel, but a single threshold."""
    pytest.importorskip("torch")
    from aoi.compat import enable_slayer

    enable_slayer()
    import torch
    from lava.lib.dl import slayer

    parameters = {"threshold": 1.25, "current_decay": (0.1, 0.6), "voltage_decay": (0.05, 0.3), "shared_param": False}
    conv = slayer.block.cuba.Conv(parameters, 2, 4, 3)
    pool = slayer.block.cuba.Pool({**parameters, "shared_param": True, "current_decay": 1, "voltage_decay": 0.25}, 2)
    dense = slayer.block.cuba.Dense(parameters, 4 * 3 * 2, 5)
    spikes = torch.rand(1, 2, 8, 6, 4).round()
    dense(pool(conv(spikes)).reshape(1, -1, 4))
    with h5py.File(tmp_path / "slayer.net", "w") as file:
        file["layer/0/type"], file["layer/0/shape"] = np.array([b"input"]), [2, 8, 6]
        conv.export_hdf5(file.create_group("layer/1"))
        pool.export_hdf5(file.create_group("layer/2"))
        file["layer/3/type"] = np.array([b"flatten"])
        dense.export_hdf5(file.create_group("layer/4"))
    first, second, third = read_network(tmp_path / "slayer.net").description.layers
    for layer, channels, block in ((first, 4, conv), (third, 5, dense)):
        assert layer.neuron.threshold == 80
        for name, decays in (
            ("current_decay", layer.neuron.current_decay),
            ("voltage_decay", layer.neuron.voltage_decay),
        ):
            assert decays.shape == (channels,)
            np.testing.assert_array_equal(decays, getattr(block.neuron, f"cx_{name}"))
    assert (second.kind, second.groups, second.stride, second.shape) == ("pool", 4, (2, 2), (4, 3, 2))
    assert (second.weight == second.weight[0, 0, 0, 0]).all()
    assert second.neuron == Cuba(80, 4096, 1024)


def test_failed_write_keeps_the_old_file(network, description, metadata, monkeypatch):
    old = network.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(aoi.netx.write, "_write_metadata", full_disk)
    with pytest.raises(NetXError, match="No space left"):
        update_metadata(network, metadata)
    with pytest.raises(NetXError, match="No space left"):
        write_network(network, description, metadata)
    assert network.read_bytes() == old
    assert [path.name for path in network.parent.iterdir()] == [network.name]


def test_spike_readout_of_an_output_that_never_fires_is_refused(network, description, metadata):
    wrong = metadata.model_copy(update={"readout": "spikes"})
    update_metadata(network, wrong)
    with pytest.raises(NetXError, match="readout 'spikes', but the output neurons never fire"):
        read_network(network)
    with pytest.raises(NetXError, match="never fire"):
        write_network(network, description, wrong)


def test_update_of_a_file_that_is_not_a_network(tmp_path, metadata):
    with pytest.raises(NetXError, match=r"missing\.net"):
        update_metadata(tmp_path / "missing.net", metadata)
    (tmp_path / "text.net").write_text("no")
    with pytest.raises(NetXError, match=r"text\.net"):
        update_metadata(tmp_path / "text.net", metadata)
    assert (tmp_path / "text.net").read_text() == "no"


def test_metadata_has_to_match_the_network(network, tmp_path, description, metadata):
    two = metadata.model_copy(update={"classes": ("a", "b")})
    with pytest.raises(NetXError, match="2 class names for 3 output neurons"):
        write_network(tmp_path / "two.net", description, two)
    update_metadata(network, two)
    with pytest.raises(NetXError, match="2 class names for 3 output neurons"):
        read_network(network)


def test_encoding_provides_a_missing_input_shape(network, description):
    with h5py.File(network, "r+") as file:
        del file["layer/0"]
        for index in range(1, 6):
            file.move(f"layer/{index}", f"layer/{index - 1}")
    assert read_network(network).description.input_shape == (2, 7, 6)
    with h5py.File(network, "r+") as file:
        del file["aoi"]
    with pytest.raises(NetXError, match=r"input layer.*give input_shape"):
        read_network(network)
    assert read_network(network, input_shape=(2, 7, 6)).description.layers[0].shape == (4, 4, 4)
    with pytest.raises(NetXError, match=r"takes maps"):
        read_network(network, input_shape=(84,))


def test_imports_neither_torch_nor_lava_nor_numba():
    code = "import sys, aoi.netx; print(*{'torch', 'lava', 'numba', 'scipy'} & set(sys.modules))"
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
