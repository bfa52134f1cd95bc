"""Ufuncs: CuPy's recorded loops decide what is accepted and what comes out; results are always C-ordered.

Note [Loops]: CuPy takes the first loop to which every operand casts safely; a Python scalar is *weak* (it adapts to the arrays)
when its kind is not above theirs. `tests/contract/test_table_ufuncs.py` compares the outcome with NumPy's `resolve_dtypes`. Loops travel
as text (`_loops.py`) because parsing one ufunc at its first call is cheaper than unpickling all of them at import.

Note [bfloat16]: ml_dtypes takes as long to import as the rest of a first call, so it is left to programs that use it. Until one has, no
operand and no `dtype=` can be a bfloat16, and no others take its loops (`tests/contract/test_table_ufuncs.py` compares all of them).
"""

from __future__ import annotations

import sys
from functools import cache, lru_cache
from typing import Any

import numpy as np

from cupool.contract.ops._loops import KERNELS
from cupool.contract.ops.rules.common import BOOL, broadcast, check_cast, rule, scalar_dtype
from cupool.contract.records import NamedTuple
from cupool.contract.spec import Spec, spec_of


class Loop(NamedTuple):
    """One loop. `error`: the text of the TypeError that it is there to raise."""

    inputs: tuple[np.dtype[Any], ...]
    outputs: tuple[np.dtype[Any], ...]
    error: str = ""


class Kernel(NamedTuple):
    """The loops of one ufunc. `name`: what CuPy calls it; `typed`: those that `dtype=` chooses from."""

    name: str
    nin: int
    nout: int
    loops: tuple[Loop, ...]
    typed: tuple[Loop, ...]
    strong_int: bool


#: CuPy lists complex loops for these, but has no code that would compile for them.
REAL_ONLY = frozenset({"arctan2", "copysign", "hypot", "i0", "nextafter"})


def has_bfloat16() -> bool:
    """Whether bfloat16 is a dtype in this process. See Note [bfloat16]."""
    return "ml_dtypes" in sys.modules


def _dtype(char: str) -> np.dtype[Any] | None:
    if char == "E":
        if not has_bfloat16():
            return None
        import ml_dtypes

        bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return bfloat16
    # 'q' and 'l' are equal here but not identical; one of them keeps interned specs few.
    return np.dtype({"q": "l", "Q": "L"}.get(char, char))


def parse(text: str, error: str) -> tuple[Loop, ...]:
    loops = []
    for item in text.split():
        ins, outs = (tuple(_dtype(c) for c in part) for part in item.lstrip("!").split("->"))
        # Not `None in ins`: dtype('float64') == None is True in NumPy.
        if all(d is not None for d in (*ins, *outs)):
            loops.append(Loop(ins, outs, error if item[0] == "!" else ""))  # type: ignore[arg-type]
    return tuple(loops)


def kernel(name: str) -> Kernel:
    """The loops of a ufunc by public name. Raises KeyError."""
    return _kernel(name, has_bfloat16())


@cache
def _kernel(name: str, with_bfloat16: bool) -> Kernel:
    entry = KERNELS[name]
    nin, nout, text = entry[:3]
    options: dict[str, Any] = entry[3] if len(entry) > 3 else {}
    loops = parse(text, options.get("error", ""))
    if name in REAL_ONLY:
        loops = tuple(loop for loop in loops if loop.outputs[0].kind != "c")
    typed = parse(options["out_loops"], "") if "out_loops" in options else loops
    label = options.get("name", f"cupy_{name.lstrip('@').rpartition('.')[2]}")
    return Kernel(label, nin, nout, loops, typed, options.get("strong_int", False))


_KIND_SCORE = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 2}
#: Operand type as loops see it: (dtype, weak Python type or None).
Operand = tuple[np.dtype[Any], type | None]


def operand_type(value: Any) -> Operand:
    """How a Spec, Python or NumPy scalar takes part in choosing a loop. Raises TypeError, OverflowError."""
    if isinstance(value, Spec):
        return value.dtype, None
    kind = type(value)
    if kind is int:
        if not -(1 << 63) <= value < 1 << 64:
            raise OverflowError(f"Python integer {value} out of bounds for {'int64' if value < 0 else 'uint64'}")
        return scalar_dtype(value), int
    if kind is float or kind is complex:
        return scalar_dtype(value), kind
    if kind is bool or isinstance(value, np.generic):
        return scalar_dtype(value), None
    raise TypeError(f"Unsupported type {kind}")


@lru_cache(maxsize=8192)
def find_loop(name: str, operands: tuple[Operand, ...]) -> Loop | None:
    """The first loop that takes the operands, or None. See Note [Loops]."""
    return first_loop(kernel(name), operands)


def first_loop(k: Kernel, operands: tuple[Operand, ...]) -> Loop | None:
    """As `find_loop`, of these loops."""
    weak = [w for _, w in operands]
    if any(w is not None for w in weak):
        scalars = max(0 if w is bool else 1 if w is int else 2 for w in weak if w is not None)
        arrays = max((_KIND_SCORE.get(d.kind, 3) for d, w in operands if w is None), default=-1)
        if arrays < scalars:
            weak = [None] * len(weak)
        elif k.strong_int and len(operands) == 2:
            for i, j in ((0, 1), (1, 0)):
                if weak[i] is int and weak[j] is None and operands[j][0].kind in "iu":
                    weak[i] = None
                    break
    for loop in k.loops:
        for (dtype, _), w, wanted in zip(operands, weak, loop.inputs, strict=True):
            if wanted.kind == "V" and wanted.type is np.void:
                if dtype.kind != "V" or dtype.type is not np.void:
                    break
            elif not np.can_cast(dtype, wanted) and (w is None or not _weak_fits(w, wanted)):
                break
        else:
            return loop
    return None


def _weak_fits(weak: type, wanted: np.dtype[Any]) -> bool:
    try:
        return bool(np.result_type(weak(0), wanted) == wanted)
    except TypeError:
        return False


@lru_cache(maxsize=2048)
def typed_loop(name: str, dtype: np.dtype[Any]) -> Loop | None:
    """The first loop all of whose results are `dtype`, or None."""
    for loop in kernel(name).typed:
        if all(t == dtype for t in loop.outputs):
            return loop
    return None


def choose(name: str, operands: tuple[Any, ...], dtype: Any = None) -> Loop:
    """The loop for these operands. Raises TypeError when there is none, with CuPy's text."""
    types = tuple(operand_type(x) for x in operands)
    label: Any
    if dtype is None:
        loop = find_loop(name, types)
        label = tuple(d for d, _ in types)
    else:
        label = np.dtype(dtype)
        loop = typed_loop(name, label)
    if loop is None:
        raise TypeError(f"Wrong type ({label}) of arguments for {kernel(name).name}")
    if loop.error:
        raise TypeError(loop.error)
    return loop


def result_specs(
    loop: Loop, operands: tuple[Any, ...], shape: tuple[int, ...], outs: tuple[Any, ...], casting: str
) -> Any:
    """Result specs of a chosen loop: given outputs checked, the others fresh and C-ordered."""
    results = []
    dtypes = loop.outputs
    for i, dtype in enumerate(dtypes):
        out = outs[i] if i < len(outs) else None
        if out is None:
            results.append(spec_of(shape, dtype))
            continue
        if not isinstance(out, Spec):
            raise TypeError("Output arguments type must be cupy.ndarray")
        if out.shape != shape:
            raise ValueError("Out shape is mismatched")
        check_cast(dtype, out.dtype, casting, "output operand")
        results.append(out)
    if shape and 0 in shape:
        return results[0] if len(results) == 1 else tuple(results)
    for value, dtype in zip(operands, loop.inputs, strict=True):
        if type(value) is int and dtype.kind in "iu":
            info = np.iinfo(dtype)
            if not info.min <= value <= info.max:
                raise OverflowError(f"Python integer {value} out of bounds for {dtype}")
    return results[0] if len(results) == 1 else tuple(results)


def apply(
    name: str,
    operands: tuple[Any, ...],
    out: Any = None,
    where: Any = True,
    dtype: Any = None,
    casting: str = "same_kind",
) -> Any:
    """The whole rule of one ufunc call."""
    nout = KERNELS[name][1]
    outs: tuple[Any, ...] = ()
    if out is not None:
        if isinstance(out, tuple):
            if len(out) != nout:
                raise ValueError("The 'out' tuple must have exactly one entry per ufunc output")
            outs = out
        elif nout != 1:
            raise ValueError("'out' must be a tuple of arrays")
        else:
            outs = (out,)
    everything = [*operands, *(o for o in outs if o is not None)]
    if where is not True and where is not None:
        if isinstance(where, Spec):
            if where.dtype != BOOL:
                raise TypeError(f"Cannot cast array data from {where.dtype!r} to {BOOL!r} according to the rule 'safe'")
            everything.insert(len(operands), where)
        else:
            operand_type(where)
    shape = broadcast(*everything)
    loop = choose(name, operands, dtype)
    if loop.outputs[0] == BOOL and dtype is None and operands and loop.inputs[0].type is np.void:
        _check_structured(operands)
    return result_specs(loop, operands, shape, outs, casting)


def _check_structured(operands: tuple[Any, ...]) -> None:
    a, b = (x.dtype for x in operands)
    if a.fields is None and b.fields is None:
        if a.itemsize != b.itemsize:
            raise TypeError(f"cannot compare unstructured voids of different size ({a.itemsize} vs {b.itemsize})")
    elif a.fields is None or b.fields is None:
        raise TypeError("Cannot compare structured and non-structured dtypes")
    elif any(field[0].base.fields is not None and field[0].shape for d in (a, b) for field in d.fields.values()):
        raise ValueError("CuPy does not yet support subarray dtypes.")
    else:
        try:
            np.promote_types(a, b)
        except TypeError:
            raise TypeError(
                "Cannot compare structured arrays unless they have a common dtype.  "
                "I.e. `np.result_type(arr1, arr2)` must be defined."
            ) from None


def elementwise(name: str) -> Any:
    """The rule of the ufunc `name` (of `_loops.KERNELS`)."""
    nin = KERNELS[name][0]

    @rule(f"elementwise:{name}")
    def infer(*operands: Any, out: Any = None, where: Any = True, dtype: Any = None, casting: str = "same_kind") -> Any:
        if len(operands) != nin:
            nargs = nin + KERNELS[name][1]
            raise TypeError(
                f"Wrong number of arguments for {kernel(name).name!r}. It must be either {nin} or {nargs} (with outputs), "
                f"but given {len(operands)}."
            )
        return apply(name, operands, out, where, dtype, casting)

    return infer
