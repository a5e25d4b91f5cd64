"""Checks in a child process that a call into a C library ends, and does not crash."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import h5py

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
        if not path.is_file() or not h5py.is_hdf5(path):
            raise NetXError(f"{path}: not an HDF5 file; {writers}")
        if not completes_in_child(read):
            raise NetXError(f"{path}: damaged {kind} (HDF5 crashes or hangs while reading it)")
        return read()
    except NetXError:
        raise
    except Exception as error:  # h5py raises many kinds, from OSError to OverflowError
        reason = (str(error).splitlines() or [""])[0]
        raise NetXError(f"{path}: damaged {kind} ({type(error).__name__}: {reason[:200]})") from error


def completes_in_child(work: Callable[[], object], seconds: float = 20.0) -> bool:
    """Runs ``work`` in a child process; False if it crashes the interpreter or takes longer than ``seconds``.

    Its result and its exceptions are ignored.

    HDF5 loops forever over some damaged groups (about one in 10,000 files with flipped bytes), and neither Python nor
    Ctrl-C can interrupt it. On systems other than Linux, where forking is not safe, it returns True without a check.
    """
    if sys.platform != "linux":
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads: the child only reads a file
        child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    deadline, nap = time.monotonic() + seconds, 0.0005
    try:
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                child = 0
                return os.WIFEXITED(status)
            time.sleep(nap)
            nap = min(2 * nap, 0.005)
        return False
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
