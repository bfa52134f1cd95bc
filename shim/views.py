"""Views: NumPy's own view code runs on the shadow, the server makes the same view by "@view".

Boundary: nothing here reads data. A view is one command; its spec is known at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.ops._row import Row, call_arguments
from cupool.contract.ops.rules.views import VIEW_FUNCTIONS, k_order_axes, packed_order, resolve_shape
from cupool.contract.ops.rules.views import imag as _imag_of
from cupool.contract.spec import Spec, spec_of

from . import dispatch, operators, session, streams
from .dispatch import HANDLE, INTEGER
from .pending import GATE, extend

_VIEW_ARGS = (HANDLE, INTEGER)


def address(shadow: np.ndarray[Any, Any]) -> int:
    """Where a shadow starts."""
    return int(shadow.__array_interface__["data"][0])


def head_of(spec: Spec) -> int:
    """The form of "@view" with this result."""
    cache = spec.cache("view")
    head: int | None = cache.get("head")
    if head is None:
        head = cache["head"] = dispatch.define("@view", _VIEW_ARGS, {}, (spec,))
    return head


def emit(a: Any, head: int, spec: Spec, offset: int) -> Any:
    """Queue "@view" of a plain array that is known to be this session's. No site: a view fails only where its array did."""
    made = operators.blank()
    made._spec = spec
    made._handle = handle = next(operators.counter)
    try:
        root = a._root
    except AttributeError:
        # Said once: asking an array for what it has not costs more than all the rest here.
        root = a._root = None
    if root is None:
        made._root, made._shift = a, offset
    else:
        made._root, made._shift = root, a._shift + offset
    extend((head | streams.bits(), handle, a._handle, offset))
    if GATE.is_behind:  # see Note [Views leave later]
        session.flush()
    return made


#: Array's spec -> (form, spec of the view with its axes reversed).
REVERSED = operators.new_table()
#: Array's spec, C-contiguous -> {arguments of `reshape`: (form, view's spec)}.
RESHAPED = operators.new_table()


def view(a: Any, spec: Spec, offset: int, cls: Any = None) -> Any:
    """A view of `a` with `spec`, `offset` bytes from a's first element."""
    session.check_handle(a._handle)
    made = emit(a, head_of(spec), spec, offset)
    cls = cls or type(a)
    if cls is not dispatch.ndarray:
        from .array import cast_class

        return cast_class(made, cls, a)
    return made


def heir(root: Any, spec: Spec) -> Any:
    """A view that takes the place of an array that nobody else has: the memory is its own."""
    made = view(root, spec, 0)
    made._root = None
    if hasattr(root, "_place"):
        made._place = root._place
    return made


def of_shadow(a: Any, shadow: np.ndarray[Any, Any]) -> Any:
    """The view of `a` that corresponds to a view of its shadow."""
    spec = spec_of(shadow.shape, shadow.dtype, shadow.strides)
    return view(a, spec, address(shadow) - address(a._resolve().shadow))


def on_shadow(a: Any, function: Callable[[Any], Any]) -> Any:
    """The view that `function` makes of the shadow. Errors are NumPy's, raised at the user's line."""
    try:
        shadow = function(a._resolve().shadow)
    except (ValueError, TypeError, IndexError) as error:
        raise error.with_traceback(None) from None
    return of_shadow(a, shadow)


def of_function(function: Callable[..., Any], row: Row, args: tuple[Any, ...]) -> Any:
    """The result of a function that returns views, or None where it copies (or was not given device arrays).

    Args:
        function: an entry of VIEW_FUNCTIONS or MAYBE_VIEW.
        row: its row.
        args: the call's arguments.
    """
    positional, keywords = call_arguments(row, args)
    sources: list[Any] = []
    shadows: list[Any] = []

    def swap(value: Any) -> Any:
        if isinstance(value, dispatch.ndarray):
            sources.append(value)
            shadow = value._resolve().shadow
            # Two arrays of one spec share a shadow: each gets an object of its own, to be told apart by `base`.
            own = shadow.view()
            shadows.append(own)
            return own
        return value

    swapped = [swap(v) for v in positional]
    if not sources:
        return None
    if keywords.get("out") is not None:
        return None
    try:
        result = function(*swapped, **{k: swap(v) for k, v in keywords.items()})
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        raise error.with_traceback(None) from None
    if result is None:
        return None
    if isinstance(result, np.ndarray):
        return _back(result, sources[0], shadows[0])
    if len(sources) == len(result) and len(sources) > 1:
        return type(result)(_back(r, a, s) for r, a, s in zip(result, sources, shadows, strict=True))
    return type(result)(_back(r, sources[0], shadows[0]) for r in result)


def _back(result: Any, a: Any, shadow: Any) -> Any:
    if result is shadow:
        return a
    return of_shadow(a, result)


# -- methods -------------------------------------------------------------------------------------------------------------


def transpose(a: Any, axes: tuple[Any, ...]) -> Any:
    """`ndarray.transpose`: no axes, axes one by one, or one sequence or None."""
    if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (tuple, list))):
        axes = tuple(axes[0]) if axes[0] is not None else ()
    spec = a._resolve()
    cache = spec.cache("transpose")
    known = cache.get(axes)
    if known is None:
        try:
            shadow = spec.shadow.transpose(axes) if axes else spec.shadow.transpose()
        except (ValueError, TypeError) as error:
            raise error.with_traceback(None) from None
        known = cache[axes] = spec_of(shadow.shape, shadow.dtype, shadow.strides)
    made = view(a, known, 0)
    if not axes and type(a) is dispatch.ndarray:
        operators.remember(REVERSED, spec, operators.ALONE, (head_of(known), known))
    return made


def reshape(a: Any, shape: tuple[Any, ...], order: str | None, copy: bool | None, given: Any = None) -> Any:
    """`ndarray.reshape`. Views of C-contiguous arrays are remembered under the arguments `given`, if any (Note [Hot tables])."""
    from ._generated import functions

    made = functions.reshape(a, shape, order, copy=copy)
    spec: Spec | None = a._spec
    is_plain = order == "C" and not copy and type(a) is dispatch.ndarray and type(made) is dispatch.ndarray
    if given is not None and is_plain and spec is not None and spec.c_contiguous and made._base is not None:
        entry = (head_of(made._spec), made._spec)
        with contextlib.suppress(TypeError):  # a list
            operators.remember(RESHAPED, spec, given, entry)
    return made


def reshape_in_place(a: Any, newshape: Any) -> None:
    """`a.shape = …`: the array takes over a view's handle."""
    spec = a._resolve()
    shadow = spec.shadow.view()
    try:
        shape = resolve_shape(shadow, newshape)
        shadow = shadow.reshape(shape, copy=False)
    except ValueError as error:
        if "copy" in str(error):
            raise AttributeError("incompatible shape for a non-contiguous array") from None
        raise error.with_traceback(None) from None
    taken = view(a, spec_of(shadow.shape, shadow.dtype, shadow.strides), 0, dispatch.ndarray)
    # The view keeps the old handle alive on the server through the buffer, so the old handle may die with `taken`.
    a._handle, taken._handle = taken._handle, a._handle
    from .array import twin

    a._spec = taken._spec if type(a) is dispatch.ndarray else twin(taken._spec)


def ravel(a: Any, order: str | None) -> Any:
    """`ndarray.ravel`."""
    from ._generated import functions

    return functions.ravel(a, "C" if order is None else order)


def real(a: Any) -> Any:
    """The real part of a complex array."""
    return on_shadow(a, VIEW_FUNCTIONS["real"])


def imag(a: Any) -> Any:
    """The imaginary part of a complex array."""
    return on_shadow(a, _imag_of)


def view_as(a: Any, dtype: Any, cls: Any) -> Any:
    """`ndarray.view`."""
    array_class = dispatch.ndarray
    if isinstance(dtype, type) and issubclass(dtype, array_class):
        if cls is not None:
            raise ValueError("Cannot specify output type twice.")
        cls, dtype = dtype, None
    if cls is not None and not (isinstance(cls, type) and issubclass(cls, array_class)):
        raise ValueError("Type must be a sub-type of ndarray type")
    spec = a._resolve()
    if dtype is not None:
        wanted = np.dtype(dtype)
        if wanted.itemsize != spec.itemsize:
            spec = _resized(spec, wanted)
        elif wanted != spec.dtype:
            spec = spec_of(spec.shape, wanted, spec.strides)
    return view(a, spec, 0, cls)


def _resized(spec: Spec, dtype: np.dtype[Any]) -> Spec:
    if not spec.ndim:
        raise ValueError("Changing the dtype of a 0d array is only supported if the itemsize is unchanged")
    if spec.shape[-1] != 1 and spec.size and spec.strides[-1] != spec.itemsize:
        raise ValueError("To change to a dtype of a different size, the last axis must be contiguous")
    nbytes = spec.shape[-1] * spec.itemsize
    if nbytes % dtype.itemsize:
        raise ValueError(
            "When changing to a larger dtype, its size must be a divisor of the total size in bytes of the last axis of the array."
        )
    return spec_of((*spec.shape[:-1], nbytes // dtype.itemsize), dtype, (*spec.strides[:-1], dtype.itemsize))


def reduced(a: Any) -> Any:
    """`ndarray.reduced_view`."""
    spec = a._resolve()
    if spec.ndim <= 1:
        return a
    if spec.c_contiguous:
        return view(a, spec_of((spec.size,), spec.dtype), 0)
    shape: list[int] = []
    strides: list[int] = []
    for n, stride in zip(spec.shape, spec.strides, strict=True):
        if n == 1:
            continue
        if shape and strides[-1] == stride * n:
            shape[-1] *= n
            strides[-1] = stride
        else:
            shape.append(n)
            strides.append(stride)
    if len(shape) == spec.ndim:
        return a
    return view(a, spec_of(tuple(shape), spec.dtype, tuple(strides)), 0)


def like_strides(spec: Spec, dtype: np.dtype[Any], order: str | None) -> Spec:
    """The spec of a copy of `spec` as `dtype`, in order 'C', 'F', 'A' or 'K' (as close to the source's layout as a packed array is).

    Raises:
        ValueError: another order.
    """
    order = "K" if order is None else order
    if order not in ("K", "k"):
        return spec_of(spec.shape, dtype, order=packed_order(spec, order))
    if spec.c_contiguous:
        return spec_of(spec.shape, dtype)
    if spec.f_contiguous:
        return spec_of(spec.shape, dtype, order="F")
    strides = [0] * spec.ndim
    step = dtype.itemsize
    for axis in reversed(k_order_axes(spec.strides)):
        strides[axis] = step
        step *= spec.shape[axis] or 1
    return spec_of(spec.shape, dtype, tuple(strides))
