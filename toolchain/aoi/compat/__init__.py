"""Makes lava-nc 0.10.0 and lava-dl 0.6.0 importable on Python > 3.10 and current libraries, without their messages.

Call the ``enable_*`` function of a package before any import of it. Repeated calls cost nothing. Each raises
MissingDependency if a package is not installed.
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
    """Within this context, dataclasses defined by ``module`` are hashable.

    Since Python 3.11 the default of a field has to be hashable; ``var_model`` uses instances of plain dataclasses.
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
def _start_method_can_be_set_again() -> Iterator[None]:
    """Within this context, multiprocessing's start method can be set again: Lava sets "fork" when imported."""
    original = multiprocessing.set_start_method
    multiprocessing.set_start_method = lambda method, force=False: original(method, force=True)
    try:
        yield
    finally:
        multiprocessing.set_start_method = original


@contextlib.contextmanager
def _placeholder(name: str, **attributes: Any) -> Iterator[None]:
    """Within this context, importing the package or module ``name`` gives an empty one with ``attributes``."""
    module = types.ModuleType(name)
    module.__path__ = []
    module.__dict__.update(attributes)
    sys.modules[name] = module
    try:
        yield
    finally:
        del sys.modules[name]


def _reshape(data: np.ndarray, *, shape: tuple[int, ...]) -> np.ndarray:
    return np.reshape(data, shape)


def _allow_current_numpy_in_ports() -> None:
    """Lava's ReshapePort calls numpy's reshape with the keyword ``newshape``, which numpy 2.4 has removed."""
    port = importlib.import_module("lava.magma.core.process.ports.ports").ReshapePort
    port.get_transform_func_fwd = lambda self: partial(_reshape, shape=self.shape)
    port.get_transform_func_bwd = lambda self: partial(_reshape, shape=self.old_shape)


def _to_int(number: Any) -> int:
    """``int``, also for an array of one element, which numpy 2.4 refuses."""
    return int(number.item() if isinstance(number, np.ndarray) else number)


def _import_netx() -> None:
    importlib.import_module("lava.lib.dl.netx.hdf5").int = _to_int  # type: ignore[attr-defined]


def _no_resonate_and_fire(config: Any) -> Any:
    raise NetXError(f"neuron type {config['type']!r}: resonate-and-fire neurons are not supported; use CUBA neurons")


@cache
def enable_lava() -> None:
    """Makes ``lava.magma`` and ``lava.proc`` importable on Python from 3.10 and on current libraries."""
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"lava\.")
    with needs("lava"):
        if _VAR_MODEL not in sys.modules:
            with _hashable_dataclasses(_VAR_MODEL), _start_method_can_be_set_again():
                importlib.import_module(_VAR_MODEL)
                importlib.import_module("lava.magma.runtime.message_infrastructure.multiprocessing")
        _allow_current_numpy_in_ports()


@cache
def enable_netx() -> None:
    """Makes ``lava.lib.dl.netx`` importable without torch.

    ``netx.hdf5`` imports one function for resonate-and-fire neurons from SLAYER, and with it torch and torchvision,
    which takes seconds. During the import, placeholders replace them.
    """
    enable_lava()
    with needs("lava"):
        if _SLAYER in sys.modules:
            _import_netx()
            return
        with (
            _placeholder(_SLAYER),
            _placeholder(f"{_SLAYER}.neuron"),
            _placeholder(f"{_SLAYER}.neuron.rf", neuron_params=_no_resonate_and_fire),
            _placeholder("lava.lib.dl.netx.sequential_modules"),  # torch modules, not loaded by hdf5.Network
        ):
            _import_netx()


@cache
def enable_slayer() -> None:
    """Imports ``lava.lib.dl.slayer``, without messages and without its object detection, which needs torchvision."""
    require("torch", "train")
    enable_lava()
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # reports its search for CUDA
    with (
        needs("train"),
        _placeholder(f"{_SLAYER}.object_detection"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        importlib.import_module(_SLAYER)
