"""Lava imports on this Python, without packages that it does not need, and no placeholder remains."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert "Prophesee" not in result.stdout  # the advertisement that a plain import prints
    return result.stdout


def test_netx_imports_without_torch() -> None:
    run(
        "import sys; from aoi.compat import enable_netx; enable_netx()\n"
        "from lava.lib.dl.netx.hdf5 import Network\n"
        "assert 'torch' not in sys.modules and 'lava.lib.dl.slayer' not in sys.modules"
    )


def test_real_slayer_imports_after_netx() -> None:
    run(
        "from aoi.compat import enable_netx, enable_slayer; enable_netx(); enable_slayer()\n"
        "import sys; from lava.lib.dl import slayer\n"
        "assert slayer.block.cuba.Dense.__module__ == 'lava.lib.dl.slayer.block.cuba'\n"
        "assert 'torchvision' not in sys.modules\n"
        "import lava.lib.dl.netx.sequential_modules as modules; assert modules.__file__"
    )


def test_netx_imports_after_slayer() -> None:
    run(
        "from aoi.compat import enable_netx, enable_slayer; enable_slayer(); enable_netx()\n"
        "from lava.lib.dl.netx.hdf5 import get_rf_params; assert get_rf_params.__module__.endswith('neuron.rf')"
    )


def test_dataclasses_are_restored() -> None:
    run(
        "import dataclasses; before = dataclasses.dataclass\n"
        "from aoi.compat import enable_lava; enable_lava()\n"
        "assert dataclasses.dataclass is before\n"
        "@dataclasses.dataclass\nclass Plain: pass\n"
        "assert Plain.__hash__ is None"
    )


def test_lava_imports_after_multiprocessing_was_used() -> None:
    run(
        "import multiprocessing; multiprocessing.Pipe(); multiprocessing.get_start_method()\n"
        "from aoi.compat import enable_netx; enable_netx()\n"
        "assert multiprocessing.get_start_method() == 'fork'"
    )


def test_current_numpy_is_enough() -> None:
    run(
        "import warnings, numpy as np; from aoi.compat import enable_netx; enable_netx()\n"
        "from lava.lib.dl.netx import hdf5; from lava.magma.core.process.ports.ports import ReshapePort\n"
        "warnings.simplefilter('error')\n"  # what numpy 2.4 refuses, earlier ones deprecate
        "port = ReshapePort((2, 3), (6,)); there, back = port.get_transform_func_fwd(), port.get_transform_func_bwd()\n"
        "assert back(there(np.arange(6))).tolist() == list(range(6)) and there(np.arange(6)).shape == (2, 3)\n"
        "assert [hdf5.int(number) for number in (np.array([3]), 3, 3.5, np.array(3))] == [3, 3, 3, 3]"
    )
