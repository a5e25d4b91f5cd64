"""Command lines as jobs of a cluster. A job that is preempted or reaches its time limit is requeued and runs again.

The commands resume by themselves, such as a worker of ``aoi jobs``, or a cell of ``aoi sweep``.
"""

from __future__ import annotations

import subprocess
from typing import Any


class CommandJob:
    """Runs a command line. submitit calls ``checkpoint`` before the job has to leave its node."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, *command: str) -> int:
        """Returns the exit code. A failed command reports in its own files and is not run again."""
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
            self._process = process
            return process.wait()

    def checkpoint(self, *command: str) -> Any:
        from submitit.helpers import DelayedSubmission

        if self._process is not None:
            self._process.kill()
        return DelayedSubmission(CommandJob(), *command)
