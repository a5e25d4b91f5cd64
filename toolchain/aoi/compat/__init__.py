"""What lets lava-nc 0.10.0 and lava-dl 0.6.0 import on Python > 3.10 and current libraries, and quietly.

Call the ``enable_*`` function for a package before a module first imports it. All are idempotent and cheap once done;
each raises MissingDependency where a package is not installed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import logging
import multiprocessing
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np

from aoi.compat.extras import needs, require
from aoi.errors import NetXError

__all__ = ["enable_lava", "enable_netx", "enable_slayer", "needs", "require"]

_VAR_MODEL = "lava.magma.compiler.var_model"
_SLAYER = "lava.lib.dl.slayer"


@contextlib.contextmanager
def _hashable_dataclasses(module: str) -> Iterator[None]:
    """While open, dataclasses that ``module`` defines get a hash.

    Since Python 3.11 a field's default must be hashable; ``var_model`` uses instances of plain dataclasses.
    """
    original: Callable[..., Any] = dataclasses.dataclass

    def dataclass(cls: type | None = None, /, **options: Any) -> Any:
        def wrap(target: type) -> Any:
            if target.__module__ == module and not options.get("frozen"):
                return original(target, **{"unsafe_hash": True, **options})
            return original(target, **options)

        return wrap if cls is None else wrap(cls)

    dataclasses.dataclass = dataclass  # type: ignore[assignment]
    try:
        yield
    finally:
        dataclasses.dataclass = original  # type: ignore[assignment]


@contextlib.contextmanager
def _start_method_may_be_set() -> Iterator[None]:
    """While open, choosing multiprocessing's start method again is no error: Lava chooses "fork" when imported."""
    original = multiprocessing.set_start_method
    multiprocessing.set_start_method = lambda method, force=False: original(method, force=True)
    try:
        yield
    finally:
        multiprocessing.set_start_method = original


@contextlib.contextmanager
def _stand_in(name: str, **attributes: Any) -> Iterator[None]:
    """While open, importing the package or module ``name`` yields an empty one with ``attributes``."""
    module = types.ModuleType(name)
    module.__path__ = []
    module.__dict__.update(attributes)
    sys.modules[name] = module
    try:
        yield
    finally:
        del sys.modules[name]


def _reshaped(data: np.ndarray, *, shape: tuple[int, ...]) -> np.ndarray:
    return np.reshape(data, shape)


def _allow_current_numpy_in_ports() -> None:
    """Lava's ReshapePort calls numpy's reshape with the keyword ``newshape``, which numpy 2.4 no longer knows."""
    port = importlib.import_module("lava.magma.core.process.ports.ports").ReshapePort
    port.get_transform_func_fwd = lambda self: partial(_reshaped, shape=self.shape)
    port.get_transform_func_bwd = lambda self: partial(_reshaped, shape=self.old_shape)


def _whole(number: Any) -> int:
    """``int``, of an array of one element too, which numpy 2.4 refuses."""
    return int(number.item() if isinstance(number, np.ndarray) else number)


def _import_netx() -> None:
    importlib.import_module("lava.lib.dl.netx.hdf5").int = _whole  # type: ignore[attr-defined]


def _no_resonate_and_fire(config: Any) -> Any:
    raise NetXError(f"neuron type {config['type']!r}: resonate-and-fire neurons are not supported; use CUBA neurons")


@cache
def enable_lava() -> None:
    """Makes ``lava.magma`` and ``lava.proc`` importable on Python from 3.10 and on current libraries."""
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"lava\.")
    with needs("lava"):
        if _VAR_MODEL not in sys.modules:
            with _hashable_dataclasses(_VAR_MODEL), _start_method_may_be_set():
                importlib.import_module(_VAR_MODEL)
                importlib.import_module("lava.magma.runtime.message_infrastructure.multiprocessing")
        _allow_current_numpy_in_ports()


@cache
def enable_netx() -> None:
    """Makes ``lava.lib.dl.netx`` importable without torch.

    ``netx.hdf5`` takes one function for resonate-and-fire neurons from SLAYER, and with it torch and torchvision:
    seconds at the start of each deployment. A stand-in serves while it is imported and is gone afterwards.
    """
    enable_lava()
    with needs("lava"):
        if _SLAYER in sys.modules:
            _import_netx()
            return
        with (
            _stand_in(_SLAYER),
            _stand_in(f"{_SLAYER}.neuron"),
            _stand_in(f"{_SLAYER}.neuron.rf", neuron_params=_no_resonate_and_fire),
            _stand_in("lava.lib.dl.netx.sequential_modules"),  # torch modules, not loaded by hdf5.Network
        ):
            _import_netx()


@cache
def enable_slayer() -> None:
    """Imports ``lava.lib.dl.slayer``, quietly and without its object detection, which needs torchvision and OpenCV."""
    require("torch", "train")
    enable_lava()
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it looks for CUDA aloud
    with (
        needs("train"),
        _stand_in(f"{_SLAYER}.object_detection"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        importlib.import_module(_SLAYER)
