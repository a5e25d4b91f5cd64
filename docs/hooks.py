"""What the site makes anew at each build: the CLI reference, and pages whose text lies outside ``docs``."""

from __future__ import annotations

import inspect
import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
CLI_PAGE = "reference/cli.md"
CARDS = {"reference/zoo_digits.md": "models/aoi_models/zoo/digits.md"}
"""Page → the file that holds its text; pages link to that file, so that links work in a checkout too."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    files.append(File.generated(config, CLI_PAGE, content=cli_reference()))
    for page, source in CARDS.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    up = "../" * page.file.src_uri.count("/")
    for target, source in CARDS.items():
        markdown = markdown.replace(f"]({up}../{source})", f"]({up}{target})")
    return markdown


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links of notebooks name sources, as those of pages do; what does not exist stays, for the check of links."""

    def to_page(found: re.Match[str]) -> str:
        source = posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), found[1]))
        target = files.get_file_from_path(source)
        return f'href="{target.url_relative_to(page.file)}{found[2] or ""}"' if target else found[0]

    if page.file.src_uri.endswith((".ipynb", ".py")):
        html = re.sub(r'href="([\w./-]+\.(?:md|ipynb|py))(#[^"]*)?"', to_page, html)
    return html


def cli_reference() -> str:
    """Every command, its help and its options, as Markdown, from the command line itself."""
    from aoi.cli.main import app

    lines = [
        "# Command line",
        "",
        str(app.info.help),
        "",
        "Every command prints one JSON object on stdout with `--json` ([keys](json.md)) and everything else on stderr. "
        "Exit codes: 0 done, 1 the check failed or the run broke off, 2 bad input, 130 interrupted.",
        "",
    ]
    for name, command in commands(app, "aoi"):
        lines += _section(name, command)
    return "\n".join(lines)


def commands(app: Any, name: str) -> Iterator[tuple[str, Callable[..., None]]]:
    """The full name and the function of each command that the help lists, those of groups last."""
    for info in app.registered_commands:
        if not info.hidden:
            yield f"{name} {info.name or info.callback.__name__}", info.callback
    for group in app.registered_groups:
        yield from commands(group.typer_instance, f"{name} {group.name}")


def _section(name: str, command: Callable[..., None]) -> list[str]:
    text, examples = _split_examples(inspect.getdoc(command) or "")
    given, rows = [], []
    hints = get_type_hints(command, include_extras=True)
    for parameter in inspect.signature(command).parameters.values():
        kind, info = get_args(hints[parameter.name])[:2]
        required = parameter.default is inspect.Parameter.empty
        if type(info).__name__ == "ArgumentInfo":
            shown = info.metavar or parameter.name.upper()
            given.append(shown if required else f"[{shown}]")
            names = f"`{shown}`"
        elif info.hidden:
            continue
        else:
            names = _option(parameter.name, kind, info)
        default = "" if required or parameter.default in (None, False) else f"`{parameter.default}`"
        rows.append((names, (info.help or "") + (" Required." if required and "--" in names else ""), default))
    lines = [f"## {name}", "", _marked(text), "", "```text", " ".join([name, *given, "[OPTIONS]"]), "```", ""]
    if examples:
        lines += ["```sh", *examples, "```", ""]
    lines += ["| option | meaning | default |", "|---|---|---|"]
    return [*lines, *(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows), ""]


def _split_examples(text: str) -> tuple[str, list[str]]:
    kept, examples = [], []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("Example:"):
            examples.append(" ".join(paragraph.split()).removeprefix("Example: "))
        else:
            kept.append(paragraph)
    return "\n\n".join(kept), examples


def _option(name: str, kind: Any, info: Any) -> str:
    given = info.param_decls or ((info.default,) if str(info.default).startswith("--") else ())
    names = ", ".join(f"`{each}`" for each in given or (f"--{name.replace('_', '-')}",))
    kinds = [each for each in (*get_args(kind), kind) if each is not type(None)]
    if bool in kinds:
        return names
    choices = next((get_args(each) for each in kinds if get_origin(each) is Literal), None)
    plain = next((each for each in kinds if isinstance(each, type)), str)
    value = info.metavar or ("|".join(choices) if choices else {str: "TEXT"}.get(plain, plain.__name__.upper()))
    return f"{names} `{value}`"


def _marked(text: str) -> str:
    """Options and quoted commands as code; outside code, angle brackets are text."""
    text = re.sub(r"(?<![\w`-])(--[a-z][a-z-]*|'aoi [^']+')", lambda found: f"`{found[1].strip(chr(39))}`", text)
    return "`".join(part if index % 2 else part.replace("<", "&lt;") for index, part in enumerate(text.split("`")))


def _cell(text: str) -> str:
    return _marked(" ".join(text.split())).replace("|", "\\|")
