"""Register of this user's jobs, one small file per job, so that ``aoi jobs`` finds them from any folder."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

from aoi.errors import DataError
from aoi.files import write_atomically
from aoi_deploy.jobs.folder import JobFolder


def registry_folder() -> Path:
    """The folder ``jobs`` in ``$AOI_STATE_DIR``, or in ``~/.local/state/aoi`` if that is unset."""
    return Path(os.environ.get("AOI_STATE_DIR") or Path.home() / ".local" / "state" / "aoi") / "jobs"


def new_id() -> str:
    return time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2)


def register(folder: JobFolder, name: str) -> None:
    """Adds a job to the register. Raises WriteError."""
    write_atomically(registry_folder() / name, str(folder.path.resolve()).encode())


def registered() -> dict[str, JobFolder]:
    """Folders of the registered jobs by id, oldest first, without those that no longer exist."""
    try:
        names = sorted(entry.name for entry in registry_folder().iterdir() if not entry.name.startswith("."))
    except OSError:
        return {}
    found = {name: JobFolder(Path((registry_folder() / name).read_text())) for name in names}
    return {name: folder for name, folder in found.items() if (folder.path / "job.json").is_file()}


def find(name: str) -> JobFolder:
    """The job with this id or beginning of an id, the latest for ``last``, or the job of a folder. Raises DataError."""
    if name and Path(name).is_dir():
        folder = JobFolder(Path(name))
        _ = folder.plan  # raises DataError if it is not a job
        return folder
    known = registered()
    if name == "last" and known:
        return known[next(reversed(known))]
    matching = [each for each in known if each.startswith(name)] if name else []
    if len(matching) == 1:
        return known[matching[0]]
    if matching:
        raise DataError(
            f"job {name}: {len(matching)} jobs begin with it ({matching[0]}, {matching[1]}…); give more of the id"
        )
    raise DataError(f"job {name}: no such job; 'aoi jobs list' shows all jobs")
