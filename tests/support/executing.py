"""A client of an executor in this process: commands by name, and what came back."""

from __future__ import annotations

from typing import Any

import numpy as np
from cupool.apiserver.devices.cpu.device import CpuDevice
from cupool.apiserver.executor import Executor
from wire import REPLY, UNKNOWN, H, I, R, V, Writer, form, spec, value

from cupool.contract.codec import STREAM_SHIFT
from cupool.contract.errors import error_from_wire
from cupool.contract.limits import Limits
from cupool.contract.values import decode
from cupool.v1 import session_pb2

MIB = 1 << 20
FORMS = {
    "array": form(1, "@array", [V], [spec((4,))]),
    "fetch": form(2, "@fetch", [H], [REPLY]),
    "add": form(3, "add", [H, H], [spec((4,))]),
    "view": form(4, "@view", [H, I], [spec((2,))]),
    "iadd": form(5, "add", [H, H], [], out=H),
    "fill": form(6, "ndarray.fill", [H, 7.0], []),
    "set_all": form(7, "ndarray.__setitem__", [H, Ellipsis, 1.0], []),
    "set_some": form(8, "ndarray.__setitem__", [H, slice(0, 2), 1.0], []),
    "memory": form(9, "@memory", [], [REPLY]),
    "nonzero": form(10, "nonzero", [H], [UNKNOWN]),
    "fault": form(11, "@fault", ["error"], [REPLY]),
    "alias": form(12, "@alias", [H], [spec((4,))]),
    "mul_i": form(13, "multiply", [H, I], [spec((4,))]),
    "mul_r": form(14, "multiply", [H, R], [spec((4,))]),
    "reset": form(15, "@forms_reset", [], []),
    "big": form(16, "@array", [V], [spec((MIB,))]),
    "wrong": form(17, "add", [H, H], [spec((5,))]),
    "solve": form(18, "linalg.inv", [H], [spec((2, 2))]),
    "square": form(19, "@array", [V], [spec((2, 2))]),
    "free_blocks": form(20, "@free_blocks", [], []),
    "limit": form(21, "@set_limit", [I, None], []),
}
DATA = np.arange(4.0)


class Client:
    """Sends commands to an executor and keeps what came back."""

    def __init__(self, limit_bytes: int = 64 * MIB, more: dict[str, Any] | None = None, **limits: int) -> None:
        self.forms = {**FORMS, **(more or {})}
        self.executor = Executor(CpuDevice(0, limit_bytes), limit_bytes, Limits(**limits))
        self.writer = Writer()
        self.sent: set[str] = set()
        self.failures: list[Any] = []
        self.replies: dict[int, Any] = {}

    def run(self, *commands: tuple[Any, ...], stream: int = 0) -> None:
        """Each command: (name in `forms` or "free", words...)."""
        items: list[Any] = []
        new = []
        for name, *words in commands:
            if name == "free":
                items += [0, *words]
                continue
            if name not in self.sent:
                self.sent.add(name)
                new.append(self.forms[name])
            items += [self.forms[name].id | stream << STREAM_SHIFT | 5 << 40, *words]
        outcome = self.executor.run(self.writer.batch(items, len(commands), *new))
        self.failures = outcome.failures
        for result in map(session_pb2.Result.FromString, outcome.results):
            self.replies[result.id] = result

    def fetch(self, handle: int) -> Any:
        """An array's elements. Raises its error."""
        reply = 1_000_000 + self.writer.position
        self.run(("fetch", reply, handle))
        return self.answer(reply)

    def answer(self, reply: int) -> Any:
        """The value of a reply. Raises its error."""
        result = self.replies[reply]
        if result.WhichOneof("kind") == "error":
            raise error_from_wire(result.error)
        return decode(result.value)

    def array(self, handle: int, data: Any = DATA) -> None:
        self.run(("array", handle, value(np.asarray(data, "<f8").tobytes())))

    @property
    def used(self) -> int:
        return self.executor.accounting.used
