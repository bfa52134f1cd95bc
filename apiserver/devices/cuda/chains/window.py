"""A window of a GPU: commands that one kernel can compute, collected without running any.

All nodes of a window have one shape, and thread i of the kernel computes element i of each. It reads its elements of all operands first
and writes its results last. So a result may go into memory that was there before only where every other access of that memory in the
window is to the same elements at the same places, and is made through the same handle; anything else ends the window, and the next one
begins behind it.

Boundary: which commands meet, and what they leave; the kernel is `kernels.py`'s.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cupy
import numpy as np

from ....fusion.books import MARK, PUT, STEP, Books
from ....fusion.kinds import CHARS, Join
from .. import memory
from .kernels import FULL, ONE, STRIDED, Chain, launch
from .operations import MIN_ELEMENTS, Operation

if TYPE_CHECKING:
    from ....executor import Executor

#: Nodes and operands of a kernel, at most: registers and parameters are limited.
MOST_NODES = 64
MOST_OPERANDS = 48
#: Dimensions that operands which do not lie packed may have, those that lie one in another taken together.
MOST_DIMENSIONS = 6
_MOST_SINGLE = float(np.finfo(np.float32).max)


class Value:
    """What a handle stands for within a window.

    Attributes:
        array: its memory; None: it has none yet.
        ref: how nodes name it: a node, or -1 - an operand; None: it has not been used.
        is_written: its memory was there before, and a node writes it.
    """

    __slots__ = ("array", "dtype", "is_dead", "is_forced", "is_view", "is_written", "nbytes", "ref", "shape", "size")

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], size: int, array: Any = None) -> None:
        self.shape, self.dtype, self.size, self.array = shape, dtype, size, array
        self.nbytes = size * dtype.itemsize
        self.ref: int | None = None
        self.is_view = self.is_forced = self.is_dead = self.is_written = False


class Window(Books):
    """One window over the words of a batch."""

    def __init__(self, executor: Executor) -> None:
        super().__init__(executor)
        self._shape: tuple[int, ...] | None = None
        self._size = 0
        self._nodes: list[tuple[Operation, tuple[int, ...]]] = []
        #: arrays, and numbers by their dtype
        self._operands: list[Any] = []
        self._numbers: set[int] = set()
        #: operands that are numbers: (dtype's character, the number) -> index
        self._known: dict[tuple[str, Any], int] = {}
        #: values with memory that nodes read, and that they write
        self._read: list[Value] = []
        self._written: list[Value] = []

    # -- looking ------------------------------------------------------------------------------------------------------

    def _admit(self, array: Any) -> Value | None:
        dtype = array.dtype
        return Value(array.shape, dtype, array.size, array) if dtype.char in CHARS and dtype.isnative else None

    def _accepts(self, values: list[Any], shape: tuple[int, ...]) -> bool:
        """Whether a node over these can be in the kernel."""
        if self._shape is not None and shape != self._shape:
            return False
        if len(self._nodes) >= MOST_NODES or len(self._operands) + len(values) > MOST_OPERANDS:
            return False
        is_whole = True
        for value in values:
            if not isinstance(value, Value):
                continue
            is_whole = is_whole and value.shape == shape
            # Memory that is written is looked at through the handle that it is written by alone.
            if value.array is not None and any(w is not value and _overlap(w, value) for w in self._written):
                return False
        return is_whole or _broadcast(values) == shape

    def _add(self, operation: Operation, values: list[Any], shape: tuple[int, ...], size: int) -> int:
        """Add a node; returns its number."""
        self._shape, self._size = shape, size
        takes = tuple(self._ref(value, dtype) for value, dtype in zip(values, operation.inputs, strict=True))
        self._nodes.append((operation, takes))
        self.is_worth = len(self._nodes) > 1
        return len(self._nodes) - 1

    def _ref(self, value: Any, dtype: np.dtype[Any]) -> int:
        if isinstance(value, Value):
            if value.ref is None:
                value.ref = self._operand(value.array)
                self._read.append(value)
            return value.ref
        # Rounded to the type of its input, as CuPy does; a zero's sign tells zeros apart.
        number = dtype.type(value)
        name = dtype.char, number.tobytes()
        ref = self._known.get(name)
        if ref is None:
            ref = self._known[name] = self._operand(number)
            self._numbers.add(-1 - ref)
        return ref

    def _operand(self, what: Any) -> int:
        self._operands.append(what)
        return -len(self._operands)

    # -- commands -----------------------------------------------------------------------------------------------------

    def map(self, join: Join, words: list[int], i: int) -> bool:
        """An elementwise command with a new result."""
        spec, handle = join.spec, words[i + 1]
        found = self._operands_of(join, words, i)
        if found is None or spec is None or not self._is_free(handle):
            return False
        values, key = found
        operation: Operation | None = join.bind(key, join.read)
        if operation is None or operation.dtype != spec.dtype or not _are_numbers(values, operation):
            return False
        if not self._accepts(values, spec.shape) or not self._charge(join.form.charge):
            return False
        result = Value(spec.shape, spec.dtype, spec.size)
        result.ref = self._add(operation, values, spec.shape, spec.size)
        self._made[handle] = result
        self._actions.append((PUT, handle, None))
        return True

    def map_into(self, join: Join, words: list[int], i: int) -> bool:
        """An elementwise command with `out=`."""
        handle = words[i + join.out_at]
        found, target = self._operands_of(join, words, i), self.value(handle)
        if found is None or target is None or target.size < MIN_ELEMENTS:
            return False
        values, key = found
        operation: Operation | None = join.bind(key, join.read)
        if operation is None or operation.dtype != target.dtype or not _are_numbers(values, operation):
            return False
        if not self._accepts(values, target.shape):
            return False
        array = target.array
        if array is not None and not target.is_written:
            if not array.flags.c_contiguous or any(_clash(target, v) for v in (*self._read, *_with_memory(values))):
                return False
            if any(_overlap(target, w) for w in self._written):
                return False
            target.is_written = True
            self._written.append(target)
        target.ref = self._add(operation, values, target.shape, target.size)
        if array is not None:
            self._actions.append((MARK, handle, None))
        return True

    def view(self, join: Join, words: list[int], i: int) -> bool:
        """A view of what was there before, made as it will be made in the table when the window has run."""
        handle, spec = words[i + 1], join.spec
        source = words[i + join.operands[0][1]]
        owner = self.value(source)
        if owner is None or owner.array is None or owner.is_written or spec is None or not self._is_free(handle):
            return False
        if spec.dtype.char not in CHARS:
            return False
        try:
            view = memory.view(owner.array, join.read(words, i), spec)
        except ValueError:
            return False
        made = Value(spec.shape, spec.dtype, spec.size, view)
        made.is_view = True
        self._made[handle] = made
        self._holder(self._root_of(owner.array), source)[0].add(handle)
        self._actions.append((STEP, i, join.form))
        return True

    # -- running ------------------------------------------------------------------------------------------------------

    def settle(self) -> Chain | None:
        """The chain that it is, once all commands are there; None: it has no kernel."""
        self._stored = [v for v in self._made.values() if not v.is_view] + self._written
        shape = self._shape
        assert shape is not None
        ways = []
        strided = []
        for k, operand in enumerate(self._operands):
            if k in self._numbers or operand.size == 1:
                ways.append(ONE)
            elif operand.shape == shape and operand.flags.c_contiguous:
                ways.append(FULL)
            else:
                ways.append(STRIDED)
                strided.append(_strides(operand, shape))
        collapsed, strides = collapse(shape, strided) if strided else ((), [])
        if len(collapsed) > MOST_DIMENSIONS:
            return None
        self._places = [*collapsed, *(s for one in strides for s in one)]
        stored = []
        for value in self._stored:
            assert value.ref is not None and value.ref >= 0
            stored.append(value.ref)
        return Chain(
            tuple(self._nodes), tuple((o.dtype.char, way) for o, way in zip(self._operands, ways, strict=True)),
            frozenset(self._numbers), tuple(stored), len(collapsed), bool(collapsed) and self._size >= 1 << 32,
        )  # fmt: skip

    def fits(self) -> bool:
        """Whether all that it needs at once is within the limit."""
        need = self._held + sum(value.nbytes for value in self._stored if value.array is None)
        return self._account.has_room(self._before[0] + need - self._account.used)

    def run(self, kernel: Any, chain: Chain) -> None:
        """Compute. Raises what an allocation raises, before anything has been written."""
        for value in self._stored:
            if value.array is None:
                value.array = cupy.ndarray(value.shape, value.dtype)
        self._launch(kernel, chain, [value.array for value in self._stored])

    def show(self, kernel: Any, chain: Chain) -> list[tuple[Any, Any]]:
        """Compute into other memory, and nothing else: (the handle that it will be under, or memory that was there and that commands
        will write; what it would be)."""
        handles = {id(value): handle for handle, value in self._made.items()}
        arrays = [cupy.ndarray(value.shape, value.dtype) for value in self._stored]
        self._launch(kernel, chain, arrays)
        # What is written may lie under no handle any more, and be seen by others all the same.
        where = [handles[id(v)] if v.array is None else memory.plain(v.array) for v in self._stored]
        return list(zip(where, arrays, strict=True))

    def _launch(self, kernel: Any, chain: Chain, results: list[Any]) -> None:
        if results:
            launch(kernel, chain, self._size, self._operands, results, self._places)


def _are_numbers(values: list[Any], operation: Operation) -> bool:
    """Whether Python's numbers are numbers of the types in which they are taken: of others CuPy itself says what becomes of them."""
    return not any(
        type(value) is float and dtype.char == "f" and _MOST_SINGLE < abs(value) < math.inf
        for value, dtype in zip(values, operation.inputs, strict=True)
    )


def _with_memory(values: list[Any]) -> list[Value]:
    return [v for v in values if isinstance(v, Value) and v.array is not None]


def _range(value: Value) -> tuple[int, int]:
    """First byte of its memory, and its end."""
    low, high = memory.range_of(value.array)
    start = value.array.data.ptr
    return start + low, start + high


def _overlap(a: Value, b: Value) -> bool:
    """Whether two values with memory may share some of it."""
    low, high = _range(a)
    start, end = _range(b)
    return start < high and low < end


def _clash(a: Value, b: Value) -> bool:
    """Whether they share some otherwise than element by element at the same places."""
    if a is b or not _overlap(a, b):
        return False
    x, y = a.array, b.array
    return not (x.data.ptr == y.data.ptr and x.shape == y.shape and x.strides == y.strides and x.dtype == y.dtype)


def _broadcast(values: list[Any]) -> tuple[int, ...] | None:
    try:
        return np.broadcast_shapes(*(value.shape for value in values if isinstance(value, Value)))
    except ValueError:
        return None


def _strides(array: Any, shape: tuple[int, ...]) -> list[int]:
    """In bytes, for each dimension of `shape`; 0 where it is one element for all."""
    missing = len(shape) - array.ndim
    return [0] * missing + [s if n > 1 else 0 for s, n in zip(array.strides, array.shape, strict=True)]


def collapse(shape: tuple[int, ...], strides: list[list[int]]) -> tuple[tuple[int, ...], list[list[int]]]:
    """The same places with fewer dimensions: those that lie one in another, for each of the operands, are one."""
    dims: list[int] = []
    kept: list[list[int]] = [[] for _ in strides]
    for d, n in enumerate(shape):
        if n == 1:
            continue
        if dims and all(one[-1] == given[d] * n for one, given in zip(kept, strides, strict=True)):
            dims[-1] *= n
            for one, given in zip(kept, strides, strict=True):
                one[-1] = given[d]
            continue
        dims.append(n)
        for one, given in zip(kept, strides, strict=True):
            one.append(given[d])
    return tuple(dims), kept


__all__ = ["Value", "Window", "collapse"]
