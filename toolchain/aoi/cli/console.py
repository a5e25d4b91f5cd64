"""What every command shares: JSON on stdout, everything else on stderr, progress bars, errors in one line."""

from __future__ import annotations

import json
import logging
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from aoi.workflow.progress import Progress

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, everything else on stderr.")]


def stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def plain(text: str) -> str:
    """One line without control characters: names in files are anybody's, and must not command the terminal."""
    return "".join(letter for letter in " ".join(text.split()) if unicodedata.category(letter)[0] != "C")


def say(message: str) -> None:
    """A line for the person at the terminal."""
    from rich.text import Text

    stderr().print(Text(plain(message)))


class Remarks(logging.Handler):
    """What the workflow remarks, as lines for the person at the terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


@contextmanager
def remarks() -> Iterator[None]:
    """Shows what the logger ``aoi`` is told within the block."""
    logger, handler = logging.getLogger("aoi"), Remarks()
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def show_error(message: str) -> None:
    print(f"aoi: {plain(message)}", file=sys.stderr)


def print_json(result: dict[str, Any]) -> None:
    print(json.dumps(result, allow_nan=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout; the first column is left-aligned, the others right. Nothing in the texts is markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(plain(title)), title_justify="left", title_style="bold", show_header=any(columns))
    for index, column in enumerate(columns):
        table.add_column(Text(plain(column)), justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    Console(highlight=False, width=None if sys.stdout.isatty() else 120).print(table)


@contextmanager
def progress() -> Iterator[Progress]:
    """Progress bars on stderr, one for each label; silent where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda label, done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    tasks: dict[str, Any] = {}
    with Bars(*columns, console=stderr()) as bars:

        def advance(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=total)
            bars.update(tasks[label], completed=done, total=total)

        yield advance
