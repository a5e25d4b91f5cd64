"""Commands as jobs of a cluster: a job that is preempted or out of time goes back into the queue and runs again.

The commands themselves go on where they were (``aoi train --continue``, a cell of ``aoi sweep``).
"""

from __future__ import annotations

import subprocess
from typing import Any


class CommandJob:
    """Runs a command line; submitit calls ``checkpoint`` when the job has to leave its node."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, *command: str) -> int:
        """Returns the exit code: a command that fails says so in its own files, and is not to be tried again."""
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
            self._process = process
            return process.wait()

    def checkpoint(self, *command: str) -> Any:
        from submitit.helpers import DelayedSubmission

        if self._process is not None:
            self._process.kill()
        return DelayedSubmission(CommandJob(), *command)
