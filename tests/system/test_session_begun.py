"""A session that is asked for before it is needed: while rows are made for a program's first operation, or while the shim is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from cupool.v1 import pool_pb2, pool_pb2_grpc

from .servers import Server

ROOT = str(Path(__file__).resolve().parents[2])
BEGIN = "import os, sys\nfrom cupool import cupy as cp\nfrom cupool.shim import session\nsession.begin()\nassert session._process.begun\n"
USE = "assert float(cp.arange(8).sum()) == 28.0\nassert session._process.begun is None\n"
CHILD = "child = os.fork()\nif not child:\n    assert session._process.begun is None\n    sys.exit(0)\n"
STALE = "from cupool.shim import lease\nlease.KEEP_S = 0.0\n"
FORKED = BEGIN + CHILD + "assert os.waitpid(child, 0)[1] == 0\n" + USE


class Pool(pool_pb2_grpc.PoolServiceServicer):
    """Leases one server, or refuses; `seen`: what it was asked."""

    def __init__(self, endpoint: str, refusal: grpc.StatusCode | None = None) -> None:
        self.endpoint = endpoint
        self.refusal = refusal
        self.seen: list[str] = []

    def Acquire(self, request: Any, context: Any) -> Any:
        self.seen.append("acquire")
        if self.refusal is not None:
            context.abort(self.refusal, "Not yours.")
        return pool_pb2.Lease(session="s", session_token="t", endpoint=self.endpoint, epoch=1)

    def Release(self, request: Any, context: Any) -> Any:
        self.seen.append(request.reason)
        return pool_pb2.ReleaseReply()


@contextmanager
def served(pool: Pool) -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    pool_pb2_grpc.add_PoolServiceServicer_to_server(pool, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def run(program: str, address: str, **environment: str) -> tuple[int, str, str]:
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH", ""), ROOT)))
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=dict(os.environ) | {"PYTHONPATH": path, "CUPOOL_ADDR": address, "CUPOOL_TOKEN": ""} | environment,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


ENDED = ["acquire", "the program ended"]
UNUSED = ["acquire", "the client asked for it, and did not need it"]


@pytest.mark.parametrize(
    ("program", "seen"),
    [
        (BEGIN + USE, ENDED),
        ("from cupool import cupy as cp\nassert float(cp.arange(8).sum()) == 28.0\n", ENDED),
        (BEGIN, UNUSED),
        (BEGIN + "session.close()\nassert session._process.begun is None\n", UNUSED),
        (FORKED, ENDED),
        (BEGIN + STALE + USE, [*UNUSED, *ENDED]),
        (BEGIN + "session.connect(os.environ['CUPOOL_ADDR'], token='another')\n", [*UNUSED, *ENDED]),
    ],
    ids=["used", "by the first operation", "not needed", "closed", "forked", "stale", "another configuration"],
)
def test_a_session_that_was_begun_is_used_or_released(server: Server, program: str, seen: list[str]) -> None:
    pool = Pool(server.endpoint)
    with served(pool) as address:
        assert run(program, address) == (0, "", "")
    assert pool.seen == seen


def test_asked_for_as_the_import_begins(server: Server) -> None:
    program = (
        "import numpy\nfrom cupool import cupy as cp\nfrom cupool.shim import session\nassert session._process.begun\n"
    )
    for rest, seen in ((USE, ENDED), ("", UNUSED)):
        pool = Pool(server.endpoint)
        with served(pool) as address:
            assert run(program + rest, address, CUPOOL_PREOPEN="1") == (0, "", "")
        assert pool.seen == seen
        server.close()
    pool = Pool("127.0.0.1:1")
    with served(pool) as address:
        assert run("from cupool import cupy\n", address) == (0, "", "")
    assert pool.seen == []


def test_what_cannot_be_had_is_told_where_it_is_needed() -> None:
    program = BEGIN + "try:\n    cp.arange(8)\nexcept Exception as error:\n    print(type(error).__name__)\n"
    pool = Pool("", grpc.StatusCode.PERMISSION_DENIED)
    with served(pool) as address:
        assert run(program, address) == (0, "LeaseRefused\n", "")
    assert pool.seen == ["acquire"]
    assert run(program, "127.0.0.1:9", CUPOOL_DEADLINE_S="0.1") == (0, "PoolUnreachable\n", "")
