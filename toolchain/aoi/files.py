"""Files that are either the old one or the new one, never half of each."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from aoi.errors import WriteError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary name in the same folder; it becomes ``path`` when the block ends well, otherwise vanishes.

    Raises WriteError where the place refuses, or ``path`` is there and no regular file.
    """
    with _refusing(path):
        if path.exists() and not path.is_file():
            raise WriteError(f"{path}: is there and no regular file, so it is not replaced; name another")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
    temporary = Path(name)
    try:
        try:
            yield temporary
        except OSError as error:
            if error.errno in _FULL:  # other errors of the block are its own
                raise _refusal(path, error) from error
            raise
        with _refusing(path):
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """As :func:`atomic_path`, with the temporary file open for writing."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        yield file


def write_atomically(path: Path, content: bytes) -> None:
    with atomic_file(path) as file:
        file.write(content)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process at a time inside the block, the others wait; ``path`` is a file of its own that vanishes at the end.

    The system lets go of it however a process ends. Where the disk knows no locks, nobody waits. Raises WriteError.
    """
    with _refusing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _locked(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _locked(path: Path) -> IO[bytes]:
    while True:
        file = path.open("ab")
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # whoever had it has removed it


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _refusal(path, error) from error


def _refusal(path: Path, error: OSError) -> WriteError:
    reason = error.strerror or str(error)
    return WriteError(f"{path}: cannot be written ({reason}); name a place in a folder that can, with room on its disk")
