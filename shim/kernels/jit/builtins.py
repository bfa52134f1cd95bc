"""What a kernel may call: `cupyx.jit`'s functions, and Python's that mean something on a device."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from . import operations
from .scope import Scope
from .types import DIM3, INT32, UINT32, VOID, Array, CType, Indexable, Pointer, Scalar, Shared
from .values import Builtin, Code, Constant, Range, Value, as_code, is_constant, pack

FULL_MASK = 0xFFFFFFFF
WARP = 32


def _builtin(name: str) -> Callable[[Callable[..., Value]], Builtin]:
    return lambda write: Builtin(name, write, write.__doc__ or "")


def _constant(value: Value) -> Any:
    if not isinstance(value, Constant):
        raise TypeError("Arguments must be constants.")
    return value.obj


# -- Python's ------------------------------------------------------------------------------------------------------------------


@_builtin("range")
def range_(scope: Scope, *args: Value, unroll: Value | None = None) -> Value:
    """As Python's `range`. unroll: True, False or a number of rounds, for the compiler; only with constant bounds."""
    if not 1 <= len(args) <= 3:
        raise TypeError(
            "range expected at least 1 argument, got 0"
            if not args
            else f"range expected at most 3 argument, got {len(args)}"
        )
    start, stop, step = (Constant(0), args[0], Constant(1)) if len(args) == 1 else (*args, Constant(1))[:3]
    ascends: bool | None = None
    if isinstance(step, Constant):
        ascends = step.obj >= 0
    codes = []
    for value in (start, stop, step):
        code = as_code(value, scope)
        if not isinstance(code.type, Scalar) or code.type.dtype.kind not in "iu":
            raise TypeError("range supports only for integer type.")
        codes.append(code)
    last = codes[2].type
    if ascends is None and isinstance(last, Scalar) and last.dtype.kind == "u":
        ascends = True
    stop_type = codes[1].type
    assert isinstance(stop_type, Scalar)
    kind = Scalar(np.int64) if scope.mode == "numpy" else Scalar(stop_type.dtype)
    return Range(codes[0], codes[1], codes[2], kind, ascends, _rounds(unroll, (start, stop, step)))


def _rounds(unroll: Value | None, bounds: tuple[Value, ...]) -> int | bool | None:
    if unroll is None or (isinstance(unroll, Constant) and unroll.obj is None):
        return None
    if not is_constant(*bounds, unroll):
        raise TypeError("loop unrolling requires constant start, stop, step and unroll value")
    rounds = _constant(unroll)
    if not isinstance(rounds, int):
        raise TypeError(f"unroll value expected to be of type int, got {type(rounds).__name__}")
    if rounds is False:
        return 1
    if rounds is not True and not 0 < rounds < 1 << 31:
        warnings.warn(
            "loop unrolling is ignored as the unroll value is non-positive or greater than INT_MAX", stacklevel=2
        )
        return None
    return rounds


@_builtin("len")
def len_(scope: Scope, *args: Value) -> Value:
    """The first extent of an array."""
    if len(args) != 1:
        raise TypeError(f"len() expects only 1 argument, got {len(args)}")
    array = as_code(args[0], scope)
    if not isinstance(array.type, Array):
        raise TypeError("len() supports only array type")
    if array.type.ndim == 0:
        raise TypeError("len() of unsized array")
    return Code(f"{array.code}.extent.shape[0]", Scalar("q"))


def _chosen(name: str, ufunc: str) -> Builtin:
    def write(scope: Scope, *args: Value) -> Value:
        if len(args) < 2:
            raise TypeError(f"{name}() expects at least 2 arguments, got {len(args)}")
        return reduce(lambda a, b: operations.call_ufunc(ufunc, (a, b), None, scope), args)

    return Builtin(name, write, f"The {ufunc} of two or more numbers.")


min_, max_ = _chosen("min", "minimum"), _chosen("max", "maximum")


@_builtin("abs")
def abs_(scope: Scope, x: Value) -> Value:
    """The absolute value of a number."""
    return operations.call_ufunc("absolute", (x,), None, scope)


_FORMATS = {
    "?": "%d",
    "b": "%d",
    "B": "%u",
    "h": "%d",
    "H": "%u",
    "i": "%d",
    "I": "%u",
    "l": "%lld",
    "L": "%llu",
    "q": "%lld",
    "Q": "%llu",
}


@_builtin("print")
def print_(scope: Scope, *args: Value) -> Value:
    """`printf` of numbers and constant texts, with a space between them."""
    formats, codes = [], []
    for value in args:
        if isinstance(value, Constant) and isinstance(value.obj, str):
            formats.append(value.obj.replace("%", "%%"))
            continue
        code = as_code(value, scope)
        kind = code.type
        if not isinstance(kind, Scalar):
            raise TypeError(f"print of {kind} is not supported in a kernel")
        if kind.dtype.kind == "c":
            formats.append("(%g%+gj)")
            codes += [f"(double){code.code}.real()", f"(double){code.code}.imag()"]
        elif kind.dtype.kind == "f":
            formats.append("%g")
            codes.append(f"(double){code.code}")
        else:
            formats.append(_FORMATS[kind.dtype.char])
            codes.append(code.code)
    text = " ".join(formats).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    joined = ", ".join(['"' + text + '\\n"', *codes])
    return Code(f"printf({joined})", VOID)


# -- threads -------------------------------------------------------------------------------------------------------------------

threadIdx = Code("threadIdx", DIM3)
blockIdx = Code("blockIdx", DIM3)
blockDim = Code("blockDim", DIM3)
gridDim = Code("gridDim", DIM3)
warpsize = Code("warpSize", INT32)


def _places(name: str, doc: str, template: str) -> Builtin:
    def write(scope: Scope, ndim: Value) -> Value:
        count = _constant(ndim)
        if not isinstance(count, int):
            raise TypeError("ndim must be an integer")
        if count not in (1, 2, 3):
            raise ValueError("Only ndim=1,2,3 are supported")
        items = [Code(f"({template.format(axis)})", UINT32) for axis in "xyz"[:count]]
        return items[0] if count == 1 else pack(items, scope)

    return Builtin(name, write, doc)


grid = _places(
    "grid",
    "This thread's place in the grid: a number, or a tuple of `ndim` numbers.",
    "threadIdx.{0} + blockIdx.{0} * blockDim.{0}",
)
gridsize = _places("gridsize", "The threads of the grid along each of `ndim` axes.", "blockDim.{0} * gridDim.{0}")


@_builtin("laneid")
def laneid(scope: Scope) -> Value:
    """This thread's place in its warp."""
    return Code("((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32u)", UINT32)


@_builtin("syncthreads")
def syncthreads(scope: Scope) -> Value:
    """Wait for all threads of the block."""
    return Code("__syncthreads()", VOID)


@_builtin("syncwarp")
def syncwarp(scope: Scope, *, mask: Value | None = None) -> Value:
    """Wait for the threads of the warp that `mask` names; all by default."""
    if mask is None:
        return Code("__syncwarp()", VOID)
    if isinstance(mask, Constant) and not 0 <= mask.obj <= FULL_MASK:
        raise ValueError("mask is out of range")
    if isinstance(mask, Constant):
        return Code(f"__syncwarp({int(mask.obj):#x}u)", VOID)
    return Code(f"__syncwarp({as_code(operations.cast(mask, INT32, 'same_kind', scope), scope).code})", VOID)


@_builtin("shared_memory")
def shared_memory(scope: Scope, dtype: Value, size: Value, alignment: Value = Constant(None)) -> Value:  # noqa: B008
    """A 1-d array that the threads of a block share. size None: as large as the launch's `shared_mem`."""
    given = _constant(dtype)
    element: CType = given if isinstance(given, CType) else Scalar(given)
    name = scope.fresh("cupool_shared_")
    scope.hoisted[name] = Shared(element, _constant(size), _constant(alignment))
    return Code(name, Pointer(element))


# -- atomics -------------------------------------------------------------------------------------------------------------------


def _atomic(op: str, dtypes: str) -> Builtin:
    name = f"atomic{op}"

    def write(scope: Scope, array: Value, index: Value, value: Value, alt_value: Value | None = None) -> Value:
        whole = as_code(array, scope)
        if not isinstance(whole.type, (Array, Pointer)):
            raise TypeError("The first argument must be of array type.")
        assert isinstance(whole.type, Indexable)
        target = operations.index(whole, index, scope)
        if not isinstance(target, Code) or not isinstance(target.type, Scalar):
            raise TypeError(f"`{name}` needs an index of one element")
        kind = target.type
        if kind.dtype.name not in dtypes.split():
            raise TypeError(f"`{name}` does not support {kind.dtype} input.")
        if (alt_value is not None) != (op == "CAS"):
            raise TypeError(f"`{name}` takes {'two values' if op == 'CAS' else 'one value'}")
        if kind.dtype.char in "ed":
            scope.program.includes["cupy/atomics.cuh"] = None
        plain = Scalar(kind.dtype)
        values = [value] if alt_value is None else [value, alt_value]
        codes = [kind.stored(as_code(operations.cast(v, plain, "same_kind", scope), scope).code) for v in values]
        address = f"&{target.place or target.code}"
        # The 64-bit functions are declared for `unsigned long long` and `int`: what is in memory has that type already.
        return Code(f"{name}({', '.join([address, *codes])})", plain)

    return Builtin(f"atomic_{op.lower()}", write, f"`{name}` on `array[index]`; returns what was there.")


_WORDS = "int32 uint32 uint64"
atomic_add = _atomic("Add", f"{_WORDS} float16 float32 float64")
atomic_sub = _atomic("Sub", "int32 uint32")
atomic_exch = _atomic("Exch", f"{_WORDS} float32")
atomic_min = _atomic("Min", _WORDS)
atomic_max = _atomic("Max", _WORDS)
atomic_inc = _atomic("Inc", "uint32")
atomic_dec = _atomic("Dec", "uint32")
atomic_cas = _atomic("CAS", f"{_WORDS} uint16")
atomic_and = _atomic("And", _WORDS)
atomic_or = _atomic("Or", _WORDS)
atomic_xor = _atomic("Xor", _WORDS)


# -- warps ---------------------------------------------------------------------------------------------------------------------

_SHUFFLED = ["int32", "uint32", "int64", "uint64", "float16", "float32", "float64"]


def _shuffle(op: str) -> Builtin:
    name = f"__shfl_{op}_sync" if op else "__shfl_sync"

    def write(scope: Scope, mask: Value, var: Value, val_id: Value, *, width: Value | None = None) -> Value:
        value = as_code(var, scope)
        if not isinstance(value.type, Scalar) or value.type.dtype.name not in _SHUFFLED:
            raise TypeError(f"`{name}` does not support {value.type} input.")
        if not isinstance(mask, Constant):
            raise TypeError("mask must be an integer")
        if not 0 <= mask.obj <= FULL_MASK:
            raise ValueError("mask is out of range")
        kind = UINT32 if op in ("up", "down") else INT32
        lane = as_code(operations.cast(val_id, kind, "same_kind", scope), scope)
        if isinstance(width, Constant) and width.obj not in (2, 4, 8, 16, 32):
            raise ValueError("width needs to be power of 2")
        section = as_code(operations.cast(width or Constant(WARP), INT32, "same_kind", scope), scope)
        return Code(f"{name}({mask.obj:#x}u, {value.code}, {lane.code}, {section.code})", Scalar(value.type.dtype))

    return Builtin(
        f"shfl_{op}_sync" if op else "shfl_sync", write, f"`{name}`: the value that another lane of the warp has."
    )


shfl_sync, shfl_up_sync, shfl_down_sync, shfl_xor_sync = (_shuffle(op) for op in ("", "up", "down", "xor"))
