"""Bit-exact integer execution of a NetworkDescription; numpy and numba, no torch, no Lava."""

from aoi.compiled import choose_cache

choose_cache()  # before numba is imported

from aoi.engine.engine import Engine  # noqa: E402
from aoi.engine.results import LayerTrace, Run, StoppedRun  # noqa: E402
from aoi.engine.state import State  # noqa: E402

__all__ = ["Engine", "LayerTrace", "Run", "State", "StoppedRun"]
