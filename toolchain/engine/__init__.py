"""Bit-exact integer execution of a NetworkDescription; numpy and numba, no torch, no Lava."""

from toolchain.engine.engine import Engine, LayerTrace, Run

__all__ = ["Engine", "LayerTrace", "Run"]
