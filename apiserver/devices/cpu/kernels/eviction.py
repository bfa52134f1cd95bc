"""What the kernel cache forgets: the objects that were not used for longest, when all together are too large, and what killed
compilations left behind.

Several servers share the directory. An object is removed only when nobody has asked for it for a while, so that none goes between being
found by one server and being loaded there; one that is loaded stays mapped.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path

#: All objects together, bytes. Beyond it the oldest go until `KEPT_PART` of it is left.
MAX_BYTES = 1 << 30
KEPT_PART = 0.75
#: Used since then, seconds: kept, whatever the size.
RECENT_S = 600.0
#: Folders of compilations and precompiled headers of other versions go after so long, seconds.
STALE_S = 7 * 86_400.0


def touch(path: Path) -> None:
    """Note that a cached file or folder is in use."""
    with contextlib.suppress(OSError):  # another server has just removed it: who opens it will say so
        os.utime(path)


def evict(cache: Path, limit: int = MAX_BYTES, now: float | None = None) -> int:
    """Bring the cache down to its limit; returns how many objects and folders went.

    Args:
        cache: the directory.
        limit: bytes that all objects together may take.
        now: seconds since the epoch, for tests.
    """
    now = time.time() if now is None else now
    objects: list[tuple[float, int, Path]] = []
    removed = 0
    for entry in os.scandir(cache):
        try:
            info = entry.stat(follow_symlinks=False)
        except FileNotFoundError:  # another server was quicker
            continue
        if entry.is_dir(follow_symlinks=False):
            if now - info.st_mtime > STALE_S:
                shutil.rmtree(entry.path, ignore_errors=True)
                removed += 1
        elif entry.name.endswith(".so"):
            objects.append((info.st_mtime, info.st_size, Path(entry.path)))
    total = sum(size for _, size, _ in objects)
    if total <= limit:
        return removed
    for used, size, path in sorted(objects):
        if total <= limit * KEPT_PART or now - used < RECENT_S:
            break
        path.unlink(missing_ok=True)
        total -= size
        removed += 1
    return removed
