"""What servers leave behind on this host: logs that people may want, and orphaned children that must be waited for."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection
from pathlib import Path

from .server import Server

#: Logs of so many servers that have ended are kept, for people.
KEPT_LOGS = 50


class ServerLogs:
    """The logs of this host's servers. Those in which something stands stay until `KEPT_LOGS` newer ones do.

    Attributes:
        folder: where they are.
    """

    def __init__(self, folder: Path | None, temporary: Path) -> None:
        """
        Args:
            folder: where they stay when this process is gone; None: they go with it, and are in `temporary`.
        """
        self.folder = folder or temporary
        self._is_kept = folder is not None
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, server: str) -> Path:
        """Of a server's log, by its id."""
        return self.folder / f"{server}.log"

    def keep(self, server: Server, living: Collection[str]) -> None:
        """The server has ended: keep what it wrote, of those who failed, and of whoever's session it was.

        Args:
            living: ids of servers whose logs are still written.
        """
        with contextlib.suppress(FileNotFoundError):
            if not server.log_path.stat().st_size:
                server.log_path.unlink()
        for old in sorted(self.folder.glob("*.log"), key=lambda p: p.stat().st_mtime)[:-KEPT_LOGS]:
            if old.stem not in living:
                old.unlink(missing_ok=True)

    def close(self) -> None:
        """This process ends."""
        if not self._is_kept:
            shutil.rmtree(self.folder, ignore_errors=True)


def reap_orphans(waited_for: Collection[int]) -> None:
    """Servers' own children come to us when their parent ends, and must be waited for. Those that others wait for are left alone.

    Args:
        waited_for: pids of the latter.
    """
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or found.si_pid in waited_for:
            return
        os.waitid(os.P_PID, found.si_pid, os.WEXITED | os.WNOHANG)
