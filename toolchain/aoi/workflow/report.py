"""One HTML page about a network: its accuracy over time, and what its cutoff saves and costs."""

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
from aoi.workflow.cost import costs, format_range
from aoi.workflow.evaluate import evaluate_run, run_engine
from aoi.workflow.network import Network, load, output_folder
from aoi.workflow.progress import Progress, log
from aoi.workflow.recordings import Selection, check_reported, open_selection


def report(
    source: str | Path, selection: Selection | None = None, out: Path | None = None, progress: Progress | None = None
) -> Path:
    """Writes the page and returns its path. Logs a warning if not all recordings fit into it.

    Args:
        source: a run folder with its network file, or a network file.
        selection: which recordings; None: the test split of the data that the network was trained on.
        out: the page; None: ``report.html`` in the run folder or beside the file.
        progress: called with (label, done, total).

    Raises:
        DataError: the recordings are missing or do not fit the network.
        NetXError: the network file is damaged or not supported.
        WriteError: the page cannot be written.
    """
    selection = selection or Selection()
    network = load(source)
    folder = output_folder(source)
    out = out or folder / "report.html"
    if out.is_dir():
        raise DataError(f"out {out}: is a folder; name a file, such as {out / 'report.html'}")
    data = open_selection(network, selection, progress)
    check_reported(network, data)
    rules = rules_for(network.metadata.policy if network.metadata else None, data.steps)
    most = most_samples(len(rules), data.steps)
    if len(data) > most:
        log.warning("the page holds only the first %s of %s recordings", f"{most:,}", f"{len(data):,}")
        selection, data = replace(selection, samples=most), data.subset(range(most))
    run = run_engine(network, data, "running on the engine", progress)
    estimate = costs(network.description, run, network.rule)
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
            boards=_boards(network, estimate),
            share=tuple(estimate["share"]) if estimate["share"] else None,
            folder=folder,
        )
    )
    write_atomically(out, page.encode())
    return out


def _boards(network: Network, estimate: dict[str, Any]) -> tuple[BoardNote, ...]:
    """Fit and cost on every board; ``estimate`` is the result of :func:`aoi.workflow.cost.costs`."""
    found, notes = estimate["boards"], []
    for name in board_names():
        board, fit = load_board(name), assess(network.description, load_board(name))
        texts = {
            end: f"{format_range(each['dynamic_j'], 'J')}, {format_range(each['latency_s'], 's')}"
            for end in ("until_decision", "at_t")
            if (each := found[name].get(end))
        }
        verdict = f"{fit}: {fit.findings[0]}" if fit.findings else str(fit)
        title = f"{board.title} ({board.chip.name})"
        notes.append(BoardNote(title, verdict, texts.get("until_decision"), texts["at_t"]))
    return tuple(notes)


def _command(source: str | Path, selection: Selection) -> tuple[str, str]:
    """The ``aoi evaluate`` command for the same recordings: its text before and after the rule."""
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
