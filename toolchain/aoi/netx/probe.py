"""Reads HDF5 files of others: what HDF5 does with a damaged one becomes an error in one line."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import h5py

from aoi.child import completes_in_child
from aoi.errors import NetXError

T = TypeVar("T")


def read_guarded(path: Path, read: Callable[[], T], kind: str, writers: str) -> T:
    """Result of ``read`` on an HDF5 file of somebody else's.

    A child process reads first, see :func:`completes_in_child`; every error that h5py raises on a damaged file becomes
    a NetXError. ``kind``: what the file should be; ``writers``: who writes such files, for the error.
    """
    try:
        if not path.exists():
            raise NetXError(f"{path}: no such file")
        if path.is_file():
            with path.open("rb"):  # readable at all
                pass
        if not path.is_file() or not h5py.is_hdf5(path):
            raise NetXError(f"{path}: not an HDF5 file; {writers}")
        if not completes_in_child(read):
            raise NetXError(f"{path}: damaged {kind} (HDF5 crashes, hangs or takes 2 GB while reading it)")
        return read()
    except NetXError:
        raise
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise NetXError(f"{path}: cannot be read ({error.strerror})") from error
        if error.errno == errno.EAGAIN or "unable to lock file" in str(error):
            raise NetXError(f"{path}: another program is writing it; wait, or close it there") from error
        reason = (str(error).splitlines() or [""])[0]
        raise NetXError(f"{path}: damaged {kind} ({reason[:200]})") from error
    except Exception as error:  # h5py raises many kinds, from OSError to OverflowError
        reason = (str(error).splitlines() or [""])[0]
        raise NetXError(f"{path}: damaged {kind} ({type(error).__name__}: {reason[:200]})") from error
