"""Whether this machine multiplies matrices of bytes in hardware, and how."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Literal

from numba.core import config
from numba.core.codegen import get_host_cpu_features

MatrixUnit = Literal["tiles", "vectors"]

_ARCH_PRCTL = 158  # system call of x86-64
_ARCH_REQ_XCOMP_PERM, _XFEATURE_XTILEDATA = 0x1023, 18  # Linux, Documentation/arch/x86/xstate.rst


@cache
def matrix_units() -> tuple[MatrixUnit, ...]:
    """What code compiled here may use, fastest first: "tiles" (AMX), which Linux grants on request for the process and
    its children, and "vectors" (AVX-512 VNNI)."""
    features = set((config.CPU_FEATURES or get_host_cpu_features()).split(","))
    units: list[MatrixUnit] = []
    if {"+amx-tile", "+amx-int8"} <= features and _may_use_tiles():
        units.append("tiles")
    if {"+avx512f", "+avx512vnni"} <= features:
        units.append("vectors")
    return tuple(units)


def _may_use_tiles() -> bool:
    if not sys.platform.startswith("linux") or sys.maxsize < 2**32:
        return False
    return ctypes.CDLL(None).syscall(_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XFEATURE_XTILEDATA) == 0
