"""A run folder or network file as one HTML page: what its cutoff trades."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any

from aoi.boards.board import board_names, load_board
from aoi.boards.fit import assess
from aoi.errors import DataError
from aoi.files import write_atomically
from aoi.report.explorer import rules_for
from aoi.report.page import most_samples, render
from aoi.report.subject import BoardNote, Subject
from aoi.workflow.cost import costs, span
from aoi.workflow.evaluate import evaluate_run, run_engine
from aoi.workflow.network import Network, load, output_folder
from aoi.workflow.progress import Progress, log
from aoi.workflow.recordings import Selection, open_selection, warn_of_calibration


def report(
    source: str | Path, selection: Selection | None = None, out: Path | None = None, progress: Progress | None = None
) -> Path:
    """Writes the page and returns its path. Says so where not all recordings fit into it.

    Args:
        source: a run folder with its network file, or a network file.
        selection: which recordings; None: the split test of what the network was trained on.
        out: the page; None: ``report.html`` in the run folder or beside the file.
        progress: called with (what, done, total).

    Raises:
        DataError, NetXError, WriteError.
    """
    selection = selection or Selection()
    network = load(source)
    folder = output_folder(source)
    out = out or folder / "report.html"
    if out.is_dir():
        raise DataError(f"out {out}: is a folder; name the page, as {out / 'report.html'}")
    data = open_selection(network, selection, progress)
    warn_of_calibration(network, data)
    rules = rules_for(network.metadata.policy if network.metadata else None, data.steps)
    most = most_samples(len(rules), data.steps)
    if len(data) > most:
        log.warning("the page has room for the first %s of %s recordings", f"{most:,}", f"{len(data):,}")
        selection, data = replace(selection, samples=most), data.subset(range(most))
    run = run_engine(network, data, "running on the engine", progress)
    expense = costs(network.description, run, network.rule)
    page = render(
        Subject(
            network=network,
            data=data.spikes,
            split=data.split,
            readout=network.readout,
            batch=data.batch,
            run=run,
            summary=evaluate_run(network, data, run, network.rule).summary,
            rules=rules,
            command=_command(source, selection),
            boards=_boards(network, expense),
            share=tuple(expense["share"]) if expense["share"] else None,
            folder=folder,
        )
    )
    write_atomically(out, page.encode())
    return out


def _boards(network: Network, expense: dict[str, Any]) -> tuple[BoardNote, ...]:
    """Fit and cost on every board; ``expense``: of :func:`aoi.workflow.cost.costs`."""
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


def _command(source: str | Path, selection: Selection) -> tuple[str, str]:
    """``aoi evaluate`` on the same recordings, before and after the rule."""
    net = Path(source) / "network.net" if Path(source).is_dir() else source
    options = {
        "--data": selection.data,
        "--split": None if selection.split == "test" else selection.split,
        "--samples": selection.samples,
        "--window-us": selection.window_us,
        "--bins": selection.bins,
    }
    after = "".join(f" {name} {quote(str(value))}" for name, value in options.items() if value is not None)
    return f"aoi evaluate {quote(str(net))} --rule ", after
