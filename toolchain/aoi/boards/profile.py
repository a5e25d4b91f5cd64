"""A measurement on a board, to compare with the estimates of :mod:`aoi.boards.cost`.

It is a JSON file, written by whoever has a board, for instance from Lava's profiler (``lava.utils.profiler``,
implemented in Intel's lava-loihi extension): its ``energy`` of the run (J) and ``execution_time`` of each step (s),
divided by the number of samples.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aoi.errors import DataError


class Measurement(BaseModel):
    """Cost of one inference on a board, mean over a run.

    Example: ``{"source": "Oheo Gulch", "samples": 100, "steps": 2700, "total_j": 4e-6, "latency_s": 1.2e-4}``
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    source: str = Field(max_length=200)
    samples: int = Field(gt=0)
    steps: int = Field(gt=0, description="timesteps of the chip in the whole run")
    total_j: float = Field(ge=0, description="static and dynamic energy together: Lava's profiler gives one number")
    latency_s: float = Field(ge=0)


def load_measurement(path: Path) -> Measurement:
    """Reads a measurement. Raises DataError."""
    try:
        return Measurement.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(f"{path}: is not a measurement: {where}: {first['msg']}") from None
