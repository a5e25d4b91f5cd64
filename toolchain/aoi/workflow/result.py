"""The base class of the results of workflow functions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


class Result:
    """A result to print, to read by its attributes, and to store (``to_dict``, ``to_json``)."""

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, texts and lists, with the names that ``aoi … --json`` prints."""
        raise NotImplementedError

    def rows(self) -> Sequence[tuple[str, str]]:
        """Label and value of each line of the text form."""
        raise NotImplementedError

    def to_json(self) -> str:
        """:meth:`to_dict` as one JSON object."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def __repr__(self) -> str:
        rows = self.rows()
        width = max(len(label) for label, _ in rows)
        return "\n".join([type(self).__name__, *(f"  {label:{width}}  {value}" for label, value in rows)])
