"""YAML that somebody wrote by hand, by mistake or on purpose."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from aoi.errors import ConfigError
from aoi.experiment.config import load_config, parse_change
from aoi.experiment.yaml_file import parse_yaml, read_yaml

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


def test_a_key_that_stands_twice_is_named_with_both_lines(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("training:\n  epochs: 1\nname: x\ntraining:\n  epochs: 2\n")
    with pytest.raises(ConfigError, match=r"c.yaml: the key 'training' stands in line 1 and again in line 4"):
        read_yaml(path, "missing")
    with pytest.raises(ConfigError, match="'training' stands in line 1"):
        load_config(path)


def test_merged_keys_are_no_repetition() -> None:
    assert parse_yaml("a: &a {x: 1}\nb:\n  <<: *a\n  x: 2") == {"a": {"x": 1}, "b": {"x": 2}}


def test_aliases_that_multiply_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(BOMB)
    begin = time.process_time()
    with pytest.raises(ConfigError, match="repeat more than 100000 values"):
        load_config(path)
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: &a [*a]", "an alias names what it stands in"),
        (f"a: {'9' * 5000}", "cannot be read"),
        ("a: " + ":".join(["59"] * 400) + ".5", "cannot be read"),
        ("a: [1, 2", "is not YAML"),
        ("a: 2026-99-99", "cannot be read"),
    ],
)
def test_one_line_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_numbers_of_thousands_of_digits_in_a_change(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a YAML value") as caught:
        parse_change(f"seed={'9' * 5000}")
    assert len(str(caught.value)) < 400
    path = tmp_path / "c.yaml"
    path.write_text(f"name: x\nseed: 0x{'f' * 6000}\nencoding: {{window_us: 1, bins: 1}}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert len(str(caught.value)) < 400


def test_large_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"a: " + b"x" * (1 << 20))
    with pytest.raises(ConfigError, match="at most 1048576"):
        read_yaml(path, "missing")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_yaml(path, "missing")
    with pytest.raises(ConfigError, match=r"none\.yaml: missing"):
        read_yaml(tmp_path / "none.yaml", "missing")
