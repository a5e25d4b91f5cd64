"""aoi replay"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aoi.cli.console import JsonFlag, print_json, say
from aoi.cli.recordings import SPLITS, SplitOption, open_data
from aoi.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from aoi.events.stream import Frame
    from aoi.netx.read import NetworkFile


@dataclass(frozen=True, eq=False)
class Named:
    """A recording, its name and its class."""

    id: str
    label: str | None
    events: np.ndarray


def command(
    source: Annotated[str, typer.Argument(metavar="FILE|DIR", help="A recording, a folder or a data set's name.")],
    target: Annotated[str, typer.Argument(metavar="udp://HOST:PORT|-", help="Where to; - is stdout.")],
    split: SplitOption = "test",
    speed: Annotated[float, typer.Option(min=0.001, help="Times real speed.")] = 1.0,
    seconds: Annotated[float | None, typer.Option(min=0, help="Go round and round for so long.")] = None,
    json: JsonFlag = False,
) -> None:
    """Send recordings as a camera would: frames of events at their times. For aoi run, elsewhere or in a pipe.

    Example: aoi replay shared/nmnist udp://127.0.0.1:9000 --speed 10 --seconds 60
    """
    import socket
    import time

    from aoi.events.stream import pack, split_frames
    from aoi.live.receive import udp_address

    recordings = list(named_recordings(source, split))
    end = time.monotonic() + seconds if seconds is not None else None
    sent = {"recordings": 0, "frames": 0, "events": 0}

    def frames() -> Iterator[Frame]:
        while True:
            for named in recordings:
                sent["recordings"] += 1
                for frame in split_frames(named.events, sent["recordings"], sent["frames"]):
                    sent["frames"] += 1
                    sent["events"] += len(frame.events)
                    yield frame
                if end is not None and time.monotonic() >= end:
                    return
            if end is None:
                return

    if target == "-":
        if json:
            raise DataError("--json: stdout carries the frames; leave it out")
        for frame in paced(frames(), speed):
            sys.stdout.buffer.write(pack(frame))
        sys.stdout.buffer.flush()
    else:
        host, port = udp_address(target)
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as out:
            for frame in paced(frames(), speed):
                try:
                    out.sendto(pack(frame), (host, port))
                except ConnectionRefusedError:  # an answer to an earlier datagram: nobody listens yet
                    continue
                except (OSError, OverflowError) as error:
                    raise DataError(f"{target}: cannot be sent to: {error}") from None
    if json:
        print_json(sent)
    else:
        say(f"sent {sent['recordings']:,} recordings, {sent['events']:,} events in {sent['frames']:,} frames")


def named_recordings(source: str, split: str, network: NetworkFile | None = None) -> Iterator[Named]:
    """The recordings of a file, or of a split of a folder or data set; split as ``network`` says, if it does."""
    from aoi.events.config import DataConfig
    from aoi.events.formats import read_recording
    from aoi.events.splits import require_split

    if Path(source).is_file():
        events = read_recording(Path(source))
        if len(events) == 0:
            raise DataError(f"{source}: holds no events")
        return iter([Named(Path(source).name, None, events)])
    name = next((each for each in SPLITS if each == split), None)
    if name is None:
        raise DataError(f"--split {split}: there is no such split; the splits are {', '.join(SPLITS)}")
    config = network.metadata.data if network and network.metadata and network.metadata.data else DataConfig()
    config = config.model_copy(update={"source": source})
    dataset = open_data(config, download=False)
    refs = [dataset.recordings[index] for index in require_split(dataset, config.splits, name)]
    return (Named(ref.id, dataset.classes[ref.label], dataset.read(ref)) for ref in refs)


def paced(frames: Iterable[Frame], speed: float | None) -> Iterator[Frame]:
    """Hands each frame over when its last event would have happened at ``speed`` times real speed, recordings one after
    another; None: at once."""
    import time

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
