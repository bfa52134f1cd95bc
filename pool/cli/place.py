"""Where a pool of this host lives: its folder, and the `pool.json` in it that says how to reach it. Imports nothing that is slow.

The folder outlives the pool: directory, audit log, logs. `pool.json` does not: it is there while the pool runs.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path

from .exits import CliError, Exit

NAME = "pool.json"
#: Of `pool.json`. One that says more is of a newer cupool.
VERSION = 1


def default_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """$XDG_STATE_HOME/cupool, else ~/.local/state/cupool."""
    state = environment.get("XDG_STATE_HOME") or os.path.join(environment.get("HOME") or "/var/lib", ".local", "state")
    return Path(state) / "cupool"


@dataclasses.dataclass(frozen=True, slots=True)
class Running:
    """`pool.json`: a pool that runs on this host. It names files with secrets, and holds none."""

    addr: str  #: where programs come
    admin_addr: str  #: where operators come
    agent_addr: str = ""  #: where agents of other hosts come
    metrics_addr: str = ""
    cert_addr: str = ""  #: where programs come that show a certificate
    token_file: str = ""  #: credential of the tenant `default`
    admin_token_file: str = ""
    ca_file: str = ""  #: authority of the pool's certificate; empty: no TLS
    mark: str = ""  #: CUPOOL_POOL_MARK in the environment of every process of this pool
    supervisor_pid: int = 0
    controller_pid: int = 0
    agent_pid: int = 0
    balancer_pid: int = 0  #: 0: there is none
    run_folder: str = ""  #: sockets and status files; goes with the pool
    started: float = 0.0  #: seconds since 1970
    version: int = VERSION


def read(folder: Path) -> Running | None:
    """What runs in this folder by its `pool.json`; None: there is none.

    Raises:
        CliError: it cannot be read, or is of a newer cupool.
    """
    file = folder / NAME
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except PermissionError:
        raise CliError(
            Exit.NOT_AUTHORISED, f"{file} is another user's.", "Run this as the user who started the pool."
        ) from None
    except (OSError, ValueError) as error:
        raise CliError(Exit.FAILURE, f"{file} cannot be read: {error}.", "Remove it when no pool runs here.") from None
    if not isinstance(said, dict) or not isinstance(said.get("version"), int):
        raise CliError(Exit.FAILURE, f"{file} is no record of a pool.", "Remove it when no pool runs here.")
    if said["version"] > VERSION:
        raise CliError(Exit.FAILURE, f"{file} is of a newer cupool.", "Use the cupool that started this pool.")
    names = {f.name for f in dataclasses.fields(Running)}
    try:
        return Running(**{k: v for k, v in said.items() if k in names})
    except TypeError as error:
        raise CliError(
            Exit.FAILURE, f"{file} is no record of a pool: {error}.", "Remove it when no pool runs here."
        ) from None


def write(folder: Path, running: Running) -> None:
    """At once or not at all; only this user can read it."""
    _write_private(folder / NAME, json.dumps(dataclasses.asdict(running), indent=1) + "\n")


def write_secret(file: Path, secret: str) -> None:
    """A credential in a file of its own that only this user can read."""
    _write_private(file, secret + "\n")


def _write_private(file: Path, text: str) -> None:
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "w", encoding="utf-8") as out:
            out.write(text)
        os.replace(fresh, file)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
