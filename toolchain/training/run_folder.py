"""The run folder: what training leaves behind and export picks up.

``config.yaml`` (resolved), ``data.json`` and ``trained_on.npy`` (what was seen), ``checkpoints/`` (resumable),
``weights.safetensors`` (the best), ``logs/`` (CSV and TensorBoard), later ``network.net``.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from toolchain.errors import ConfigError
from toolchain.files import atomic_file, write_atomically
from toolchain.training.config import ExperimentConfig, dump_config, parse_config


@dataclass(frozen=True)
class RunFolder:
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

    def clear(self) -> None:
        """Takes away what an earlier run left, so that nothing of it is taken for this one's."""
        for folder in (self.checkpoints, self.logs):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.weights, self.network):
            file.unlink(missing_ok=True)

    def start(self, config: ExperimentConfig, data: dict[str, Any], trained_on: np.ndarray) -> None:
        """Writes what the run is about."""
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        write_atomically(self.config_file, dump_config(config).encode())
        write_atomically(self.data_file, json.dumps(data, indent=1).encode())
        with atomic_file(self.trained_on_file) as file:
            np.save(file, trained_on)

    def read_config(self) -> ExperimentConfig:
        self._require(self.config_file)
        return parse_config(yaml.safe_load(self.config_file.read_text(encoding="utf-8")), str(self.config_file))

    def read_data(self) -> dict[str, Any]:
        self._require(self.data_file)
        return dict(json.loads(self.data_file.read_text(encoding="utf-8")))

    def read_trained_on(self) -> np.ndarray:
        self._require(self.trained_on_file)
        return np.load(self.trained_on_file, allow_pickle=False)

    def _require(self, file: Path) -> None:
        if not file.is_file():
            raise ConfigError(f"{self.path}: not a run folder ({os.fspath(file.name)} is missing); aoi train makes one")
