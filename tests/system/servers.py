"""For tests of the client: a real API server for one session, a pool that leases just that, and commands without arrays."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from cupool.shim import forms, session, sites
from cupool.shim.config import Config
from cupool.shim.lease import Lease
from cupool.shim.pending import COMMANDS, GATE, extend

from benchmarks import moving
from cupool.contract import values
from cupool.contract.spec import spec_of
from cupool.v1 import session_pb2, value_pb2

HANDLE = value_pb2.Value(slot=value_pb2.SLOT_HANDLE)
VALUE = value_pb2.Value(slot=value_pb2.SLOT_VALUE)


class Server:
    """A `python -m cupool.apiserver` with one session, `s` with the token `t`."""

    def __init__(self, *options: str) -> None:
        self.process = moving.launch("cupool.apiserver", ["--assign", "s:t", "--listen", "127.0.0.1:0", *options])
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.close()
            raise RuntimeError("the API server ended before it was ready; its stderr says why")
        self.endpoint: str = json.loads(line)["endpoint"]

    def close(self) -> None:
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.process.wait()


class FixedPool:
    """Leases one session at one endpoint."""

    def __init__(self, endpoint: str, epoch: int = 1) -> None:
        self.lease = Lease("s", "t", endpoint, epoch, "", "")
        self.released: list[str] = []
        self.reason: str | None = None

    def acquire(self, config: Config, base: Any = None) -> Lease:
        return self.lease

    def release(self, lease: Lease, reason: str, timeout_s: float = 2.0) -> None:
        self.released.append(reason)

    def fate(self, lease: Lease, timeout_s: float = 1.0) -> str | None:
        return self.reason

    def close(self) -> None:
        pass


@contextlib.contextmanager
def opened(endpoint: str, **settings: Any) -> Iterator[session.Session]:
    """The process's session at this endpoint."""
    found = session.open_at(FixedPool(endpoint), Config(**settings))
    try:
        yield found
    finally:
        session._close("the test ended", 1.0)


def _form(op: str, args: list[Any], results: list[Any]) -> int:
    key = (op, tuple(a.SerializeToString() for a in args), tuple(r.SerializeToString() for r in results))
    return forms.form(key, lambda n: session_pb2.Form(id=n, op=op, args=args, results=results))


def promise(shape: tuple[int, ...]) -> Any:
    spec = spec_of(shape, np.dtype(np.float64))
    return session_pb2.ResultSpec(dtype=values.dtype_to_wire(spec.dtype), shape=spec.shape, strides=spec.strides)


def send(op: str, args: list[Any], words: tuple[Any, ...], result: Any) -> int:
    """Append one command with one result; returns its handle."""
    handle = session.next_handle()
    extend((_form(op, args, [result]) | sites.hot_bits(), handle, *words))
    if len(COMMANDS) > GATE.words:
        session.flush()
    return handle


def array(data: Any) -> int:
    data = np.asarray(data, np.float64)
    return send("@array", [VALUE], (values.encode(data).SerializeToString(),), promise(data.shape))


def add(a: int, b: int, shape: tuple[int, ...]) -> int:
    return send("add", [HANDLE, HANDLE], (a, b), promise(shape))


def fetch(a: int) -> Any:
    return session.wait_reply(send("@fetch", [HANDLE], (a,), session_pb2.ResultSpec(reply=True)))


def free(a: int) -> None:
    extend((0, a))
