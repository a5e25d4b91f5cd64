"""aoi run"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aoi.cli.console import JsonFlag, print_json, print_table, say
from aoi.cli.deploy import ModelOption, model_of
from aoi.cli.recordings import (
    BinsOption,
    NetworkArgument,
    RuleOption,
    SplitOption,
    WindowOption,
    readout_of,
    rule_of,
)
from aoi.errors import DataError

if TYPE_CHECKING:
    from aoi.cli.replay import Named
    from aoi.cutoff.rule import Rule
    from aoi.events.encoding import Encoding
    from aoi.live.decide import Decision, Live
    from aoi.live.receive import Arrival, ReceiveCounts
    from aoi.live.windows import Windows
    from aoi.netx.read import NetworkFile

_SETTLED = 100  # decisions after which memory should not grow any more


def command(
    net: NetworkArgument,
    source: Annotated[
        str,
        typer.Option(
            metavar="FILE|DIR|udp://HOST:PORT|-",
            help="A recording, a folder Train|Test/<label>/* or a data set's name, datagrams, or frames on stdin.",
        ),
    ],
    split: SplitOption = "test",
    on: Annotated[
        str, typer.Option(help="engine: in this process. lava: a Lava run, a bin a step; it answers L - 1 bins later.")
    ] = "engine",
    model: ModelOption = "fused",
    speed: Annotated[
        float | None, typer.Option(min=0.001, help="Recordings: times real speed. Default: as fast as they run.")
    ] = None,
    rule: RuleOption = None,
    no_cutoff: Annotated[bool, typer.Option("--no-cutoff", help="Run all T steps of every window.")] = False,
    windows: Annotated[int | None, typer.Option(min=1, help="End after so many decisions.")] = None,
    buffer: Annotated[int, typer.Option(min=1, max=1 << 20, help="Datagrams that may wait; more are dropped.")] = 16384,
    idle_ms: Annotated[int, typer.Option(min=1, help="Silence after which an open window ends (udp).")] = 500,
    window_us: WindowOption = None,
    bins: BinsOption = None,
    json: JsonFlag = False,
) -> None:
    """Decide while the events arrive: each bin runs as soon as it is complete, and the answer is printed as soon as the
    rule allows it. --json prints one line a decision and a last one with the summary.

    With --on lava the monitor decides inside a Lava run. A spike takes a step a layer there, as on a chip, so that the
    answer about a bin falls L - 1 bins later (L layers) or at the end of the window; latencies count from the bin that
    let it fall.

    Example: aoi run runs/demo/network.net --source udp://127.0.0.1:9000

    Example: aoi run runs/demo/network.net --source digits --on lava --windows 20
    """
    import signal
    import time

    from aoi.live.receive import ReceiveCounts, UdpReceiver, from_pipe, udp_address
    from aoi.live.windows import Windows
    from aoi.netx.read import read_network

    if no_cutoff and rule is not None:
        raise DataError("--no-cutoff and --rule exclude each other; leave one out")
    network = read_network(net)
    chosen = None if no_cutoff else rule_of(network, rule)
    encoding = _encoding(network, window_us, bins)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell started it in the background
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    labels: dict[int, Named] = {}
    decided: list[int] = [0]
    with ExitStack() as stack:
        live = _live(network, chosen, Windows(encoding), on, model, stack)
        if "://" in source:
            receiver = stack.enter_context(UdpReceiver(*udp_address(source), buffer=buffer, idle_s=idle_ms / 1e3))
            received = receiver.received
            arrivals = receiver.arrivals(lambda: windows is not None and decided[0] >= windows)
            say(
                f"listening on {source}; the system buffers {received.kernel_buffer // 1024} KiB, we {buffer} datagrams"
            )
        elif source == "-":
            received = ReceiveCounts()
            arrivals = from_pipe(sys.stdin.buffer, received)
        else:
            received = ReceiveCounts()
            arrivals = _recordings(network, source, split, speed, labels, received)
        classes = network.metadata.classes if network.metadata and network.metadata.classes else None
        right = 0
        memory: list[float] = []
        begin = time.perf_counter()
        interrupted = False
        try:
            for decision in live.run(arrivals):
                decided[0] += 1
                named = labels.pop(decision.recording, None)
                answer = classes[decision.prediction] if classes and decision.prediction < len(classes) else None
                answer = answer if answer is not None else str(decision.prediction)
                right += named is not None and named.label == answer
                with _whole_lines():
                    _show(decision, named, answer, encoding.bins, json)
                if decided[0] == _SETTLED:
                    memory.append(_memory_mb())
                if decided[0] == windows:
                    break
        except KeyboardInterrupt:
            interrupted = True
        wall_s = time.perf_counter() - begin
    summary = _summary(live, received, decided[0], wall_s, [*memory, _memory_mb()])
    if source != "-" and "://" not in source:
        summary["accuracy"] = right / decided[0] if decided[0] else None
    if json:
        print_json({"summary": summary})
    else:
        _show_summary(summary)
    if interrupted:
        raise typer.Exit(130)


def _live(network: NetworkFile, rule: Rule | None, windows: Windows, on: str, model: str, stack: ExitStack) -> Live:
    """What executes the bins; ``stack`` ends it."""
    how = model_of(model)
    if on == "engine":
        from aoi.engine import Engine
        from aoi.live.decide import LiveEngine

        return LiveEngine(Engine(network.description, threads=1), rule, readout_of(network), windows)
    if on == "lava":
        from aoi_deploy.lava.live import LiveLava

        return stack.enter_context(LiveLava(network, rule, readout_of(network), windows, model=how))
    raise DataError(f"--on {on}: choose engine or lava")


def _encoding(network: NetworkFile, window_us: int | None, bins: int | None) -> Encoding:
    from math import prod

    from aoi.events.encoding import Encoding

    held = network.metadata.encoding if network.metadata else None
    shape = network.description.input_shape
    if held is not None:
        if window_us is not None or bins is not None:
            raise DataError(f"{network.path}: its encoding is fixed in the file; leave out --bins and --window-us")
        encoding = held
    elif window_us is None or bins is None or len(shape) != 3:
        raise DataError(
            f"{network.path}: names no encoding; give --window-us and --bins, for a network that takes maps"
        )
    else:
        encoding = Encoding(sensor_size=(shape[2], shape[1], shape[0]), window_us=window_us, bins=bins)
    if prod(encoding.shape[:3]) != prod(shape):
        raise DataError(f"{network.path}: takes {shape} spikes a step, its encoding gives {encoding.shape[:3]}")
    return encoding


def _recordings(
    network: NetworkFile,
    source: str,
    split: str,
    speed: float | None,
    labels: dict[int, Named],
    received: ReceiveCounts,
) -> Iterator[Arrival]:
    """Frames of recordings as if they came from outside."""
    import time

    from aoi.cli.replay import named_recordings, paced
    from aoi.events.stream import split_frames
    from aoi.live.receive import Arrival

    recordings = named_recordings(source, split, network)

    def frames() -> Iterator[Any]:
        sequence = 0
        for number, named in enumerate(recordings, 1):
            labels[number] = named
            for frame in split_frames(named.events, number, sequence):
                sequence += 1
                yield frame

    for frame in paced(frames(), speed):
        received.frames += 1
        yield Arrival(frame, time.perf_counter())


@contextmanager
def _whole_lines() -> Iterator[None]:
    """Ctrl-C waits until a line is out: who reads lines gets no half of one."""
    import signal

    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        yield
        sys.stdout.flush()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ends)


def _show(decision: Decision, named: Named | None, answer: str, steps: int, json: bool) -> None:
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
            f"{what}: {answer} ({decision.confidence:.3f}) at step {decision.step} of {steps}, "
            f"{1e3 * decision.latency_s:.2f} ms"
        )


def _memory_mb() -> float:
    """Resident memory of this process, MB; 0 where the system does not say."""
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
            "not used: late, after the window, off the sensor",
            f"{summary['late']:,}, {summary['beyond']:,}, {summary['off_sensor']:,}",
        ],
        [
            "lost: frames missing, dropped here, malformed",
            f"{summary['lost_frames']:,}, {summary['dropped']:,}, {summary['malformed']:,}",
        ],
        ["memory", " → ".join(f"{each:.0f} MB" for each in summary["memory_mb"])],
        ["wall time", f"{summary['wall_s']:.1f} s"],
    ]
    print_table("live", ["", ""], rows)
