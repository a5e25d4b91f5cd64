"""The site: it builds, its links lead somewhere, it names everything there is, and what it shows runs."""

from __future__ import annotations

import html
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

import aoi
from aoi.command import aoi_command
from tests.report.browser import needs_browser, open_browser

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.relative_to(ROOT) for path in (ROOT / "docs").rglob("*.md"))
RUNNING = ["docs/index.md", "docs/howto/choose_a_rule.md", "docs/howto/stock_processes.md", "docs/howto/board_fit.md",
           "docs/howto/str_in_your_loop.md", "docs/howto/open_netx.md", "docs/reference/api/engine.md",
           "docs/reference/api/boards.md", "docs/reference/api/live.md"]  # fmt: skip
_BLOCK = re.compile(r"^( *)```(python|sh)\n(.*?)^\1```", re.M | re.S)
_NOT_RUN = re.compile(r"pip install|install-lava|THEIRS")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return folder


def pages(site: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(site.rglob("*.html")):
        yield path, path.read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_link_leads_somewhere(site: Path) -> None:
    ids = {path: set(re.findall(r'\bid="([^"]+)"', text)) for path, text in pages(site)}
    broken = []
    for path, text in pages(site):
        if path.name == "404.html":
            continue  # its addresses begin at the root of a server
        for link in map(html.unescape, re.findall(r'\b(?:href|src)="([^"]+)"', text)):
            if urlsplit(link).scheme in ("http", "https", "data", "mailto") or link.startswith("javascript:"):
                continue
            target, anchor = urldefrag(unquote(link))
            file = (path.parent / target).resolve() if target else path
            if not file.is_file() or (anchor and not anchor.startswith("__") and anchor not in ids.get(file, {anchor})):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert not broken, "\n".join(broken)


@pytest.mark.slow
def test_the_public_face_is_on_the_site(site: Path) -> None:
    text = (site / "reference/api/aoi.html").read_text(encoding="utf-8")
    for name in aoi.__all__:
        if name == "__version__":
            assert "aoi.__version__" in text
            continue
        assert inspect.getdoc(getattr(aoi, name)), name
        assert re.search(rf'id="aoi\.{name}"', text), name


@pytest.mark.slow
def test_every_command_is_on_the_site(site: Path) -> None:
    text = (site / "reference/cli.html").read_text(encoding="utf-8")
    listed = re.findall(r"^  (\w[\w-]*)  ", help_of(), re.M)
    assert {"train", "evaluate", "deploy", "jobs"} <= set(listed)
    inner = [f"jobs {name}" for name in re.findall(r"^  (\w[\w-]*)  ", help_of("jobs"), re.M)]
    for name in [each for each in listed if each != "jobs"] + inner:
        section = text.partition(f'id="aoi-{name.replace(" ", "-")}"')[2].partition("<h2")[0]
        assert section, name
        for option in re.findall(r"^  (--[\w-]+)", help_of(*name.split()), re.M):
            assert option == "--help" or f"<code>{option}</code>" in section, f"{name} {option}"


def help_of(*command: str) -> str:
    return subprocess.run([*aoi_command(), *command, "--help"], capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_docstrings_read_as_text(site: Path) -> None:
    """No markup of the source is left over: roles, doubled backticks, sections that were not recognised."""
    for path, text in pages(site):
        shown = re.sub(r"<pre.*?</pre>|<script.*?</script>", "", text, flags=re.S)
        found = re.search(r":(?:func|class|meth|attr):|``|<p>(?:Args|Raises|Example|Yields):", shown)
        assert not found, f"{path.relative_to(site)}: {shown[found.start() - 80 : found.end() + 80]}"


@pytest.mark.slow
@needs_browser
def test_pages_ask_nobody_for_anything(site: Path, tmp_path: Path) -> None:
    with open_browser(tmp_path) as browser:
        for page in ("index.html", "reference/api/aoi.html", "tutorials/first_network.html", "str.html"):
            browser.open(site / page)
            asked = [each for each in browser.requests() if each.startswith(("http", "ws"))]
            assert not asked, page
            assert not [each for each in browser.console() if "ERR_" in each], page


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", RUNNING)
def test_the_code_on_the_page_runs(page: str, tmp_path: Path) -> None:
    """Its Python in one go, then its commands; what installs, and what needs files of the reader's, is left out."""
    blocks = [(kind, dedent(text)) for _, kind, text in _BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))]
    code = "\n".join(text for kind, text in blocks if kind == "python")
    lines = "".join(text for kind, text in blocks if kind == "sh").splitlines()
    commands = [line for line in lines if not _NOT_RUN.search(line)]
    assert code or commands
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for asked in ([sys.executable, "-c", code], ["bash", "-euc", "\n".join(commands)]):
        ran = subprocess.run(asked, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr


def test_pages_name_files_that_are_there() -> None:
    """Sources, tests and configurations that a page names exist."""
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for name in re.findall(r"`((?:toolchain|models|deploy|benchmarks|tests|configs|docs)/[\w./-]+)`", text):
            assert (ROOT / name).exists(), f"{page}: {name}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "options", "sometimes"),
    [
        ("evaluate", (), {"rules", "corruptions"}),
        ("deploy", ("--samples", "5"), {"job", "on_node"}),
        ("calibrate", (), set()),
        ("verify", ("--against", "engine"), set()),
        ("inspect", (), set()),
        ("cost", (), set()),
    ],
)
def test_json_keys_are_those_of_the_page(
    command: str, options: tuple[str, ...], sometimes: set[str], tmp_path: Path
) -> None:
    net = tmp_path / "digits.net"
    shutil.copy(aoi.load("zoo:digits").path, net)
    asked = [*aoi_command(), command, str(net), *options, "--json"]
    ran = subprocess.run(asked, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    text = (ROOT / "docs/reference/json.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## {command}\n")[2].partition("\n## ")[0]
    if section:
        cells = re.findall(r"^\| (`.+?`) \|", section, re.M)
    else:
        cells = re.findall(rf"^\| `{command}` \| (.+) \|$", text, re.M)
    documented = {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}
    assert documented - sometimes == set(json.loads(ran.stdout))
    assert sometimes <= documented
