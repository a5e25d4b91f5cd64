"""Where numba keeps what it compiled. Import this before numba."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path


def choose_cache() -> None:
    """Names a folder that can be written, where numba would find none and fail ("cannot cache function").

    Numba takes ``__pycache__`` beside the source, or ``~/.cache``; in a container neither may be writable. Then it is
    ``AOI_CACHE_DIR``, or a folder of the user's in the system's one for temporary files.
    """
    if os.environ.get("NUMBA_CACHE_DIR") or _writable(Path(__file__).parent / "engine"):
        return
    own = os.environ.get("AOI_CACHE_DIR")
    home = Path(os.environ.get("XDG_CACHE_HOME") or f"{os.environ.get('HOME') or '/'}/.cache")
    if own is None and _writable(home):
        return
    folder = Path(own) / "numba" if own else Path(tempfile.gettempdir()) / f"aoi-numba-{os.getuid()}"
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = str(folder)


def _writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or in the first of its parents that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)
