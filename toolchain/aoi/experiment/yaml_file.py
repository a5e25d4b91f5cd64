"""Reads YAML that somebody wrote by hand: in one line what is wrong, and nothing lost without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from aoi.errors import ConfigError

_LARGEST = 1 << 20  # bytes of a file
_MOST = 100_000  # values, with repetitions by alias


class _Loader(yaml.SafeLoader):
    """As SafeLoader, but refuses a key that a mapping has twice, of which YAML keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                line = key.start_mark.line + 1
                if key.value in lines:
                    raise ConfigError(
                        f"the key '{key.value[:60]}' stands in line {lines[key.value]} and again in line {line}; "
                        "join them"
                    )
                lines[key.value] = line
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, missing: str) -> Any:
    """The content of a YAML file. Raises ConfigError; ``missing``: how it goes on if there is no such file."""
    try:
        if path.is_file() and path.stat().st_size > _LARGEST:
            raise ConfigError(f"{path}: has {path.stat().st_size} bytes; a configuration has at most {_LARGEST}")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: {missing}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not YAML: it is not UTF-8 text") from None
    try:
        return parse_yaml(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse_yaml(text: str) -> Any:
    """The content of a YAML text. Raises ConfigError, without the name of a file."""
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}, ()) > _MOST:
            raise ConfigError(f"its aliases repeat more than {_MOST} values; write them out, or use fewer")
        return loader.construct_document(node)
    except ConfigError:
        raise
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"is not YAML: {' '.join(str(error).split())[:200]}") from None
    except Exception as error:  # numbers and dates out of Python's range
        raise ConfigError(f"holds a value that cannot be read: {' '.join(str(error).split())[:200]}") from None
    finally:
        if loader is not None:
            loader.dispose()


def brief(value: Any) -> str:
    """A value as it is shown in an error: at most 60 characters, whatever its size."""
    if isinstance(value, (list, tuple, dict, set)):
        return f"a {type(value).__name__} of {len(value)}" if len(value) > 4 else f"{_shallow(value):.60}"
    try:
        return f"{value!r:.60}"
    except ValueError:  # an integer of thousands of digits
        return f"a number of {value.bit_length()} bits"


def _shallow(value: Any) -> str:
    items = value.items() if isinstance(value, dict) else value
    shown = (f"{key!r}: …" if isinstance(value, dict) else "…" for key in items)
    if not isinstance(value, dict) and not any(isinstance(each, (list, tuple, dict, set)) for each in value):
        shown = (brief(each) for each in value)
    left, right = ("{", "}") if isinstance(value, (dict, set)) else ("[", "]")
    return f"{left}{', '.join(shown)}{right}"


def _size(node: yaml.Node, known: dict[int, int], above: tuple[int, ...]) -> int:
    """Number of values of a node if every alias were written out. Raises ConfigError for a node within itself."""
    if id(node) in above:
        raise ConfigError("an alias names what it stands in; write the value out")
    if id(node) not in known:
        inner = (*above, id(node))
        if isinstance(node, yaml.MappingNode):
            count = sum(_size(key, known, inner) + _size(value, known, inner) for key, value in node.value)
        elif isinstance(node, yaml.SequenceNode):
            count = sum(_size(each, known, inner) for each in node.value)
        else:
            count = 0
        known[id(node)] = 1 + count
    return known[id(node)]
