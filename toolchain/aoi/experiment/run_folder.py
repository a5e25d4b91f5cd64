"""The run folder, which training writes and export reads.

``config.yaml`` (all defaults filled in), ``data.json`` (classes, sensor), ``trained_on.npy`` (fingerprints of the
recordings), ``checkpoints/`` (to resume), ``weights.safetensors`` (of the kept epoch), ``logs/`` (CSV and TensorBoard),
later ``network.net``.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field

from aoi.errors import ConfigError
from aoi.experiment.config import ExperimentConfig, dump_config, parse_config
from aoi.files import atomic_file, write_atomically


class RunData(BaseModel):
    """Properties of the data set that export needs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[str, ...] = Field(min_length=2)
    sensor_size: tuple[int, int, int]


@dataclass(frozen=True)
class RunFolder:
    """The files of a run folder: their paths, and how to read them."""

    path: Path

    @property
    def config_file(self) -> Path:
        return self.path / "config.yaml"

    @property
    def data_file(self) -> Path:
        return self.path / "data.json"

    @property
    def trained_on_file(self) -> Path:
        return self.path / "trained_on.npy"

    @property
    def weights(self) -> Path:
        return self.path / "weights.safetensors"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        return self.checkpoints / "last.ckpt"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def network(self) -> Path:
        return self.path / "network.net"

    def claim(self, *, overwrite: bool) -> None:
        """Raises ConfigError unless a new run may be written here. Changes nothing."""
        for part in (self.path, *self.path.parents):
            if part.exists() and not part.is_dir():
                raise ConfigError(f"run {self.path}: {part} is a file; choose a folder")
        ours = self.config_file.is_file() and self.data_file.is_file()
        if self.path.exists() and any(self.path.iterdir()) and not ours:
            raise ConfigError(
                f"run {self.path}: the folder is not empty and holds no run; choose a new or empty folder"
            )
        if ours and not overwrite:
            raise ConfigError(f"{self.path}: already holds a run; resume continues it, overwrite replaces it")

    def start(self, config: ExperimentConfig, about: RunData, trained_on: np.ndarray) -> None:
        """Removes the files of an earlier run and writes configuration, data set and fingerprints of this one.

        Raises ConfigError or WriteError if the folder cannot be written to.
        """
        try:
            for folder in (self.checkpoints, self.logs):
                shutil.rmtree(folder, ignore_errors=True)
            for file in (self.weights, self.network):
                file.unlink(missing_ok=True)
            self.checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"run {self.path}: cannot be written to ({error.strerror or error}); choose another folder"
            ) from error
        write_atomically(self.config_file, dump_config(config).encode())
        write_atomically(self.data_file, about.model_dump_json(indent=1).encode())
        with atomic_file(self.trained_on_file) as array:
            np.save(array, trained_on)

    def read_config(self) -> ExperimentConfig:
        with self._reading(self.config_file) as content:
            return parse_config(yaml.safe_load(content.decode()), str(self.config_file))

    def read_data(self) -> RunData:
        with self._reading(self.data_file) as content:
            return RunData.model_validate_json(content)

    def read_trained_on(self) -> np.ndarray:
        """Fingerprints of the recordings used for training and validation, uint64 (recordings,)."""
        with self._reading(self.trained_on_file) as content:
            array = np.load(io.BytesIO(content), allow_pickle=False)
            if array.dtype != np.uint64 or array.ndim != 1:
                raise ValueError(f"holds {array.dtype} {array.shape} instead of uint64 (recordings,)")
            return array

    @contextmanager
    def _reading(self, file: Path) -> Iterator[bytes]:
        """Yields the content of ``file``; turns every error in reading it into a ConfigError."""
        if not file.is_file():
            raise ConfigError(f"{self.path}: not a run folder ({file.name} is missing); make one with aoi train")
        try:
            yield file.read_bytes()
        except (ValueError, EOFError, OSError, yaml.YAMLError, RecursionError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ConfigError(f"{file}: is damaged: {reason}; train again with overwrite") from None
