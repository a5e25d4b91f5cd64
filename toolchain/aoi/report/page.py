"""The report: one self-contained HTML page.

All numbers are computed here, by the same functions as in ``aoi evaluate``. The page's script only draws and counts
what :mod:`aoi.report.thresholds` prepares. A content security policy forbids every request and every script but the
page's own, so that a name in somebody's files cannot run code.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from string import Template

from aoi.report.html import script_json
from aoi.report.payload import payload
from aoi.report.prose import prose
from aoi.report.subject import Subject
from aoi.report.tables import tables

_SCRIPTS = ("draw.js", "explorer.js", "figures.js", "samples.js")
_EXPLORER_BYTES = 3_000_000  # of all recordings, before base64; all else stays below 4 MB


def most_samples(rules: int, steps: int) -> int:
    """How many recordings of ``steps`` steps fit into the explorer with ``rules`` rules."""
    return max(1, _EXPLORER_BYTES // (steps * (rules + 2)))


def render(subject: Subject) -> str:
    """The page as HTML text."""
    folder = files("aoi.report") / "assets"
    script = "\n".join((folder / name).read_text("utf-8") for name in _SCRIPTS)
    return Template((folder / "report.html").read_text("utf-8")).substitute(
        **prose(subject),
        **tables(subject),
        data=script_json(payload(subject)),
        style=(folder / "report.css").read_text("utf-8"),
        script=script,
        digest=b64encode(sha256(script.encode()).digest()).decode(),
    )
