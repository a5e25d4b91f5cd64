"""Runs a call into a C library in a child process first: that it ends, and does not crash or swell."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable
from math import ceil
from pathlib import Path

_WALL_S = 600.0  # a child that does nothing at all
_MEMORY = 1 << 31  # bytes, beyond what this process has


def completes_in_child(work: Callable[[], object], seconds: float = 20.0) -> bool:
    """Whether ``work`` ends in a child process: it neither crashes the interpreter, nor takes more than ``seconds`` of
    processor time or 2 GB of memory.

    Its result and its other exceptions are ignored. Processor time, because a busy machine makes no file damaged.

    HDF5 loops forever over some damaged groups (about one in 10,000 files with flipped bytes), and neither Python nor
    Ctrl-C can interrupt it. On systems other than Linux, where forking is not safe, it returns True without trying.
    """
    if sys.platform != "linux":
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads: the child only reads a file
        child = os.fork()
    if child == 0:
        code = 0
        try:
            _limit_itself(seconds)
            work()
        except MemoryError:
            code = 1
        finally:
            os._exit(code)
    deadline, nap = time.monotonic() + max(_WALL_S, seconds), 0.0005
    try:
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                child = 0
                return os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0
            time.sleep(nap)
            nap = min(2 * nap, 0.005)
        return False
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _limit_itself(seconds: float) -> None:
    """Limits this process: the kernel kills it after its processor time, and refuses it more memory."""
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    used = sum(os.times()[:2])
    whole = max(1, ceil(used + seconds))
    resource.setrlimit(resource.RLIMIT_CPU, (whole, whole + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    now = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = now + _MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
