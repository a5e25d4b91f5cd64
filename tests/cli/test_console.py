"""Names in files cannot control the terminal."""

from __future__ import annotations

import pytest

from aoi.cli.console import print_table, say, show_error


def test_tables_show_names_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("x[/y].net", ["[bold]a", ""], [["[/]", "[red]r"], ["\x1b[31mb", "a\nb"]])
    out = capsys.readouterr().out
    for text in ("x[/y].net", "[bold]a", "[/]", "[red]r", "[31mb", "a b"):
        assert text in out
    assert "\x1b" not in out


def test_messages_are_one_line_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    show_error("x[/y].net: \x1b]0;title\x07class\n'[/]' \udcff")
    say("\x1b[2Jwrote [red]r")
    assert capsys.readouterr().err == "aoi: x[/y].net: ]0;titleclass '[/]' \n[2Jwrote [red]r\n"
