"""The cells of a study on disk: what is done, what is missing and why; and processes that run them in parallel."""

from __future__ import annotations

import fcntl
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aoi.errors import ConfigError
from aoi.experiment.run_folder import RunFolder
from aoi.files import write_atomically
from aoi.study.config import StudyCell

_POLL_S = 0.2
# What tables and plots of a study read from a result.
RESULT_KEYS = frozenset(
    ("experiment", "arm", "seed", "scale", "steps", "points", "accuracy_at", "full_accuracy", "peak", "max_drop")
) | {"steps_at_drop", "accuracy", "ece"}


@dataclass(frozen=True)
class CellFolder:
    """The run folder of a cell, as ``aoi train`` makes it, with the cell's result in it; log and failure beside it."""

    cell: StudyCell
    path: Path

    @property
    def run(self) -> RunFolder:
        return RunFolder(self.path)

    @property
    def result_file(self) -> Path:
        return self.path / "result.json"

    @property
    def scores_file(self) -> Path:
        """``scores`` int64 (samples, classes, T) and ``labels`` int64 (samples,), for later analyses."""
        return self.path / "scores.npz"

    @property
    def failure_file(self) -> Path:
        return self.path.with_name(f"{self.path.name}.failure.json")

    @property
    def log(self) -> Path:
        return self.path.with_name(f"{self.path.name}.log")

    @property
    def _lock_file(self) -> Path:
        return self.path.with_name(f".{self.path.name}.lock")

    def result(self) -> dict[str, Any] | None:
        """The result; None if the cell is not done, or was evaluated with another number of cameras. Raises ConfigError
        if the file is damaged."""
        try:
            content = json.loads(self.result_file.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.result_file}: is damaged ({error}); remove it to run the cell again") from None
        if not isinstance(content, dict) or not content.keys() >= RESULT_KEYS:
            raise ConfigError(f"{self.result_file}: is not the result of a cell; remove it to run the cell again")
        return content if content.get("cameras", 1) == self.cell.cameras else None

    def missing(self) -> str:
        """Why there is no result, in words."""
        try:
            return str(json.loads(self.failure_file.read_bytes())["error"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        if self.busy():
            return "is running"
        if self.result_file.is_file():
            return f"was not evaluated with {self.cell.cameras} cameras; aoi sweep does that without training again"
        return "interrupted; aoi sweep resumes it" if self.run.last_checkpoint.is_file() else "has not run"

    def fail(self, reason: str) -> None:
        """Stores why the cell failed, for the table."""
        write_atomically(self.failure_file, json.dumps({"error": reason}).encode())

    def finish(self, result: dict[str, Any]) -> None:
        """Stores the result, atomically and last: a result file means that the cell is done."""
        write_atomically(self.result_file, json.dumps(result, allow_nan=False).encode())
        self.failure_file.unlink(missing_ok=True)

    def outdated(self) -> bool:
        """Whether the cell ran with another configuration than the study's. Where recordings are does not count."""
        if not self.run.config_file.is_file():
            return False
        return _without_source(self.run.read_config()) != _without_source(self.cell.config)

    def busy(self) -> bool:
        """Whether another process holds the cell's lock."""
        if not self._lock_file.exists():
            return False
        try:
            with self.lock():
                return False
        except ConfigError:
            return True

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Locks the cell; the system releases the lock however the process ends. Raises ConfigError if it is held."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock_file.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigError(f"{self.path}: another process is running this cell; wait for it") from None
            yield


def _without_source(config: Any) -> dict[str, Any]:
    tree = config.model_dump()
    tree["data"].pop("source")
    return dict(tree)


def run_cells(
    folders: Sequence[CellFolder],
    command: Callable[[CellFolder], Sequence[str]],
    workers: int,
    done: Callable[[CellFolder, int], None],
) -> None:
    """Runs the ``command`` of each cell, ``workers`` at a time; calls ``done(folder, exit code)`` as each ends.

    Output goes to the cell's log. A process ends when its standard input closes, so that none outlives this one,
    however it ends; an interrupted training can be resumed.
    """
    waiting = list(reversed(folders))
    running: dict[CellFolder, subprocess.Popen[bytes]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                folder = waiting.pop()
                folder.failure_file.unlink(missing_ok=True)
                folder.log.parent.mkdir(parents=True, exist_ok=True)
                with folder.log.open("ab") as log:
                    running[folder] = subprocess.Popen(
                        command(folder), stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
                    )
            for folder, process in list(running.items()):
                if process.poll() is not None:
                    running.pop(folder)
                    assert process.stdin is not None
                    process.stdin.close()
                    if process.returncode < 0 and not folder.failure_file.exists():
                        folder.fail(f"killed by signal {-process.returncode}")
                    done(folder, process.returncode)
            time.sleep(_POLL_S)
    finally:
        for process in running.values():
            assert process.stdin is not None
            process.stdin.close()
        for process in running.values():
            process.wait()
