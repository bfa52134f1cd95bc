"""What a failed command leaves behind: stored errors and poisoned buffers, and what wipes the poison away.

A stored error stands under a handle in place of its array. A poisoned buffer still holds numbers, perhaps half written:
whoever reads it gets the error, until one command overwrites all of it.

Note [Before the launch]
A kernel that does not compile has written nothing, and in CuPy the launch itself raises: what it would have written, and what the
program's next lines would have made of it, is as it was. Here the error comes later, and until then what was to be written is
poisoned as after any failure, so that no later command reads or changes it. A program that has the error (`shim/session.py`) says so by
the command `@lift`: poison of errors that come before a kernel runs is gone, and the buffers hold what they held at the launch. Being a
command it has its place among the others, in a replay too. What commands in between made anew stays an error.
"""

from __future__ import annotations

import traceback
from typing import Any

from cupool.contract.errors import CupoolError, error_from_wire, error_to_wire


class Raised(Exception):
    """What a program's own function raised, with the traceback as its author should see it."""

    def __init__(self, error: BaseException, traceback_text: str) -> None:
        super().__init__(str(error))
        self.error = error
        self.traceback_text = traceback_text


class StoredError:
    """The error that a command left under the handles it promised."""

    __slots__ = ("_detail", "_wire", "error")

    def __init__(self, error: BaseException) -> None:
        if isinstance(error, Raised):
            self._detail = error.traceback_text
            error = error.error
        else:
            self._detail = detail_of(error)
        # Frames would keep the arrays of the failed command in memory, for as long as the error is stored.
        seen: BaseException | None = error
        while seen is not None:
            seen.__traceback__ = None
            seen = seen.__cause__ or seen.__context__
        self.error = error
        self._wire: Any = None

    @classmethod
    def restored(cls, wire: Any) -> StoredError:
        """The one whose `wire` this is."""
        made = cls(error_from_wire(wire))
        made._wire = wire
        return made

    def wire(self) -> Any:
        """As a `cupool.v1.Error`; encoded once."""
        if self._wire is None:
            self._wire = error_to_wire(self.error, self._detail)
        return self._wire


class Propagated(Exception):
    """An operand holds an earlier error: the command does not run, its results get that error, and nothing is reported again."""

    def __init__(self, stored: StoredError) -> None:
        super().__init__(str(stored.error))
        self.stored = stored


def detail_of(error: BaseException) -> str:
    """The server-side traceback for a bug report: function names and lines of this package, never a path of the host."""
    if isinstance(error, CupoolError):
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    return "\n".join(f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno} in {f.name}" for f in frames[-8:])


#: Ops that run a kernel of the user's, which may write only a part of its `out`, or read it.
_KERNEL_CALLS = frozenset({"@call_elementwise", "@call_reduction"})
#: Ops that overwrite all of their first argument whatever it held; the others with an `out=` overwrite that.
_FILLS = frozenset({"ndarray.fill", "copyto", "ndarray.set"})


def overwrites(op: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call of `op` writes its written arguments without reading what they held.

    Cases: an `out=` (without `where`, not of a user's kernel); fill and copyto (without `where`); an assignment to [...] or [:].
    """
    if kwargs.get("where") is not None and kwargs["where"] is not True:
        return False
    if op in _FILLS:
        return True
    if op == "ndarray.__setitem__":
        key = args[1] if len(args) > 1 else None
        return isinstance(key, (type(Ellipsis), slice, tuple)) and _is_whole(key)
    return "out" in kwargs and op not in _KERNEL_CALLS


def _is_whole(key: Any) -> bool:
    if isinstance(key, tuple):
        return len(key) == 1 and _is_whole(key[0])
    return key is Ellipsis or key == slice(None)
