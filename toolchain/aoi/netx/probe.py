"""Does something that runs in foreign code come to an end at all? Found out in a child process."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable


def completes_in_child(work: Callable[[], object], seconds: float = 20.0) -> bool:
    """Runs ``work`` in a child process: False if it crashes the interpreter or is not done in time.

    What it returns or raises does not matter, and is lost.

    HDF5 loops for ever over some damaged groups (about one in 10,000 files with flipped bytes), where neither Python
    nor Ctrl-C gets a word in. Elsewhere than on Linux forking is not safe, and the answer is True.
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
