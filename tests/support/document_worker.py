"""Runs parts of programs in processes of their own: whole, up to a batch, or from there on in a session that was restored.

    python document_worker.py       jobs come pickled on standard input, answers go on standard output

Each job runs in a fork of this process, so that its arena lies where every other one's lies, and nothing is left of the one before.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

LIMIT = 256 << 20


class Worker:
    """The process, from outside."""

    def __init__(self) -> None:
        path = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH", "")])]
        self._process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         env={**os.environ, "PYTHONPATH": os.pathsep.join(path)})  # fmt: skip

    def ask(self, **job: Any) -> dict[str, Any]:
        """The answer to a job, see `_do`. Raises RuntimeError with the traceback of one that failed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        _send(self._process.stdin, pickle.dumps(job))
        answer: dict[str, Any] = pickle.loads(_receive(self._process.stdout))
        if "failed" in answer:
            raise RuntimeError(answer["failed"])
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(30)


def _send(file: Any, data: bytes) -> None:
    file.write(struct.pack("=Q", len(data)) + data)
    file.flush()


def _receive(file: Any) -> bytes:
    head = file.read(8)
    return file.read(struct.unpack("=Q", head)[0]) if len(head) == 8 else b""


def _do(job: dict[str, Any]) -> dict[str, Any]:
    """
    job:
        batches: serialised Batches
        document, buffers: (optional) the session to begin with; buffers: [(buffer, nbytes, address, bytes)]
        track_from: (optional) batch before which the tracker starts; the session is written down after the last batch
        pages: whether pages may be tracked
    answer:
        seen: per batch what came back and what the books said
        document, buffers: when it was tracked
        reported: bytes that looks reported
    """
    import documents
    import numpy as np
    from cupool.apiserver import pages
    from cupool.apiserver.config import Assignment
    from cupool.apiserver.devices.cpu.device import CpuDevice
    from cupool.apiserver.document import capture
    from cupool.apiserver.executor import Executor

    from cupool.contract.limits import DEFAULT_LIMITS
    from cupool.v1 import move_pb2, session_pb2

    device = CpuDevice(0, LIMIT)
    device.enter()
    if not job.get("pages", True):
        pages.Pages.over = classmethod(lambda cls, base, nbytes: None)
    if "document" in job:
        coming = documents.incoming(device, LIMIT)
        memory: Any = None
        for buffer, nbytes, address, data in job["buffers"]:
            memory = coming.begin(move_pb2.MoveBuffer(buffer=buffer, nbytes=nbytes, address=address))
            memory[:] = memoryview(data)
        del memory
        session = coming.finish(job["document"], Assignment("s", b"", 2, LIMIT))
    else:
        session = documents.session_over(Executor(device, LIMIT, DEFAULT_LIMITS))
    executor, mirror = session.executor, documents.Mirror()
    answer: dict[str, Any] = {"seen": [], "reported": 0}
    for number, data in enumerate(job["batches"]):
        if number == job.get("track_from"):
            executor.tracking().start()
        outcome = executor.run(session_pb2.Batch.FromString(data))
        answer["seen"].append((outcome.results, [f.SerializeToString() for f in outcome.failures], _books(executor)))
        if executor.tracker is not None and executor.tracker.is_on:
            mirror.follow(executor.tracker)
    if "track_from" in job:
        tracker = executor.tracking()
        if not tracker.is_on:
            tracker.start()
        mirror.follow(tracker)
        mirror.check()
        answer["document"] = capture(session, tracker)
        answer["buffers"] = mirror.buffers()
        answer["reported"] = mirror.reported
        tracker.stop()
    else:
        tracker = executor.tracking()
        tracker.start()
        # What every buffer holds at the end, in the order of the table; undefined bytes are the test's to avoid.
        answer["end"] = [
            hashlib.blake2b(np.ascontiguousarray(p.memory())).digest() for p in reversed(tracker.look().new)
        ]
        tracker.stop()
    return answer


def _books(executor: Any) -> Any:
    account, handles, arena = executor.accounting, executor.handles, executor.device.arena
    return (
        (account.used, account.peak, account.total, account.raw, account.asked_limit, account.modules, account._staged, account.ceiling),
        list(handles.table),
        handles.faults,
        # A record of one handle says no more than none.
        sorted((len(b.handles), b.charged, b.error is None) for b in handles.buffers.values() if len(b.handles) > 1 or b.error),
        arena.map()[:3] if arena is not None else None,
        executor.captures.numbers.next,
        [(n, p.used, p.used_high, p.reserved, p.reserved_high) for n, p in executor.raw_memory.pools.items()],
        executor.transfers.pinned,
    )  # fmt: skip


def main() -> None:
    import documents  # noqa: F401  # imported once, before the forks

    while True:
        data = _receive(sys.stdin.buffer)
        if not data:
            return
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(reader)
            try:
                answer = _do(pickle.loads(data))
            except BaseException:  # the test shows it
                import traceback

                answer = {"failed": traceback.format_exc()}
            with os.fdopen(writer, "wb") as file:
                file.write(pickle.dumps(answer))
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as file:
            answered = file.read()
        _, status = os.waitpid(child, 0)
        _send(sys.stdout.buffer, answered or pickle.dumps({"failed": f"the process ended with status {status}"}))


if __name__ == "__main__":
    main()
