"""Decisions while events arrive: what executes the bins, and recordings played as a camera would send them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from aoi.choices import Model, parse_split
from aoi.cutoff.rule import Rule
from aoi.engine import Engine
from aoi.errors import DataError
from aoi.events.config import DataConfig
from aoi.events.encoding import Encoding
from aoi.events.formats import read_recording
from aoi.events.splits import require_split
from aoi.events.stream import Frame, split_frames
from aoi.live.decide import Live, LiveEngine
from aoi.live.receive import Arrival, ReceiveCounts
from aoi.live.windows import Windows
from aoi.workflow.network import Network
from aoi.workflow.recordings import encoding_for, open_config, resolve_source

Executor = Literal["engine", "lava"]


@dataclass(frozen=True, eq=False)
class Named:
    """A recording, its name and its class."""

    id: str
    label: str | None
    events: np.ndarray


@dataclass(frozen=True, eq=False)
class Playlist:
    """Recordings to be played one after another."""

    classes: tuple[str, ...]
    """Of the data set; empty for a single file."""
    recordings: Iterable[Named]


def open_live(
    network: Network, rule: Rule | None, windows: Windows, *, on: Executor = "engine", model: Model = "fused"
) -> AbstractContextManager[Live]:
    """What executes the bins of ``windows``: the engine in this process, or a Lava run whose monitor decides.

    Raises NetXError, DeployError.
    """
    if on == "engine":
        engine = Engine(network.description, threads=1)
        return nullcontext(LiveEngine(engine, rule, network.readout, windows))
    from aoi_deploy.lava.live import LiveLava

    return LiveLava(network, rule, windows, model=model)


def live_encoding(network: Network, window_us: int | None, bins: int | None) -> Encoding:
    """The file's encoding, or that of ``window_us`` and ``bins`` for a network that takes maps. Raises DataError."""
    shape = network.description.input_shape
    if network.encoding is not None:
        sensor_size = network.encoding.sensor_size
    elif len(shape) == 3:
        sensor_size = (shape[2], shape[1], shape[0])
    else:
        raise DataError(f"{network.path}: names no encoding and takes {shape} spikes a step: its sensor is not known")
    return encoding_for(network, sensor_size, window_us, bins)


def open_playlist(source: str, split: str, network: Network | None = None) -> Playlist:
    """The recordings of a file, or of a split of a folder or data set; split as ``network`` says, if it does.

    Raises DataError.
    """
    if Path(source).is_file():
        events = read_recording(Path(source))
        if len(events) == 0:
            raise DataError(f"{source}: holds no events")
        return Playlist((), [Named(Path(source).name, None, events)])
    held = network.metadata.data if network and network.metadata else None
    config = (held or DataConfig()).model_copy(update={"source": resolve_source(source)})
    dataset = open_config(config, download=False)
    refs = [dataset.recordings[index] for index in require_split(dataset, config.splits, parse_split(split))]
    recordings = (Named(ref.id, dataset.classes[ref.label], dataset.read(ref)) for ref in refs)
    return Playlist(dataset.classes, recordings)


def paced(frames: Iterable[Frame], speed: float | None) -> Iterator[Frame]:
    """Hands each frame over when its last event would have happened at ``speed`` times real speed, recordings one after
    another; None: at once."""
    if speed is None:
        yield from frames
        return
    begin, recording, first, lasted = time.perf_counter(), None, 0, 0.0
    for frame in frames:
        if len(frame.events):
            if frame.recording != recording:
                begin += lasted
                recording, first = frame.recording, int(frame.events["t"][0])
            lasted = (int(frame.events["t"][-1]) - first) / (1e6 * speed)
            wait = begin + lasted - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
        yield frame


def play(
    playlist: Playlist, speed: float | None, playing: dict[int, Named], received: ReceiveCounts
) -> Iterator[Arrival]:
    """Frames of recordings as if they came from outside; ``playing`` gets the number and name of each as it begins."""

    def frames() -> Iterator[Frame]:
        sequence = 0
        for number, named in enumerate(playlist.recordings, 1):
            playing[number] = named
            for frame in split_frames(named.events, number, sequence):
                sequence += 1
                yield frame

    for frame in paced(frames(), speed):
        received.frames += 1
        yield Arrival(frame, time.perf_counter())
