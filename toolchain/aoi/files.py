"""Atomic writes and locks: a reader sees the old file or the new one, never a part."""

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

_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary file in the same folder; it replaces ``path`` if the block succeeds and is removed otherwise.

    Creates missing folders. Raises WriteError if the file cannot be written, or if ``path`` exists and is not a regular
    file. Other errors of the block pass unchanged.
    """
    with _as_write_error(path):
        if path.exists() and not path.is_file():
            raise WriteError(f"{path}: exists and is not a regular file; choose another name")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
    temporary = Path(name)
    try:
        try:
            yield temporary
        except OSError as error:
            if error.errno in _DISK_ERRORS:  # the disk is at fault, not the block
                raise _write_error(path, error) from error
            raise
        with _as_write_error(path):
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
    """Replaces ``path`` by ``content`` in one step. Raises WriteError."""
    with atomic_file(path) as file:
        file.write(content)


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Lets one process at a time into the block; the others wait. ``path`` is the lock file, removed at the end.

    The system releases the lock however a process ends. On file systems without locks nobody waits. Raises WriteError.
    """
    with _as_write_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _open_locked(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _open_locked(path: Path) -> IO[bytes]:
    while True:
        file = path.open("ab")
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # the previous holder has removed this lock file: lock the new one


@contextmanager
def _as_write_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _write_error(path, error) from error


def _write_error(path: Path, error: OSError) -> WriteError:
    reason = error.strerror or str(error)
    return WriteError(f"{path}: cannot be written ({reason}); choose a writable folder on a disk with free space")
