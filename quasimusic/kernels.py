"""Where the engines' compiled kernels are kept between one start and the next."""

import os
import tempfile
from pathlib import Path


def keep_kernels(engines: Path, instead: Path) -> None:
    """Have numba keep them in `instead` where it cannot beside the engines; call before numba is first imported.

    Left to itself it then tries the home directory, and without one of these no engine can be imported at all.
    """
    if not _takes_files(engines / "__pycache__"):
        os.environ.setdefault("NUMBA_CACHE_DIR", str(instead))


def _takes_files(folder: Path) -> bool:
    try:
        folder.mkdir(exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True
