"""Random programs over what a session of a GPU can hold, and a process that runs a part of one on a real GPU.

python gpu_programs.py whole SEED             prints a hash of all results
python gpu_programs.py first SEED CUT FILE    up to a batch, then the session goes into a file
python gpu_programs.py rest SEED CUT FILE     from there on, in a session that is made of the file
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

from document_programs import Program
from wire import OBJECT, H, I

from cupool.contract.values import HandleRef

FOLLOW = 'extern "C" __global__ void follow(double **table, int n) { for (int i = 0; i < n; i++) table[i][0] += 1.5; }'
LIMIT = 256 << 20


class GpuProgram(Program):
    """Without what holds a session of a GPU (variables of modules), and without addresses of new memory in results: they may differ."""

    def __init__(self, seed: int, length: int) -> None:
        super().__init__(seed, 0)
        actions = [self._make, self._view, self._in_place, self._assign, self._free, self._fetch, self._fail, self._random_state,
                   self._random_draw, self._generator, self._malloc, self._mempool, self._export, self._free_export, self._limit,
                   self._odd, self._big, self._expose, self._table, self._chase, self._chase]  # fmt: skip
        for _ in range(length):
            for _ in range(self.random.randint(1, 8)):
                self.random.choice(actions)()
            self.flush()

    def _limit(self) -> None:
        self.op("@set_limit", [I, None], [], [self.random.choice([0, 1 << 24, 1 << 25])])

    def _malloc(self) -> None:
        handle = self.handle()
        self.op(
            "@malloc", [I, I], [OBJECT], [handle, self.random.choice([1, 512, 10_000]), self.random.choice([0, 1, 2])]
        )
        self.op("ndarray.fill", [H, 7], [], [handle])
        self.others.append(handle)

    def _expose(self) -> None:
        """An array whose address goes into a table on the device."""
        self._make()
        handle = max(self.arrays)
        if self.arrays[handle] in ((2,), (4,)):
            self.exposed.append(handle)
            self.kinds.setdefault("kept", []).append(handle)

    def _function(self, name: str) -> int:
        """Of the only module that holds nothing."""
        if name not in self._functions:
            module = self.handle()
            self.op("@kernel_raw", [FOLLOW, (), "nvrtc", False, False, None, None, ()], [OBJECT], [module])
            self._functions[name] = self.handle()
            self.op("@kernel_function", [H, name], [OBJECT], [self._functions[name], module])
        return self._functions[name]

    def _chase(self) -> None:
        if self.tables:
            table, n = self.random.choice(self.tables)
            self._run_kernel("follow", HandleRef(table), n)
            self.look_at(self.random.choice(self.exposed))


def run(session: Any, batches: list[bytes], then: Any = lambda: None) -> list[Any]:
    """Per batch: results, failures, what the session is charged. `then` is called after each."""
    from cupool.v1 import session_pb2

    seen = []
    session.executor.device.enter()
    for data in batches:
        outcome = session.executor.run(session_pb2.Batch.FromString(data))
        account = session.executor.accounting
        seen.append((outcome.results, [f.SerializeToString() for f in outcome.failures], account.used, account.total))
        then()
    return seen


def main() -> None:
    import documents
    from cupool.apiserver.config import Assignment
    from cupool.apiserver.devices import make_device
    from cupool.apiserver.document import capture, read, write
    from cupool.apiserver.executor import Executor

    from cupool.contract.limits import DEFAULT_LIMITS

    what, seed, *rest = sys.argv[1:]
    program = GpuProgram(int(seed), 24)
    device = make_device("cuda", 0, LIMIT, 0, True)
    device.enter()
    device.warm()
    if what == "rest":
        cut, path = int(rest[0]), Path(rest[1])
        coming, saved = documents.incoming(device, LIMIT), read(path)
        saved.into(coming)
        session, batches = coming.finish(saved.document, Assignment("s", b"", 2, LIMIT)), program.batches[cut:]
    else:
        session = documents.session_over(Executor(device, LIMIT, DEFAULT_LIMITS))
        batches = program.batches if what == "whole" else program.batches[: int(rest[0])]
    for seen in run(session, batches):
        print(hashlib.blake2b(repr(seen).encode(), digest_size=8).hexdigest())
    if what == "first":
        tracker = session.executor.tracking()
        tracker.start()
        pieces = tracker.look().new
        write(Path(rest[1]), capture(session, tracker), pieces)
        tracker.stop()
    device.close()


if __name__ == "__main__":
    main()
