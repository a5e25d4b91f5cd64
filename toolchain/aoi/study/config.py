"""The configuration of a study: experiments × arms × seeds. Each combination is a cell, one training.

No torch here: a study is checked before anything slow is imported.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aoi.errors import ConfigError
from aoi.experiment.config import ExperimentConfig, explain, load_config
from aoi.experiment.yaml_file import read_yaml

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]
Values = dict[str, Any]
Seeds = tuple[Annotated[int, Field(ge=0, lt=2**31, strict=True)], ...]
_UNSET = re.compile(r"\$\{?(\w+)")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ExperimentEntry(_Frozen):
    """An experiment of a study: a configuration file, recordings, and how its cells are evaluated."""

    config: str = Field(min_length=1, description="file of the experiment, relative to the study's folder")
    source: str | None = Field(
        None, description="recordings that replace the file's; ${NAME} is an environment variable"
    )
    eval_split: Literal["calibration", "test"] = Field("test", description="split that evaluates the cells")
    cameras: int = Field(
        1, ge=1, le=64, description="digits: renderings of each evaluated recording, each by its own simulated camera"
    )
    seeds: Seeds | None = Field(None, min_length=1, description="seeds that replace the study's")
    set: Values = Field(default_factory=dict, description="dotted keys of the configuration and their values")
    arms: dict[Name, Values] = Field(
        default_factory=dict, description="further values of arms, in this experiment only"
    )


class StudyConfig(_Frozen):
    """What ``aoi sweep`` reads.

    If several places set a key, the last one counts: the experiment's file, ``set`` of the study, ``set`` of the
    experiment, the arm, the arm of the experiment, the seed. A value replaces all of the previous one. A cell's seed is
    the seed of the weights and of the splits, so that all arms of a seed are paired.
    """

    name: Name
    seeds: Seeds = Field(min_length=1)
    arms: dict[Name, Values] = Field(min_length=1)
    baselines: tuple[str, ...] = Field((), description="arms that the others are compared with; default: the first arm")
    max_drop: float = Field(0.005, gt=0, lt=1, description="drop from the best accuracy at which steps are compared")
    set: Values = Field(default_factory=dict)
    experiments: dict[Name, ExperimentEntry] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_known(self) -> StudyConfig:
        for where, names in (
            ("baselines", self.baselines),
            *((f"experiments.{key}.arms", tuple(each.arms)) for key, each in self.experiments.items()),
        ):
            for name in names:
                if name not in self.arms:
                    raise ValueError(f"{where}: {name} is not an arm; the arms are {', '.join(self.arms)}")
        sets = [self.set, *self.arms.values()]
        for entry in self.experiments.values():
            sets += [entry.set, *entry.arms.values()]
        for values in sets:
            for key in ("seed", "data.splits.seed"):
                if key in values:
                    raise ValueError(f"{key}: the study's seeds set it; remove it from set and arms")
        for where, seeds in (
            ("seeds", self.seeds),
            *((f"experiments.{key}.seeds", each.seeds or ()) for key, each in self.experiments.items()),
        ):
            if len(set(seeds)) != len(seeds):
                raise ValueError(f"{where}: a seed occurs twice; name each once")
        return self

    @property
    def references(self) -> tuple[str, ...]:
        """The arms that the others are compared with."""
        return self.baselines or (next(iter(self.arms)),)


@dataclass(frozen=True, eq=False)
class StudyCell:
    """One training of a study, and how it is evaluated."""

    experiment: str
    arm: str
    seed: int
    config: ExperimentConfig
    config_file: Path
    overrides: tuple[tuple[str, Any], ...]
    """Dotted keys and their values: everything that the cell changes in its experiment's file."""
    eval_split: Literal["calibration", "test"]
    cameras: int = 1
    """Number of renderings of each evaluated recording, each with its own noise."""

    @property
    def name(self) -> str:
        """``experiment/arm/seedN``, also its folder within the study's."""
        return f"{self.experiment}/{self.arm}/seed{self.seed}"


def load_study(path: Path) -> StudyConfig:
    """Reads a study's YAML file. Raises ConfigError."""
    tree = read_yaml(path, "no such study; examples are in configs/studies/")
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected name, seeds, arms, experiments; found {type(tree).__name__}")
    try:
        return StudyConfig.model_validate(tree)
    except ValidationError as error:
        raise explain(error, str(path)) from None


def expand_cells(
    study: StudyConfig, path: Path, sources: Mapping[str, str] | None = None, *, to_run: bool = True
) -> tuple[StudyCell, ...]:
    """All cells of the study in ``path``, ordered by seed, so that an unfinished study has complete pairs.

    ``sources``: experiment → recordings that replace the study's. ``to_run``: False if no cell will run, so that
    environment variables in sources may be unset. Raises ConfigError, also for the configuration of a cell.
    """
    found = []
    every = [study.seeds, *(entry.seeds or () for entry in study.experiments.values())]
    for seed in dict.fromkeys(seed for seeds in every for seed in seeds):
        for name, entry in study.experiments.items():
            if seed not in (entry.seeds or study.seeds):
                continue
            source = (sources or {}).get(name) or entry.source
            if to_run and source == entry.source:
                source = _expanded(source, f"{path}: experiments.{name}.source")
            for arm, values in study.arms.items():
                merged = {**study.set, **entry.set, **values, **entry.arms.get(arm, {})}
                if source is not None:
                    merged["data.source"] = source
                merged |= {"seed": seed, "data.splits.seed": seed}
                # Longer keys later: data.splits.seed changes what data.splits has set.
                overrides = tuple(sorted(merged.items(), key=lambda item: item[0].count(".")))
                file = path.parent / entry.config
                try:
                    config = load_config(file, overrides)
                except ConfigError as error:
                    raise ConfigError(f"{path}: experiment {name}, arm {arm}: {error}") from None
                if entry.cameras > 1 and config.data.source != "digits":
                    raise ConfigError(
                        f"{path}: experiments.{name}.cameras = {entry.cameras}: only the digits are rendered, "
                        f"and its recordings are {config.data.source}; remove cameras"
                    )
                found.append(StudyCell(name, arm, seed, config, file, overrides, entry.eval_split, entry.cameras))
    return tuple(found)


def _expanded(source: str | None, where: str) -> str | None:
    if source is None:
        return None
    text = os.path.expandvars(source)
    unset = _UNSET.search(text)
    if unset:
        raise ConfigError(
            f"{where} = {source}: ${unset[1]} is not set; set it, or name the recordings with the option data"
        )
    return text
