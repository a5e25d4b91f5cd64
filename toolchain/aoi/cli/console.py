"""Output of the commands: JSON and tables on stdout, messages, progress bars and errors on stderr."""

from __future__ import annotations

import json
import logging
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from aoi.workflow.progress import Progress

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, everything else on stderr.")]


@cache
def stderr() -> Console:
    """The single console on stderr, so that messages appear above a progress bar."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def plain(text: str) -> str:
    """The text in one line and without control characters, because names in files are not trusted."""
    return "".join(letter for letter in " ".join(text.split()) if unicodedata.category(letter)[0] != "C")


def say(message: str) -> None:
    """Prints one line on stderr."""
    from rich.text import Text

    stderr().print(Text(plain(message)))


class StderrHandler(logging.Handler):
    """Prints the messages of the workflow on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


@contextmanager
def log_messages() -> Iterator[None]:
    """Prints the messages of the logger ``aoi`` within the block."""
    logger, handler = logging.getLogger("aoi"), StderrHandler()
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
    """Prints a table on stdout, the first column left-aligned, the others right-aligned, and no text as markup."""
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
    """Progress bars on stderr, one for each label; none if stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield lambda label, done, total: None
        return
    bars = _Bars()
    try:
        yield bars
    finally:
        bars.stop()


class _Bars:
    """Shows the bars of unfinished work; between them, others such as Lightning can use the terminal."""

    def __init__(self) -> None:
        self._live: Any = None
        self._tasks: dict[str, Any] = {}

    def __call__(self, label: str, done: int, total: int) -> None:
        if self._live is None:
            self._live = _new_bars()
            self._live.start()
        if label not in self._tasks:
            self._tasks[label] = self._live.add_task(label, total=total)
        self._live.update(self._tasks[label], completed=done, total=total)
        if self._live.finished:
            self.stop()

    def stop(self) -> None:
        if self._live is not None:
            self._live.stop()
        self._live, self._tasks = None, {}


def _new_bars() -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=stderr())
