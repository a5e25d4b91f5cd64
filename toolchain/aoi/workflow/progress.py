"""How long work reports: a callback for progress, a logger for remarks."""

from __future__ import annotations

import logging
from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is in all."""

log = logging.getLogger("aoi")
log.addHandler(logging.NullHandler())  # silent unless the application asks


def counter(progress: Progress | None, label: str) -> Callable[[int, int], None]:
    """``progress`` for one piece of work: called with (done, total)."""
    if progress is None:
        return lambda done, total: None
    return lambda done, total: progress(label, done, total)
