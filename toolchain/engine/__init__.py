"""Bit-exact integer execution of a NetworkDescription; numpy and numba, no torch, no Lava."""

from toolchain.engine.engine import Engine, LayerTrace, Run, StoppedRun
from toolchain.engine.state import State

__all__ = ["Engine", "LayerTrace", "Run", "State", "StoppedRun"]
