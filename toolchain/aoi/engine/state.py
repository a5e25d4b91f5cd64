"""What a network remembers between steps: kept apart, so that it can be saved, restored and fed step by step."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from aoi.engine.kernels import LayerState
from aoi.errors import DataError
from aoi.files import atomic_file


@dataclass(eq=False)
class State:
    """Of ``samples`` samples that run side by side, all at the same step. Steps change it in place.

    Example:
        >>> state = engine.start(samples=4)
        >>> engine.step(state, spikes[..., 0])
        >>> state.save("after_one_step.npz")
    """

    layers: list[LayerState]
    clock: int = 0  # steps that ran

    @classmethod
    def start(cls, initial: list[LayerState], samples: int) -> State:
        """Of so many samples before their first step; ``initial``: that of one."""
        return cls([LayerState(*(np.repeat(array, samples, axis=0) for array in layer)) for layer in initial])

    def restart(self, initial: list[LayerState]) -> None:
        """Puts all samples before their first step again."""
        for layer, begin in zip(self.layers, initial, strict=True):
            for array, first in zip(layer, begin, strict=True):
                array[...] = first
        self.clock = 0

    @property
    def samples(self) -> int:
        """How many run side by side."""
        return len(self.layers[0].u)

    def copy(self) -> State:
        """One that goes its own way from here."""
        return State([LayerState(*(array.copy() for array in layer)) for layer in self.layers], self.clock)

    def save(self, path: str | PathLike[str]) -> None:
        """Writes a compressed ``.npz``; the file is complete or not there. Raises OSError."""
        arrays = {
            f"{n}.{name}": array for n, layer in enumerate(self.layers) for name, array in layer._asdict().items()
        }
        with atomic_file(Path(path)) as file:
            np.savez_compressed(file, clock=np.int64(self.clock), **arrays)

    def restore(self, path: str | PathLike[str]) -> None:
        """Takes over what :meth:`save` wrote of the same network with as many samples. Raises DataError."""
        try:
            with np.load(path, allow_pickle=False) as file:
                found = [
                    LayerState(*(file[f"{n}.{name}"] for name in LayerState._fields)) for n in range(len(self.layers))
                ]
                clock = int(file["clock"])
                if clock < 0:
                    raise ValueError(f"clock is {clock}")
        except FileNotFoundError:
            raise DataError(f"{path}: no such file") from None
        except (OSError, KeyError, ValueError, TypeError, OverflowError, BadZipFile, EOFError, zlib.error) as error:
            raise DataError(f"{path}: is not the state of this network ({type(error).__name__}: {error})") from None
        for n, (mine, theirs) in enumerate(zip(self.layers, found, strict=True)):
            for name, have, new in zip(LayerState._fields, mine, theirs, strict=True):
                if have.shape != new.shape or have.dtype != new.dtype:
                    mine_is = f"this network's is {have.dtype} {have.shape}"
                    raise DataError(f"{path}: layer {n}: {name} is {new.dtype} {new.shape}, {mine_is}")
        self.layers, self.clock = found, clock
