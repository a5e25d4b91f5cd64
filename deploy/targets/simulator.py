"""Target ``sim``: Lava's bit-accurate simulation, as processes on this machine."""

from __future__ import annotations

from deploy.session import LavaSession

open_session = LavaSession
