"""Nothing that comes from a file becomes markup or ends a script."""

from __future__ import annotations

import json

from aoi.report.html import Html, facts, script_json, table, tile

HOSTILE = "</script><img src=x onerror=\"alert('1')\">&amp;\u2028"


def test_text_is_escaped_everywhere() -> None:
    for markup in (
        table(["a", HOSTILE], [[HOSTILE, HOSTILE]], HOSTILE, [HOSTILE, HOSTILE]),
        facts([(HOSTILE, HOSTILE)]),
        tile(HOSTILE, HOSTILE, HOSTILE, "id"),
    ):
        assert "<img" not in markup
        assert "</script" not in markup
        assert "&lt;/script&gt;&lt;img src=x onerror=&quot;" in markup
        assert "&amp;amp;" in markup
    assert "<b>bold</b>" in facts([("name", Html("<b>bold</b>"))])


def test_json_cannot_end_its_script() -> None:
    text = script_json({"class": HOSTILE})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"class": HOSTILE}
