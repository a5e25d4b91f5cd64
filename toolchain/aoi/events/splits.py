"""Which recordings train, validate, calibrate and test."""

from __future__ import annotations

import hashlib

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from aoi.choices import SPLITS, Split
from aoi.errors import DataError
from aoi.events.dataset import EventDataset, RecordingRef


class SplitOptions(BaseModel):
    """How to divide the official training part of a data set, or the whole data set if it has no official parts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, ge=0, lt=2**31)
    validation: float = Field(0.15, ge=0, lt=1, description="share of the training part")
    calibration: float = Field(0.15, ge=0, lt=1, description="share of the training part")
    test: float = Field(0.2, ge=0, lt=1, description="share of the whole data set, if it has no official test part")

    @model_validator(mode="after")
    def _leaves_something(self) -> SplitOptions:
        if self.validation + self.calibration >= 1:
            raise ValueError(
                f"validation + calibration = {self.validation + self.calibration:g} leaves nothing to train on"
            )
        return self


def hash_fraction(text: str) -> float:
    """A number in [0, 1) that depends on ``text`` only."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=6).digest()
    return int.from_bytes(digest, "little") / 2**48


def split_of(ref: RecordingRef, options: SplitOptions) -> Split:
    """The split of one recording. It depends on its name and the options only: adding recordings never moves others."""
    if ref.official == "test":
        return "test"
    share = hash_fraction(f"{options.seed}:{ref.id}")
    if ref.official is None:
        if share < options.test:
            return "test"
        share = (share - options.test) / (1 - options.test)
    if share < options.validation:
        return "validation"
    return "calibration" if share < options.validation + options.calibration else "train"


def split_indices(dataset: EventDataset, options: SplitOptions) -> dict[str, np.ndarray]:
    """Split → ascending indices into ``dataset.recordings``, int64 (n,). A split may be empty."""
    splits = [split_of(ref, options) for ref in dataset.recordings]
    return {name: np.flatnonzero([split == name for split in splits]) for name in SPLITS}


def require_split(dataset: EventDataset, options: SplitOptions, split: Split) -> np.ndarray:
    """Ascending indices of one split, int64 (n,). Raises DataError if it is empty."""
    all_indices = split_indices(dataset, options)
    indices = all_indices[split]
    if len(indices):
        return indices
    part = "test" if split == "test" else "train"
    official = sum(ref.official in (part, None) for ref in dataset.recordings)
    whole = any(ref.official is None for ref in dataset.recordings)
    where = "the data set" if whole else part.capitalize()
    raises = "" if split == "test" and not whole else f", or raise the share of '{split}'"
    filled = [name for name, found in all_indices.items() if len(found)]
    others = f"; splits with recordings: {', '.join(filled)}" if filled else ""
    raise DataError(
        f"{dataset.name}: split '{split}' is empty; {where} has {official} recordings: add recordings to it"
        f"{raises}{others}"
    )
