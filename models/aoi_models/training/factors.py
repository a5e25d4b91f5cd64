"""Logs the Spatial-Temporal Factor and the spike rate by epoch, layer and step, as a table and a plot."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import lightning
import numpy as np

from aoi.files import atomic_path, write_atomically

_COLUMNS = ("epoch", "layer", "step", "stf", "rate")
_CURVES = 6  # epochs in the plot

Row = tuple[int, int, int, float, float]  # in the order of _COLUMNS; epochs and steps from 1, layers from 0


class FactorLog(lightning.Callback):
    """Writes ``stf.csv`` into ``folder`` after each validation, and ``stf.png`` at the end.

    Reads ``factors`` of the module, see :attr:`~aoi_models.training.module.AnytimeModule.factors`.
    """

    def __init__(self, folder: Path) -> None:
        self.table, self.picture = folder / "stf.csv", folder / "stf.png"
        self._rows: list[Row] = []

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """A resumed run keeps the rows up to its checkpoint and drops the later ones."""
        epochs_done = trainer.current_epoch
        self._rows = [row for row in read_factors(self.table) if row[0] <= epochs_done] if epochs_done else []

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        values = pl_module.factors.tolist()  # type: ignore[operator, union-attr]
        self._rows += [
            (epoch, layer, step, *pair)
            for layer, steps in enumerate(values)
            for step, pair in enumerate(steps, start=1)
        ]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows((*row[:3], f"{row[3]:.4f}", f"{row[4]:.5f}") for row in self._rows)
        write_atomically(self.table, text.getvalue().encode())

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if self._rows:
            plot_factors(self._rows, self.picture)


def read_factors(table: Path) -> list[Row]:
    """The rows of ``stf.csv``; an empty list if the file does not exist."""
    if not table.is_file():
        return []
    rows = list(csv.reader(table.read_text().splitlines()))[1:]
    return [(int(epoch), int(layer), int(step), float(stf), float(rate)) for epoch, layer, step, stf, rate in rows]


def plot_factors(rows: list[Row], path: Path) -> None:
    """Plots STF over the steps: one panel per layer, one curve for each of a few epochs, later epochs darker."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layers = sorted({row[1] for row in rows})
    epochs = sorted({row[0] for row in rows})
    shown = [epochs[i] for i in np.unique(np.linspace(0, len(epochs) - 1, _CURVES).round().astype(int))]
    figure = Figure(figsize=(3.2 * len(layers) + 1.2, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(layers), sharey=True, squeeze=False)[0]
    for layer, axes in zip(layers, panels, strict=True):
        for index, epoch in enumerate(shown):
            curve = [(row[2], row[3]) for row in rows if row[0] == epoch and row[1] == layer]
            shade = f"{0.8 * (1 - (index + 1) / len(shown)):.3f}"  # grey level; the last epoch is black
            axes.plot(*zip(*curve, strict=True), color=shade, label=f"epoch {epoch}")
        axes.set(title=f"layer {layer}", xlabel="timestep t", ylim=(0, 1))
    panels[0].set_ylabel("Spatial-Temporal Factor")
    panels[-1].legend(frameon=False, fontsize="small")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=144)
