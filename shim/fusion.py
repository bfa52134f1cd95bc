"""`cupy.fuse`: traced at the first call with given types, then done as what was traced (see `kernels/fused`).

On a GPU the steps are joined into kernels always. On the CPU device a kernel must be compiled first, which takes longer than the steps one
by one take on small arrays, and gives the same numbers: they are joined from `JOIN_ELEMENTS` on.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import dispatch, session
from .kernels.fused.loops import Joined, NotJoined
from .kernels.fused.program import Program
from .kernels.fused.trace import Trace, TracedArray, TracedScalar, Unfusible

_SCALARS = (np.generic, int, float, complex, bool)
_ACCEPTABLE = (np.ndarray, *_SCALARS, type(None))
#: Elements of the largest argument from which the CPU device gets a joined kernel.
JOIN_ELEMENTS = 32_768


class _Entry:
    """What is known of calls of one kind.

    Attributes:
        program: what was traced; None: the function itself is called.
        joined: its kernels, once they were wanted; None: it is done step by step.
    """

    def __init__(self, program: Program | None, name: str) -> None:
        self.program = program
        self._name = name
        self._joined: Joined | None = None
        self._is_tried = False

    @property
    def joined(self) -> Joined | None:
        if not self._is_tried and self.program is not None:
            try:
                self._joined = Joined(self.program, self._name)
            except NotJoined:
                self._joined = None
            self._is_tried = True
        return self._joined


class Fusion:
    """What `fuse` makes of a function.

    Attributes:
        func: the function.
        name: the kernel's name, for people.
    """

    __module__ = "cupy"

    def __init__(self, func: Callable[..., Any], name: str | None = None) -> None:
        self.func = func
        self.name: str = name or str(getattr(func, "__name__", "fused"))
        self._known: dict[Any, _Entry | str] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Fusion '{self.name}'>"

    def __call__(self, *args: Any) -> Any:
        """Run the function on arrays and numbers.

        Raises:
            TypeError: an argument is none of these; or the function needs the value of an array while it is traced.
            what the function raises.
        """
        if not any(isinstance(a, dispatch.ndarray) for a in args) or any(
            isinstance(a, (TracedArray, TracedScalar)) for a in args
        ):
            return self.func(*args)  # on host arrays, or inside another fused function
        for arg in args:
            if not isinstance(arg, (dispatch.ndarray, *_ACCEPTABLE)):
                kinds = ", ".join(repr(type(a)) for a in args)
                raise TypeError(f"Invalid argument type for '{self.name}': ({kinds})")
        if any(isinstance(a, np.ndarray) for a in args):
            return self.func(*args)
        entry = self._entry(args)
        if entry.program is None:
            return self.func(*args)
        if _is_worth_joining(args):
            joined = entry.joined
            if joined is not None and not _overlap(args, joined.written):
                return joined.run(args)
        return entry.program.run(args)

    def _entry(self, args: tuple[Any, ...]) -> _Entry:
        key = tuple(map(_kind, args, _patterns(args)))
        known = self._known.get(key)
        if known == "shapes":
            key = (key, tuple(a._resolve() for a in args if isinstance(a, dispatch.ndarray)))
            known = self._known.get(key)
        if isinstance(known, _Entry):
            return known
        with self._lock:
            program, looks = self._traced(args)
            if looks and known is None:
                self._known[key] = "shapes"
                key = (key, tuple(a._resolve() for a in args if isinstance(a, dispatch.ndarray)))
            entry = self._known[key] = _Entry(program, self.name if self.name.isidentifier() else "fused")
        return entry

    def _traced(self, args: tuple[Any, ...]) -> tuple[Program | None, bool]:
        trace = Trace()
        stand_ins = [trace.argument(a) for a in args]
        try:
            return trace.finished(self.func(*stand_ins)), trace.looks_at_shape
        except (Unfusible, dispatch.TracedOperand):
            return None, trace.looks_at_shape

    def clear_cache(self) -> None:
        """Forget what was traced."""
        self._known.clear()


def _patterns(args: Sequence[Any]) -> list[tuple[int, ...]]:
    """Shapes with 1 for 1 and other extents numbered in order: what decides how arrays broadcast."""
    numbers: dict[int, int] = {1: 1}
    result = []
    for a in args:
        shape = a._resolve().shape if isinstance(a, dispatch.ndarray) else ()
        result.append(tuple(numbers.setdefault(n, len(numbers) + 1) for n in shape))
    return result


def _kind(a: Any, pattern: tuple[int, ...]) -> Any:
    """What decides how an argument is traced."""
    if isinstance(a, dispatch.ndarray):
        return a.dtype, pattern
    if isinstance(a, np.generic):
        return np.generic, a.dtype
    if type(a) is int:
        return int, a.bit_length() > 62
    return type(a)


def _is_worth_joining(args: Sequence[Any]) -> bool:
    device = session.device()
    if device.kernels:
        return False  # there is no compiler
    return bool(device.kind != "cpu") or max(a.size for a in args if isinstance(a, dispatch.ndarray)) >= JOIN_ELEMENTS


def _overlap(args: Sequence[Any], written: Sequence[int]) -> bool:
    """Whether an array that is written shares memory with another argument, other than being the same array."""
    if not written:
        return False
    from .local import may_share_memory

    for number in written:
        for other in args:
            if (
                isinstance(other, dispatch.ndarray)
                and other is not args[number]
                and may_share_memory(args[number], other)
            ):
                return True
    return False


def fuse(*args: Any, **kwargs: Any) -> Any:
    """Decorator that makes a function of arrays one kernel, as `cupy.fuse`: `@fuse`, `@fuse()`, `@fuse(kernel_name="f")`."""

    def wrapper(func: Callable[..., Any], kernel_name: str | None = None) -> Any:
        fusion = Fusion(func, kernel_name)
        functools.update_wrapper(fusion, func)
        return fusion

    if len(args) == 1 and not kwargs and callable(args[0]):
        return wrapper(args[0])
    if args:
        return lambda func: wrapper(func, *args, **kwargs)
    unknown = set(kwargs) - {"kernel_name"}
    if unknown:
        raise TypeError(f"fuse() got an unexpected keyword argument {sorted(unknown)[0]!r}")
    return lambda func: wrapper(func, **kwargs)
