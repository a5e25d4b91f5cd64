"""Where a network can be deployed: one interface, one entry a target."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from toolchain.errors import AoiError

if TYPE_CHECKING:
    from deploy.session import SampleResult
    from toolchain.cutoff.rule import Rule


class Session(Protocol):
    """A network at work on a target."""

    rule: Rule | None  # of the next run
    latency: int  # L
    build_s: float  # wall time of compiling and starting
    run_s: float  # wall time of all runs so far

    def run(
        self, samples: Iterable[np.ndarray], on_result: Callable[[SampleResult], None] | None = None
    ) -> Iterator[SampleResult]: ...

    def close(self) -> None: ...

    def __enter__(self) -> Any: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Target(Protocol):
    """What a target's module offers as ``open_session``."""

    def __call__(
        self,
        path: str | Path,
        *,
        steps: int,
        readout: Literal["spikes", "voltage"],
        rule: Rule | None,
        skip_layers: int,
        input_shape: tuple[int, ...] | None,
        model: Literal["fused", "stock"],
        timeout_s: float,
    ) -> Session: ...


_MODULES = {"sim": "deploy.targets.simulator"}
_PLANNED = ("loihi", "slurm")


def find_target(name: str) -> Target:
    """The target called ``name``; imports what it needs, which takes seconds.

    Raises:
        AoiError: there is no such target, or not yet.
    """
    known = ", ".join(_MODULES)
    if name in _PLANNED:
        raise AoiError(f"target {name!r} is not available yet; use one of: {known}")
    if name not in _MODULES:
        raise AoiError(f"target {name!r} is unknown; use one of: {known}")
    target: Target = importlib.import_module(_MODULES[name]).open_session
    return target
