"""The shim's configuration: environment variables, read once."""

from __future__ import annotations

import os
from functools import lru_cache

from cupool.contract.limits import MIB
from cupool.contract.records import Record


class Config(Record):
    """What the environment says.

    Attributes:
        addr: CUPOOL_ADDR, the pool: "host:port" or "unix:/path"; empty: an embedded pool is started for this process.
        token: CUPOOL_TOKEN, the tenant credential; empty: none.
        ca: CUPOOL_CA, PEM file of the authority that signed the pool's certificate; empty: no TLS.
        cert, key: CUPOOL_CERT and CUPOOL_KEY, PEM files of a client certificate, where the pool asks for one.
        sync: CUPOOL_SYNC=1, every call waits for its result, so that errors surface at the call.
        reconnect_s: CUPOOL_RECONNECT_S, how long a lost connection is retried before the session is given up.
        deadline_s: CUPOOL_DEADLINE_S, how long getting a session may take: waiting for a server to become free, or for a pool that is
            away for a moment.
        function: CUPOOL_FUNCTION, who asks, for people and for warm kernels.
        memory_bytes: CUPOOL_MEMORY, device memory wanted; 0: the pool's default.
        device_kind: CUPOOL_DEVICE, "", "cuda" or "cpu".
        lifetime_s: the pool ends the session so long after it gave it, at the latest; 0: as the tenant may.
        start_s: how long an embedded pool may take to start.
        durability: CUPOOL_DURABILITY, what a lost server costs. "replay" (default): another one does again what the session did, while
            that fits into the redo window, which begins anew with each checkpoint of a small session. "node", "file": checkpoints of any
            size, in the memory of the server's host or in the pool's folder; whoever goes too fast for them waits. "none": nothing is
            kept, and the session is lost.
        redo_bytes: CUPOOL_REDO, the redo window, in this process's memory.
        early: CUPOOL_EARLY=0: a session's first batch waits for its server's hello.
        loops: CUPOOL_LOOPS=0 sends what loops do command by command.
        compression: CUPOOL_COMPRESSION, "zlib": bulk bytes are packed on their way between hosts; empty: they are not.
        float32_as: CUPOOL_FLOAT32_AS, "float16" or "bfloat16": large arrays of float32 are rounded to that on their way, both ways; empty:
            they are not. See `transit.py`.
        transport: CUPOOL_TRANSPORT, how frames travel: "auto", by sockets of our own, and by grpcio's core where those do not fit;
            "light", by those whatever they met before; "core" and "grpc", grpcio's core and its public API.
        log: CUPOOL_LOG, "debug", "info", "warning" or "error": what is told of sessions on standard error; empty: nothing.
        log_format: CUPOOL_LOG_FORMAT, "text" or "json".
    """

    addr: str = ""
    token: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""
    sync: bool = False
    reconnect_s: float = 30.0
    deadline_s: float = 10.0
    function: str = ""
    memory_bytes: int = 0
    device_kind: str = ""
    lifetime_s: int = 0
    start_s: float = 60.0
    transport: str = "auto"
    early: bool = True
    loops: bool = True
    log: str = ""
    log_format: str = "text"
    durability: str = "replay"
    redo_bytes: int = 64 * MIB
    compression: str = ""
    float32_as: str = ""


#: What `Config.float32_as` may be.
FLOAT32_AS = ("", "float16", "bfloat16")


def one_of(value: str, allowed: tuple[str, ...], name: str) -> str:
    """A checked word. Raises ValueError; `name` says where the value is from."""
    if value not in allowed:
        words = ", ".join(map(repr, filter(None, allowed)))
        raise ValueError(f"{name}={value!r} is none of {words}. Set it to one of them, or leave it out.")
    return value


DURABILITIES = ("replay", "node", "file", "none")


def durability_of(value: str, name: str) -> str:
    """A checked durability. Raises ValueError; `name` says where the value is from."""
    if value not in DURABILITIES:
        words = ", ".join(map(repr, DURABILITIES))
        raise ValueError(f"{name}={value!r} is none of {words}. Set it to one of them, or leave it out.")
    return value


def address_of(value: str, name: str) -> str:
    """A checked address of a pool, or "". Raises ValueError; `name` says where the value is from."""
    value = value.strip()
    if not value or (value.startswith(("unix:", "unix-abstract:")) and value.partition(":")[2].strip("/")):
        return value
    host, _, port = value.rpartition(":")
    if not host or "/" in value or not (port.isdecimal() and 0 < int(port) < 65536):
        cure = "Write host:port, for example 10.0.0.7:7070, or unix:/path/of/a/socket."
        raise ValueError(f"{name}={value!r} is no address. {cure}")
    return value


def token_of(value: str, name: str) -> str:
    """A checked credential. Raises ValueError, without showing it; `name` says where it is from."""
    value = value.strip()  # a file's last newline
    if not (value.isascii() and value.isprintable()):
        raise ValueError(f"{name} has a line break, or letters beyond ASCII, as no credential has. Copy it again.")
    return value


def _compression_of(value: str) -> str:
    if not value:
        return ""
    from cupool.contract.compressions import COMPRESSIONS

    return one_of(value, ("", *COMPRESSIONS), "CUPOOL_COMPRESSION")


def _read() -> Config:
    env = os.environ.get

    def number(name: str, default: float) -> float:
        text = env(name, "")
        try:
            value = float(text) if text else default
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf"):
            raise ValueError(
                f"{name}={text!r} is not a number of seconds. Set it to one, for example {name}={default:g}, or unset it."
            )
        return value

    def size(name: str, default: int) -> int:
        text = env(name, "")
        try:
            if not text:
                return default
            from cupool.contract.sizes import parse_size

            return parse_size(text)
        except ValueError:
            raise ValueError(
                f"{name}={text!r} is not a size. Set it to bytes or for example 4GiB, or unset it."
            ) from None

    transport = env("CUPOOL_TRANSPORT", "") or "auto"
    if transport not in ("auto", "light", "core", "grpc"):
        raise ValueError(
            f"CUPOOL_TRANSPORT={transport!r} is none of 'auto', 'light', 'core', 'grpc'. Set it to one of them, or unset it."
        )
    log, log_format = env("CUPOOL_LOG", "").lower(), env("CUPOOL_LOG_FORMAT", "") or "text"
    for name, value, allowed in (
        ("CUPOOL_LOG", log, ("", "debug", "info", "warning", "error")),
        ("CUPOOL_LOG_FORMAT", log_format, ("text", "json")),
    ):
        if value not in allowed:
            raise ValueError(
                f"{name}={value!r} is none of {', '.join(filter(None, allowed))}. Set it to one, or unset it."
            )
    cert, key = env("CUPOOL_CERT", ""), env("CUPOOL_KEY", "")
    if bool(cert) != bool(key):
        raise ValueError(
            "CUPOOL_CERT and CUPOOL_KEY go together: a certificate and its private key. Set both, or unset both."
        )
    return Config(
        addr=address_of(env("CUPOOL_ADDR", ""), "CUPOOL_ADDR"),
        token=token_of(env("CUPOOL_TOKEN", ""), "CUPOOL_TOKEN"),
        ca=env("CUPOOL_CA", ""),
        cert=cert,
        key=key,
        sync=env("CUPOOL_SYNC", "") not in ("", "0"),
        reconnect_s=number("CUPOOL_RECONNECT_S", 30.0),
        deadline_s=number("CUPOOL_DEADLINE_S", 10.0),
        function=env("CUPOOL_FUNCTION", ""),
        memory_bytes=size("CUPOOL_MEMORY", 0),
        device_kind=env("CUPOOL_DEVICE", ""),
        start_s=number("CUPOOL_START_S", 60.0),
        transport=transport,
        early=env("CUPOOL_EARLY", "") != "0",
        loops=env("CUPOOL_LOOPS", "") != "0",
        log=log,
        log_format=log_format,
        redo_bytes=size("CUPOOL_REDO", 64 * MIB),
        durability=durability_of(env("CUPOOL_DURABILITY", "") or "replay", "CUPOOL_DURABILITY"),
        compression=_compression_of(env("CUPOOL_COMPRESSION", "")),
        float32_as=one_of(env("CUPOOL_FLOAT32_AS", ""), FLOAT32_AS, "CUPOOL_FLOAT32_AS"),
    )


@lru_cache(maxsize=1)
def config() -> Config:
    """The configuration; read at the first call. Raises ValueError for a variable that makes no sense."""
    return _read()


def wants_lane() -> bool:
    """Whether bulk bytes may go through shared memory where the server is on this host."""
    return os.environ.get("CUPOOL_LANE", "1") != "0"
