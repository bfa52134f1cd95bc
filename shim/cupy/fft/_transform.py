"""Transforms as programs call them: the command is the table's; around it, the plans that CuPy would have made, checked or remembered."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.spec import Spec, spec_like, spec_of

from . import _plans, config
from ._cache import get_plan_cache

_CUFFT = f"{__package__.rpartition('.')[0]}.cuda.cufft"  # pyright: ignore
#: (spec, s, axes, kind, n-dimensional plans allowed) -> keys of plans. Dropped when it is full.
_memo: dict[Any, tuple[tuple[bool, tuple[Any, ...]], ...]] = {}
_MOST = 1024


def current_plan() -> Any:
    """The plan whose `with` block this thread is in, or None."""
    cufft = sys.modules.get(_CUFFT)  # no plan was entered before it was imported
    return None if cufft is None else cufft.get_current_plan()


def _cufft() -> Any:
    return importlib.import_module(_CUFFT)


def known(a: Any) -> Spec:
    """The spec of an array, also of one on the host; waits for a pending one."""
    return spec_like(a) if isinstance(a, np.ndarray) else a._spec or a._resolve()


def converted(a: Spec, value_type: str) -> Spec:
    """The spec of what cuFFT gets: complex, or real for a transform of real numbers."""
    is_single = a.dtype.char in "efF"
    dtype = np.dtype(("f" if is_single else "d") if value_type == "R2C" else ("F" if is_single else "D"))
    if dtype == a.dtype:
        return a
    return spec_of(a.shape, dtype, order=_plans.order_of(a))


def line(
    function: Callable[..., Any], value_type: str, a: Any, n: Any, axis: Any, norm: Any, plan: Any = None, overwrite: bool = False
) -> Any:  # fmt: skip
    """A transform along one axis.

    Args:
        function: the table's.
        value_type: "C2C", "R2C" or "C2R".
        plan: a `Plan1d` that must fit.
        overwrite: the result may take the place of `a`; as CuPy, only of a complex array that is no view, along its last axis.
    """
    result = function(a, n, axis, norm)
    current = current_plan()
    if plan is None and current is None:
        if a._spec is not None:
            _remember(a._spec, (n,), (axis,), value_type, False)
    else:
        _check_lines(a, (n,), (axis,), value_type, plan, current)
    if overwrite and value_type == "C2C" and _takes(a, result) and a.flags.c_contiguous and axis in (-1, a.ndim - 1):
        return _replaced(a, result) if a.base is None else result
    return result


def _takes(a: Any, result: Any) -> bool:
    return bool(a.dtype == result.dtype and a.shape == result.shape)


def _replaced(a: Any, result: Any) -> Any:
    a[...] = result
    return a


def several(
    function: Callable[..., Any], value_type: str, a: Any, s: Any, axes: Any, norm: Any, plan: Any = None, by_plan: bool = False,
    overwrite: bool = False,
) -> Any:  # fmt: skip
    """A transform along several axes.

    Args:
        function: the table's.
        value_type: "C2C", "R2C" or "C2R".
        plan: a `Plan1d` or `PlanNd` that must fit.
        by_plan: the given plan also decides whether one plan does them all.
        overwrite: the result may take the place of `a`; as CuPy, only of a complex array that one plan transforms.
    """
    result = function(a, s, axes, norm)
    s, axes = (None if x is None else tuple(x) for x in (s, axes))
    if axes == ():
        return result
    current = current_plan()
    if plan is None and current is None:
        if a._spec is not None:
            _remember(a._spec, s, axes, value_type, config._enable_nd_planning.get())
    elif by_plan and plan is not None and current is not None:
        raise RuntimeError("Use the cuFFT plan either as a context manager or as an argument.")
    elif _does_nd(a, s, axes, value_type, current if current is not None or not by_plan else plan):
        _check_nd(a, s, axes, value_type, plan if current is None else current)
    else:
        _check_lines(a, s, axes, value_type, plan, current)
    if overwrite and value_type == "C2C" and _takes(a, result) and (a.flags.c_contiguous or a.flags.f_contiguous):
        return (
            _replaced(a, result) if _does_nd(a, s, axes, value_type, plan if current is None else current) else result
        )
    return result


def _does_nd(a: Any, s: Any, axes: Any, value_type: str, deciding: Any) -> bool:
    cufft = _cufft()
    if isinstance(deciding, cufft.PlanNd):
        return True
    if isinstance(deciding, cufft.Plan1d):
        return False
    return _plans.is_nd(known(a), s, axes, value_type, config._enable_nd_planning.get())


def _check_nd(a: Any, s: Any, axes: Any, value_type: str, plan: Any) -> None:
    cufft = _cufft()
    if not isinstance(plan, cufft.PlanNd):
        raise ValueError("expected plan to have type cufft.PlanNd")
    _plans.check_nd(plan, converted(known(a), value_type), s, axes, value_type)


def _check_lines(a: Any, s: Any, axes: Any, value_type: str, plan: Any, current: Any) -> None:
    cufft = _cufft()
    if value_type != "C2C":
        plan = None  # CuPy hands an argument to complex transforms only
    if plan is not None and current is not None:
        raise RuntimeError("Use the cuFFT plan either as a context manager or as an argument.")
    active = current if plan is None else plan
    if active is None:
        return
    if not isinstance(active, cufft.Plan1d):
        raise ValueError("expected plan to have type cufft.Plan1d")
    for each in _plans.lines(converted(known(a), value_type), s, axes, value_type):
        _plans.check_line(active, each)
    if config._use_multi_gpus.get() != (active.gpus is not None):
        raise ValueError("Unclear if multiple GPUs are to be used or not.")


def _keys(a: Spec, s: Any, axes: Any, value_type: str, nd: bool) -> tuple[tuple[bool, tuple[Any, ...]], ...]:
    """(whether it is of several dimensions, key) of each plan that CuPy would use."""
    made = converted(a, value_type)
    if not _plans.is_nd(a, s, axes, value_type, nd):
        found = _plans.lines(made, s, axes, value_type)
        return tuple((False, (each.size, each.fft_type, each.batch, None)) for each in found if each.batch)
    given, ordered = _plans.chosen(a.ndim, s, axes, value_type)
    shape = _plans.cooked(a.shape, s, given, value_type)
    size = _plans.out_size(shape, s, ordered[-1], value_type)
    key = _plans.nd_key(shape, _plans.fft_type(made.dtype, value_type), ordered, _plans.order_of(a), size)
    return ((True, key),) if key[8] else ()


def _remember(a: Spec, s: Any, axes: Any, value_type: str, nd: bool) -> None:
    """Put into the cache what CuPy would have put there."""
    memo_key = (a, s, axes, value_type, nd)
    keys = _memo.get(memo_key)
    if keys is None:
        if len(_memo) >= _MOST:
            _memo.clear()
        keys = _memo[memo_key] = _keys(a, s, axes, value_type, nd)
    cache = get_plan_cache()
    if not cache.is_enabled():
        return
    for is_nd, key in keys:
        if cache.get(key) is None:
            cufft = _cufft()
            cache[key] = cufft.PlanNd(*key) if is_nd else cufft.Plan1d(*key[:3])


def get_fft_plan(a: Any, shape: Any = None, axes: Any = None, value_type: str = "C2C") -> Any:
    """As `cupyx.scipy.fftpack.get_fft_plan`: a plan for transforms of arrays like `a`."""
    cufft = _cufft()
    spec = known(a)
    if not (spec.c_contiguous or spec.f_contiguous):
        raise ValueError("Input array a must be contiguous")
    shape = (shape,) if isinstance(shape, int) else shape
    axes = (axes,) if isinstance(axes, int) else axes
    if shape is not None and axes is not None and len(shape) != len(axes):
        raise ValueError("Shape and axes have different lengths.")
    if axes is None:
        count = spec.ndim if shape is None else len(shape)
        axes, axis = tuple(range(-count, 0)), 0
    else:
        count, axis = len(axes), axes[0]
        if count == 1 and not -spec.ndim <= axis < spec.ndim:
            raise ValueError(f"The chosen axis ({axis}) exceeds the number of dimensions of a ({spec.ndim})")
        if count > 3:
            raise ValueError("Only up to three axes is supported")
    cooked = list(spec.shape)
    for n, each in zip(shape or (), axes, strict=False):
        if n is not None:
            cooked[each] = n // 2 + 1 if each == axes[-1] and value_type == "C2R" else n
    if value_type not in ("C2C", "C2R", "R2C"):
        raise ValueError(f"unknown value_type {value_type!r}")
    kind = _plans.fft_type(converted(spec, value_type).dtype, value_type)
    if count > 1:
        if value_type != "C2C" and spec.f_contiguous:
            raise ValueError("C2R/R2C PlanNd for F-order arrays is not supported")
        size = _plans.out_size(tuple(cooked), shape, axes[-1], value_type)
        key = _plans.nd_key(tuple(cooked), kind, axes, _plans.order_of(spec), size)
        return get_plan_cache().get(key) or cufft.PlanNd(*key)
    length = cooked[axis]
    if value_type == "C2R":
        length = _plans.out_size(tuple(cooked), shape, axis, value_type) or 0
    batch = int(np.prod(cooked, dtype=np.int64)) // cooked[axis]
    return get_plan_cache().get((length, kind, batch, None)) or cufft.Plan1d(length, kind, batch)
