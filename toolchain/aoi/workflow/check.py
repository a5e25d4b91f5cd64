"""One verdict for a network file of anybody's: ``aoi.check``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from aoi.errors import AoiError, MissingDependency, NetXError
from aoi.nir.read import is_nir
from aoi.workflow.inspect import board_fits
from aoi.workflow.network import Network, load, network_path
from aoi.workflow.progress import Progress
from aoi.workflow.result import Result
from aoi.workflow.verify import verify

State = Literal["ok", "fails", "missing", "not tried"]


@dataclass(frozen=True)
class Finding:
    """The answer to one question about a file."""

    question: str
    state: State
    text: str


@dataclass(frozen=True, repr=False)
class FileCheck(Result):
    """What a file is and what it lacks."""

    path: str
    kind: str
    """ "NetX" or "NIR"."""
    ok: bool
    """Whether the engine runs it and no executor differs."""
    findings: list[Finding]
    next_command: str
    """What to type next."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def rows(self) -> Sequence[tuple[str, str]]:
        return [
            *((each.question, f"{each.state}: {each.text}" if each.text else each.state) for each in self.findings),
            ("next", self.next_command),
        ]


def check(
    source: str | PathLike[str],
    *,
    input_shape: tuple[int, int, int] | None = None,
    recurrent: bool = False,
    progress: Progress | None = None,
) -> FileCheck:
    """Opens, runs and compares a NetX or NIR file, and says what it lacks.

    Runs four random samples of eight steps in the engine, SLAYER and Lava as far as they are installed.

    Args:
        source: the file, a run folder, or ``zoo:NAME``.
        input_shape, recurrent: as for :func:`aoi.load`.
        progress: called with (label, done, total).

    Raises:
        NetXError, DataError: the file does not open; the message says why.

    Example:
        >>> found = aoi.check("zoo:digits")
        >>> found.ok, found.next_command
        (True, 'aoi evaluate zoo:digits')
    """
    path = network_path(source)
    if is_nir(path):
        return _nir(Path(path), progress)
    network = load(source, input_shape=input_shape, recurrent=recurrent)
    findings = [Finding("opens", "ok", repr(network).removeprefix(f"Network({str(network.path)!r}: ").rstrip(")"))]
    findings += [Finding("changed by Lava", "ok", note) for note in network.notes]
    executed = _executed(network, progress)
    findings += executed
    for name, fit in board_fits(network).items():
        first = f" ({fit.findings[0]})" if fit.findings else ""
        findings.append(Finding(name, "fails" if fit.verdict == "does not fit" else "ok", f"{fit}{first}"))
    findings += _missing(network)
    ok = all(each.state != "fails" for each in executed)
    return FileCheck(str(source), "NetX", ok, findings, _next(str(source), network, ok))


def _executed(network: Network, progress: Progress | None) -> list[Finding]:
    findings = []
    for against in ("engine", "slayer", "lava"):
        try:
            found = verify(network, against=against, samples=2, steps=8, progress=progress)
        except MissingDependency as error:
            findings.append(Finding(f"in {against}", "not tried", str(error)))
        except NetXError as error:
            findings.append(Finding(f"in {against}", "not tried" if against != "engine" else "fails", str(error)))
        except AoiError as error:
            findings.append(Finding(f"in {against}", "fails", str(error)))
        else:
            text = f"{found.compared:,} values equal to the engine's, on {found.input}"
            if found.silent_layers:
                text += f"; never fired: layers {', '.join(found.silent_layers)}"
            findings.append(
                Finding(f"in {against}", "ok", text)
                if found.equal
                else Finding(f"in {against}", "fails", found.first_mismatch or "differs")
            )
    return findings


def _missing(network: Network) -> list[Finding]:
    found = {
        "encoding": (network.encoding, "recordings need --window-us and --bins"),
        "classes": (network.classes, "outputs are numbered"),
        "cutoff": (network.rule, "'aoi calibrate' adds one"),
    }
    return [Finding(name, "ok" if value else "missing", "" if value else text) for name, (value, text) in found.items()]


def _next(source: str, network: Network, ok: bool) -> str:
    if not ok:
        return f"aoi verify {source}"
    if network.encoding is None:
        return f"aoi evaluate {source} --data FOLDER --window-us 100000 --bins 50"
    return f"aoi evaluate {source}" if network.rule else f"aoi calibrate {source}"


def _nir(path: Path, progress: Progress | None) -> FileCheck:
    from aoi.workflow.import_nir import UnsupportedNodes, import_nir

    out = path.with_suffix(".net").name
    try:
        with TemporaryDirectory() as folder:
            found = import_nir(path, Path(folder) / out)
            executed = _executed(found.network, progress)
    except UnsupportedNodes as error:
        findings = [Finding("opens", "ok", f"{len(error.verdicts)} nodes")]
        findings += [
            Finding(f"node {each.node}", "fails", each.text) for each in error.verdicts if each.verdict == "unsupported"
        ]
        return FileCheck(str(path), "NIR", False, findings, f"aoi import {path}")
    counts = found.to_dict()
    findings = [Finding("opens", "ok", f"{counts['exact']} nodes exact, {counts['approximate']} approximate")]
    findings += [Finding(f"node {n.node}", "ok", n.text) for n in found.verdicts if n.verdict == "approximate"]
    findings += [Finding("note", "ok", note) for note in found.notes]
    findings += executed
    for name, fit in board_fits(found.network).items():
        first = f" ({fit.findings[0]})" if fit.findings else ""
        findings.append(Finding(name, "fails" if fit.verdict == "does not fit" else "ok", f"{fit}{first}"))
    ok = all(each.state != "fails" for each in executed)
    return FileCheck(str(path), "NIR", ok, findings, f"aoi import {path} --out {out}")
