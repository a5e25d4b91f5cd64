"""Makes the source's docstrings readable on the site; the source stays as it is.

Roles become links, ``Example:`` becomes code, and the fields of a class become one list, each described by its
docstring, by the comment on its line or by the description and limits of its pydantic ``Field``.
"""

from __future__ import annotations

import ast
import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:func|class|meth|attr|mod|data|exc):`(~?)([\w.]+)`")
_EXAMPLE = re.compile(r"^( *)Example:\n((?:\1 +.*\n?|\n)+)", re.M)
_TOGETHER = re.compile(r"^( +)(\w+(?:, \w+)+): (.+)$", re.M)
_COMMENT = re.compile(r"^\s*\w+\s*:.*?\s{2}# (.+)$")
_LIMITS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}


class ReadableDocstrings(griffe.Extension):
    def on_package(self, *, pkg: griffe.Module, loader: Any, **_: Any) -> None:
        objects = _objects(pkg)
        fields = [(cls, *_fields(cls)) for cls in objects if cls.is_class]
        for cls, lines, members in fields:
            if lines:
                before = [cls.docstring.value, ""] if cls.docstring else []
                text = "\n".join([*before, "**Fields**", "", *lines])
                cls.docstring = griffe.Docstring(text, parent=cls, lineno=cls.lineno)
            for member in members:
                member.docstring = None  # said in the list
        for obj in objects:
            if obj.is_function:
                _show_defaults(obj, loader)
            if obj.docstring is not None:
                obj.docstring.value = _readable(obj.docstring.value, obj)


def _show_defaults(function: Any, loader: Any) -> None:
    """``gain=_DEFAULTS.gain`` → the default of that field, where ``_DEFAULTS = LossConfig()``."""
    for parameter in function.parameters:
        found = re.fullmatch(r"(_\w+)\.(\w+)", str(parameter.default))
        if not found:
            continue
        config = str(function.module.members[found[1]].value).removesuffix("()")
        field = loader.modules_collection[function.module.resolve(config)].members[found[2]]
        value = ast.parse(str(field.value), mode="eval").body
        parameter.default = ast.unparse(value.args[0] if isinstance(value, ast.Call) else value)


def _objects(obj: Any) -> list[Any]:
    found = [obj]
    for member in obj.members.values():
        if not member.is_alias:
            found += _objects(member)
    return found


def _readable(text: str, obj: Any) -> str:
    text = _TOGETHER.sub(lambda found: _apart(found, obj), _EXAMPLE.sub(_as_code, text))
    return _ROLE.sub(lambda found: _link(found, obj), text)


def _apart(found: re.Match[str], obj: Any) -> str:
    """``samples, batch: as of …`` → a line for each parameter."""
    names = found[2].split(", ")
    if not obj.is_function or not {*names} <= {each.name for each in obj.parameters}:
        return found[0]
    return "\n".join(f"{found[1]}{name}: {found[3]}" for name in names)


def _link(found: re.Match[str], obj: Any) -> str:
    """A link where the target has a place on the site, otherwise the name alone."""
    short, target = found.groups()
    path = target if "." in target else _resolve(target, obj)
    shown = target.rpartition(".")[2] if short else target
    return f'<autoref identifier="{path}" optional><code>{shown}</code></autoref>'


def _resolve(name: str, scope: Any) -> str:
    while scope is not None:
        if name in scope.members:
            return str(scope.members[name].path)
        scope = scope.parent
    return name


def _as_code(found: re.Match[str]) -> str:
    """``Example:`` is the section ``Examples:``; code without a prompt is fenced."""
    indent, body = found.groups()
    if ">>>" in body:
        return f"{indent}Examples:\n{body}"
    return f"{indent}Examples:\n{indent}    ```python\n{body.rstrip()}\n{indent}    ```\n"


def _fields(cls: Any) -> tuple[list[str], list[Any]]:
    """Fields and properties of a class, inherited ones too: a line of Markdown each; and its own ones."""
    lines, own = [], []
    for name, member in {**_inherited(cls), **cls.members}.items():
        if name.startswith("_") or not member.is_attribute or name == "model_config":
            continue
        if member.labels == {"instance-attribute"} and member.value is not None and member.docstring is None:
            continue  # set in __init__, for its own use
        kind = f" `{member.annotation}`" if member.annotation is not None else ""
        text = _description(member)
        lines.append(f"- **`{name}`**{kind}{': ' if text else ''}{text}")
        if name in cls.members:
            own.append(member)
    return lines, own


def _inherited(cls: Any) -> dict[str, Any]:
    try:
        return {name: member.final_target for name, member in cls.inherited_members.items()}
    except Exception:  # a base outside what the site reads
        return {}


def _description(member: Any) -> str:
    if member.docstring is not None:
        return " ".join(_readable(member.docstring.value, member).split())
    found = _COMMENT.match(member.lines[0]) if len(member.lines) == 1 else None
    return found[1] if found else _of_field(str(member.value) if member.value is not None else "")


def _of_field(value: str) -> str:
    """``Field(32, gt=0, description="…")`` → its description, limits and default."""
    call = ast.parse(value, mode="eval").body if value else None
    if not isinstance(call, ast.Call):
        return f"default `{value}`" if value else ""
    if ast.unparse(call.func) != "Field":
        return ""
    named = {each.arg: each.value for each in call.keywords}
    text = ast.literal_eval(named["description"]) if "description" in named else ""
    limits = [f"{words} `{ast.unparse(named[name])}`" for name, words in _LIMITS.items() if name in named]
    default = [f"default `{ast.unparse(call.args[0])}`"] if call.args else []
    return "; ".join(filter(None, [text.replace("<", "&lt;").replace("*", "\\*"), ", ".join([*limits, *default])]))
