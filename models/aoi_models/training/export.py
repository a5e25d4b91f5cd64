"""Exports a trained run folder as a network file."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path

from aoi.experiment.run_folder import RunFolder
from aoi.netx.metadata import Metadata
from aoi.netx.write import write_network
from aoi_models.training.train import load_network

_PACKAGES = ("aoi-toolchain", "lava-nc", "lava-dl", "torch", "numpy", "tonic")


def export_run(run: RunFolder, out: Path) -> Path:
    """Writes the trained weights of ``run`` and everything a deployment needs to ``out``; returns ``out``.

    Raises ConfigError if the run is incomplete, and NetXError if the chip would not execute the network bit-exactly.
    """
    config, data = run.read_config(), run.read_data()
    encoding = config.encoding.for_sensor(data.sensor_size)
    channels, height, width, _ = encoding.shape
    network = load_network(run, (channels, height, width), len(data.classes))
    metadata = Metadata(
        encoding=encoding,
        classes=data.classes,
        readout=config.network.readout,
        data=config.data,
        provenance={
            "config": config.model_dump(mode="json"),
            "python": platform.python_version(),
            "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        },
    )
    write_network(out, network.describe(), metadata, run.read_trained_on())
    return out
