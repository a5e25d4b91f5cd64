"""Where this user's jobs are: a small file a job, so that ``aoi jobs`` finds them from any folder."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

from aoi.errors import DataError
from aoi.files import write_atomically
from aoi_deploy.jobs.folder import JobFolder


def registry_folder() -> Path:
    """``$AOI_STATE_DIR``, or else ``~/.local/state/aoi``, and in it ``jobs``."""
    return Path(os.environ.get("AOI_STATE_DIR") or Path.home() / ".local" / "state" / "aoi") / "jobs"


def new_id() -> str:
    return time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2)


def register(folder: JobFolder, name: str) -> None:
    """Raises WriteError."""
    write_atomically(registry_folder() / name, str(folder.path.resolve()).encode())


def registered() -> dict[str, JobFolder]:
    """Id → folder, oldest first; jobs whose folder is gone are left out."""
    try:
        names = sorted(entry.name for entry in registry_folder().iterdir() if not entry.name.startswith("."))
    except OSError:
        return {}
    found = {name: JobFolder(Path((registry_folder() / name).read_text())) for name in names}
    return {name: folder for name, folder in found.items() if (folder.path / "job.json").is_file()}


def find(name: str) -> JobFolder:
    """The job of an id, the beginning of one, ``last``, or a folder. Raises DataError."""
    if name and Path(name).is_dir():
        folder = JobFolder(Path(name))
        _ = folder.plan  # raises where it is none
        return folder
    known = registered()
    if name == "last" and known:
        return known[next(reversed(known))]
    fitting = [each for each in known if each.startswith(name)] if name else []
    if len(fitting) == 1:
        return known[fitting[0]]
    if fitting:
        raise DataError(f"job {name}: {len(fitting)} jobs begin so ({fitting[0]}, {fitting[1]}…); give more of the id")
    raise DataError(f"job {name}: there is no such job; 'aoi jobs list' shows those there are")
