"""Chooses the recordings that the page shows one by one, and prepares their data."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from aoi.cutoff.rule import Decisions, Rule, statistics
from aoi.report.explorer import base64

WRONG, SLOW, FAST = "Wrong", "Slowest", "Fastest of each class"
_EACH_GROUP = 10
_BYTES = 1_500_000  # of all shown recordings, before base64
_SIDE = 64  # pixels; larger sensors are shown at a lower resolution
_ROWS = 96  # shown neurons per layer


def choose(decisions: Decisions, labels: np.ndarray, most: int) -> list[tuple[int, str]]:
    """At most ``most`` (but at least 3) samples with the reason: the wrong ones of the highest confidence; the slowest
    correct ones; the fastest correct one of each class. ``labels``: int (samples,)."""
    correct = decisions.prediction == labels
    wrong = np.flatnonzero(~correct)
    wrong = wrong[np.argsort(-decisions.confidence[wrong], kind="stable")]
    slow = np.flatnonzero(correct & (decisions.step > decisions.step.min()))
    slow = slow[np.argsort(-decisions.step[slow], kind="stable")]
    order = np.argsort(decisions.step, kind="stable")
    order = order[correct[order]]
    fast = order[np.unique(labels[order], return_index=True)[1]]
    room = max(1, min(_EACH_GROUP, most // 3))
    chosen: dict[int, str] = {}
    for group, members in ((WRONG, wrong), (FAST, fast), (SLOW, slow)):
        fresh = [int(i) for i in members if int(i) not in chosen]
        chosen |= dict.fromkeys(fresh[:room], group)
    return sorted(chosen.items(), key=lambda each: (WRONG, SLOW, FAST).index(each[1]))


def max_recordings(shape: tuple[int, int, int, int], layers: int, rules: int, classes: int) -> int:
    """How many recordings of ``shape`` (C, H, W, T) fit on the page."""
    channels, height, width, steps = shape
    factor = pooling(shape)
    pixels = min(channels, 2) * -(-height // factor) * -(-width // factor)
    each = steps * (pixels / 8 + layers * _ROWS / 8 + 8 * rules + 2 * classes)
    return int(_BYTES // each)


def pooling(shape: tuple[int, int, int, int]) -> int:
    """The factor by which the resolution is reduced: a recording has at most 64 pixels a side and 100 kB."""
    factor = -(-max(shape[1:3]) // _SIDE)
    while -(-shape[1] // factor) * -(-shape[2] // factor) * shape[3] * min(shape[0], 2) > 800_000:
        factor += 1
    return factor


def frames(spikes: np.ndarray) -> np.ndarray:
    """Spikes (C, H, W, T) → packed bits of (T, min(C, 2), h, w); a pixel is set if any of those that it covers is."""
    factor = pooling(spikes.shape)  # type: ignore[arg-type]
    channels, height, width, steps = spikes.shape
    padded = np.zeros((channels, -(-height // factor) * factor, -(-width // factor) * factor, steps), bool)
    padded[:, :height, :width] = spikes != 0
    tiles = padded.reshape(channels, -1, factor, padded.shape[2] // factor, factor, steps)
    coarse: np.ndarray = tiles.max(axis=(2, 4))[:2]
    return np.packbits(np.moveaxis(coarse, -1, 0))


def sensor(shape: tuple[int, int, int, int]) -> list[int]:
    """(C, H, W, T) → channels, height and width as shown."""
    factor = pooling(shape)
    return [min(shape[0], 2), -(-shape[1] // factor), -(-shape[2] // factor)]


def entry(
    index: int,
    group: str,
    name: str,
    spikes: np.ndarray,
    traces: list[tuple[str, np.ndarray]],
    scores: np.ndarray,
    rules: list[Rule],
) -> dict[str, Any]:
    """The data of one recording.

    ``spikes``: its input (C, H, W, T); ``traces``: name and spikes (\\*shape, T) of each layer; ``scores``: accumulated
    readout (classes, T).
    """
    steps = scores.shape[-1]
    scale = rules[0].scale_at(np.arange(1, steps + 1)) if rules else 1.0
    z = scale * (scores - scores.max(axis=0)).astype(np.float64)
    share = np.exp(np.maximum(z, -1e3))
    share /= share.sum(axis=0)
    return {
        "index": index,
        "group": group,
        "id": name,
        "frames": base64(frames(spikes)),
        "probabilities": base64(np.round(share.T * 65535).astype(np.uint16)),
        "statistics": [base64(statistics(rule, scores[None])[0]) for rule in rules],
        "rasters": [_raster(*trace, classes=len(scores)) for trace in traces],
    }


def _raster(name: str, spikes: np.ndarray, *, classes: int) -> dict[str, Any]:
    flat = spikes.reshape(prod(spikes.shape[:-1]), -1) != 0
    rows = np.unique(np.linspace(0, len(flat) - 1, min(_ROWS, len(flat))).astype(int))
    title = f"{name}: {len(flat):,} neurons" + (f", {len(rows)} of them shown" if len(rows) < len(flat) else "")
    return {"title": title, "rows": len(rows), "classes": len(flat) == classes, "bits": base64(np.packbits(flat[rows]))}
