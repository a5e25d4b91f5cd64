"""Live decisions while events arrive, and recordings played back as a camera would send them."""

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
from aoi.workflow.recordings import encoding_for, open_configured, resolve_source

Executor = Literal["engine", "lava"]


@dataclass(frozen=True, eq=False)
class NamedRecording:
    """A recording with its name and, if known, its class."""

    id: str
    label: str | None
    events: np.ndarray


@dataclass(frozen=True, eq=False)
class Playlist:
    """Recordings to play one after another."""

    classes: tuple[str, ...]
    """Classes of the data set; empty for a single file."""
    recordings: Iterable[NamedRecording]


def open_live(
    network: Network, rule: Rule | None, windows: Windows, *, on: Executor = "engine", model: Model = "fused"
) -> AbstractContextManager[Live]:
    """Opens the executor of the bins of ``windows``: the engine in this process, or a Lava run with the monitor.

    Raises NetXError, DeployError.
    """
    if on == "engine":
        engine = Engine(network.description, threads=1)
        return nullcontext(LiveEngine(engine, rule, network.readout, windows))
    from aoi_deploy.lava.live import LiveLava

    return LiveLava(network, rule, windows, model=model)


def live_encoding(network: Network, window_us: int | None, bins: int | None) -> Encoding:
    """The encoding in the file, or one of ``window_us`` (µs) and ``bins`` if it has none. Raises DataError."""
    shape = network.description.input_shape
    if network.encoding is not None:
        sensor_size = network.encoding.sensor_size
    elif len(shape) == 3:
        sensor_size = (shape[2], shape[1], shape[0])
    else:
        raise DataError(
            f"{network.path}: the file has no encoding, and its input shape {shape} does not give the sensor size; "
            "use a network whose input has the shape (C, H, W)"
        )
    return encoding_for(network, sensor_size, window_us, bins)


def open_playlist(source: str, split: str, network: Network | None = None) -> Playlist:
    """The recording of a file, or those of a split of a folder or data set, divided as in the network file.

    Raises DataError.
    """
    if Path(source).is_file():
        events = read_recording(Path(source))
        if len(events) == 0:
            raise DataError(f"{source}: holds no events")
        return Playlist((), [NamedRecording(Path(source).name, None, events)])
    trained_on = network.metadata.data if network and network.metadata else None
    config = (trained_on or DataConfig()).model_copy(update={"source": resolve_source(source)})
    dataset = open_configured(config, download=False)
    refs = [dataset.recordings[index] for index in require_split(dataset, config.splits, parse_split(split))]
    recordings = (NamedRecording(ref.id, dataset.classes[ref.label], dataset.read(ref)) for ref in refs)
    return Playlist(dataset.classes, recordings)


def pace_frames(frames: Iterable[Frame], speed: float | None) -> Iterator[Frame]:
    """Yields each frame when its last event happens at ``speed`` times real speed; None: without waiting.

    Recordings follow each other without a pause.
    """
    if speed is None:
        yield from frames
        return
    begin, recording, first, elapsed = time.perf_counter(), None, 0, 0.0
    for frame in frames:
        if len(frame.events):
            if frame.recording != recording:
                begin += elapsed
                recording, first = frame.recording, int(frame.events["t"][0])
            elapsed = (int(frame.events["t"][-1]) - first) / (1e6 * speed)
            wait = begin + elapsed - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
        yield frame


def play(
    playlist: Playlist, speed: float | None, playing: dict[int, NamedRecording], received: ReceiveCounts
) -> Iterator[Arrival]:
    """Yields frames of recordings as if they were received; adds each recording to ``playing`` when it begins."""

    def frames() -> Iterator[Frame]:
        sequence = 0
        for number, named in enumerate(playlist.recordings, 1):
            playing[number] = named
            for frame in split_frames(named.events, number, sequence):
                sequence += 1
                yield frame

    for frame in pace_frames(frames(), speed):
        received.frames += 1
        yield Arrival(frame, time.perf_counter())
