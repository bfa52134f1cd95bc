"""Indexing: basic keys are views, index arrays and masks are commands.

Cases of a key:
  - int, slice, None, Ellipsis, and tuples of them: a view of the shadow, one "@view".
  - with index arrays: `ndarray.__getitem__`, result shape known from the shapes.
  - with a mask: the same, and the result is pending.
  - field names of a structured dtype: a view.
Assignment through a basic key assigns to the view, so that the form does not depend on the key's numbers.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from cupool.contract.spec import Spec, spec_of

from . import dispatch, views
from .probe import lengths_probe
from .rows import ROWS

_BASIC = frozenset({int, slice, type(None), type(Ellipsis)})
_ROW_GET = ROWS["ndarray.__getitem__"]
_ROW_SET = ROWS["ndarray.__setitem__"]
_ROW_AT = ROWS["ufunc.at"]
_ROW_REDUCEAT = ROWS["ufunc.reduceat"]


def getitem(a: Any, key: Any) -> Any:
    """`a[key]`."""
    kind = type(key)
    spec: Spec = a._spec or a._resolve()
    if type(a) is dispatch.ndarray:
        # See Note [Remembered views].
        try:
            if kind is int:
                head, row, length, stride = spec.caches["rows"][int]
                if -length <= key < length:
                    return views.emit(a, head, row, (key if key >= 0 else key + length) * stride)
            elif kind is slice:
                return views.emit(a, *spec.caches["slices"][key.start, key.stop, key.step])
            elif kind is tuple:
                parts = tuple([(k.start, k.stop, k.step) if type(k) is slice else k for k in key])
                if _BASIC.issuperset(map(type, key)):
                    return views.emit(a, *spec.caches["tuples"][parts])
        except (KeyError, TypeError):
            pass
    if kind is int:
        return _row(a, spec, key)
    if kind is slice and spec.shape:
        view = _slice(a, spec, key)
        if view is not None:
            return view
    if spec.dtype.fields is not None and _is_field(key):
        return field(a, spec, key)
    prepared = prepare(key)
    if is_basic(prepared):
        return basic(a, prepared)
    result = dispatch.call(_ROW_GET, (a, _travelling(prepared)))
    if result._spec is None:
        _hint(a, spec, prepared, result)
    return result


def _row(a: Any, spec: Spec, index: int) -> Any:
    shape = spec.shape
    if not shape:
        raise IndexError("too many indices for array: array is 0-dimensional, but 1 were indexed")
    at = index if index >= 0 else index + shape[0]
    if not 0 <= at < shape[0]:
        raise IndexError(f"Index {index} is out of bounds for axis 0 with size {shape[0]}")
    cache = spec.cache("row")
    row = cache.get(0)
    if row is None:
        row = cache[0] = spec_of(shape[1:], spec.dtype, spec.strides[1:])
    if type(a) is dispatch.ndarray:
        views.remember(spec, "rows", int, (views.head_of(row), row, shape[0], spec.strides[0]))
    return views.view(a, row, at * spec.strides[0])


def _slice(a: Any, spec: Spec, key: slice) -> Any:
    n = spec.shape[0]
    try:
        start, stop, step = key.indices(n)
    except TypeError:
        return None
    length = len(range(start, stop, step))
    cache = spec.cache("slice")
    part = cache.get((length, step))
    if part is None:
        stride = spec.strides[0] * step if length else spec.strides[0]
        part = cache[length, step] = spec_of((length, *spec.shape[1:]), spec.dtype, (stride, *spec.strides[1:]))
    offset = start * spec.strides[0] if length and a.size else 0
    views.remember(spec, "slices", (key.start, key.stop, key.step), (views.head_of(part), part, offset))
    return views.view(a, part, offset)


def _is_field(key: Any) -> bool:
    return isinstance(key, str) or (isinstance(key, list) and bool(key) and all(isinstance(k, str) for k in key))


def field(a: Any, spec: Spec, key: Any) -> Any:
    """The view of a field, or of several.

    Raises:
        ValueError: no such field, a subarray, or a field that does not lie on a multiple of its size, which kernels cannot read.
    """
    fields: Any = spec.dtype.fields
    if isinstance(key, list) or key not in fields:
        return views.on_shadow(a, lambda s: s[key])
    dtype, offset = fields[key][:2]
    if dtype.shape:
        raise ValueError(
            "CuPy does not yet support accessing nested subarrays, please open an issue if you need this support."
        )
    steps = (offset + a._offset, *spec.strides)
    if spec.size and dtype.kind != "V" and any(step % dtype.itemsize for step in steps):
        raise ValueError(
            f"result array with dtype {dtype} would not be sufficiently aligned for GPU operations. When using structured dtypes "
            "you must manually align the dtype and its fields: cupy.make_aligned_dtype does it."
        )
    return views.on_shadow(a, lambda s: s[key])


def prepare(key: Any) -> tuple[Any, ...]:
    """The key as a tuple of ints, slices, None, Ellipsis, device arrays and host arrays.

    Raises:
        IndexError: something that is not an index.
    """
    return tuple(_item(item) for item in (key if isinstance(key, tuple) else (key,)))


def _item(item: Any) -> Any:
    if type(item) in _BASIC or isinstance(item, dispatch.ndarray):
        return item
    if isinstance(item, slice):
        return item
    if isinstance(item, (bool, np.bool_)):
        return np.asarray(item)
    if np.isscalar(item):
        try:
            return int(item)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise IndexError(_NOT_AN_INDEX) from None
    if isinstance(item, np.ndarray):
        if item.dtype.kind not in "biu":
            raise IndexError(f"arrays used as indices must be of integer or boolean type (actual: {item.dtype.type})")
        return item
    from .convert import array, as_device

    device = as_device(item)
    if device is not None:
        return device
    if isinstance(item, (list, tuple)) and _holds_device(item):
        return array(item)
    try:
        host = np.asarray(item)
    except Exception as error:
        raise ValueError(str(error)) from None
    if host.size == 0 and isinstance(item, (list, tuple)):
        return host.astype(np.int32)
    if host.dtype.kind in "biu":
        return host
    if host.dtype.kind in "fc":
        raise IndexError(f"arrays used as indices must be of integer or boolean type. (actual: {host.dtype.type})")
    raise IndexError(_NOT_AN_INDEX)


_NOT_AN_INDEX = "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or boolean arrays are valid indices"


def _holds_device(items: Any) -> bool:
    from .convert import as_device

    return any(
        _holds_device(item) if isinstance(item, (list, tuple)) else as_device(item) is not None for item in items
    )


def is_basic(prepared: tuple[Any, ...]) -> bool:
    """Whether a prepared key names a view."""
    return all(type(item) in _BASIC or isinstance(item, slice) for item in prepared)


def basic(a: Any, prepared: tuple[Any, ...]) -> Any:
    """The view that a basic key names."""
    spec = a._resolve()
    key = prepared if Ellipsis in prepared else (*prepared, Ellipsis)
    _check_bounds(spec, prepared)
    key = tuple(_host_slice(item) for item in key)
    # A trailing Ellipsis makes NumPy return a view where it would read a scalar.
    made = views.on_shadow(a, lambda s: s[key])
    if _BASIC.issuperset(map(type, prepared)):
        parts = tuple([(k.start, k.stop, k.step) if type(k) is slice else k for k in prepared])
        views.remember(spec, "tuples", parts, (views.head_of(made._spec), made._spec, made._offset - a._offset))
    return made


def _host_slice(item: Any) -> Any:
    if isinstance(item, slice):
        return slice(*(int(v) if isinstance(v, dispatch.ndarray) else v for v in (item.start, item.stop, item.step)))
    return item


def _check_bounds(spec: Spec, prepared: tuple[Any, ...]) -> None:
    """CuPy's errors and texts, where NumPy's differ."""
    indexed = sum(1 for item in prepared if item is not None and item is not Ellipsis)
    ellipses = sum(1 for item in prepared if item is Ellipsis)
    if ellipses > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    if indexed > spec.ndim:
        raise IndexError(f"too many indices for array: array is {spec.ndim}-dimensional, but {indexed} were indexed")
    axis = 0
    for item in prepared:
        if item is None:
            continue
        if item is Ellipsis:
            axis += spec.ndim - indexed
            continue
        if isinstance(item, int) and not -spec.shape[axis] <= item < spec.shape[axis]:
            raise IndexError(f"Index {item} is out of bounds for axis {axis} with size {spec.shape[axis]}")
        axis += 1


def _travelling(prepared: tuple[Any, ...]) -> Any:
    """Host masks become integer indices: their result shapes are known here. One item travels bare."""
    if any(isinstance(item, np.ndarray) and item.dtype == np.bool_ and item.ndim == 1 for item in prepared):
        masks = [i for i in prepared if not isinstance(i, dispatch.ndarray) or i.dtype == np.bool_]
        if len(masks) == len(prepared):
            prepared = tuple(prepared)
    return prepared[0] if len(prepared) == 1 else prepared


def _hint(a: Any, spec: Spec, prepared: tuple[Any, ...], result: Any) -> None:
    """What is known of a selection by one mask alone."""
    mask = prepared[0]
    if len(prepared) == 1 and isinstance(mask, dispatch.ndarray) and mask.dtype == np.bool_ and mask.ndim:
        rest = spec.shape[mask.ndim :]
        result._probe = lengths_probe(lambda n: (n, *rest), spec.dtype, spec.nbytes)


# -- assignment ------------------------------------------------------------------------------------------------------------


def setitem(a: Any, key: Any, value: Any) -> None:
    """`a[key] = value`."""
    spec = a._resolve()
    if spec.dtype.fields is not None and _is_field(key):
        setitem(field(a, spec, key), Ellipsis, value)
        return
    kind = type(key)
    if (kind is int or kind is slice or kind is type(Ellipsis)) and type(value) is float and spec.dtype.kind == "f":
        whole = key is Ellipsis or (kind is slice and spec.ndim and key == slice(None))
        dispatch.call(_ROW_SET, (a if whole else getitem(a, key), Ellipsis, value))
        return
    prepared = prepare(key)
    value = _value(spec, value)
    if not is_basic(prepared):
        if not isinstance(value, dispatch.ndarray) and np.ndim(value):
            from .convert import array

            value = array(value, dtype=spec.dtype)
        dispatch.call(_ROW_SET, (a, _travelling(prepared), _scalar(spec, value)))
        return
    if not isinstance(value, dispatch.ndarray) and np.ndim(value):
        if _copies_slices(value):
            getitem(a, key).set(value)
            return
        raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
    target = a if prepared == (Ellipsis,) or (prepared == (slice(None),) and spec.ndim) else getitem(a, key)
    if target is value:
        return
    dispatch.call(_ROW_SET, (target, Ellipsis, _scalar(spec, value)))


def _copies_slices(value: Any) -> bool:
    """Whether the program has asked for assignments of host arrays to slices, and this is one."""
    if not isinstance(value, np.ndarray):
        return False
    settings: Any = importlib.import_module(".cupy._util", __package__)
    return bool(settings.ENABLE_SLICE_COPY)


def _value(spec: Spec, value: Any) -> Any:
    """A device array without leading dimensions of one, or host data as it is."""
    from .convert import as_device

    if spec.dtype.fields is not None and isinstance(value, tuple):
        return np.array(value, spec.dtype)[()]  # one record
    device = as_device(value)
    if device is None:
        return value
    if device._spec is not None:
        shape = device.shape
        extra = 0
        while extra < len(shape) and shape[extra] == 1:
            extra += 1
        if extra:
            device = device.reshape(shape[extra:])
    return device


def _scalar(spec: Spec, value: Any) -> Any:
    """A host scalar as the array's dtype holds it. Raises what NumPy raises (OverflowError, TypeError, ValueError)."""
    if isinstance(value, dispatch.ndarray):
        return value
    host = np.asarray(value, dtype=spec.dtype)
    if host.ndim:
        raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
    return host[()] if spec.dtype.kind == "V" else host.item()


def fill(a: Any, value: Any) -> None:
    """`ndarray.fill`."""
    from .convert import as_device

    device = as_device(value)
    if device is not None:
        if device.shape != ():
            raise ValueError("non-scalar cupy.ndarray cannot be used for fill")
        value = device.astype(a.dtype, copy=False)
    dispatch.call(_ROW_SET, (a, Ellipsis, _scalar(a._resolve(), value)))


def scatter(a: Any, indices: Any, b: Any, name: str) -> None:
    """`ufunc.at`."""
    if not isinstance(a, dispatch.ndarray):
        raise TypeError(f"Argument 'a' has incorrect type (expected cupy.ndarray, got {type(a).__name__})")
    spec = a._resolve()
    value = _value(spec, b)
    if not isinstance(value, dispatch.ndarray):
        if np.ndim(value):
            from .convert import array

            value = array(value, dtype=spec.dtype)
        else:
            value = _scalar(spec, value)
    prepared = prepare(indices)
    if is_basic(prepared):
        # As CuPy: without index arrays each element is met once.
        from ._generated import functions

        target = basic(a, prepared)
        getattr(functions, name)(target, value, target)
        return
    dispatch.call(_ROW_AT, (name, a, _travelling(prepared), value))


def add_reduceat(a: Any, indices: Any, axis: int, dtype: Any, out: Any) -> Any:
    """`cupy.add.reduceat`."""
    return dispatch.call(_ROW_REDUCEAT, ("add", a, indices, axis, dtype, out))
