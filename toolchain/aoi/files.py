"""Atomic writes and locks: a reader sees the old file or the new one, never a part."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
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

    Creates missing folders. A file that is replaced keeps its mode, a symbolic link stays one and its target is
    replaced. Raises WriteError if the file cannot be written, or if ``path`` exists and is not a regular file. Other
    errors of the block pass unchanged.
    """
    with _as_write_error(path):
        if path.is_symlink():
            path = path.resolve()
        if path.exists() and not path.is_file():
            raise WriteError(f"{path}: exists and is not a regular file; choose another name")
        mode = path.stat().st_mode & 0o7777 if path.exists() else None
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
            temporary.chmod(_new_mode() if mode is None else mode)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _new_mode() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


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


@contextmanager
def claimed(path: Path, purpose: str) -> Iterator[None]:
    """Claims a file or folder for writing while the block runs; nobody waits.

    The claim is a lock on ``.NAME.claim`` next to ``path``, which holds who has it. The system releases it however a
    process ends. On file systems without locks, and in folders that cannot be written, there is none.

    Raises WriteError, which names the holder, if another process has claimed it.
    """
    lock = path.parent / f".{path.name}.claim"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = _open_locked(lock, wait=False)
    except BlockingIOError:
        holder = lock.read_bytes()[:200].decode("utf-8", "replace").strip()
        raise WriteError(
            f"{path}: {holder or 'another process'} is writing it; wait for its end, or choose another name"
        ) from None
    except OSError:
        yield
        return
    try:
        with suppress(OSError):
            file.truncate(0)
            file.write(f"{purpose} (process {os.getpid()} on {socket.gethostname()})".encode())
            file.flush()
        yield
    finally:
        lock.unlink(missing_ok=True)
        file.close()


def _open_locked(path: Path, *, wait: bool = True) -> IO[bytes]:
    """The lock file, locked. Raises BlockingIOError, without ``wait``, if another process has locked it."""
    while True:
        file = path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise
        except OSError:
            pass  # a file system without locks
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
