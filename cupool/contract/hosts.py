"""Whether two processes are of one host and know each other's process ids: then one of them can be watched by the other.

A host's id is its boot id and its pid namespace, "<boot id>:<inode>": a process in a container has the boot id of the host, and process ids
that mean nothing there.
"""

from __future__ import annotations

import os


def boot_id() -> str:
    """Which host, since which start: clocks and memory of another one are others. "" where that cannot be known."""
    try:
        # Bytes: a text file's codec is a module to load.
        with open("/proc/sys/kernel/random/boot_id", "rb", buffering=0) as file:
            return file.read().decode("ascii").strip()
    except OSError:
        return ""


def host_id() -> str:
    """This host's, as this process sees it; "" where that cannot be known."""
    boot = boot_id()
    try:
        return f"{boot}:{os.stat('/proc/self/ns/pid').st_ino}" if boot else ""
    except OSError:
        return ""


def knows_pids_of(shown: str, own: str) -> bool:
    """Whether a process that showed `shown` has process ids of `own`, this host's. A boot id alone is taken at its word."""
    return bool(shown) and shown in (own, own.partition(":")[0])
