"""Packages that the core does without, and what a person types where one of them is missing."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aoi.errors import MissingDependency

_OURS = ("aoi", "aoi_models", "aoi_deploy")


def require(module: str, extra: str) -> Any:
    """The imported ``module``. Where it, or what it imports, is not installed: MissingDependency names ``extra``."""
    with needs(extra):
        return importlib.import_module(module)


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Around lazy imports: a package that is not installed becomes MissingDependency, which names ``extra``."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing(error, extra) from error


def missing(error: ModuleNotFoundError, extra: str) -> Exception:
    """What to raise for a failed import: MissingDependency, or ``error`` itself where a module of ours is lacking."""
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
