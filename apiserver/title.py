"""What `ps` shows of a process that was forked: the words of its own command line instead of those of whom it was forked from.

The kernel reads them where the process's arguments are (Linux: proc_pid_cmdline(5)); where their last byte is not zero it takes what is
there up to the first zero, as setproctitle(3) leaves it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

#: Fields 48 and 49 of /proc/PID/stat, counted from the third: where the arguments begin and end.
_ARG_START, _ARG_END = 45, 46


def show(words: Sequence[str]) -> None:
    """Show `words`, as many bytes of them as this process had arguments. Where that cannot be done, what there was stays."""
    try:
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
    except (OSError, IndexError, ValueError):
        return
    room = end - start - 2
    if not start or room <= 0:
        return
    text = " ".join(words).encode()[:room].replace(b"\0", b" ")
    ctypes.memmove(start, text.ljust(room + 1, b"\0") + b"x", room + 2)
