"""The configuration of an experiment: one YAML file, checked before anything runs."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aoi.errors import ConfigError
from aoi.events.config import DataConfig
from aoi.events.encoding import Encoding
from aoi.experiment.augment import AugmentConfig
from aoi.experiment.loss import LossConfig
from aoi.experiment.network import NetworkSpec
from aoi.experiment.regulariser import RegulariserConfig
from aoi.experiment.yaml_file import brief, parse_yaml, read_yaml
from aoi.experiment.zoo import expand


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EncodingConfig(_Config):
    """:class:`~aoi.events.encoding.Encoding` without the sensor size, which comes from the data set."""

    window_us: int = Field(gt=0)
    bins: int = Field(gt=0, le=4096)
    merge_polarities: bool = False
    downsample: int = Field(1, ge=1, le=64)
    denoise_us: int | None = Field(None, gt=0)

    def for_sensor(self, sensor_size: tuple[int, int, int]) -> Encoding:
        return Encoding(sensor_size=sensor_size, **self.model_dump())


class TrainingConfig(_Config):
    epochs: int = Field(gt=0, le=100_000)
    batch_size: int = Field(32, gt=0, le=65_536)
    learning_rate: float = Field(5e-3, gt=0, le=10, description="peak of the one-cycle schedule (Adam)")
    threads: int = Field(1, gt=0, le=256, description="CPU threads; one is best for small networks and busy machines")
    chunk_steps: int | None = Field(
        None, gt=0, description="timesteps computed at a time: takes less memory and more time; left out: all at once"
    )
    keep: Literal["best", "last"] = Field(
        "best",
        description="which epoch's weights to keep: that with the best validation, or the last; with few validation "
        "recordings the best of many epochs is mostly luck, so keep the last",
    )
    loss: LossConfig = LossConfig()
    regulariser: RegulariserConfig = RegulariserConfig()
    augment: AugmentConfig = AugmentConfig()

    @model_validator(mode="after")
    def _chunking_allowed(self) -> TrainingConfig:
        if self.chunk_steps is not None and self.regulariser.name == "rcs":
            raise ConfigError(
                f"training.chunk_steps = {self.chunk_steps}: RCS needs the activity of all steps at once; "
                "leave chunk_steps out, or choose another regulariser"
            )
        return self


class CutoffConfig(_Config):
    max_drop: float = Field(0.005, gt=0, lt=1, description="largest accuracy drop that the cutoff may cause")


class ExperimentConfig(_Config):
    """The configuration that ``aoi train`` reads. A run folder holds a copy with all defaults filled in."""

    name: str = Field(pattern=r"^\w[\w.-]*$", description="also the name of the run folder")
    seed: int = Field(0, ge=0, lt=2**31)
    data: DataConfig = DataConfig()
    encoding: EncodingConfig
    network: NetworkSpec
    training: TrainingConfig
    cutoff: CutoffConfig = CutoffConfig()

    @model_validator(mode="after")
    def _one_target_per_layer(self) -> ExperimentConfig:
        try:
            self.training.regulariser.targets(len(self.network.layers))
        except ValueError as error:
            raise ConfigError(f"training.regulariser.target: {error}") from None
        return self


def explain(error: ValidationError, path: str) -> ConfigError:
    """The first error that pydantic found, in one line; ``path`` names the file."""
    first = error.errors()[0]
    where = _one_line(".".join(str(part) for part in first["loc"] if part not in ("dense", "conv")))
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        message = f"unknown key '{where}'; check its spelling and indentation"
    elif not where:  # a check of the whole configuration
        message = _one_line(first["msg"].removeprefix("Value error, "))
    else:
        value = "" if first["type"] == "missing" else f" = {brief(first['input'])}"
        message = f"'{where}'{value}: {_one_line(first['msg'].lower())}"
    return ConfigError(f"{path}: {message}{more}")


def _one_line(text: str) -> str:
    """At most 200 letters of a text that may hold what the file holds."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= 200 else f"{line[:197]}…"


def config_folder() -> Path:
    """Folder of the shipped experiments: configs/ of the checkout, or its copy in the installed package."""
    checkout = Path(__file__).parents[3] / "configs"
    return checkout if checkout.is_dir() else Path(__file__).parents[1] / "configs"


Change = tuple[str, Any]
"""A dotted key of a configuration and its new value, such as ``("training.epochs", 5)``."""


def parse_config(tree: Any, where: str, changes: Iterable[Change] = ()) -> ExperimentConfig:
    """Applies ``changes`` to a parsed YAML document and checks it; ``where`` names it in errors. Raises ConfigError."""
    for key, value in changes:
        _put(tree, key.split("."), copy.deepcopy(value), key)
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{where}: expected keys such as name, encoding, network and training; found {type(tree).__name__}"
        )
    if "network" in tree:
        tree = {**tree, "network": expand(tree["network"])}
    try:
        return ExperimentConfig.model_validate(tree)
    except ValidationError as error:
        raise explain(error, where) from None


def load_config(path: Path, changes: Iterable[Change] = ()) -> ExperimentConfig:
    """Reads an experiment's YAML file and applies ``changes`` to it. Raises ConfigError."""
    tree = read_yaml(path, f"no such configuration file; the shipped ones are in {config_folder()}")
    return parse_config(tree, str(path), changes)


def parse_change(text: str) -> Change:
    """Splits ``training.epochs=5`` into the key and its value, parsed as YAML. Raises ConfigError."""
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise ConfigError(f"set {text}: expected key=value, such as training.epochs=5")
    try:
        return key, parse_yaml(value)
    except ConfigError:
        raise ConfigError(
            f"set {text:.80}: '{value:.60}' is not a YAML value; quote text with special characters"
        ) from None


def _put(tree: Any, keys: list[str], value: Any, where: str) -> None:
    node = tree
    *parents, leaf = keys
    for parent in parents:
        if isinstance(node, dict):
            node = node.setdefault(parent, {})
        elif isinstance(node, list) and parent.isdigit() and int(parent) < len(node):
            node = node[int(parent)]
    if not isinstance(node, dict):
        raise ConfigError(f"{where}: '{'.'.join(parents)}' has no keys below it")
    node[leaf] = value


def dump_config(config: ExperimentConfig) -> str:
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
