"""What a pool has on this host, whoever keeps it running: its folder and who holds it, credentials, processes that bear its mark.

Boundary: files and processes. `cupool up`, `down` and `doctor` look here, and so does the supervisor, which is the one that starts things.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import select
import shutil
import signal
import time
from pathlib import Path

from . import rundir
from .cli import place
from .cli.place import Running

#: In the environment of every process of a pool, so that none is forgotten.
MARK = "CUPOOL_POOL_MARK"
#: How long processes may take to end when told to.
END_S = 10.0
_LOCK = "up.lock"
#: Files of the folder that are there while the pool runs, and hold its credentials.
TOKENS = {"token": "client", "admin-token": "admin", "agent-token": "agent", "balancer-token": "balancer"}
_CREDENTIAL = re.compile(r"cupool_[a-z]+_[0-9a-f]{12}_[\w-]{43}")
_RECORDS = ("controller.record", "agent.record")


def lock(folder: Path) -> int:
    """The folder is this process's while the descriptor is open. Raises BlockingIOError: another supervisor has it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def run_folder(folder: Path) -> Path:
    """Where the pool of this folder has its sockets: the same at every start, so that its addresses stay. Short: a socket's path has
    107 bytes.

    Raises:
        OSError: something of another user is there.
    """
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:10]
    path = rundir.base() / f"cupool.{os.getuid()}.{name}"
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if found.st_uid != os.getuid() or path.is_symlink() or found.st_mode & 0o077:
        raise PermissionError(13, "it is not a folder that only this user can enter", str(path))
    return path


def credentials(folder: Path) -> dict[str, str]:
    """A credential for programs, operators and agents of this host, each in a file; by the file's name. Those of a pool that ended without
    `cupool down` are still there, and stay: its programs have them, and go on with this one."""
    found = {}
    for name, role in TOKENS.items():
        try:
            found[name] = (folder / name).read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            found[name] = ""
        if not _CREDENTIAL.fullmatch(found[name]):
            found[name] = f"cupool_{role}_{secrets.token_hex(6)}_{secrets.token_urlsafe(32)}"
            place.write_secret(folder / name, found[name])
    return found


def marked(mark: str) -> list[int]:
    """Living processes that have this mark in their environment."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                is_ours = wanted in file.read().split(b"\0")
        except OSError:
            continue  # it ended meanwhile, or is another user's
        if is_ours and is_alive(int(entry)):
            found.append(int(entry))
    return found


def is_alive(pid: int) -> bool:
    """Whether there is a process of that number, which has not ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def is_of(pid: int, mark: str) -> bool:
    """Whether the process `pid` lives and is of the pool with this mark: numbers of processes are used again."""
    return pid > 0 and pid in marked(mark)


def end_all(running: Running, grace_s: float) -> list[int]:
    """End every process of a pool: asked first, then made to. Returns those that had to be made to."""
    ends = time.monotonic() + grace_s
    for pid in marked(running.mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    while (left := marked(running.mark)) and time.monotonic() < ends:
        _wait_end_of(left[0], ends - time.monotonic())
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    ends = time.monotonic() + END_S
    while (late := marked(running.mark)) and time.monotonic() < ends:
        _wait_end_of(late[0], 1.0)
    return left


def _wait_end_of(pid: int, timeout_s: float) -> None:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([fd], [], [], max(0.0, timeout_s))
    finally:
        os.close(fd)


def clean(folder: Path, running: Running | None, *, keeps_credentials: bool = False) -> None:
    """Remove what is there only while the pool runs. What it keeps stays: directory, audit log, certificates, logs.

    Args:
        keeps_credentials: the pool was killed, and the next one takes them over.
    """
    for name in (*([] if keeps_credentials else TOKENS), *_RECORDS, place.NAME):
        (folder / name).unlink(missing_ok=True)
    if running is not None and running.run_folder:
        shutil.rmtree(running.run_folder, ignore_errors=True)
        # Processes that were killed left folders of their own beside it.
        rundir.sweep(Path(running.run_folder).parent)
