"""Last use: an elementwise result is written over an operand whose free stands right behind its command in the batch.

Writing in place moves a third less memory, and takes no fresh pages. A program must not see it: see Note [Last use]. `steps.py` asks
`maker` for a second step of a form, which only the executor's fast walk and a window of one command run; where anything is out of
the ordinary (faults, captures, exports that are read in place) the form's own step runs.

Note [Last use]: an operand may be overwritten where nothing but its handle knows it, and that handle is freed before anything else is
done. Cases that keep it as it is: a view, a buffer's record, a transfer, a captured graph, a function of the program or a running copy
holds it (each has a reference to it); a tracker has seen it (which has a weak one, and would take the result for the array that it knew);
it lies in memory that is not its own (the arena, where its address is known to the program; a lane). Handles, the account and its peak go
on as without: the result is charged, the operand is refunded by its own free, which takes its handle away and nothing else. Bits: only
loops that were tried over their operands (`proof.py`, and `_is_same` here with numbers) are run so, on operands of the result's dtype and
shape, so that nothing is converted and nothing can fail.

Boundary: knows handles, forms and NumPy's functions; which results of a chain lie over operands is `fusion/`'s.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cupool.contract.spec import spec_of

from .forms import ARRAY, SLOT_HANDLE, SLOT_INTEGER, SLOT_REAL, Form
from .fusion import proof
from .fusion.kinds import CHARS, Operation, ufunc_for

if TYPE_CHECKING:
    from .executor import Executor

Array = np.ndarray[Any, Any]
Step = Callable[[list[int], int], None]

#: Results of fewer bytes stay in the cache anyway, and looking costs more than it saves (a microsecond).
LEAST_BYTES = 512 << 10
#: Frees behind a command that are looked at.
_FREES = 4
#: Bytes of results that a form could have written over operands before its loop is tried for that: a trial takes a millisecond.
WORTH_A_TRIAL = 8 << 20
#: Kinds of operands of one form that are tried.
_MOST_KINDS = 64
#: Numbers of a trial.
_NUMBERS = (0.75, -0.0, float("inf"), float("nan"))
_SIZES = (1543, 4096)

_known: dict[Any, bool] = {}


def _references(table: dict[int, Any], handle: int) -> int:
    array = table[handle]
    return sys.getrefcount(array)


#: What `_references` gives where only the table knows an array.
_ALONE = _references({0: np.empty(1)}, 0)


def is_last(table: dict[int, Any], handle: int) -> bool:
    """Whether nothing but its handle knows an array, and its memory is its own: Note [Last use]. The caller holds no reference."""
    if _references(table, handle) != _ALONE:
        return False
    return is_own(table[handle])


def is_own(array: Any) -> bool:
    """Whether an array that nobody else knows is the whole of memory that NumPy gave it, and no tracker has seen it."""
    return (
        type(array) is np.ndarray
        and array.base is None
        and array.flags.owndata
        and array.flags.writeable
        and array.flags.c_contiguous
        and not weakref.getweakrefcount(array)
    )


def maker(form: Form, impl: Any, executor: Executor) -> Step | None:
    """A step of a form that may write over its operand; None: it has none.

    Args:
        impl: the device's function; NumPy's, or one that says which of NumPy's it is (`direct_for`).
    """
    choose = _chooser(form, impl)
    if choose is None or form.step is None:
        return None
    spec, own = form.results[0].spec, form.step
    assert spec is not None
    table, dtype, shape, width, nbytes = executor.handles.table, spec.dtype, spec.shape, form.width, spec.nbytes
    slots = [(s.kind, s.offset) for s in form.slots]
    arrays = [offset for kind, offset in slots if kind == SLOT_HANDLE]
    first, last = arrays[0], arrays[-1]
    has_integer = any(kind == SLOT_INTEGER for kind, _ in slots)
    kinds = frozenset((np.ndarray, float, int))
    readers = [_reader(kind, offset, executor) for kind, offset in slots]
    bound: dict[Any, Any] = {}
    chances = 0
    #: of operands whose types are the form's alone; None: not tried yet
    only: Any = None

    def over(words: list[int], i: int) -> None:
        end = len(words) - 1
        for at in range(i + width, min(i + width + 2 * _FREES, end), 2):
            if words[at]:
                break
            dying = words[at + 1]
            if dying in (words[i + first], words[i + last]):
                if words[i + 1] not in table and dying in table and is_last(table, dying) and write(words, i, dying):
                    return
                break
        own(words, i)

    def write(words: list[int], i: int, dying: int) -> bool:
        nonlocal chances, only
        operands = [read(words, i) for read in readers]
        for x in operands:
            if type(x) not in kinds or (
                type(x) is np.ndarray
                and (x.dtype != dtype or x.shape != shape or not (x.flags.c_contiguous and x.flags.aligned))
            ):
                return False  # a failure, an object, nothing, or an array of another kind: the form's own step
        if only is None or has_integer:
            if chances < WORTH_A_TRIAL:
                chances += nbytes
                return False
            key = tuple([dtype if type(x) is np.ndarray else float if type(x) is float else x for x in operands])
            only = bound.get(key)
            if only is None:
                if len(bound) >= _MOST_KINDS:
                    return False
                only = bound[key] = _ufunc_over(ufunc_for(choose, key), key, dtype)
        if only is False:
            return False
        out = table[dying]
        only(*operands, out=out)
        table[words[i + 1]] = out
        executor.last_uses += 1
        return True

    return over


def _reader(kind: int, offset: int, executor: Executor) -> Callable[[list[int], int], Any]:
    if kind == SLOT_HANDLE:
        get = executor.handles.table.get
        return lambda words, i: get(words[i + offset])
    if kind == SLOT_INTEGER:
        return lambda words, i: words[i + offset]
    return lambda words, i: float(executor.reals[i + offset])


def _chooser(form: Form, impl: Any) -> Callable[[tuple[Any, ...]], Any] | None:
    """Operands -> the ufunc that a form runs for them; None: it is no form that may write over its operands."""
    if form.row.family != "ufunc" or form.kwargs or len(form.results) != 1 or form.results[0].kind != ARRAY:
        return None
    spec = form.results[0].spec
    if spec is None or spec.nbytes < LEAST_BYTES or spec.dtype.char not in CHARS or not spec.dtype.isnative:
        return None
    if (
        spec is not spec_of(spec.shape, spec.dtype)
        or not 1 <= len(form.slots) <= 2
        or len(form.slots) != len(form.args)
    ):
        return None
    kinds = [s.kind for s in form.slots]
    if not all(s.bare and s.kind in (SLOT_HANDLE, SLOT_INTEGER, SLOT_REAL) for s in form.slots):
        return None
    found: Callable[[tuple[Any, ...]], Any] | None = getattr(impl, "direct_for", None)
    return found if SLOT_HANDLE in kinds else None


def _ufunc_over(how: Operation | None, key: tuple[Any, ...], dtype: np.dtype[Any]) -> Any:
    """The ufunc of operands of these types, which may write over those of them that are arrays; False: there is none."""
    if how is None or not how.overwrites or how.dtype != dtype or how.ufunc is None:
        return False
    name = (how.ufunc.__name__, tuple(k.char if isinstance(k, np.dtype) else float if k is float else int for k in key))
    found = _known.get(name)
    if found is None:
        found = _known[name] = all(_is_same(how.ufunc, key, size) for size in _SIZES)
    return how.ufunc if found else False


def _is_same(ufunc: np.ufunc, key: tuple[Any, ...], size: int) -> bool:
    """Whether a loop gives the same bits over its operands as elsewhere, on values that are corners for the most part."""
    rng = np.random.default_rng(size)
    arrays = [proof.values(rng, k, size) if isinstance(k, np.dtype) else None for k in key]
    for number in _NUMBERS:
        operands = [x if x is not None else number if k is float else k for x, k in zip(arrays, key, strict=True)]
        expected = ufunc(*operands).tobytes()
        for place, x in enumerate(arrays):
            if x is not None:
                own = [y.copy() if isinstance(y, np.ndarray) else y for y in operands]
                if ufunc(*own, out=own[place]).tobytes() != expected:
                    return False
        if float not in key:
            break
    if sum(x is not None for x in arrays) == 2:  # one array, twice
        x = arrays[0]
        assert x is not None
        return bool(ufunc(x, x).tobytes() == (lambda y: ufunc(y, y, out=y))(x.copy()).tobytes())
    return True


__all__ = ["LEAST_BYTES", "WORTH_A_TRIAL", "is_last", "is_own", "maker"]
