"""Executes the tutorials. ``python -m tests.docs.notebooks [NAME…]`` writes what they print back into them."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

from tests.slurm_cluster import running_cluster

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_BAR = re.compile(r"^[^\n]*?━ +\d+/\d+ [\d:]+ [\d:]{7}\n?", re.M)
CELL_S = 400


def execute(path: Path, folder: Path, names: tuple[str, ...] = ()) -> tuple[Any, dict[str, Any]]:
    """Runs a tutorial in ``folder``; the executed notebook, and the values of ``names`` at its end.

    Raises CellExecutionError where a cell fails.
    """
    notebook = jupytext.read(path)
    values = ", ".join(f"{name!r}: {name}" for name in names)
    notebook.cells.append(nbformat.v4.new_code_cell(f"import json\nprint(json.dumps({{{values}}}, default=float))"))
    place = {"metadata": {"path": str(folder)}}
    with _environment(PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", COLUMNS="100"):
        NotebookClient(notebook, timeout=CELL_S, resources=place, coalesce_streams=True).execute()
    printed = notebook.cells.pop().outputs[0].text
    found: dict[str, Any] = json.loads(printed)
    return notebook, found


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Sets variables of this process, and so of the kernel, within the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def publish(notebook: Any, folder: Path) -> None:
    """Leaves what readers need: no paths, no names of machines, no timings, no progress bars."""
    host = socket.gethostname().partition(".")[0]
    node = ("node1" if len(host) >= 5 else "n1").rjust(len(host))  # as wide, for tables

    def plain(text: str) -> str:
        text = _BAR.sub("", _CONTROL.sub("", text.replace("\r\n", "\n")))
        return re.sub(rf"\b{re.escape(host)}\b", node, text).replace(f"{folder}/", "")

    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        cell["metadata"] = {}
        for output in cell.get("outputs", ()):
            if output.output_type == "stream":
                output["text"] = plain(output["text"])
            else:
                output["metadata"] = {}
                output["data"] = {
                    kind: plain(value) if kind.startswith("text") else value for kind, value in output["data"].items()
                }
    notebook["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }


def refresh(name: str) -> None:
    """Executes a tutorial anew, on a Slurm cluster where it needs one, and writes it back."""
    path = TUTORIALS / f"{name}.ipynb"
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place).resolve()
        work = folder / "work"
        work.mkdir()
        stack.enter_context(_environment(AOI_STATE_DIR=str(folder / "state")))
        if name == "cluster":
            (folder / "slurm").mkdir()
            stack.enter_context(running_cluster(folder / "slurm"))
        notebook, _ = execute(path, work)
        publish(notebook, work)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for each in sys.argv[1:] or sorted(path.stem for path in TUTORIALS.glob("*.ipynb")):
        refresh(each)
