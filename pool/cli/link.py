"""Finding a pool and calling its AdminService: which address and credential, and which exit code a failure has.

address     --admin  >  CUPOOL_ADMIN_ADDR  >  pool.json of the pool that runs on this host
credential  --token-file  >  CUPOOL_ADMIN_TOKEN  >  the file that pool.json names, where the address came from there
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from . import place
from .exits import CliError, Exit

#: gRPC status -> exit code. INVALID_ARGUMENT is an id that is not unique, or a value that makes no sense.
CODES: dict[str, Exit] = {
    "ALREADY_EXISTS": Exit.FAILURE,
    "DEADLINE_EXCEEDED": Exit.TIMED_OUT,
    "FAILED_PRECONDITION": Exit.FAILURE,
    "INVALID_ARGUMENT": Exit.USAGE,
    "NOT_FOUND": Exit.NOT_FOUND,
    "PERMISSION_DENIED": Exit.NOT_AUTHORISED,
    "RESOURCE_EXHAUSTED": Exit.OVER_QUOTA,
    "UNAUTHENTICATED": Exit.NOT_AUTHORISED,
    "UNAVAILABLE": Exit.UNREACHABLE,
}

_CURES: dict[str, str] = {
    "DEADLINE_EXCEEDED": "Try again, with a longer --timeout; `cupool doctor` looks for what is slow.",
    "INVALID_ARGUMENT": "Look at the ids and values; --help says what is allowed.",
    "NOT_FOUND": "`cupool ps`, `cupool gpus`, `cupool nodes`, `cupool quota show` and `cupool token list` list what there is.",
    "PERMISSION_DENIED": "Use a token of a role that may: `cupool token create --role operator`, by an admin.",
    "RESOURCE_EXHAUSTED": "Try again later, or raise the limit.",
    "UNAUTHENTICATED": "Set CUPOOL_ADMIN_TOKEN to a token of this pool, or --token-file to a file with one.",
    "UNAVAILABLE": "Is it running? `cupool up` starts a pool here; `cupool doctor` looks for what is wrong.",
    "UNIMPLEMENTED": "The pool is older than this command: upgrade it.",
}
#: What is not there, and which command lists what is, as the pool says it.
_LISTED = re.compile(r"(.*\.) (`cupool [^`]*` .*)")
#: grpc's name of a status before its words.
_STATUS = re.compile(r"^(?:[A-Z]+(?:_[A-Z]+)*: )+")
_BUG = "Please report it; `cupool logs` has the pool's side."


@dataclass(frozen=True, slots=True)
class Target:
    """Where AdminService is, and what to show there."""

    admin: str
    token: str = ""
    ca: str = ""
    running: place.Running | None = None  #: the pool of this host, where the address came from its pool.json


def pool_folder(given: str) -> Path:
    """The pool's folder: --folder, else what CUPOOL_POOL_FOLDER or the config file says, else the usual one."""
    from .. import settings

    found = given or settings.load()["pool.folder"]
    return Path(found).expanduser() if found else place.default_folder()


def find(admin: str = "", token_file: str = "", ca: str = "", folder: str = "") -> Target:
    """The pool to talk to.

    Raises:
        CliError: there is none, or its credential cannot be read.
    """
    running = None
    token = read_secret(token_file) if token_file else os.environ.get("CUPOOL_ADMIN_TOKEN", "")
    addr = admin or ("" if folder else os.environ.get("CUPOOL_ADMIN_ADDR", ""))
    ca = ca or os.environ.get("CUPOOL_CA", "")
    if not addr:
        where = pool_folder(folder)
        running = place.read(where)
        if running is None:
            raise CliError(
                Exit.UNREACHABLE,
                f"No pool runs on this host in {where}, and CUPOOL_ADMIN_ADDR is not set.",
                "`cupool up` starts a pool here; for another one set CUPOOL_ADMIN_ADDR and CUPOOL_ADMIN_TOKEN.",
            )
        addr, ca = running.admin_addr, ca or running.ca_file
        token = token or (read_secret(running.admin_token_file) if running.admin_token_file else "")
    return Target(addr, token, ca, running)


def read_secret(file: str) -> str:
    """The credential in a file. Raises CliError."""
    try:
        text = Path(file).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise CliError(
            Exit.NOT_AUTHORISED, f"The token file {file} cannot be read: {reason}.", "Name one that you can read."
        ) from None
    if not text or not text.isprintable():
        raise CliError(
            Exit.NOT_AUTHORISED,
            f"The token file {file} holds no token.",
            "It has the token on one line, and nothing else.",
        )
    return text


def import_grpc() -> Any:
    """grpc, quiet: what it has to say is in our one line."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    import grpc

    return grpc


def open_channel(addr: str, ca: str = "") -> Any:
    """A channel to an address.

    Args:
        ca: PEM file of the pool's authority; empty: no TLS. A unix socket is this machine's own and needs none. CUPOOL_CERT and
            CUPOOL_KEY are our own certificate, where the pool asks for one.

    Raises:
        CliError: a file cannot be read.
    """
    grpc = import_grpc()
    options = (
        ("grpc.enable_retries", 0),
        ("grpc.max_receive_message_length", 64 << 20),
        ("grpc.use_local_subchannel_pool", 1),
    )
    if not ca or addr.startswith(("unix:", "unix-abstract:")):
        return grpc.insecure_channel(addr, options=options)
    files = (ca, os.environ.get("CUPOOL_KEY", ""), os.environ.get("CUPOOL_CERT", ""))
    try:
        pems = [Path(file).expanduser().read_bytes() if file else None for file in files]
    except OSError as error:
        cure = "Set CUPOOL_CA or --ca to the pool's trust.pem; CUPOOL_CERT and CUPOOL_KEY to your own."
        raise CliError(Exit.USAGE, f"The file {error.filename} cannot be read: {error.strerror}.", cure) from None
    return grpc.secure_channel(addr, grpc.ssl_channel_credentials(*pems), options=options)


class Admin:
    """AdminService of one pool. A context manager; opens its connection at the first call."""

    def __init__(self, target: Target, timeout_s: float = 10.0) -> None:
        self.target = target
        self.timeout_s = timeout_s
        self._channel: Any = None
        self._stub: Any = None
        self._has_answered = False

    def __enter__(self) -> Admin:
        return self

    def __exit__(self, *_: object) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = self._stub = None

    def call(self, method: str, request: Any, timeout_s: float | None = None) -> Any:
        """One call. Raises CliError with the exit code of its failure."""
        grpc = import_grpc()
        try:
            reply = getattr(self._connected(), method)(
                request, timeout=timeout_s or self.timeout_s, metadata=self._metadata()
            )
        except grpc.RpcError as error:
            raise self._failure(error) from None
        self._has_answered = True
        return reply

    def stream(self, method: str, request: Any) -> Iterator[Any]:
        """A call that answers many times, without a time limit. Closing the iterator cancels it."""
        grpc = import_grpc()
        call = getattr(self._connected(), method)(request, metadata=self._metadata())
        try:
            for reply in call:
                self._has_answered = True
                yield reply
        except grpc.RpcError as error:
            raise self._failure(error) from None
        finally:
            call.cancel()

    def _connected(self) -> Any:
        if self._stub is None:
            from cupool.v1 import admin_pb2_grpc

            self._channel = open_channel(self.target.admin, self.target.ca)
            self._stub = admin_pb2_grpc.AdminServiceStub(self._channel)
        return self._stub

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.target.token}"),) if self.target.token else ()

    def _failure(self, error: Any) -> CliError:
        return failure(error, self.target.admin, self._has_answered)


def failure(error: Any, addr: str, has_answered: bool) -> CliError:
    """The error of a failed call. `has_answered`: it did so before."""
    name = error.code().name
    details = (error.details() or "").strip()
    # grpc's own words: a server's would differ.
    if name == "DEADLINE_EXCEEDED" and not has_answered and details == "Deadline Exceeded":
        return CliError(Exit.UNREACHABLE, f"Cannot reach the pool at {addr}: no answer in time.", _CURES["UNAVAILABLE"])
    if name == "UNAVAILABLE":
        return CliError(Exit.UNREACHABLE, f"Cannot reach the pool at {addr}: {short(details)}.", _CURES[name])
    code = CODES.get(name, Exit.FAILURE)
    what = details.replace("\n", " ") or f"The pool at {addr} answered {name}."
    if name in ("UNKNOWN", "INTERNAL", "UNIMPLEMENTED", "DEADLINE_EXCEEDED"):
        what = f"The pool at {addr} answered {name}: {short(details)}."
    if name == "NOT_FOUND" and (found := _LISTED.fullmatch(what)):
        return CliError(code, found[1], found[2])  # the pool knows better which listing has it
    return CliError(code, what, _CURES.get(name, _BUG if name in ("UNKNOWN", "INTERNAL") else ""))


def short(details: str) -> str:
    """What went wrong, out of grpc's long account of a failed connection."""
    tail = details.replace("\n", " ").rpartition("last error: ")[2]
    tail = _STATUS.sub("", tail).strip()
    return tail.rstrip(".") or "no reason was given"


# ---- options of the commands


def with_pool(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say which pool, and an `Admin` as its first argument."""

    @click.option(
        "--admin",
        "admin_addr",
        metavar="ADDR",
        default="",
        help="AdminService: host:port or unix:/path  [CUPOOL_ADMIN_ADDR]",
    )
    @click.option(
        "--token-file", metavar="FILE", default="", help="file with the credential  [CUPOOL_ADMIN_TOKEN holds one]"
    )
    @click.option("--ca", metavar="FILE", default="", help="PEM file of the pool's authority, for TLS  [CUPOOL_CA]")
    @click.option("--folder", metavar="DIR", default="", help="folder of the pool of this host  [CUPOOL_POOL_FOLDER]")
    @click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(0.1, 3600),
        default=10.0,
        metavar="SECONDS",
        help="of a call; 10",
    )
    @functools.wraps(command)
    def run(*args: Any, admin_addr: str, token_file: str, ca: str, folder: str, timeout_s: float, **kwargs: Any) -> Any:
        with Admin(find(admin_addr, token_file, ca, folder), timeout_s) as admin:
            return command(admin, *args, **kwargs)

    return run
