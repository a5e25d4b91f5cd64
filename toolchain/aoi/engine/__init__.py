"""Bit-exact integer execution of a NetworkDescription; numpy and numba, no torch, no Lava."""

from aoi.engine.engine import Engine
from aoi.engine.results import LayerTrace, Run, StoppedRun
from aoi.engine.state import State

__all__ = ["Engine", "LayerTrace", "Run", "State", "StoppedRun"]
