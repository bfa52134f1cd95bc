"""g++ outside of the process that runs a tenant's kernels.

A server that may not start programs, and may not write where other tenants' kernels are read from, asks this process: a child that was
forked before the server was confined. It runs g++ and nothing of a tenant's, so what it puts into the cache is worth sharing. It is
confined too: it reads the compiler and the headers, writes the cache, and reaches no network.

    server            `RemoteCompiler`, a Compiler whose work is done by the other side
    this process      `serve`, one request after another until the server is gone

On the wire: a length of 4 bytes, then parts, each after a length of 4 bytes. Text is UTF-8 with surrogates. Nothing is evaluated.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import struct
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from cupool.contract.errors import CompileException, OpMissing

from .compiler import Compiler

#: A source and its headers, or what the compiler says.
LARGEST_BYTES = 64 << 20
_LENGTH = struct.Struct("<I")


def pack(parts: Sequence[str]) -> bytes:
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    return b"".join(_LENGTH.pack(len(part)) + part for part in encoded)


def unpack(data: bytes) -> list[str]:
    """Raises ValueError for what `pack` did not make."""
    parts, at = [], 0
    while at < len(data):
        if at + 4 > len(data):
            raise ValueError("a length is cut off")
        (length,) = _LENGTH.unpack_from(data, at)
        at += 4
        if at + length > len(data):
            raise ValueError("a part is cut off")
        parts.append(data[at : at + length].decode("utf-8", "surrogatepass"))
        at += length
    return parts


def send(sock: socket.socket, parts: Sequence[str]) -> None:
    data = pack(parts)
    if len(data) > LARGEST_BYTES:
        raise ValueError(f"the source and its headers have {len(data)} bytes; {LARGEST_BYTES} are allowed")
    sock.sendall(_LENGTH.pack(len(data)) + data)


def receive(sock: socket.socket) -> list[str] | None:
    """The next message; None when the other side is gone. Raises ValueError for one that makes no sense."""
    head = _exactly(sock, 4)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > LARGEST_BYTES:
        raise ValueError(f"a message of {length} bytes")
    data = _exactly(sock, length)
    return None if data is None else unpack(data)


def _exactly(sock: socket.socket, length: int) -> bytes | None:
    parts: list[bytes] = []
    while length:
        part = sock.recv(min(length, 1 << 20))
        if not part:
            return None
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


class RemoteCompiler(Compiler):
    """Looks into the cache itself, which it may read; has the other process make what is not there."""

    #: whoever asks takes turns: a process has one socket to its compiling process, and may have several of these
    _turn = threading.Lock()

    def __init__(self, sock: socket.socket, cache: Path | None = None) -> None:
        super().__init__(cache)
        self._sock = sock
        self._gone = ""

    @cached_property
    def version(self) -> str:
        return self._ask("version")[0]

    @cached_property
    def path(self) -> str | None:
        return shutil.which(self._command)

    def compile(self, text: str, options: Sequence[str], headers: Mapping[str, str], *, source: str, name: str,
                backend: str = "nvrtc") -> Path:  # fmt: skip
        (made,) = self._ask("compile", text, source, name, backend, str(len(options)), *options, *_flat(headers))
        return Path(made)

    def warnings(self, text: str, options: Sequence[str], headers: Mapping[str, str]) -> str:
        return self._ask("warnings", text, str(len(options)), *options, *_flat(headers))[0]

    def preprocess(self, text: str, options: Sequence[str]) -> str | None:
        said = self._ask("preprocess", text, *options)
        return said[0] if said else None

    def _ask(self, *parts: str) -> list[str]:
        with self._turn:
            if self._gone:
                raise OpMissing(f"No kernel can be compiled any more: {self._gone}.", "Open a new session.")
            try:
                send(self._sock, parts)
                said = receive(self._sock)
            except OSError as error:
                said, self._gone = None, f"the compiling process is gone ({error.strerror})"
        if said is None:
            self._gone = self._gone or "the compiling process is gone"
            raise OpMissing(f"No kernel can be compiled any more: {self._gone}.", "Open a new session.")
        kind, *rest = said
        if kind == "ok":
            return rest
        if kind == "compile-exception":
            message, source, name, backend, *options = rest
            raise CompileException(message, source, name, tuple(options), backend)
        raise OpMissing(*rest)


def _flat(headers: Mapping[str, str]) -> list[str]:
    return [part for item in headers.items() for part in item]


def _mapping(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def serve(sock: socket.socket, compiler: Compiler) -> None:
    """Answer until the other side is gone, or says what makes no sense."""
    while True:
        try:
            asked = receive(sock)
            if not asked:
                return
            answer = _answer(compiler, asked)
        except ValueError:
            return  # the other side runs what a tenant sent: nothing it says is worth more words
        send(sock, answer)


def _answer(compiler: Compiler, asked: Sequence[str]) -> list[str]:
    kind, *rest = asked
    try:
        if kind == "version":
            return ["ok", compiler.version]
        if kind == "preprocess":
            text, *options = rest
            seen = compiler.preprocess(text, options)
            return ["ok"] if seen is None else ["ok", seen]
        if kind == "warnings":
            text, count, *more = rest
            return ["ok", compiler.warnings(text, more[: int(count)], _mapping(more[int(count) :]))]
        if kind == "compile":
            text, source, name, backend, count, *more = rest
            options = more[: int(count)]
            made = compiler.compile(
                text, options, _mapping(more[int(count) :]), source=source, name=name, backend=backend
            )
            return ["ok", str(made)]
    except CompileException as error:
        return ["compile-exception", error.get_message(), error.source, error.name, error.backend, *error.options]
    except OpMissing as error:
        return ["missing", str(error)]
    except OSError as error:
        return [
            "missing",
            f"The kernel could not be compiled: {error.strerror or error}.",
            "Tell the pool's operator; other kernels may work.",
        ]
    raise ValueError(f"no request {kind!r}")


def prepare(compiler: Compiler) -> None:
    """Make the compiled header for the usual standard, so that no session waits for it. Quick when it is there."""
    if compiler.version:
        compiler._precompiled("17")


#: Our end of the socket to the compiling process; None where kernels are compiled in this one.
_helper: socket.socket | None = None


def default_compiler() -> Compiler:
    """The compiler of this process: by the compiling process where there is one."""
    return Compiler() if _helper is None else RemoteCompiler(_helper)


def fork_helper(confine: Callable[[], object]) -> int:
    """Fork the compiling process; `default_compiler` then asks it. Call while this process has one thread. Returns its process id.

    Args:
        confine: takes away what the compiling process does not need; called in it.
    """
    global _helper
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    parent = os.getpid()
    child = os.fork()
    if child:
        theirs.close()
        _helper = ours
        return child
    try:
        ours.close()
        _become_helper(theirs, parent, confine)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _become_helper(sock: socket.socket, parent: int, confine: Callable[[], object]) -> None:
    # The kernel ends it with the server, inside of a compilation too.
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        return
    # A key at the server's terminal, or a polite end, is the server's to handle; it ends us by ending.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1):
        os.dup2(nothing, fd)
    kept = sock.fileno()
    os.closerange(3, kept)
    os.closerange(kept + 1, 1 << 16)
    confine()
    serve(sock, Compiler())
