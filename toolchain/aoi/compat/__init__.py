"""What lets lava-nc 0.10.0 and lava-dl 0.6.0 import on Python > 3.10 and current libraries, and quietly.

Call the ``enable_*`` function for a package before a module first imports it. All are idempotent and cheap once done.
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
from functools import cache
from typing import Any

from aoi.errors import NetXError

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


def _no_resonate_and_fire(config: Any) -> Any:
    raise NetXError(f"neuron type {config['type']!r}: resonate-and-fire neurons are not supported; use CUBA neurons")


@cache
def enable_lava() -> None:
    """Makes ``lava.magma`` and ``lava.proc`` importable on Python 3.10 to 3.13."""
    # Lava passes one-element arrays to int(); numpy deprecates that, 2.4 refuses it (the dependencies stay below).
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"lava\.")
    if _VAR_MODEL not in sys.modules:
        with _hashable_dataclasses(_VAR_MODEL), _start_method_may_be_set():
            importlib.import_module(_VAR_MODEL)
            importlib.import_module("lava.magma.runtime.message_infrastructure.multiprocessing")


@cache
def enable_netx() -> None:
    """Makes ``lava.lib.dl.netx`` importable without torch.

    ``netx.hdf5`` takes one function for resonate-and-fire neurons from SLAYER, and with it torch and torchvision:
    seconds at the start of each deployment. A stand-in serves while it is imported and is gone afterwards.
    """
    enable_lava()
    if _SLAYER in sys.modules:
        importlib.import_module("lava.lib.dl.netx.hdf5")
        return
    with (
        _stand_in(_SLAYER),
        _stand_in(f"{_SLAYER}.neuron"),
        _stand_in(f"{_SLAYER}.neuron.rf", neuron_params=_no_resonate_and_fire),
        _stand_in("lava.lib.dl.netx.sequential_modules"),  # torch modules, not loaded by hdf5.Network
    ):
        importlib.import_module("lava.lib.dl.netx.hdf5")


@cache
def enable_slayer() -> None:
    """Imports ``lava.lib.dl.slayer``, quietly and without its object detection, which needs torchvision and OpenCV."""
    enable_lava()
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it looks for CUDA aloud
    with _stand_in(f"{_SLAYER}.object_detection"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module(_SLAYER)
