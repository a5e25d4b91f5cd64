"""aoi replay"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from aoi.cli.console import JsonFlag, print_json, say
from aoi.cli.options import SplitOption
from aoi.errors import DataError

if TYPE_CHECKING:
    from aoi.events.stream import Frame


def command(
    source: Annotated[
        str, typer.Argument(metavar="FILE|DIR", help="A recording, a folder, or the name of a data set.")
    ],
    target: Annotated[str, typer.Argument(metavar="udp://HOST:PORT|-", help="Receiver of the frames; - is stdout.")],
    split: SplitOption = "test",
    speed: Annotated[float, typer.Option(min=0.001, help="Multiple of real speed.")] = 1.0,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="Time for which the recordings are repeated. Default: once.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Send recordings as a camera would.

    Sends frames of events in real time, to aoi run on another machine or in a pipe.

    Example: aoi replay shared/nmnist udp://127.0.0.1:9000 --speed 10 --seconds 60
    """
    import socket
    import time

    from aoi.events.stream import pack, split_frames
    from aoi.live.receive import udp_address
    from aoi.workflow.live import open_playlist, pace_frames

    recordings = list(open_playlist(source, split).recordings)
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
            raise DataError("--json: stdout is used for the frames; leave --json out")
        for frame in pace_frames(frames(), speed):
            sys.stdout.buffer.write(pack(frame))
        sys.stdout.buffer.flush()
    else:
        host, port = udp_address(target)
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as out:
            for frame in pace_frames(frames(), speed):
                try:
                    out.sendto(pack(frame), (host, port))
                except ConnectionRefusedError:  # a reply to an earlier datagram: no receiver yet
                    continue
                except (OSError, OverflowError) as error:
                    raise DataError(f"{target}: cannot be sent to ({error}); check host and port") from None
    if json:
        print_json(sent)
    else:
        say(f"sent {sent['recordings']:,} recordings, {sent['events']:,} events in {sent['frames']:,} frames")
