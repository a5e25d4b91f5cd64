"""How long work reports: a callback for progress, and a logger for messages."""

from __future__ import annotations

import logging
from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with (label, done, total): a name of the work, the finished amount, and the whole amount."""

log = logging.getLogger("aoi")
log.addHandler(logging.NullHandler())  # silent unless the application adds a handler


def counter(progress: Progress | None, label: str) -> Callable[[int, int], None]:
    """A callback (done, total) that calls ``progress`` with a fixed label."""
    if progress is None:
        return lambda done, total: None
    return lambda done, total: progress(label, done, total)
