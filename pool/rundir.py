"""The folder of one pool process: sockets, status files, logs. Only this user can enter it; it goes with the process.

A pool that was killed leaves its folder; the next pool of this user removes folders whose lock nobody holds.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

_LOCK = "lock"
_LONGEST = 60


def _prefix() -> str:
    return f"cupool-{os.getuid()}-"


def base() -> Path:
    """XDG_RUNTIME_DIR where there is one, else the temporary folder, else /tmp."""
    for folder in (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir()):
        # The address of a unix socket has 107 bytes: a long folder leaves no room for the names of ours.
        if folder and len(os.fsencode(folder)) <= _LONGEST and os.path.isdir(folder) and os.access(folder, os.W_OK):
            return Path(folder)
    return Path("/tmp")


def sweep(folder: Path) -> None:
    """Remove the folders of pools that are gone."""
    for old in folder.glob(f"{_prefix()}*"):
        try:
            if old.is_symlink() or old.stat().st_uid != os.getuid():
                continue
            fd = os.open(old / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue  # not made ready yet, or gone meanwhile
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old, ignore_errors=True)
        except BlockingIOError:
            pass  # its pool lives
        finally:
            os.close(fd)


class RunDir:
    """A fresh folder, locked while this process lives."""

    def __init__(self, where: Path | None = None) -> None:
        """`where`: None: `base()`."""
        where = where or base()
        sweep(where)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=_prefix(), dir=where))
            self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            if (self.path / _LOCK).exists():
                return
            os.close(self._lock)  # another pool swept it before it was locked

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)
