"""aoi report"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aoi.cli.console import JsonFlag, print_json, say
from aoi.cli.recordings import (
    BinsOption,
    DataOption,
    DownloadOption,
    Request,
    SamplesOption,
    SkipDamagedOption,
    SplitOption,
    WindowOption,
    load_split,
    readout_of,
    rule_of,
    run_of,
    shaped,
    warn_of_calibration,
)
from aoi.errors import DataError, WriteError

if TYPE_CHECKING:
    from aoi.netx.read import NetworkFile
    from aoi.report.subject import BoardNote


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder with its network file, or a network file.")],
    data: DataOption = None,
    split: SplitOption = "test",
    samples: SamplesOption = None,
    out: Annotated[Path | None, typer.Option(help="The page. Default: report.html in RUN or beside the file.")] = None,
    window_us: WindowOption = None,
    bins: BinsOption = None,
    download: DownloadOption = False,
    skip_damaged: SkipDamagedOption = False,
    json: JsonFlag = False,
) -> None:
    """Write one HTML page that shows what a network's cutoff trades: it needs no network and no other file.

    Example: aoi report runs/demo
    """
    page = report(run, Request(data, split, samples, window_us, bins, download, skip_damaged=skip_damaged), out)
    size = page.stat().st_size
    print_json({"report": str(page), "bytes": size}) if json else say(f"wrote {page} ({size / 1e6:.1f} MB)")


def report(run: Path, request: Request, out: Path | None = None) -> Path:
    """Run folder or network file → page. Says so where not all recordings fit into it."""
    from dataclasses import replace

    from aoi.cli.cost import costs, decided
    from aoi.cli.evaluate import evaluation
    from aoi.files import write_atomically
    from aoi.netx.read import read_network
    from aoi.report.explorer import rules_for
    from aoi.report.page import most_samples, render
    from aoi.report.subject import Subject

    folder = run if run.is_dir() else run.parent
    net = folder / "network.net" if run.is_dir() else run
    if run.is_dir() and not net.is_file():
        raise DataError(f"{run}: holds no network.net; aoi export {run} writes it")
    out = out or folder / "report.html"
    if out.is_dir():
        raise DataError(f"--out {out}: is a folder; name the page, as {out / 'report.html'}")
    network = read_network(net)
    warn_of_calibration(network, request)
    recordings = load_split(network, request)
    rules = rules_for(network.metadata.policy if network.metadata else None, recordings.shape[-1])
    most = most_samples(len(rules), recordings.shape[-1])
    if len(recordings) > most:
        say(f"the page has room for the first {most:,} of {len(recordings):,} recordings")
        request, recordings = replace(request, samples=most), recordings.subset(range(most))
    executed = run_of(network, recordings, "running on the engine")
    own = rule_of(network, None, required=False)
    expense = costs(network.description, executed, decided(own, executed), None)
    page = render(
        Subject(
            network=network,
            data=recordings,
            split=request.split,
            readout=readout_of(network),
            batch=shaped(network, recordings),
            run=executed,
            summary=evaluation(network, recordings, executed, own),
            rules=rules,
            command=_command(net, request),
            boards=_boards(network, expense),
            share=tuple(expense["share"]) if expense["share"] else None,
            folder=folder,
        )
    )
    try:
        write_atomically(out, page.encode())
    except WriteError as error:
        raise DataError(f"--out {error}") from None
    return out


def _boards(network: NetworkFile, expense: dict[str, Any]) -> tuple[BoardNote, ...]:
    """Fit and cost on every board; ``expense``: of :func:`aoi.cli.cost.costs`."""
    from aoi.boards.board import board_names, load_board
    from aoi.boards.fit import assess
    from aoi.cli.cost import span
    from aoi.report.subject import BoardNote

    found, notes = expense["boards"], []
    for name in board_names():
        board, fit = load_board(name), assess(network.description, load_board(name))
        texts = {
            end: f"{span(found[name][end]['dynamic_j'], 'J')}, {span(found[name][end]['latency_s'], 's')}"
            for end in ("until_decision", "at_t")
            if end in found[name]
        }
        verdict = f"{fit}: {fit.findings[0]}" if fit.findings else str(fit)
        title = f"{board.title} ({board.chip.name})"
        notes.append(BoardNote(title, verdict, texts.get("until_decision"), texts["at_t"]))
    return tuple(notes)


def _command(net: Path, request: Request) -> tuple[str, str]:
    """``aoi evaluate`` on the same recordings, before and after the rule."""
    from shlex import quote

    options = {
        "--data": request.data,
        "--split": None if request.split == "test" else request.split,
        "--samples": request.samples,
        "--window-us": request.window_us,
        "--bins": request.bins,
    }
    after = "".join(f" {name} {quote(str(value))}" for name, value in options.items() if value is not None)
    return f"aoi evaluate {quote(str(net))} --rule ", after
