"""aoi run"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from aoi.cli.console import JsonFlag, plain, print_json, print_table, say
from aoi.cli.deploy import ModelOption, check_cutoff
from aoi.cli.options import NetworkOptions, NoCutoffFlag, RuleOption, SplitOption

if TYPE_CHECKING:
    from aoi.live.decide import Decision, Live
    from aoi.live.receive import ReceiveCounts
    from aoi.workflow.live import NamedRecording

_WARM_UP = 100  # decisions after which memory should no longer grow


def command(
    network: NetworkOptions,
    source: Annotated[
        str,
        typer.Option(
            metavar="FILE|DIR|udp://HOST:PORT|-",
            help="Source: a recording, a folder Train|Test/<label>/*, the name of a data set, datagrams, or stdin (-).",
        ),
    ],
    split: SplitOption = "test",
    on: Annotated[
        Literal["engine", "lava"],
        typer.Option(help="Where to run: engine, in this process; lava, in Lava, which answers L - 1 bins later."),
    ] = "engine",
    model: ModelOption = "fused",
    speed: Annotated[
        float | None, typer.Option(min=0.001, help="For recordings: multiple of real speed. Default: without waiting.")
    ] = None,
    rule: RuleOption = None,
    no_cutoff: NoCutoffFlag = False,
    windows: Annotated[int | None, typer.Option(min=1, help="Number of decisions after which to end.")] = None,
    buffer: Annotated[
        int, typer.Option(min=1, max=1 << 20, help="Number of datagrams to buffer; further ones are dropped.")
    ] = 16384,
    idle_ms: Annotated[
        int, typer.Option(min=1, help="For datagrams: time in ms without events after which an open window ends.")
    ] = 500,
    window_us: Annotated[
        int | None, typer.Option(min=1, help="Time window in µs, if the file has no encoding.")
    ] = None,
    bins: Annotated[int | None, typer.Option(min=1, max=4096, help="Timesteps T, if the file has no encoding.")] = None,
    json: JsonFlag = False,
) -> None:
    """Decide while events arrive.

    Each bin runs as soon as it is complete, and the answer is printed as soon as the rule allows it. --json prints one
    line per decision, and a last line with the summary.

    With --on lava, the monitor decides inside a Lava run. There, as on a chip, a spike takes one step per layer, so the
    answer about a bin comes L - 1 bins later (with L layers) or at the end of the window; latencies count from the bin
    with which the answer comes.

    Example: aoi run runs/demo/network.net --source udp://127.0.0.1:9000

    Example: aoi run runs/demo/network.net --source digits --on lava --windows 20
    """
    import signal
    import time

    from aoi.live.receive import ReceiveCounts, UdpReceiver, from_pipe, udp_address
    from aoi.live.windows import Windows
    from aoi.workflow.live import live_encoding, open_live, open_playlist, play
    from aoi.workflow.network import require_rule

    check_cutoff(no_cutoff, rule)
    net = network.load()
    chosen = None if no_cutoff else require_rule(net, rule or "own")
    encoding = live_encoding(net, window_us, bins)
    lines = _WholeLines()
    signal.signal(signal.SIGINT, lines.interrupt)  # also if a shell started it in the background
    signal.signal(signal.SIGTERM, lines.interrupt)
    playing: dict[int, NamedRecording] = {}
    decided: list[int] = [0]
    classes = net.classes
    recorded = source != "-" and "://" not in source
    with ExitStack() as stack:
        live = stack.enter_context(open_live(net, chosen, Windows(encoding), on=on, model=model))
        if recorded:
            received = ReceiveCounts()
            playlist = open_playlist(source, split, net)
            classes = classes or playlist.classes
            arrivals = play(playlist, speed, playing, received)
        elif source == "-":
            received = ReceiveCounts()
            arrivals = from_pipe(sys.stdin.buffer, received)
        else:
            receiver = stack.enter_context(UdpReceiver(*udp_address(source), buffer=buffer, idle_s=idle_ms / 1e3))
            received = receiver.received
            arrivals = receiver.arrivals(lambda: windows is not None and decided[0] >= windows)
            say(
                f"listening on {source}; buffers: {received.kernel_buffer // 1024} KiB in the system, "
                f"{buffer} datagrams in aoi"
            )
        right = 0
        memory: list[float] = []
        begin = time.perf_counter()
        interrupted = False
        try:
            for decision in live.run(arrivals):
                decided[0] += 1
                named = playing.pop(decision.recording, None)
                known = decision.prediction < len(classes)
                answer = classes[decision.prediction] if known else str(decision.prediction)
                right += named is not None and named.label == answer
                with lines:
                    _show(decision, named, answer, encoding.bins, json)
                if decided[0] == _WARM_UP:
                    memory.append(_memory_mb())
                if decided[0] == windows:
                    break
        except KeyboardInterrupt:
            interrupted = True
        wall_s = time.perf_counter() - begin
    summary = _summary(live, received, decided[0], wall_s, [*memory, _memory_mb()])
    if recorded:
        summary["accuracy"] = right / decided[0] if decided[0] else None
    if json:
        print_json({"summary": summary})
    else:
        _show_summary(summary)
    if interrupted:
        raise typer.Exit(130)


class _WholeLines:
    """Defers Ctrl-C until a line is written, so that readers never get an incomplete line.

    By a flag and not by a signal mask, which is a thread's: another thread takes the signal, and Python's handler runs
    in this one all the same.
    """

    def __init__(self) -> None:
        self._writing = self._interrupted = False

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._writing:
            self._interrupted = True
        else:
            raise KeyboardInterrupt

    def __enter__(self) -> None:
        self._writing = True

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()
        self._writing = False
        if self._interrupted:
            raise KeyboardInterrupt


def _show(decision: Decision, named: NamedRecording | None, answer: str, steps: int, json: bool) -> None:
    if json:
        line = {
            "window": decision.window,
            "recording": decision.recording,
            "prediction": answer,
            "confidence": decision.confidence,
            "decision_step": decision.step,
            "latency_s": decision.latency_s,
        }
        print_json(line | ({"id": named.id, "label": named.label} if named else {}))
    else:
        what = named.id if named else f"window {decision.window}"
        print(
            f"{plain(what)}: {plain(answer)} ({decision.confidence:.3f}) at step {decision.step} of {steps}, "
            f"{1e3 * decision.latency_s:.2f} ms"
        )


def _memory_mb() -> float:
    """Resident memory of this process in MB; 0 if the system does not report it."""
    import os

    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return 0.0


def _summary(live: Live, received: ReceiveCounts, decided: int, wall_s: float, memory: list[float]) -> dict[str, Any]:
    latency = live.latencies
    return {
        "decisions": decided,
        **asdict(live.windows.counts),
        "frames": received.frames,
        "malformed": received.malformed,
        "dropped": received.dropped,
        "most_waiting": received.most_waiting,
        "kernel_buffer": received.kernel_buffer,
        "steps_executed": live.steps_executed,
        "latency_s": {str(share): latency.percentile(share) for share in (50, 90, 99)} | {"max": latency.most},
        "wall_s": wall_s,
        "memory_mb": memory,
    }


def _show_summary(summary: dict[str, Any]) -> None:
    latency = summary["latency_s"]
    rows = [
        ["decisions, of windows", f"{summary['decisions']:,} of {summary['windows']:,}"],
        *([["accuracy", f"{summary['accuracy']:.4f}"]] if summary.get("accuracy") is not None else []),
        ["latency: half, 90 %, 99 %, all", ", ".join(f"{1e3 * each:.2f} ms" for each in latency.values())],
        ["steps executed", f"{summary['steps_executed']:,}"],
        ["events", f"{summary['events']:,} in {summary['frames']:,} frames"],
        [
            "unused events: late, after the window, off the sensor",
            f"{summary['late']:,}, {summary['beyond']:,}, {summary['off_sensor']:,}",
        ],
        [
            "lost frames: missing, dropped, malformed, repeated",
            f"{summary['lost_frames']:,}, {summary['dropped']:,}, {summary['malformed']:,}, {summary['duplicates']:,}",
        ],
        ["memory", " → ".join(f"{each:.0f} MB" for each in summary["memory_mb"])],
        ["wall time", f"{summary['wall_s']:.1f} s"],
    ]
    print_table("live", ["", ""], rows)
