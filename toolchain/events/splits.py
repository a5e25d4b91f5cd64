"""Which recordings train, validate, calibrate and test."""

from __future__ import annotations

import hashlib

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from toolchain.errors import DataError
from toolchain.events.dataset import EventDataset, RecordingRef
from toolchain.events.encoding import Split


class SplitOptions(BaseModel):
    """How a data set's official training part is divided."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, ge=0, lt=2**31)
    validation: float = Field(0.15, ge=0, lt=1, description="share of the training part")
    calibration: float = Field(0.15, ge=0, lt=1, description="share of the training part")

    @model_validator(mode="after")
    def _leaves_something(self) -> SplitOptions:
        if self.validation + self.calibration >= 1:
            raise ValueError(f"validation + calibration = {self.validation + self.calibration:g} leaves no training")
        return self


def hash_share(text: str) -> float:
    """A number in [0, 1) that depends on ``text`` alone."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=6).digest()
    return int.from_bytes(digest, "little") / 2**48


def split_of(ref: RecordingRef, options: SplitOptions) -> Split:
    """The split of one recording, from its name and the options alone: adding recordings never moves others."""
    if ref.official == "test":
        return "test"
    share = hash_share(f"{options.seed}:{ref.id}")
    if share < options.validation:
        return "validation"
    return "calibration" if share < options.validation + options.calibration else "train"


def split_indices(dataset: EventDataset, options: SplitOptions) -> dict[str, np.ndarray]:
    """Split → indices (int64, ascending) into ``dataset.recordings``; a split may be empty."""
    splits = [split_of(ref, options) for ref in dataset.recordings]
    names: tuple[Split, ...] = ("train", "validation", "calibration", "test")
    return {name: np.flatnonzero([split == name for split in splits]) for name in names}


def require_split(dataset: EventDataset, options: SplitOptions, split: Split) -> np.ndarray:
    """The indices of one split; DataError where it is empty."""
    indices = split_indices(dataset, options)[split]
    if len(indices):
        return indices
    official = sum(ref.official == ("test" if split == "test" else "train") for ref in dataset.recordings)
    part = "Test" if split == "test" else "Train"
    way_out = "add recordings to it" if split == "test" else f"add recordings to it, or raise the share of '{split}'"
    raise DataError(f"{dataset.name}: split '{split}' is empty; {part} has {official} recordings: {way_out}")
