"""What names in files may not do to the terminal."""

from __future__ import annotations

import pytest

from aoi.cli.console import print_table, say, show_error


def test_a_table_shows_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("x[/y].net", ["[bold]a", ""], [["[/]", "[red]r"], ["\x1b[31mb", "a\nb"]])
    out = capsys.readouterr().out
    for text in ("x[/y].net", "[bold]a", "[/]", "[red]r", "[31mb", "a b"):
        assert text in out
    assert "\x1b" not in out


def test_messages_neither_command_nor_break_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_error("x[/y].net: \x1b]0;title\x07class\n'[/]' \udcff")
    say("\x1b[2Jwrote [red]r")
    assert capsys.readouterr().err == "aoi: x[/y].net: ]0;titleclass '[/]' \n[2Jwrote [red]r\n"
