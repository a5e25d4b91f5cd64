"""Exports a trained run folder as a network file: ``aoi.export``."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from aoi.compat.extras import needs
from aoi.files import claimed


def export(run: str | PathLike[str], out: str | PathLike[str] | None = None) -> Path:
    """Writes a trained network as one NetX file that stock lava-dl loads, and returns its path.

    Args:
        run: a run folder of :func:`aoi.train`.
        out: the network file; None: ``network.net`` in the run folder.

    Raises:
        ConfigError: it is not a run folder, or the training has not finished.
        NetXError: Lava would not execute the network bit-exactly as trained; the message names layer and value.

    Example:
        >>> aoi.export("runs/digits")
        PosixPath('runs/digits/network.net')
    """
    from aoi.experiment.run_folder import RunFolder

    with needs("train"):
        from aoi_models.training.export import export_run

    folder = RunFolder(Path(run))
    target = Path(out) if out is not None else folder.network
    with claimed(target, "aoi export"):
        return export_run(folder, target)
