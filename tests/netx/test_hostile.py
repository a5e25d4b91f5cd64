"""Damaged, unusual or malicious files give a NetXError or a network, and nothing else."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aoi.child import completes_in_child
from aoi.errors import NetXError
from aoi.netx import Conv, Delta, Dense, Input, NetworkDescription, Sigma, SigmaDelta, probe, read_network
from aoi.netx.write import _write_blocks
from aoi.workflow.network import load

pytestmark = pytest.mark.timeout(120)
MANY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_or_refuse(path: Path) -> None:
    message = ""
    try:
        read_network(path)
    except NetXError as error:
        message = str(error)
    assert message == "" or str(path) in message
    assert "\n" not in message


def refused(path: Path, says: str) -> None:
    with pytest.raises(NetXError, match=says) as caught:
        read_network(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@pytest.fixture(params=["ours", "tiny.net"])
def valid(request, network) -> bytes:
    if request.param == "ours":
        return network.read_bytes()
    from importlib.metadata import distribution

    found = [file for file in distribution("lava-dl").files or [] if file.name == request.param]
    return Path(str(found[0].locate())).read_bytes() if found else pytest.skip("lava-dl does not bring tiny.net")


@MANY
@given(data=st.data())
def test_flipped_bytes(data, valid, tmp_path):
    blob = bytearray(valid)
    hits = st.lists(st.tuples(st.integers(0, len(blob) - 1), st.integers(0, 255)), min_size=1, max_size=40)
    for position, value in data.draw(hits):
        blob[position] = value
    (tmp_path / "flipped.net").write_bytes(blob)
    read_or_refuse(tmp_path / "flipped.net")


@settings(MANY, max_examples=50)
@given(part=st.floats(0, 1, exclude_max=True))
def test_truncated(part, valid, tmp_path):
    (tmp_path / "short.net").write_bytes(valid[: int(part * len(valid))])
    refused(tmp_path / "short.net", "not an HDF5 file|damaged")


@settings(MANY, max_examples=50)
@given(blob=st.binary(max_size=2000), signed=st.booleans())
def test_random_bytes(blob, signed, tmp_path):
    (tmp_path / "random.net").write_bytes(b"\x89HDF\r\n\x1a\n" * signed + blob)
    refused(tmp_path / "random.net", "not an HDF5 file|damaged")


def test_no_file(tmp_path):
    refused(tmp_path / "none.net", "no such file")
    refused(tmp_path, "not an HDF5 file")
    (tmp_path / "empty.net").touch()
    refused(tmp_path / "empty.net", "not an HDF5 file")
    os.mkfifo(tmp_path / "fifo.net")
    refused(tmp_path / "fifo.net", "not an HDF5 file")


FIELDS = [
    *(f"layer/{i}/{key}" for i in (1, 3, 4, 5) for key in ("type", "shape", "weight")),
    *(f"layer/1/{key}" for key in ("stride", "padding", "dilation", "groups")),
    *(f"layer/{i}/neuron/{key}" for i in (1, 3) for key in ("type", "iDecay", "vDecay", "vThMant")),
    "layer/0/shape",
    "layer/2/type",
    "layer/3/delay",
    "layer/4/weight_rec",
    "aoi/metadata",
    "aoi/trained_on",
]
OPTIONAL = {"layer/3/delay", "aoi/trained_on"}


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_missing_or_of_another_type(name, network):
    valid = network.read_bytes()
    values: list[Any] = [
        None,
        "text",
        np.bytes_(b"\xff\xfe"),
        b"convT",
        float("nan"),
        float("inf"),
        -1,
        1 << 40,
        0.5,
        np.uint64(2**64 - 1),
        1j,
        np.zeros(0),
        np.zeros((3, 3, 3, 3, 3, 3)),
        np.full(5, np.nan),
        h5py.Empty("f"),
        np.array([b"a", b"b"], h5py.string_dtype()),
        np.array([(1, 2.0)], [("a", int), ("b", float)]),
        np.array(["x"], dtype="S10"),
        "group",
    ]
    for value in values:
        network.write_bytes(valid)
        with h5py.File(network, "r+") as file:
            del file[name]
            if isinstance(value, str) and value == "group":
                file.create_group(name)
            elif value is not None:
                file[name] = value
        if value is None and name in OPTIONAL:
            read_network(network)
        else:
            refused(network, ": layer|: /aoi")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("layer/3/weight", np.full((5, 64), 256.0), r"layer 3 \(dense\): weight: 256.0 at \[0, 0\] is out of -256"),
        ("layer/3/weight", np.full((5, 64), 1.5), "weight: 1.5 at .* is not a whole number"),
        ("layer/3/weight", np.tile([254, -1], (5, 32)), "weight -1 is odd"),
        ("layer/3/weight", np.zeros((5, 64)), "all weights are 0"),
        ("layer/3/weight", np.full((4, 64), 2), r"takes \(5, inputs\)"),
        ("layer/3/weight", np.full((5, 63), 2), "takes 63 inputs, the layer before it gives 64"),
        ("layer/1/weight", np.full((4, 2, 3, 2), 2), r"takes \(C_out, 2 / groups"),
        ("layer/1/weight", np.full((4, 1, 3, 200), 2), "above 127"),
        ("layer/1/weight", np.full((4, 1, 99, 99), 2), "shape says"),
        ("layer/1/shape", [4, 4, 5], r"shape says \(4, 4, 5\)"),
        ("layer/1/groups", 3, "groups"),
        ("layer/1/groups", 128, "128 is out of 1..127"),
        ("layer/1/stride", [1, 1, 1], "one number or two"),
        ("layer/1/bias", [1, 2], r"takes one value per channel, \(4,\)"),
        ("layer/1/bias", [1, 2, 3, 4096], "4096 at .3. is out of -4096..4095"),
        ("layer/1/delay", [1, 2, 3, 4], "ignored by Lava"),
        ("layer/3/delay", [0, -1, 2, 3, 4], "-1 at .1. is out of"),
        ("layer/3/delay", [1, 2], "delay has shape"),
        ("layer/4/delay", [1, 2, 3, 4, 5], "recurrent"),
        ("layer/4/weight_rec", np.full((5, 4), 2), r"weight_rec has shape \(5, 4\)"),
        ("layer/5/neuron/vThMant", 1 << 18, "262144 is out of"),
        ("layer/5/neuron/vThMant", -1, "-1 is out of"),
        ("layer/5/neuron/iDecay", 4097, "iDecay: 4097 is out of 0..4096"),
        ("layer/5/neuron/vDecay", -1, "vDecay: -1"),
        ("layer/5/neuron/type", "ALIF", r"layer 5 \(dense\), neuron: type 'ALIF' is not supported; supported are CUBA"),
        ("layer/5/neuron/type", "RF_PHASE", "supported are CUBA"),
        ("layer/5/neuron/messageBits", 8, "messageBits: 8: lava-dl cannot load this field .* leave it out"),
        ("layer/5/neuron/vDecay", [1, 2], r"vDecay has shape \(2,\); it takes one value, or one per channel, \(3,\)"),
        ("layer/1/neuron/iDecay", [1, 2, 3, 4097], r"iDecay: 4097 at .3. is out of 0..4096"),
        ("layer/1/neuron/vThMant", [1, 2, 3, 131072 - 1, 5], r"it takes one value, or one per channel, \(4,\)"),
        ("layer/5/neuron/gradedSpike", True, "graded"),
        *(("layer/1/type", kind, f"'{kind}' is not supported") for kind in ("unpool", "convT", "concat", "Conv")),
        ("layer/5/type", "recurrent", "type 'recurrent' is one that Lava drops without a word"),
        ("layer/1/type", "pool", r"layer 1 \(pool\): weight has shape \(4, 1, 3, 2\); a pool layer takes"),
        ("layer/4/type", "average", r"can only come last, this is layer 4 of 6"),
        ("layer/2/type", "dense", "put a flatten layer between"),
        ("layer/3/type", "input", "can only come first"),
        ("layer/4/type", "conv", "takes maps"),
        ("layer/4/type", "flatten", "leave the flatten layer out"),
        ("layer/0/shape", [1 << 20, 1 << 10, 1 << 10], "above 16777216"),
        ("layer/0/shape", [84], "takes maps"),
        ("layer/0/shape", [2, 42], "neither"),
        ("aoi/metadata", "{", "not JSON"),
        ("aoi/metadata", "[]", "not a JSON object"),
        ("aoi/metadata", "[" * 100000, "not JSON"),
        ("aoi/metadata", '{"schema_version": 2}', "schema_version is 2, this program reads 1"),
        ("aoi/metadata", '{"schema_version": 1, "colour": 1}', "colour"),
        ("aoi/metadata", '{"schema_version": 1, "policy": {"threshold": NaN, "scale": 1}}', "threshold"),
        ("aoi/trained_on", np.arange(3), "list of uint64"),
    ],
)  # fmt: skip
def test_names_layer_field_value_and_limit(name, value, says, network):
    with h5py.File(network, "r+") as file:
        if name in file:
            del file[name]
        file[name] = value
    refused(network, says)


@pytest.fixture
def sigma_delta(tmp_path) -> Path:
    """A network of encoder, convolution, pool, flatten, dense layer with sigma output, and average."""
    weight = np.full((2, 2, 2, 2), 4, np.int32)
    conv = Conv("1", (2, 5, 5), weight, SigmaDelta(3), bias=np.array([1, -2], np.int32))
    pool = Conv("2", (2, 4, 4), np.full((2, 1, 2, 2), 64, np.int32), SigmaDelta(0), (2, 2), groups=2, kind="pool")
    dense = Dense("4", np.full((6, 8), -2, np.int32), Sigma())
    description = NetworkDescription((2, 5, 5), (Input("0", (2, 5, 5), Delta(7)), conv, pool, dense), average=3)
    path = tmp_path / "sdnn.net"
    with h5py.File(path, "w") as file:
        _write_blocks(file, description)
    read_network(path)
    return path


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("layer/0/neuron/vThMant", 1 << 19, r"layer 0 \(input\), neuron: vThMant: 524288 is out of 0..524287"),
        ("layer/0/neuron/activation", "tanh", r"activation: 'tanh' is not supported, Lava computes relu"),
        ("layer/0/shape", [2, 5, 4], "shape says"),
        ("layer/0/weight", 0.5, r"layer 0 \(input\): weight: 0.5 is not a whole number"),
        ("layer/1/bias", [1, 1 << 19], "bias: 524288 at .1. is out of -524288..524287"),
        ("layer/1/neuron/vThMant", -1, "vThMant: -1 is out of 0..524287"),
        ("layer/1/neuron/vThMant", [1, 2], "vThMant must be one number"),
        ("layer/1/neuron/messageBits", 16, "messageBits: 16: lava-dl cannot load this field .* leave it out"),
        ("layer/1/neuron/sigma_output", False, "sigma_output: False is out of 1..1"),
        ("layer/2/weight", np.full((2, 1, 2, 2), 2), r"a pool layer takes \(1, 1, kH, kW\)"),
        ("layer/2/weight", np.full((1, 1, 2, 2), 256), r"layer 2 \(pool\): weight: 256 at .* is out of -256..254"),
        ("layer/2/shape", [2, 2, 3], r"layer 2 \(pool\): shape says \(2, 2, 3\)"),
        ("layer/2/delay", [1], "ignored by Lava"),
        ("layer/4/bias", [1], "a sigma output takes none"),
        ("layer/5/shape", [4, 1, 1], r"layer 5 \(average\): shape: 4 groups do not divide the 6 neurons"),
        ("layer/5/shape", [0, 1, 1], r"shape: 0 at .0. is out of 1.."),
    ],
)  # fmt: skip
def test_names_them_in_a_sigma_delta_network(name, value, says, sigma_delta):
    with h5py.File(sigma_delta, "r+") as file:
        if name in file:
            del file[name]
        file[name] = value
    refused(sigma_delta, says)


def test_what_lava_silently_ignores_is_refused(network):
    """hdf5.Network drops layers of an unknown type."""
    with h5py.File(network, "r+") as file:
        del file["layer/4/type"]
        file["layer/4/type"] = "lif"
    refused(network, "'lif'")


def test_long_delays_are_clamped_as_lava_does(network, caplog):
    with h5py.File(network, "r+") as file:
        del file["layer/3/delay"]
        file["layer/3/delay"] = [64, 0, 62, 1000, 3]
    found = read_network(network)
    assert found.description.layers[1].delay.ravel().tolist() == [62, 0, 62, 62, 3]
    (note,) = found.notes
    assert note.endswith("layer 3 (dense): delays up to 1000 are clamped to 62, as Lava does")
    with caplog.at_level("WARNING", "aoi"):
        load(network)
    assert note in caplog.text
    with pytest.raises(NetXError, match="clamped to 62, as Lava does; a strict reading refuses that"):
        load(network, strict=True)


def test_missing_and_additional_layers(network):
    valid = network.read_bytes()
    for change, says in (
        (lambda f: f.__delitem__("layer/2"), "layer 2 is missing; 5 layers"),
        (lambda f: f.move("layer/5", "layer/-1"), "layer 5 is missing"),
        (lambda f: f.__delitem__("layer"), "layer is missing"),
        (lambda f: [f.__delitem__(f"layer/{i}") for i in range(6)], "holds 0 layers"),
        (lambda f: [f.__delitem__(f"layer/{i}") for i in range(1, 6)], "no layer with weights"),
        (lambda f: [f.create_group(f"layer/{i}") for i in range(6, 300)], "holds 300 layers"),
        (lambda f: [f.__delitem__("layer/2"), f.create_dataset("layer/2", data=1)], "2 is not a group"),
        (lambda f: [f.__delitem__("layer/2"), f.move("layer/3", "layer/2"), f.move("layer/4", "layer/3"),
                    f.move("layer/5", "layer/4")], "put a flatten layer between"),
    ):  # fmt: skip
        network.write_bytes(valid)
        with h5py.File(network, "r+") as file:
            change(file)
        refused(network, says)


def test_links_and_external_storage(network, tmp_path):
    valid = network.read_bytes()
    (tmp_path / "other.net").write_bytes(valid)
    os.mkfifo(tmp_path / "trap.net")  # opening it would block forever
    layout = h5py.VirtualLayout((5, 64), np.float32)
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.net"), "layer/3/weight", (5, 64))
    for name in ("layer/3/weight", "layer/3/neuron", "layer/3", "layer", "layer/3/bias", "aoi"):
        for link in (h5py.SoftLink("/layer"), *(h5py.ExternalLink(f"{each}.net", name) for each in ("other", "trap"))):
            network.write_bytes(valid)
            with h5py.File(network, "r+") as file:
                if name in file:
                    del file[name]
                file[name] = link
            refused(network, f"{name.rsplit('/')[-1]} is a link")
    for store in (
        lambda file: file.create_virtual_dataset("layer/3/weight", layout),
        lambda file: file.create_dataset("layer/3/weight", (5, 64), "f4", external=[(str(tmp_path / "raw"), 0, 1280)]),
    ):
        network.write_bytes(valid)
        with h5py.File(network, "r+") as file:
            del file["layer/3/weight"]
            store(file)
        refused(network, "values in another file")


def test_a_group_that_contains_itself(network):
    with h5py.File(network, "r+") as file:
        del file["layer/3/neuron"]
        file["layer/3/neuron"] = file["layer"]
    refused(network, r"layer 3 \(dense\), neuron: type is missing")


CLAIMS = {
    "dense": {"shape": (5, 1 << 40)},
    "chunked": {"shape": (5, 1 << 30), "chunks": (1, 1 << 20), "compression": "gzip"},
    "crumbs": {"shape": (5, 1 << 18), "chunks": (1, 1)},
    "boulders": {"shape": (5, 64), "maxshape": (None, None), "chunks": (1 << 14, 1 << 14)},
    "strings": {"shape": (), "dtype": f"S{1 << 30}"},
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_memory_is_bounded_for_huge_declared_sizes(claim, network):
    """In a process limited to 1 GiB of address space above that of Python and HDF5."""
    name = "layer/3/type" if claim == "strings" else "layer/3/weight"
    with h5py.File(network, "r+") as file:
        del file[name]
        file.create_dataset(name, **{"dtype": "f4", **CLAIMS[claim]})
    assert network.stat().st_size < 1 << 25
    code = (
        "import resource, sys; from aoi.netx import read_network; from aoi.errors import NetXError\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30),) * 2)\n"
        "try: read_network(sys.argv[1])\n"
        "except NetXError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, network], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    assert "claims" in done.stdout or "chunks" in done.stdout


def test_many_small_claims_add_up(network):
    with h5py.File(network, "r+") as file:
        del file["layer/3/weight"], file["layer/5/weight"]
        for index in (3, 5):
            file.create_dataset(f"layer/{index}/weight", (5, (1 << 26) // 6), "i1", fillvalue=2)
    refused(network, "takes .* inputs|claims")


def test_a_file_in_use_can_be_read(network):
    with h5py.File(network, "r"):
        assert read_network(network).description.latency == 4


def test_hangs_and_crashes_of_the_library_are_detected(network, monkeypatch):
    started, children = time.monotonic(), psutil.Process().children()
    assert completes_in_child(lambda: None)
    assert completes_in_child(lambda: 1 / 0)
    assert not completes_in_child(lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert not completes_in_child(lambda: sum(n for n in iter(int, 1)), seconds=0.2)
    assert time.monotonic() - started < 20
    assert psutil.Process().children() == children  # no process is left
    monkeypatch.setattr(probe, "completes_in_child", lambda work: False)
    refused(network, "HDF5 crashes, hangs or takes")


@pytest.mark.skipif(sys.platform != "linux", reason="the child process is forked on Linux only")
def test_group_with_a_cyclic_index(network, monkeypatch):
    """HDF5 2.0 follows it forever, holding the interpreter's lock. Found by flipping bytes."""
    monkeypatch.setattr(probe, "completes_in_child", lambda work: completes_in_child(work, seconds=2.0))
    network.write_bytes(gzip.decompress((Path(__file__).parent / "endless.net.gz").read_bytes()))
    started = time.monotonic()
    with pytest.raises(NetXError, match="damaged"):
        read_network(network)
    assert time.monotonic() - started < 20
