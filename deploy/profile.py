"""What Lava's own profiler measured on a board, in the same words as the estimates of :mod:`deploy.cost`.

Never executed on hardware: there was no board. Written against ``lava.utils.profiler.Profiler`` and its use in Intel's
lava-optimization: ``Profiler.init(run_cfg)``, ``energy_probe(num_steps)``, ``execution_time_probe(num_steps)`` before
the run; ``energy`` (J, of all steps) and ``execution_time`` (s, of each step) after it. Its implementation comes with
Intel's lava-loihi extension.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from toolchain.errors import DataError, DeployError
from toolchain.files import write_atomically


class LavaProfiler(Protocol):
    """What is used of Lava's profiler."""

    energy: Any
    execution_time: Any

    def energy_probe(self, num_steps: int) -> None: ...

    def execution_time_probe(self, num_steps: int) -> None: ...


class Measurement(BaseModel):
    """Of one inference, mean over a run."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    source: str = Field(max_length=200)
    samples: int = Field(gt=0)
    steps: int = Field(gt=0, description="of the chip, in the whole run")
    total_j: float = Field(ge=0, description="static and dynamic together: the profiler's interface has one number")
    latency_s: float = Field(ge=0)


def attach(run_cfg: object, steps: int) -> LavaProfiler:
    """Asks Lava to measure the next ``steps`` steps of a run with ``run_cfg``. Raises DeployError where it cannot."""
    from lava.utils.profiler import Profiler

    try:
        profiler: LavaProfiler = Profiler.init(run_cfg)
    except (NotImplementedError, TypeError) as error:
        raise DeployError(
            f"Lava has no profiler for {type(run_cfg).__name__} here ({error}); it comes with Intel's lava-loihi "
            "extension, and measures on a board alone"
        ) from None
    profiler.execution_time_probe(num_steps=steps)
    profiler.energy_probe(num_steps=steps)
    return profiler


def measured(profiler: LavaProfiler, samples: int, source: str) -> Measurement:
    """What the profiler holds after a run of ``samples`` recordings."""
    seconds = np.atleast_1d(np.asarray(profiler.execution_time, np.float64))
    joule = float(np.sum(np.asarray(profiler.energy, np.float64)))
    return Measurement(
        source=source,
        samples=samples,
        steps=len(seconds),
        total_j=joule / samples,
        latency_s=float(seconds.sum()) / samples,
    )


def save(measurement: Measurement, path: Path) -> None:
    """As JSON, for ``aoi cost --measured``."""
    write_atomically(path, measurement.model_dump_json(indent=2).encode())


def load(path: Path) -> Measurement:
    """Raises DataError."""
    try:
        return Measurement.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(f"{path}: holds no measurement, {where}: {first['msg']}") from None
