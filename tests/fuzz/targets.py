"""What the campaign feeds: valid inputs, how they are changed, and who reads them."""

from __future__ import annotations

import io
import json
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tests.fuzz import mutate

Read = Callable[[bytes], None]
"""Reads one input. An AoiError is a refusal; everything else that leaves it is a finding."""


@dataclass(frozen=True)
class Target:
    """A kind of input."""

    name: str
    seeds: Callable[[], list[Any]]
    change: Callable[[Any, np.random.Generator], bytes]
    read: Read
    share: float = 1.0  # of the inputs, relative to the others


@cache
def _scratch() -> Path:
    return Path(tempfile.mkdtemp(prefix="aoi-fuzz-"))


def _file(content: bytes, name: str) -> Path:
    path = _scratch() / name
    path.write_bytes(content)
    return path


# -- network files ------------------------------------------------------------------------------------------------


def _networks() -> list[bytes]:
    from aoi.netx import Conv, Cuba, Delta, Dense, Input, Metadata, NetworkDescription, Sigma, SigmaDelta
    from aoi.netx.write import _write_blocks, write_network

    random = np.random.default_rng(0)

    def even(*shape: int) -> np.ndarray:
        return random.integers(-40, 40, shape, dtype=np.int32) * 2

    neuron = Cuba(80, 1024, 128)
    spiking = NetworkDescription(
        (2, 7, 6),
        (
            Conv("1", (2, 7, 6), even(4, 1, 3, 2), neuron, (2, 1), (1, 0), (1, 2), groups=2),
            Dense("3", even(5, 64), neuron, delay=np.array([[0], [3], [62], [1], [0]], np.int32)),
            Dense("4", even(5, 5), neuron, weight_rec=even(5, 5)),
        ),
    )
    graded = NetworkDescription(
        (2, 5, 5),
        (
            Input("0", (2, 5, 5), Delta(2)),
            Conv("1", (2, 5, 5), even(3, 2, 3, 3), SigmaDelta(4)),
            Dense("3", even(4, 27), Sigma()),
        ),
    )
    found = []
    import h5py

    path = _scratch() / "seed.net"
    write_network(path, spiking, Metadata(readout="spikes"))
    found.append(path.read_bytes())
    for description in (spiking, graded):
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            _write_blocks(file, description)
        found.append(buffer.getvalue())
    return found


def _read_network(content: bytes) -> None:
    """Whatever opens runs, at once and step by step, with the same result."""
    from aoi.engine import Engine
    from aoi.netx import read_network

    file = read_network(_file(content, "a.net"))
    description = file.description
    size = description.neurons + int(np.prod(description.input_shape))
    if size > 20_000 or description.synapses > 200_000:
        return
    readout = description.readout
    random = np.random.default_rng(len(content))
    shape = (2, *description.input_shape, 4)
    if description.takes_values:
        low, high = description.layers[0].limits  # type: ignore[union-attr]
        inputs = random.integers(max(low, -999), min(high, 999) + 1, shape, dtype=np.int32)
    else:
        inputs = (random.random(shape) < 0.4).astype(np.uint8)
    engine = Engine(description)
    scores = engine.run(inputs, readout=readout).scores
    assert scores.shape == (2, description.outputs, 4)
    whole = engine.run(inputs, return_traces=True).traces[-1].s.reshape(2, -1, 4)
    state = engine.start(2)
    steps = np.stack([engine.step(state, inputs[..., t]).reshape(2, -1) for t in range(4)], axis=-1)
    if description.fires:
        assert np.array_equal(whole, steps), "run and step differ"


def _nir_graphs() -> list[bytes]:
    import nir

    from aoi.nir import to_nir
    from aoi.workflow.network import load

    found = []
    lif = nir.LIF(*(np.full(3, value) for value in (1e-3, 10.0, 0.0, 1.0)))
    cuba = nir.CubaLIF(*(np.full(3, value) for value in (1e-3, 2e-3, 20.0, 0.0, 1.0)))
    nodes = {
        "input": nir.Input(input_type={"input": np.array([3])}),
        "a": nir.Affine(weight=np.eye(3) * 2 - 1, bias=np.zeros(3)),
        "b": lif,
        "c": nir.Linear(weight=np.eye(3) - 0.5),
        "d": cuba,
        "r": nir.Linear(weight=np.eye(3) * 0.3),
        "output": nir.Output(output_type={"output": np.array([3])}),
    }
    edges = [("input", "a"), ("a", "b"), ("b", "c"), ("c", "d"), ("d", "r"), ("r", "d"), ("d", "output")]
    for graph in (nir.NIRGraph(nodes, edges, type_check=False), to_nir(load("zoo:digits").description)):
        path = _scratch() / "seed.nir"
        nir.write(path, graph)
        found.append(path.read_bytes())
    return found


def _read_nir(content: bytes) -> None:
    from aoi.nir import convert, read_graph

    convert(read_graph(_file(content, "a.nir")))


# -- recordings ---------------------------------------------------------------------------------------------------


def _events(count: int = 200) -> np.ndarray:
    from tests.events.event_files import some_events

    return some_events(count)


def _recordings(suffix: str) -> list[bytes]:
    from tests.events.event_files import aedat4_bytes, bin_bytes

    events = _events()
    if suffix == "bin":
        return [bin_bytes(events)]
    if suffix == "aedat4":
        import lz4.frame
        import zstandard

        return [
            aedat4_bytes([events[:90], events[90:]]),
            aedat4_bytes([events], 1, lz4.frame.compress),
            aedat4_bytes([events], 3, zstandard.compress),
        ]
    if suffix in ("npy", "npz"):
        buffer = io.BytesIO()
        if suffix == "npy":
            np.save(buffer, events)
        else:
            np.savez_compressed(buffer, events=events)
        return [buffer.getvalue()]
    if suffix == "dat":
        t, address = events["t"].astype("<u4"), events["x"].astype("<u4") | events["y"].astype("<u4") << 14
        body = np.stack([t, address | events["p"].astype("<u4") << 28], axis=1).astype("<u4").tobytes()
        return [b"% Version 2\n% end\n" + bytes([0, 8]) + body]
    words2 = [0x80000001]
    words2 += [int(e["p"]) << 28 | (int(e["t"]) & 63) << 22 | int(e["x"]) << 11 | int(e["y"]) for e in events]
    words3 = [0x8001, 0x6010, 0x0005]
    for e in events[:60]:
        words3 += [0x2000 | int(e["x"]), 0x3000 | int(e["x"]), 0x4123, 0x5045, 0x6000 | int(e["t"]) & 0xFFF]
    return [
        b"% evt 2.0\n% end\n" + struct.pack(f"<{len(words2)}I", *words2),
        b"% evt 3.0\n% end\n" + struct.pack(f"<{len(words3)}H", *words3),
    ]


def _recording(suffix: str, share: float = 1.0) -> Target:
    from aoi.events.formats import read_recording

    def read(content: bytes) -> None:
        events = read_recording(_file(content, f"a.{suffix}"))
        assert events.dtype.names == ("x", "y", "t", "p")

    return Target(suffix, lambda: _recordings(suffix), mutate.bytes_of, read, share)


def _digits_hdf5() -> list[bytes]:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        times = h5py.vlen_dtype(np.float32)
        group = file.create_group("spikes")
        group.create_dataset("times", (4,), dtype=times)
        group.create_dataset("units", (4,), dtype=h5py.vlen_dtype(np.uint16))
        for n in range(4):
            group["times"][n] = np.sort(np.random.default_rng(n).random(30)).astype(np.float32)
            group["units"][n] = np.random.default_rng(n).integers(0, 700, 30).astype(np.uint16)
        file["labels"] = np.arange(4)
    return [buffer.getvalue()]


def _read_digits_hdf5(content: bytes) -> None:
    from aoi.events.opening import open_dataset

    folder = _scratch() / "shd"
    folder.mkdir(exist_ok=True)
    (folder / "shd_train.h5").write_bytes(content)
    dataset = open_dataset(str(folder))
    for ref in dataset.recordings[:6]:
        dataset.read(ref)


# -- configurations -----------------------------------------------------------------------------------------------


def _documents(pattern: str) -> list[Any]:
    from aoi.experiment.config import config_folder

    return [yaml.safe_load(path.read_text()) for path in sorted(config_folder().glob(pattern))[:6]]


def _yaml_of(document: Any, random: np.random.Generator) -> bytes:
    text = yaml.safe_dump(mutate.tree(document, random), allow_unicode=True, default_flow_style=random.random() < 0.3)
    content = text.encode("utf-8", "surrogatepass")
    return mutate.bytes_of(content, random) if random.random() < 0.3 else content


def _read_config(content: bytes) -> None:
    from aoi.experiment.config import load_config

    load_config(_file(content, "a.yaml"))


def _read_study(content: bytes) -> None:
    from aoi.study.config import load_study

    load_study(_file(content, "a.yaml"))


# -- jobs, hosts, datagrams -----------------------------------------------------------------------------------------

_JOB = {
    "version": 1, "id": "one", "created": 0.0, "network": "a.net", "split": "test", "readout": "spikes",
    "policy": {"rule": "confidence", "threshold": 0.9, "scale": 1.0, "params": {}, "evidence": {}}, "model": "fused",
    "on_node": "sim", "board": None, "partition": None, "minutes": 2, "at_once": 4, "chunks": [[0, 3], [3, 5]],
}  # fmt: skip
_LINE = {"index": 0, "prediction": 1, "confidence": 0.5, "decision_step": 3, "steps_executed": 5, "wall_s": 0.1}
_NOTE = {"state": "done", "at": 1.0, "host": "h", "pid": 3, "error": None}
_STATUS = {
    "id": "one", "path": "x", "login": None, "samples": 3, "decided": 1, "state": "done",
    "chunks": [
        {"chunk": 0, "samples": 3, "decided": 1, "state": "done", "job": "1", "host": None}
    ],
}  # fmt: skip


def _job_files() -> list[Any]:
    return [
        ["job.json", _JOB], ["submitted.json", {"0": ["1_0"], "1": ["2"]}], ["chunks/000.jsonl", _LINE],
        ["chunks/000.note", _NOTE], ["remote.json", {"login": "host", "path": "x", "aoi": "aoi"}],
    ]  # fmt: skip


def _change_job(seed: Any, random: np.random.Generator) -> bytes:
    name, document = seed
    return name.encode() + b"\0" + mutate.json_of(document, random) + b"\n" * (name.endswith("jsonl"))


def _read_job(content: bytes) -> None:
    from aoi_deploy.jobs.folder import JobFolder
    from aoi_deploy.jobs.remote import remote_of

    name, _, text = content.partition(b"\0")
    folder = JobFolder(_scratch() / "job")
    (folder.path / "chunks").mkdir(parents=True, exist_ok=True)
    for other in ("job.json", "submitted.json", "chunks/000.jsonl", "chunks/000.note", "remote.json"):
        (folder.path / other).unlink(missing_ok=True)
    (folder.path / "job.json").write_text(json.dumps(_JOB))
    (folder.path / name.decode()).write_bytes(text)
    remote_of(folder)
    folder.submitted()
    plan = folder.plan
    for chunk in range(min(len(plan.chunks), 3)):
        folder.decided(chunk)
        folder.read_note(chunk)


def _read_answer(content: bytes) -> None:
    from aoi_deploy.jobs.folder import JobFolder
    from aoi_deploy.jobs.remote import Remote

    class Answering(Remote):
        def _ssh(self, command: str, content: bytes = b"") -> bytes:
            return answer

    verb, _, answer = content.partition(b"\0")
    remote, folder = Answering(login="host", path="x"), JobFolder(_scratch())
    if verb == b"logs":
        remote.logs(folder, None)
    else:
        getattr(remote, verb.decode())(folder)


def _answers() -> list[Any]:
    return [
        ["status", _STATUS],
        ["submit", {"submitted": 2}],
        ["cancel", {"cancelled": 1}],
        ["logs", {"logs": {"a": "b"}}],
    ]


def _datagrams() -> list[bytes]:
    from aoi.events.stream import pack, split_frames

    frames = [pack(frame) for frame in split_frames(_events(), 1, max_events=20)]
    return [b"".join(struct.pack("<I", len(each)) + each for each in frames)]


def _change_datagrams(seed: bytes, random: np.random.Generator) -> bytes:
    """Frames lost, repeated, swapped and damaged."""
    frames, at = [], 0
    while at < len(seed):
        (size,) = struct.unpack_from("<I", seed, at)
        frames.append(seed[at + 4 : at + 4 + size])
        at += 4 + size
    for _ in range(int(random.integers(1, 6))):
        a, b = (int(random.integers(len(frames))) for _ in range(2))
        kind = int(random.integers(4))
        if kind == 0 and len(frames) > 1:
            del frames[a]
        elif kind == 1:
            frames.insert(b % (len(frames) + 1), frames[a % len(frames)])
        elif kind == 2:
            frames[a % len(frames)], frames[b % len(frames)] = frames[b % len(frames)], frames[a % len(frames)]
        else:
            frames[a % len(frames)] = mutate.bytes_of(frames[a % len(frames)], random)
    return b"".join(struct.pack("<I", len(each)) + each for each in frames)


def _read_datagrams(content: bytes) -> None:
    from aoi.events.encoding import Encoding
    from aoi.events.stream import BadFrame, unpack
    from aoi.live.windows import Windows

    windows = Windows(Encoding(sensor_size=(34, 34, 2), window_us=300_000, bins=5))
    at = 0
    while at + 4 <= len(content):
        (size,) = struct.unpack_from("<I", content, at)
        try:
            frame = unpack(content[at + 4 : at + 4 + size])
        except BadFrame:
            pass
        else:
            for index, found in enumerate(windows.feed(frame)):
                assert found.spikes.shape == (2, 34, 34)
                if index > 10_000:
                    break
        at += 4 + size
    assert min(vars(windows.counts).values()) >= 0


TARGETS: tuple[Target, ...] = (
    Target("net", _networks, mutate.hdf5_of, _read_network, 0.3),
    Target("nir", _nir_graphs, mutate.hdf5_of, _read_nir, 0.1),
    _recording("bin", 2),
    _recording("npy"),
    _recording("npz"),
    _recording("aedat4", 2),
    _recording("dat", 2),
    _recording("raw", 2),
    Target("hdf5", _digits_hdf5, mutate.hdf5_of, _read_digits_hdf5, 0.1),
    Target("config", lambda: _documents("*.yaml"), _yaml_of, _read_config, 0.5),
    Target("study", lambda: _documents("studies/*.yaml"), _yaml_of, _read_study, 0.5),
    Target("job", _job_files, _change_job, _read_job, 2),
    Target("answer", _answers, _change_job, _read_answer, 3),
    Target("datagram", _datagrams, _change_datagrams, _read_datagrams, 2),
)
