"""`cupool doctor --bundle`: what somebody else needs to find out what is wrong, in one archive, without secrets.

What goes in is text; each goes through `redaction` and is searched for the credentials of this pool.
"""

from __future__ import annotations

import io
import json
import os
import platform
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from cupool.contract import redaction

from . import Verdict, as_json, document, host

#: Of the end of each log.
_LOG_BYTES = 1 << 20
_PACKAGES = (
    "cupool",
    "grpcio",
    "protobuf",
    "numpy",
    "scipy",
    "cupy-cuda12x",
    "cupy-cuda13x",
    "nvidia-ml-py",
    "psutil",
    "click",
    "rich",
    "cryptography",
)


def write(file: Path, verdicts: Iterable[Verdict], folder: str = "") -> list[str]:
    """Write the archive, which only this user can read. Returns the names in it. Raises OSError.

    Args:
        folder: of the pool that it is about; empty: the usual one.
    """
    names = []
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, text in _parts(verdicts, folder):
            data = redaction.redact(text).encode("utf-8", "replace")
            entry = tarfile.TarInfo(f"cupool-support/{name}")
            entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
            archive.addfile(entry, io.BytesIO(data))
            names.append(name)
    return names


def _parts(verdicts: Iterable[Verdict], given: str) -> Iterator[tuple[str, str]]:
    yield "doctor.json", as_json(document(verdicts))
    yield "environment.json", json.dumps(_environment(), indent=1)
    yield "host.txt", _host()
    from ..cli import place

    folder = host.folder_of(given)
    try:
        from .. import settings

        found = settings.load()
        yield "settings.json", json.dumps({n: [found[n], o] for n, o in found.origins.items()}, indent=1, default=str)
    except settings.BadSetting as error:
        yield "settings.txt", str(error)
    _hide_credentials(folder)
    if (folder / place.NAME).exists():
        yield place.NAME, _tail(folder / place.NAME)
    for log in sorted((folder / "logs").glob("*.log")) if (folder / "logs").is_dir() else []:
        yield f"logs/{log.name}", _tail(log)
    yield from _pool(given)


def _hide_credentials(folder: Path) -> None:
    """Whatever form they have: files and variables that hold some."""
    for name in ("token", "admin-token", "agent-token", "balancer-token"):
        try:
            redaction.add((folder / name).read_text().strip())
        except OSError:
            continue  # this pool has none, or it is not ours to read
    for variable in redaction.SECRET_VARIABLES:
        if value := os.environ.get(variable):
            redaction.add(value)


def _environment() -> dict[str, Any]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = ""
    ours = {
        n: v
        for n, v in os.environ.items()
        if n.startswith(("CUPOOL_", "GRPC_", "CUDA_", "NVIDIA_")) or n.lower().endswith("_proxy")
    }
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "packages": versions,
        "variables": dict(sorted(redaction.redact_environment(ours).items())),
    }


def _host() -> str:
    wanted = (
        "/proc/meminfo",
        "/proc/loadavg",
        "/proc/self/limits",
        "/proc/self/cgroup",
        "/proc/driver/nvidia/version",
        "/etc/os-release",
    )
    out = []
    for name in wanted:
        try:
            out.append(f"==> {name} <==\n{Path(name).read_text()}")
        except OSError as error:
            out.append(f"==> {name}: {error.strerror}\n")
    return "\n".join(out)


def _tail(file: Path) -> str:
    try:
        with open(file, "rb") as opened:
            opened.seek(max(0, os.fstat(opened.fileno()).st_size - _LOG_BYTES))
            return opened.read().decode("utf-8", "replace")
    except OSError as error:
        return f"{file}: {error.strerror}"


def _pool(folder: str) -> Iterator[tuple[str, str]]:
    """What the pool of this host, or of CUPOOL_ADMIN_ADDR, says of itself; folder: what --folder says."""
    try:
        from ..cli import devices, nodes, quota, sessions, status
    except ModuleNotFoundError:
        return  # base install
    from ..cli.exits import CliError
    from ..cli.link import Admin, find

    wanted: dict[str, Callable[[Admin], dict[str, Any]]] = {
        "status.json": status.document,
        "gpus.json": devices.document,
        "nodes.json": nodes.document,
        "servers.json": nodes.server_document,
        "ps.json": sessions.document,
        "quota.json": quota.document,
    }
    try:
        with Admin(find(folder=folder), 5.0) as admin:
            for name, ask in wanted.items():
                yield name, json.dumps(ask(admin), indent=1)
    except CliError as error:
        yield "pool.txt", str(error)
