"""Target ``loihi``: a network on a board, written against Lava's public interface.

It was never executed on hardware, because no board was available. The tests run the part that needs none: the same
slots in Lava's simulator (:mod:`aoi_deploy.lava.slots`). Intel's closed extension lava-loihi provides the models for
neurocores, and ``lava.proc.embedded_io``, whose adapters transfer spikes between this host and the chip.
"""

from __future__ import annotations

import importlib
from typing import Any

from aoi.boards.board import load_board
from aoi.choices import Model
from aoi.errors import AoiError, DeployError
from aoi.netx import NetworkFile
from aoi_deploy.lava.networks import LavaNetwork
from aoi_deploy.lava.processes.monitor import CutoffMonitor
from aoi_deploy.lava.processes.source import EventSource
from aoi_deploy.lava.slots import SlotSession

EXTENSION = "lava.utils.loihi2_profiler"
"""The module that Lava itself looks for to find out whether the extension is installed."""


class LoihiSession(SlotSession):
    """A network on Loihi 2. Spikes pass through embedded adapters; source and monitor run on this host."""

    def __init__(
        self, network: NetworkFile, *, board: str | None = None, host: str | None = None, **options: Any
    ) -> None:
        """Compiles the network for the board and starts it.

        Args:
            network: the network file.
            board: name of the board's file; Lava asks Slurm for its partition.
            host: network address of the board's host, if it is not behind Slurm.
            options: as for :class:`~aoi_deploy.lava.slots.SlotSession`.

        Raises:
            AoiError: the extension is not installed.
            DataError: there is no such board.
            DeployError: Lava cannot reach the board.
        """
        use_board(board, host)
        super().__init__(network, **options)

    def _connect(self, source: EventSource, network: LavaNetwork, monitor: CutoffMonitor) -> None:
        adapters = importlib.import_module("lava.proc.embedded_io.spike")
        to_chip = adapters.PyToNxAdapter(shape=network.process.inp.shape, num_message_bits=0)
        from_chip = adapters.NxToPyAdapter(shape=network.process.out.shape, num_message_bits=0)
        source.s_out.connect(to_chip.inp)
        to_chip.out.connect(network.process.inp)
        network.process.out.connect(from_chip.inp)
        from_chip.out.connect(monitor.s_in)

    def _run_config(self, model: Model) -> Any:
        from lava.magma.core.run_configs import Loihi2HwCfg

        return Loihi2HwCfg(select_sub_proc_model=True)


def use_board(board: str | None, host: str | None) -> None:
    """Selects the board that Lava uses. Raises AoiError, DeployError, DataError."""
    from aoi.compat import enable_netx

    enable_netx()
    from lava.utils import loihi

    if not loihi.is_installed():
        raise AoiError(
            f"target loihi: Intel's lava-loihi extension is not installed in this Python ({EXTENSION} cannot be "
            "imported); members of the INRC can get it. 'aoi doctor' lists what is installed; target sim does without"
        )
    try:
        if host is not None:
            loihi.use_ethernet_host(host_address=host)
        else:
            loihi.use_slurm_host(partition=load_board(board).partition if board else None)
    except (ImportError, ValueError) as error:
        raise DeployError(f"target loihi: {error}; 'aoi doctor' lists the boards that Slurm knows") from None
