"""The checkpoints of this host's sessions: where their servers write them, what stays when a server is lost, and when it goes.

Each server has a folder of its own in the host's memory, and one in the pool's folder where an operator set one; nothing else may be
written by it. Cases of what becomes of them:
  - the session ends by wish: they go
  - its server is lost: they stay, for its client's next lease, for `keep_s`, unless the bytes are needed
  - a server goes on from them: it gets links to the files, which do not change; when it has a checkpoint of its own they go
  - the agent is killed: those in memory go with the next agent's start; those in the pool's folder stay for `keep_s`

Note [Not believed]: in a server's folder its tenant's code writes what it likes: links to files of this user, pipes in place of files, ten
million names. So nothing there is opened by this process but what it makes itself, under a name that was not there; files are renamed and
linked, never followed; and a look at a folder ends after `MOST_ENTRIES`.

Boundary: files, names and bytes. What is in a checkpoint is the apiserver's.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import logging
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cupool.v1 import server_pb2

from ..config import PoolConfig
from ..rundir import RunDir
from .server import Server

_log = logging.getLogger(__name__)

#: A file system in memory, and how much must be free there for it to be used.
MEMORY = Path("/dev/shm")
LEAST_FREE_BYTES = 64 << 20
#: How often folders that others see are touched, and how old one must be beyond `keep_s` to be nobody's.
TOUCH_S = 60.0
FORGOTTEN_S = 300.0
_ALLOWANCE = "allowance"
#: See Note [Not believed]. A folder of ours has an index or two, and a file for each gigabyte.
MOST_ENTRIES = 4096


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of this host: folders of living servers and kept ones, and their bytes when they were last counted: at each checkpoint."""

    live: int
    kept: int
    nbytes: int
    allowed_bytes: int


class Checkpoints:
    """All of one agent. In its loop's thread."""

    def __init__(self, config: PoolConfig) -> None:
        self._bytes = config.checkpoint_bytes or _memory_bytes() // 4
        self._keep_s = config.checkpoint_keep_s
        self._memory: RunDir | None = None
        if _free_bytes(MEMORY) >= LEAST_FREE_BYTES:
            self._memory = RunDir(MEMORY)
        self._roots: dict[str, Path] = {}
        if self._memory is not None:
            self._roots["node"] = self._memory.path
        if config.checkpoint_folder:
            self._roots["file"] = Path(config.checkpoint_folder) / "running"
            self._roots["file"].mkdir(mode=0o700, parents=True, exist_ok=True)
        self._live: set[str] = set()
        #: server -> when it was lost
        self._kept: dict[str, float] = {}
        #: server and where -> the allowance that it was told
        self._told: dict[tuple[str, str], int] = {}
        #: server -> the one whose checkpoint it began with
        self._origin: dict[str, str] = {}
        self._touched_s = time.monotonic()
        self._counted = 0
        self._sweep_forgotten()

    def arguments(self, server: str) -> list[str]:
        """More words of a server's command line: where it may write. Raises OSError."""
        words = []
        for where, root in self._roots.items():
            folder = root / server
            folder.mkdir(mode=0o700)
            words += ["--checkpoints", f"{where}={folder}"]
        self._live.add(server)
        self._allow()
        return words

    def given(self, request: server_pb2.AssignRequest, server: str) -> server_pb2.AssignRequest:
        """The assignment as its server understands it: with the checkpoint that it goes on from in its own folder."""
        named = request.incoming.checkpoint
        if not named:
            return request
        where, _, rest = named.partition("/")
        if where == "saved":
            return self._given_saved(request, rest, server)
        origin, _, checkpoint = rest.rpartition("/")
        changed = server_pb2.AssignRequest()
        changed.CopyFrom(request)
        # One that is not here any more is looked for in vain by the server, which says so to everybody.
        changed.incoming.checkpoint = str(Path(f"/nowhere/{checkpoint}.index"))
        root = self._roots.get(where)
        if root is None or not origin or "/" in origin or not checkpoint.isdecimal():
            return changed
        target = root / server / "restored"
        try:
            with contextlib.suppress(FileExistsError):
                target.mkdir(mode=0o700)
            _check(target, stat.S_IFDIR)
            for entry in os.scandir(root / origin):
                if entry.is_file(follow_symlinks=False) and entry.name.endswith((".index", ".data")):
                    _link(Path(entry.path), target / entry.name)
        except OSError as error:
            _log.warning("event=checkpoint-not-given server=%s origin=%s reason=%r", server, origin, str(error))
            return changed
        self._origin[server] = origin
        changed.incoming.checkpoint = str(target / f"{checkpoint}.index")
        return changed

    def _given_saved(self, request: server_pb2.AssignRequest, name: str, server: str) -> server_pb2.AssignRequest:
        changed = server_pb2.AssignRequest()
        changed.CopyFrom(request)
        changed.incoming.checkpoint = f"/nowhere/{Path(name).name}.session"
        root = self._roots.get("file")
        if root is not None and "/" not in name:
            target = root / server / "restored.session"
            try:
                _link(root.parent / "saved" / f"{name}.session", target)
                changed.incoming.checkpoint = str(target)
            except OSError as error:
                _log.warning("event=checkpoint-not-given server=%s name=%s reason=%r", server, name, str(error))
        return changed

    def saves(self, server: str, order: server_pb2.Checkpoint) -> server_pb2.Checkpoint:
        """The order to save a session as its server understands it: where to write."""
        root = self._roots.get("file")
        changed = server_pb2.Checkpoint()
        changed.CopyFrom(order)
        changed.path = str(root / server / f"{order.checkpoint}.session") if root is not None else ""
        return changed

    def reported(self, of: Server, report: server_pb2.CheckpointReport) -> server_pb2.CheckpointReport | None:
        """A server has made one, or could not. Returns what is to be told of a session that was saved."""
        server = of.id
        if report.checkpoint:
            return self._saved(of, report)
        if not report.error:
            origin = self._origin.pop(server, "")
            self._remove(origin)
            for root in self._roots.values():
                shutil.rmtree(root / server / "restored", ignore_errors=True)
        self._allow()
        return None

    def _saved(self, of: Server, report: server_pb2.CheckpointReport) -> server_pb2.CheckpointReport:
        """Put a saved session where it stays, with whose it is."""
        told = server_pb2.CheckpointReport()
        told.CopyFrom(report)
        root, given, name = self._roots.get("file"), of.assignment, report.checkpoint
        if report.error:
            return told
        if root is None or given is None or "/" in name or report.session != given.session:
            told.error = "What its server reports does not fit what was asked."
            return told
        folder = root.parent / "saved"
        whose = {
            "session": given.session, "tenant": given.tenant, "token_sha256": given.token_sha256.hex(), "function": "",
            "kind": of.device.kind, "fingerprint": of.fingerprint, "memory_bytes": given.limit_bytes, "epoch": given.epoch,
            "priority": 0, "executed_seq": report.executed_seq, "nbytes": report.nbytes, "written": time.time(),
        }  # fmt: skip
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            beside = folder / f"{name}.beside"
            beside.touch(mode=0o600)
            beside.write_text(json.dumps(whose, indent=1) + "\n")
            kept = folder / f"{name}.session"
            os.rename(root / of.id / f"{name}.session", kept)
            try:
                _check(kept, stat.S_IFREG)
            except OSError:
                _discard(kept)
                raise
            os.rename(beside, folder / f"{name}.json")
        except OSError as error:
            told.error = f"It could not be put into {folder}: {error.strerror or error}."
        told.path = str(folder / f"{name}.session")
        return told

    def ended(self, server: str, is_kept: bool) -> None:
        """A server is gone. `is_kept`: its session may go on elsewhere."""
        if server not in self._live:
            return
        self._live.discard(server)
        origin = self._origin.pop(server, "")
        if not is_kept:
            self._remove(server)
            self._remove(origin)
        elif self._has_any(server):
            self._kept[server] = time.monotonic()
        else:
            self._remove(server)
            if origin:
                self._kept[origin] = time.monotonic()
        self.tidy()

    def _has_any(self, server: str) -> bool:
        return any(e.name.endswith(".index") for root in self._roots.values() for e in _entries(root / server))

    def tidy(self) -> None:
        """Remove what was kept for too long, or for which there is no room; touch what others might take for forgotten."""
        now, needed = time.monotonic(), set(self._origin.values())
        for server in [s for s, since in self._kept.items() if now - since > self._keep_s and s not in needed]:
            _log.info("event=checkpoint-expired server=%s", server)
            self._remove(server)
        while self._held() > self._bytes and (kept := {s: t for s, t in self._kept.items() if s not in needed}):
            oldest = min(kept, key=kept.__getitem__)
            _log.warning("event=checkpoint-dropped server=%s reason='there was no room for it'", oldest)
            self._remove(oldest)
        if now - self._touched_s > TOUCH_S:
            self._touched_s = now
            for server in (*self._live, *self._kept):
                for root in self._roots.values():
                    if (root / server).exists():
                        os.utime(root / server)
            self._sweep_forgotten()
        self._allow()

    def statistics(self) -> Statistics:
        return Statistics(len(self._live), len(self._kept), self._counted, self._bytes)

    def close(self) -> None:
        """The agent ends, and its sessions have."""
        for server in (*self._live, *self._kept):
            self._remove(server)
        if self._memory is not None:
            self._memory.remove()

    # ---- bytes

    def _allow(self) -> None:
        """Tell every living server how much it may take: what it has, and its part of what is free."""
        held = {server: self._held_by(server) for server in (*self._live, *self._kept)}
        self._counted = sum(held.values())
        free = max(self._bytes - self._counted, 0) // max(len(self._live), 1)
        for server in self._live:
            for where, root in self._roots.items():
                path, allowed = root / server / _ALLOWANCE, held[server] + free
                if self._told.get((server, where)) == allowed:
                    continue
                try:
                    _write_new(path, str(allowed))
                    self._told[server, where] = allowed
                except OSError as error:
                    _log.warning("event=allowance-not-told server=%s reason=%r", server, str(error))

    def _held(self) -> int:
        return sum(self._held_by(server) for server in (*self._live, *self._kept))

    def _held_by(self, server: str) -> int:
        held = 0
        for root in self._roots.values():
            for entry in _entries(root / server):
                with contextlib.suppress(FileNotFoundError):  # its server has removed it meanwhile
                    if entry.is_file(follow_symlinks=False):
                        held += entry.stat(follow_symlinks=False).st_size
        return held

    # ---- removing

    def _remove(self, server: str) -> None:
        if server:
            self._kept.pop(server, None)
            self._origin.pop(server, None)
            for where, root in self._roots.items():
                self._told.pop((server, where), None)
                shutil.rmtree(root / server, ignore_errors=True)

    def _sweep_forgotten(self) -> None:
        """Folders of agents that were killed, in the folder that hosts share."""
        root = self._roots.get("file")
        if root is None:
            return
        oldest = time.time() - self._keep_s - FORGOTTEN_S
        for entry in _entries(root, None):  # the pool's own folder
            try:
                if entry.name not in self._live and entry.stat(follow_symlinks=False).st_mtime < oldest:
                    shutil.rmtree(entry.path, ignore_errors=True)
            except FileNotFoundError:
                continue


def _link(source: Path, target: Path) -> None:
    """Where a file system has no hard links, a copy. Raises OSError: also where the source is no file itself."""
    _check(source, stat.S_IFREG)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        # Looked at again when it is open: by its name it could be another one meanwhile.
        with open(os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _not_ours(source) from None
            made = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(made, "wb") as copy:
                shutil.copyfileobj(file, copy, 1 << 20)


def _check(path: Path, kind: int) -> None:
    """Raises OSError where a path is another kind of file (`stat.S_IFREG`, ...); a link is always another."""
    if stat.S_IFMT(os.lstat(path).st_mode) != kind:
        raise _not_ours(path)


def _not_ours(path: Path) -> OSError:
    return OSError(errno.EPERM, "it is not what this host made", str(path))


def _discard(path: Path) -> None:
    """Remove whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _write_new(path: Path, text: str) -> None:
    """Put a file into a server's folder: see Note [Not believed]. Raises OSError."""
    beside = path.with_name(f"{path.name}-{secrets.token_hex(8)}")
    made = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(made, "w") as file:
            file.write(text)
        os.rename(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _entries(folder: Path, most: int | None = MOST_ENTRIES) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            yield from itertools.islice(found, most)
    except OSError:
        return


def _free_bytes(folder: Path) -> int:
    try:
        if not os.access(folder, os.W_OK):
            return 0
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


__all__ = ["Checkpoints", "Statistics"]
