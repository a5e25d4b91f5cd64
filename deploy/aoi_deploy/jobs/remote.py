"""Jobs on a cluster that is reached over ssh: runs ``aoi jobs`` on the login host, and copies files with tar.

``remote.json`` in the job's folder names the host. The user's own ssh is used, with its configuration and keys;
``$AOI_SSH`` can name another command, such as ``ssh -F file``.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shlex
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aoi.errors import DataError
from aoi.files import write_atomically
from aoi_deploy.cluster.slurm import ClusterError
from aoi_deploy.jobs.folder import JobFolder
from aoi_deploy.jobs.registry import registry_folder
from aoi_deploy.jobs.state import JobStatus

_RESULT_FILE = re.compile(r"chunks/\d{3,}\.(jsonl|note)")
_TIMEOUT_S = 120.0


class Remote(BaseModel):
    """A login host, and a job's folder on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    login: str = Field(pattern=r"^[A-Za-z0-9][\w.@-]*$", max_length=200)
    path: str = Field(min_length=1, description="relative to the home folder on the host")
    aoi: str = Field("aoi", min_length=1, max_length=2000, exclude=True, description="command on the host")
    """A shell reads it, so it is the user's own: it comes from the command line, and is kept in the user's state
    (:func:`_command_file`), never in the job's folder, which may be somebody else's."""

    def push(self, folder: JobFolder) -> None:
        """Copies the job's folder to the host. Raises ClusterError."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as tar:
            for file in sorted(path for path in folder.path.rglob("*") if path.is_file()):
                tar.add(file, arcname=str(file.relative_to(folder.path)), recursive=False)
        path = shlex.quote(self.path)
        self._ssh(f"umask 077 && mkdir -p {path} && tar -xf - -C {path}", content.getvalue())
        write_atomically(_command_file(folder), self.aoi.encode())
        write_atomically(folder.path / "remote.json", self.model_dump_json().encode())

    def pull(self, folder: JobFolder) -> None:
        """Copies results and notes from the host. Raises ClusterError."""
        content = self._ssh(f"tar -cf - -C {shlex.quote(self.path)} chunks")
        try:
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                for member in tar:
                    file = tar.extractfile(member) if member.isfile() and _RESULT_FILE.fullmatch(member.name) else None
                    if file is not None:
                        write_atomically(folder.path / member.name, file.read())
        except (tarfile.TarError, EOFError) as error:
            raise ClusterError(
                f"{self.login}: its answer is not an archive ({error}); its shell must print nothing at login"
            ) from None

    def submit(self, folder: JobFolder) -> int:
        return self._number("continue", "submitted")

    def status(self, folder: JobFolder) -> JobStatus:
        answer = self._call("status")
        try:
            return JobStatus.of(answer, str(folder.path), self.login)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ClusterError(
                f"{self.login}: has another version of aoi ({' '.join(str(error).split())[:100]}); install the same "
                "version there"
            ) from None

    def cancel(self, folder: JobFolder) -> int:
        return self._number("cancel", "cancelled")

    def logs(self, folder: JobFolder, chunk: int | None) -> dict[str, str]:
        chosen = [] if chunk is None else ["--chunk", str(chunk)]
        answer = self._call("logs", *chosen).get("logs")
        if not isinstance(answer, dict):
            raise ClusterError(f"{self.login}: its logs are {type(answer).__name__}; install the same version there")
        return {str(name): str(text) for name, text in answer.items()}

    def _number(self, verb: str, key: str) -> int:
        answer = self._call(verb).get(key)
        if not isinstance(answer, int):
            raise ClusterError(f"{self.login}: answers no number of {key} jobs; install the same version there")
        return answer

    def _call(self, verb: str, *arguments: str) -> dict[str, Any]:
        """Runs ``aoi jobs VERB`` on the host and returns its JSON."""
        command = " ".join([self.aoi, *map(shlex.quote, ["jobs", verb, self.path, *arguments, "--json"])])
        answer = self._ssh(command)
        try:
            return dict(json.loads(answer))
        except (ValueError, TypeError, RecursionError):
            raise ClusterError(f"{self.login}: '{command}' answers {answer[:80]!r}; is aoi installed there?") from None

    def _ssh(self, command: str, content: bytes = b"") -> bytes:
        ssh = shlex.split(os.environ.get("AOI_SSH") or "ssh")
        options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=20"]
        try:
            done = subprocess.run(
                [*ssh, *options, self.login, command], input=content, capture_output=True, timeout=_TIMEOUT_S
            )
        except FileNotFoundError:
            raise ClusterError(f"login host {self.login}: {ssh[0]} is not installed here") from None
        except subprocess.TimeoutExpired:
            raise ClusterError(
                f"login host {self.login}: no answer within {_TIMEOUT_S:g} s; check the connection with ssh"
            ) from None
        if done.returncode:
            said = " ".join(done.stderr.decode(errors="replace").split())[-300:]
            raise ClusterError(f"login host {self.login}: {said or f'ssh ended with {done.returncode}'}")
        return done.stdout


def remote_of(folder: JobFolder) -> Remote | None:
    """The host of a remote job, None for a local one. Raises DataError if ``remote.json`` is damaged."""
    file = folder.path / "remote.json"
    try:
        found = Remote.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise DataError(f"{file}: is damaged ({' '.join(str(error).split())[:200]})") from None
    if found.aoi != "aoi":
        raise DataError(
            f"{file}: names a command for the login host, {found.aoi[:60]!r}; only your own 'aoi deploy --aoi' may do "
            "that: remove it"
        )
    try:
        command = _command_file(folder).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        command = "aoi"
    return found.model_copy(update={"aoi": command or "aoi"})


def _command_file(folder: JobFolder) -> Path:
    """Where the command on the login host is kept for a job that this user made."""
    name = hashlib.blake2b(os.fsencode(folder.path.resolve()), digest_size=12).hexdigest()
    return registry_folder().parent / "commands" / name


def remote(login: str, job: str, aoi: str) -> Remote:
    """Host and folder for a new job. Raises DataError if ``login`` is not a host name."""
    try:
        return Remote(login=login, path=str(Path(".aoi-jobs") / job), aoi=aoi)
    except ValidationError:
        raise DataError(f"login host {login}: is not a host name; give HOST or USER@HOST") from None
