"""Networks to start from, by name: ``network: zoo:conv``, or with changes ``network: {zoo: conv, readout: spikes}``.

Each is a YAML file in ``aoi_models/zoo`` with the keys of :class:`~aoi.experiment.network.NetworkSpec`. All of them
export bit-exactly.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml

from aoi.errors import ConfigError

_FOLDER = files("aoi_models.zoo")


def names() -> tuple[str, ...]:
    return tuple(sorted(file.name[: -len(".yaml")] for file in _FOLDER.iterdir() if file.name.endswith(".yaml")))


def expand(network: Any) -> Any:
    """The ``network`` part of a configuration, with a zoo name replaced by that network's keys. Raises ConfigError."""
    if isinstance(network, str) and network.startswith("zoo:"):
        network = {"zoo": network.removeprefix("zoo:")}
    if not isinstance(network, dict) or "zoo" not in network:
        return network
    name = network["zoo"]
    if name not in names():
        raise ConfigError(f"network: zoo:{name}: no such network; the zoo has {', '.join(names())}")
    tree = yaml.safe_load((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return {**tree, **{key: value for key, value in network.items() if key != "zoo"}}
