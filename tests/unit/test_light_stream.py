"""Streams on sockets of our own, at servers that are silent, gone, or in the way: what is sent, what is noticed, what is given back."""

from __future__ import annotations

import errno
import os
import select
import socket
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest
from cupool.shim import light_stream
from cupool.shim.http2 import Call
from cupool.shim.light_stream import LightStream, Unfit, Wire, call_once
from cupool.shim.transport import NO_TLS, Trust, is_unix

#: A program that SIGPIPE ends, as command line tools have it, and a server that goes away.
SIGPIPE = """
import signal, socket
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
from cupool.shim.http2 import Call
from cupool.shim.light_stream import LightStream, Wire
from cupool.shim.transport import NO_TLS
with socket.create_server(("127.0.0.1", 0)) as listener:
    wire = Wire(f"127.0.0.1:{listener.getsockname()[1]}", NO_TLS, "")
    accepted, _ = listener.accept()
    stream = LightStream(wire, Call("http", "a", "/s/M", (), 1 << 20), print)
    accepted.close()
    while stream.step(1.0) is None:
        pass
    stream._is_over = False
    for _ in range(3):
        stream.put(bytes(100))
        stream.push()
    stream.close()
print("here")
"""


def opened(listener: socket.socket) -> LightStream:
    wire = Wire(f"127.0.0.1:{listener.getsockname()[1]}", NO_TLS, "")
    return LightStream(wire, Call("http", "a", "/s/M", (), 1 << 20), lambda data: None)


def test_a_program_that_a_broken_pipe_would_end_goes_on() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", SIGPIPE], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "here\n", "")


def test_a_call_to_a_server_that_is_silent_is_grpcios_after_the_keepalive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(light_stream, "KEEPALIVE_S", 0.05)
    monkeypatch.setattr(light_stream, "KEEPALIVE_ANSWER_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        began_s = time.monotonic()
        with pytest.raises(Unfit, match="does not answer"):
            call_once(f"127.0.0.1:{listener.getsockname()[1]}", NO_TLS, "/s/M", b"", (), 60.0)
        assert time.monotonic() - began_s < 20


@pytest.mark.parametrize(
    ("endpoint", "is_one"),
    [("unix:/a", True), ("unix-abstract:a", True), ("unixbox:7077", False), ("unix.example:7077", False)],
)
def test_a_hosts_name_that_begins_like_a_sockets_is_no_way_around_tls(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, is_one: bool
) -> None:
    assert is_unix(endpoint) is is_one
    ours, theirs = socket.socketpair()
    shaken: list[str] = []
    monkeypatch.setattr(light_stream, "_connected", lambda *_: ours)
    monkeypatch.setattr(Wire, "_shake_hands", lambda self, trust, name: shaken.append(name))
    wire = Wire(endpoint, Trust(ca="ca.pem"), "")
    assert bool(shaken) is not is_one and wire.scheme == ("http" if is_one else "https")
    wire.close()
    theirs.close()


class Full:
    """A socket that takes one piece, and then has no room in the kernel."""

    def __init__(self, real: socket.socket) -> None:
        self._real = real
        self.sent = 0

    def sendmsg(self, parts: list[Any], *_: Any) -> int:
        self.sent += 1
        if self.sent == 1:
            return sum(map(len, parts))
        raise OSError(errno.ENOBUFS, "no buffer space available")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def test_a_stream_of_which_it_is_not_known_what_was_sent_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(light_stream, "_PIECES", 1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = opened(listener)
        full = stream._wire._socket = Full(stream._wire._socket)
        stream.put(bytes(10))
        stream.push()
        sent = full.sent
        assert sent == 2
        end = stream.step(20.0)
        assert end is not None and end.code == "UNAVAILABLE"
        stream.push()
        assert full.sent == sent  # nothing twice
        stream.close()


def test_a_reader_that_is_late_takes_nothing_out_of_anothers_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was given up between `poll` and `read`; the number is another pipe's by then."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire(f"127.0.0.1:{listener.getsockname()[1]}", NO_TLS, "")
    wire.close()
    ours, theirs = os.pipe()
    late = SimpleNamespace(poll=lambda timeout: [(ours, select.POLLIN)])
    monkeypatch.setattr(wire, "_wake", ours)
    monkeypatch.setattr(wire, "_polls", [late, late])
    os.write(theirs, b"another's")
    wire.wait(False)
    assert os.read(ours, 100) == b"another's"
    os.close(ours)
    os.close(theirs)
