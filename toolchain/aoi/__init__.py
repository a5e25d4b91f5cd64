"""Anytime optimal inference: spiking networks that answer as soon as the answer is reliable.

>>> import aoi
>>> net = aoi.load("zoo:digits")
>>> data = aoi.open_data("digits", net, split="test")
>>> print(aoi.evaluate(net, data, rule="confidence:0.9"))  # doctest: +SKIP

Importing this package imports nothing else: each name loads what it needs when it is first used. ``train``, ``export``
and the SLAYER side of ``verify`` need the extra ``train``; ``deploy`` and the Lava side of ``verify`` need Lava
(``aoi install-lava``). Everything else runs with the core alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aoi.cutoff.rule import Rule, parse_rule
    from aoi.engine import Engine
    from aoi.errors import AoiError, CheckFailed, ConfigError, DataError, DeployError, NetXError, WriteError
    from aoi.workflow.calibrate import Calibrated, calibrate
    from aoi.workflow.check import FileCheck, check
    from aoi.workflow.deploy import deploy
    from aoi.workflow.evaluate import Evaluation, evaluate
    from aoi.workflow.export import export
    from aoi.workflow.import_nir import Imported, export_nir, import_netx, import_nir
    from aoi.workflow.network import Network, load
    from aoi.workflow.recordings import Recordings, open_data
    from aoi.workflow.train import TrainedRun, train
    from aoi.workflow.verify import Verification, verify

    __version__: str

_HOME = {
    "AoiError": "errors",
    "CheckFailed": "errors",
    "ConfigError": "errors",
    "DataError": "errors",
    "DeployError": "errors",
    "NetXError": "errors",
    "WriteError": "errors",
    "Engine": "engine",
    "Rule": "cutoff.rule",
    "parse_rule": "cutoff.rule",
    "Network": "workflow.network",
    "load": "workflow.network",
    "Recordings": "workflow.recordings",
    "open_data": "workflow.recordings",
    "TrainedRun": "workflow.train",
    "train": "workflow.train",
    "export": "workflow.export",
    "Imported": "workflow.import_nir",
    "export_nir": "workflow.import_nir",
    "import_netx": "workflow.import_nir",
    "import_nir": "workflow.import_nir",
    "Verification": "workflow.verify",
    "verify": "workflow.verify",
    "Calibrated": "workflow.calibrate",
    "calibrate": "workflow.calibrate",
    "FileCheck": "workflow.check",
    "check": "workflow.check",
    "Evaluation": "workflow.evaluate",
    "evaluate": "workflow.evaluate",
    "deploy": "workflow.deploy",
}

__all__ = [
    "AoiError",
    "Calibrated",
    "CheckFailed",
    "ConfigError",
    "DataError",
    "DeployError",
    "Engine",
    "Evaluation",
    "FileCheck",
    "Imported",
    "NetXError",
    "Network",
    "Recordings",
    "Rule",
    "TrainedRun",
    "Verification",
    "WriteError",
    "__version__",
    "calibrate",
    "check",
    "deploy",
    "evaluate",
    "export",
    "export_nir",
    "import_netx",
    "import_nir",
    "load",
    "open_data",
    "parse_rule",
    "train",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("aoi-toolchain")
    if name in _HOME:
        return getattr(import_module(f"aoi.{_HOME[name]}"), name)
    raise AttributeError(f"module 'aoi' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *(name for name in __all__ if name not in globals())]
