"""Optional packages, and the errors that name how to install them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aoi.errors import MissingDependency

_OURS = ("aoi", "aoi_models", "aoi_deploy")


def require(module: str, extra: str) -> Any:
    """Imports ``module``. Raises MissingDependency, naming ``extra``, if it or one of its imports is not installed."""
    with needs(extra):
        return importlib.import_module(module)


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """For lazy imports: turns the error of a missing package into MissingDependency, which names ``extra``."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing(error, extra) from error


def missing(error: ModuleNotFoundError, extra: str) -> Exception:
    """The error to raise for a failed import: MissingDependency, or ``error`` itself for a module of this project."""
    package = (error.name or "").partition(".")[0]
    if not package or package in _OURS:
        return error
    if package == "lava":
        return MissingDependency("Lava is not installed in this Python; 'aoi install-lava' installs it")
    if extra == "lava":
        return MissingDependency(
            f"{package}, which Lava needs, is not installed in this Python; 'aoi install-lava' installs it"
        )
    return MissingDependency(
        f"{package} is not installed in this Python; \"pip install 'aoi-toolchain[{extra}]'\" installs it"
    )
