"""Reads network files: ``aoi.load``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.resources import as_file, files
from os import PathLike
from pathlib import Path

from aoi.cutoff.rule import Rule, parse_rule, rule_of_policy
from aoi.errors import DataError, NetXError
from aoi.events.encoding import Encoding
from aoi.netx.read import NetworkFile, read_network
from aoi.workflow.progress import log

_ZOO = files("aoi_models.zoo")


@dataclass(frozen=True, eq=False, repr=False)
class Network(NetworkFile):
    """A network that was read: its layers (``description``), and the metadata for its use.

    ``readout``, ``encoding``, ``classes`` and ``rule`` come from the file; files of stock lava-dl have no encoding,
    classes and rule.
    """

    @property
    def encoding(self) -> Encoding | None:
        """How events are encoded as its input; None if the file does not say."""
        return self.metadata.encoding if self.metadata else None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of its outputs; empty if the file does not say."""
        return self.metadata.classes if self.metadata else ()

    @property
    def steps(self) -> int | None:
        """T, the timesteps of a sample; None if the file does not say."""
        return self.encoding.bins if self.encoding else None

    @cached_property
    def rule(self) -> Rule | None:
        """The calibrated stopping rule; None if there is none. Raises DataError if its parameters are invalid."""
        return rule_of_policy(self.metadata.policy) if self.metadata and self.metadata.policy else None

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.description.input_shape))
        takes = "values" if self.description.takes_values else "spikes"
        steps = f", T = {self.steps}" if self.steps else ""
        policy = self.metadata.policy if self.metadata else None
        rule = f"{policy.rule} >= {policy.threshold:.6g}" if policy else "none"
        return (
            f"Network({str(self.path)!r}: {shape} {takes} per step → {self.description.outputs} outputs, "
            f"{self.description.neurons:,} neurons{steps}, readout {self.readout}, rule {rule})"
        )


def load(
    source: str | PathLike[str],
    *,
    input_shape: tuple[int, int, int] | None = None,
    values: bool = False,
    recurrent: bool = False,
    strict: bool = False,
) -> Network:
    """Reads a network file: any NetX file, the ``network.net`` of a run folder, or ``zoo:NAME``.

    Args:
        source: the file, a run folder of ``aoi train``, or the name of a shipped network, such as ``zoo:digits``.
        input_shape: (C, H, W) of the input spikes, for a file that begins with a convolution and does not say it.
        values: keep an input block of CUBA neurons, so that the network takes values instead of spikes.
        recurrent: read layers of type ``recurrent``, which Lava drops without a word, as dense layers that feed
            themselves through ``recWeight``.
        strict: refuse a file of which Lava changes something, such as delays above 62, which it clamps. Otherwise that
            is logged.

    Raises:
        NetXError: the file is missing, damaged or not supported; the message names layer, field, value and limit.
        DataError: there is no such network in the zoo or the run folder, or ``values`` does not apply.

    Example:
        >>> net = aoi.load("zoo:digits")
        >>> net.readout, net.steps, len(net.classes)
        ('spikes', 24, 10)
    """
    path = network_path(source)
    file = read_network(path, input_shape=input_shape, input_block=values, recurrent=recurrent)
    for note in file.notes:
        if strict:
            raise NetXError(f"{note}; a strict reading refuses that")
        log.warning(note)
    if values and not file.description.takes_values:
        raise DataError(f"{file.path}: has no input block with neurons, so it takes spikes; leave values out")
    return Network(**{name: getattr(file, name) for name in NetworkFile.__dataclass_fields__})


def network_path(source: str | PathLike[str]) -> Path:
    """Path of the network file of ``source``, see :func:`load`. Raises DataError."""
    text = str(source)
    if text.startswith("zoo:"):
        return _in_zoo(text.removeprefix("zoo:"))
    path = Path(source)
    if path.is_dir():
        if not (path / "network.net").is_file():
            raise DataError(f"{path}: holds no network.net; write it with 'aoi export {path}', or give a network file")
        return path / "network.net"
    return path


def output_folder(source: str | PathLike[str]) -> Path:
    """Default folder for results of a network: its run folder, the folder of its file, or ``runs/NAME`` for
    ``zoo:NAME``."""
    text = str(source)
    if text.startswith("zoo:"):
        return Path("runs") / text.removeprefix("zoo:")
    path = Path(source)
    return path if path.is_dir() else path.parent


def refuse_zoo(network: NetworkFile) -> None:
    """Raises DataError for a file of the zoo, because it belongs to the installed package."""
    with as_file(_ZOO / network.path.name) as path:
        if path == network.path:
            raise DataError(f"{network.path}: belongs to the package and is not rewritten; copy it and use the copy")


def _in_zoo(name: str) -> Path:
    folder = _ZOO
    trained = sorted(file.name.removesuffix(".net") for file in folder.iterdir() if file.name.endswith(".net"))
    if name not in trained:
        raise DataError(f"zoo:{name}: no such trained network; the zoo has {', '.join(trained)}")
    with as_file(folder / f"{name}.net") as path:
        return path


def choose_rule(network: Network, rule: Rule | str | None) -> Rule | None:
    """The rule that an argument ``rule`` stands for; None for no rule.

    ``rule``: "own", the rule in the file, if it has one; a text such as ``confidence:0.9``, whose missing parameters
    come from the file; a rule; or None. Raises DataError for a text that is not a rule.
    """
    if rule == "own":
        return network.rule
    if isinstance(rule, str):
        return parse_rule(rule, network.metadata.policy if network.metadata else None)
    return rule


def require_rule(network: Network, rule: Rule | str | None) -> Rule:
    """As :func:`choose_rule`, but raises DataError if there is no rule."""
    chosen = choose_rule(network, rule)
    if chosen is None:
        raise DataError(
            f"{network.path}: holds no calibrated cutoff; run 'aoi calibrate', give a rule such as "
            "confidence:0.9:SCALE, or run all steps without a cutoff"
        )
    return chosen
