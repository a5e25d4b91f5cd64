"""What a network remembers between steps: kept apart, so that it can be saved, restored and fed step by step."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from aoi.engine.kernels import Arrays
from aoi.errors import DataError
from aoi.files import atomic_file


@dataclass(eq=False)
class State:
    """Of ``samples`` samples that run side by side, all at the same step. Steps change it in place."""

    layers: list[Arrays]
    clock: int = 0  # steps that ran

    @property
    def samples(self) -> int:
        return len(self.layers[0].u)

    def copy(self) -> State:
        return State([Arrays(*(array.copy() for array in layer)) for layer in self.layers], self.clock)

    def save(self, path: str | PathLike[str]) -> None:
        """Writes a compressed ``.npz``; the file is complete or not there."""
        arrays = {
            f"{n}.{name}": array for n, layer in enumerate(self.layers) for name, array in layer._asdict().items()
        }
        with atomic_file(Path(path)) as file:
            np.savez_compressed(file, clock=np.int64(self.clock), **arrays)

    def restore(self, path: str | PathLike[str]) -> None:
        """Takes over what :meth:`save` wrote of the same network with as many samples. Raises DataError."""
        try:
            with np.load(path, allow_pickle=False) as file:
                found = [Arrays(*(file[f"{n}.{name}"] for name in Arrays._fields)) for n in range(len(self.layers))]
                clock = int(file["clock"])
                if clock < 0:
                    raise ValueError(f"clock is {clock}")
        except FileNotFoundError:
            raise DataError(f"{path}: no such file") from None
        except (OSError, KeyError, ValueError, TypeError, OverflowError, BadZipFile, EOFError, zlib.error) as error:
            raise DataError(f"{path}: is not the state of this network ({type(error).__name__}: {error})") from None
        for n, (mine, theirs) in enumerate(zip(self.layers, found, strict=True)):
            for name, have, new in zip(Arrays._fields, mine, theirs, strict=True):
                if have.shape != new.shape or have.dtype != new.dtype:
                    mine_is = f"this network's is {have.dtype} {have.shape}"
                    raise DataError(f"{path}: layer {n}: {name} is {new.dtype} {new.shape}, {mine_is}")
        self.layers, self.clock = found, clock
