"""Small pieces of HTML. All outside text goes through :func:`escape`, in text and in attributes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any


class Html(str):
    """Text that is already markup. Any other string is escaped before it is put into markup."""


def cell(value: Any) -> str:
    return value if isinstance(value, Html) else escape(str(value))


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "", foot: Sequence[Any] | None = None
) -> Html:
    """A table whose first column holds the row headers. It scrolls sideways if it is wider than the page."""

    def line(values: Sequence[Any]) -> str:
        first, *others = (cell(value) for value in values)
        return f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{each}</td>" for each in others) + "</tr>"

    head = "".join(f'<th scope="col">{cell(column)}</th>' for column in columns)
    title = f"<figcaption>{cell(caption)}</figcaption>" if caption else ""
    body = "".join(line(row) for row in rows)
    end = f"<tfoot>{line(foot)}</tfoot>" if foot else ""
    return Html(
        f'<figure>{title}<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody>{end}</table></div></figure>"
    )


def facts(rows: Iterable[tuple[str, Any]]) -> Html:
    """A two-column table of names and values."""
    lines = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{cell(value)}</td></tr>' for name, value in rows)
    return Html(f'<table class="facts"><tbody>{lines}</tbody></table>')


def tile(label: str, value: str, interval: str, key: str) -> Html:
    """A headline number; ``key`` is its element id."""
    return Html(
        f'<div><dt>{escape(label)}</dt><dd><div class="value" id="{key}">{escape(value)}</div>'
        f'<div class="interval">{escape(interval)}</div></dd></div>'
    )


def script_json(value: Any) -> str:
    """JSON that cannot end its script element, whatever names it contains."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
