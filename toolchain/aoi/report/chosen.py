"""Which recordings the page shows one by one, and all that it draws of them."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from aoi.cutoff.rule import Decisions, Rule, statistics
from aoi.report.explorer import base64

WRONG, SLOW, QUICK = "Wrong", "Slowest", "Quickest of a class"
_EACH_GROUP = 10
_BYTES = 1_500_000  # of all recordings shown, before base64
_SIDE = 64  # pixels; larger sensors are shown coarser
_ROWS = 96  # neurons of a layer


def choose(decisions: Decisions, labels: np.ndarray, most: int) -> list[tuple[int, str]]:
    """At most ``most`` (but 3 at least) samples with the reason: wrong ones, the surest first; the slowest of the right
    ones; of each class the quickest right one. ``labels`` (samples,)."""
    right = decisions.prediction == labels
    wrong = np.flatnonzero(~right)
    wrong = wrong[np.argsort(-decisions.confidence[wrong], kind="stable")]
    slow = np.flatnonzero(right & (decisions.step > decisions.step.min()))
    slow = slow[np.argsort(-decisions.step[slow], kind="stable")]
    order = np.argsort(decisions.step, kind="stable")
    order = order[right[order]]
    quick = order[np.unique(labels[order], return_index=True)[1]]
    room = max(1, min(_EACH_GROUP, most // 3))
    chosen: dict[int, str] = {}
    for group, members in ((WRONG, wrong), (QUICK, quick), (SLOW, slow)):
        fresh = [int(i) for i in members if int(i) not in chosen]
        chosen |= dict.fromkeys(fresh[:room], group)
    return sorted(chosen.items(), key=lambda each: (WRONG, SLOW, QUICK).index(each[1]))


def most_shown(shape: tuple[int, int, int, int], layers: int, rules: int, classes: int) -> int:
    """How many recordings of ``shape`` (C, H, W, T) the page has room for."""
    channels, height, width, steps = shape
    factor = pooling(shape)
    pixels = min(channels, 2) * -(-height // factor) * -(-width // factor)
    each = steps * (pixels / 8 + layers * _ROWS / 8 + 8 * rules + 2 * classes)
    return int(_BYTES // each)


def pooling(shape: tuple[int, int, int, int]) -> int:
    """The factor by which events are shown coarser, so that a recording stays below 64 pixels and 100 kB."""
    factor = -(-max(shape[1:3]) // _SIDE)
    while -(-shape[1] // factor) * -(-shape[2] // factor) * shape[3] * min(shape[0], 2) > 800_000:
        factor += 1
    return factor


def frames(spikes: np.ndarray) -> np.ndarray:
    """Events (C, H, W, T) → packed bits of (T, min(C, 2), h, w), a pixel set where any of those it covers is."""
    factor = pooling(spikes.shape)  # type: ignore[arg-type]
    channels, height, width, steps = spikes.shape
    padded = np.zeros((channels, -(-height // factor) * factor, -(-width // factor) * factor, steps), bool)
    padded[:, :height, :width] = spikes != 0
    tiles = padded.reshape(channels, -1, factor, padded.shape[2] // factor, factor, steps)
    coarse: np.ndarray = tiles.max(axis=(2, 4))[:2]
    return np.packbits(np.moveaxis(coarse, -1, 0))


def sensor(shape: tuple[int, int, int, int]) -> list[int]:
    """(C, H, W, T) → channels, height and width as they are shown."""
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
    """One recording: ``spikes`` (C, H, W, T), ``traces`` name and spikes (\\*shape, T) of each layer, ``scores``
    (classes, T)."""
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
