"""Indexing: basic keys are views, index arrays and masks are commands.

Cases of a key:
  - int, slice, None, Ellipsis, and tuples of them: a view of the shadow, one "@view".
  - with index arrays: `ndarray.__getitem__`, result shape known from the shapes.
  - with a mask: the same, and the result is pending.
  - field names of a structured dtype: a view.
Assignment through a basic key assigns to the view, so that the form does not depend on the key's numbers.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

import numpy as np

from cupool.contract.spec import Spec, spec_of

from . import dispatch, operators, session, slicing, views
from .pending import COMMANDS, GATE, extend
from .probe import lengths_probe
from .rows import ROWS

_BASIC = frozenset({int, slice, type(None), type(Ellipsis)})
#: What in a remembered key's place is that key, if it equals it. No bool, which is a mask, and no float.
_WHOLE = frozenset({int, type(None), type(Ellipsis), *(np.dtype(c).type for c in "bhilqBHILQ")})
_ROW_GET = ROWS["ndarray.__getitem__"]
_ROW_SET = ROWS["ndarray.__setitem__"]
_ROW_AT = ROWS["ufunc.at"]
_ROW_REDUCEAT = ROWS["ufunc.reduceat"]


def getitem(self: Any, key: Any) -> Any:
    """`ndarray.__getitem__`."""
    parts: tuple[Any, ...]
    kind = type(key)
    # See Note [Hot tables]: an entry exists where the specs and the key decide the whole call. What equals a remembered key need not
    # be one (1.0 and True equal 1), so the types of a key with numbers are looked at.
    try:
        if kind is slice:
            start = key.start
            stop = key.stop
            if key.step is None:
                head, known, offset, first, second = _SLICES[self._spec][start, stop]
                # The same object mostly, since small numbers are.
                if (start is not first and type(start) not in _WHOLE) or (
                    stop is not second and type(stop) not in _WHOLE
                ):
                    return _cold(self, key)
            else:
                parts = start, stop, key.step
                head, known, offset, first, second, third = _STEPS[self._spec][parts]
                is_same = start is first and stop is second and key.step is third
                if not is_same and not _WHOLE.issuperset(map(type, parts)):
                    return _cold(self, key)
        elif kind is int:
            head, known, length, stride = _ROWS[self._spec]
            if 0 <= key < length:
                offset = key * stride
            elif -length <= key < 0:
                offset = (key + length) * stride
            else:
                return _cold(self, key)
        elif kind is ndarray:
            head, known, probe = _SELECTIONS[self._spec][key._spec]
            made = operators.blank()
            made._spec = known
            if known is None:
                made._probe = probe
            made._handle = handle = next(operators.counter)
            extend((head, handle, self._handle, key._handle))
            if len(COMMANDS) > GATE.words:
                session.flush()
            return made
        elif kind is tuple and len(key) == 2:
            # `_pair`, without its call.
            one, two = key
            if type(one) is slice:
                if type(two) is slice:
                    parts = one.start, one.stop, one.step, two.start, two.stop, two.step
                else:
                    parts = one.start, one.stop, one.step, two
            elif type(two) is slice:
                parts = one, two.start, two.stop, two.step, None
            else:
                parts = key
            head, known, offset, numbers = _PAIRS[self._spec][parts]
            for i in numbers:
                if type(parts[i]) is not int and type(parts[i]) not in _WHOLE:
                    return _cold(self, key)
        elif kind is tuple and _BASIC.issuperset(map(type, key)):
            parts = tuple([(k.start, k.stop, k.step) if type(k) is slice else k for k in key])
            head, known, offset, numbers = _VIEWS[self._spec][parts]
            for i in numbers:
                if not _WHOLE.issuperset(map(type, parts[i])):
                    return _cold(self, key)
        else:
            return _cold(self, key)
    except (KeyError, TypeError):
        return _cold(self, key)
    made = operators.blank()
    made._spec = known
    made._handle = handle = next(operators.counter)
    try:
        root = self._root
    except AttributeError:
        root = self._root = None  # as in `views.emit`
    if root is None:
        made._root, made._shift = self, offset
    else:
        made._root, made._shift = root, self._shift + offset
    extend((head, handle, self._handle, offset))
    if GATE.is_behind:  # see Note [Views leave later]
        session.flush()
    return made


#: Array's spec -> {(start, stop): (form, view's spec, offset, start, stop)}, of a slice alone without a step.
_SLICES = operators.new_table()
#: Array's spec -> {(start, stop, step): (form, view's spec, offset, start, stop, step)}, of a slice alone with one.
_STEPS = operators.new_table()
#: Array's spec -> {`_pair(key)`: (form, view's spec, offset, where numbers are in it)}.
_PAIRS = operators.new_table()
#: Array's spec -> {key: (form, view's spec, offset, which parts are slices with numbers)}, of tuples of another length; a slice in
#: one is (start, stop, step).
_VIEWS = operators.new_table()
#: Array's spec -> (form, row's spec, rows, bytes from row to row).
_ROWS = operators.new_table()
#: Array's spec -> {key array's spec: (form, result's spec or None, its probe)}.
_SELECTIONS = operators.new_table()
#: Keys remembered for one spec, and keys met beyond them before they are forgotten.
MAX_KEYS = 512
PATIENCE = 4096
_unremembered = 0

#: `array.ndarray`, which imports this module.
ndarray: Any = None


def _has_room(table: operators.Table, spec: Spec) -> bool:
    """Whether another key of arrays of this spec is to be remembered.

    A program of more than `MAX_KEYS` mostly does not meet them again, and `slicing` has them. Now and then those of long ago make room.
    """
    global _unremembered
    known = table.get(spec)
    if known is None or len(known) < MAX_KEYS:
        return True
    _unremembered += 1
    if _unremembered < PATIENCE:
        return False
    _unremembered = 0
    known.clear()
    return True


def _cold(a: Any, key: Any) -> Any:
    """`a[key]`, whatever it is."""
    kind = type(key)
    spec: Spec = a._spec or a._resolve()
    if kind is int:
        return _row(a, spec, key)
    if kind is tuple:
        view = slicing.view(a, key)
        if view is not None:
            _remember_key(a, key, view)
            return view
    if kind is slice and spec.shape:
        view = slicing.view(a, (key,))
        if view is not None:
            _remember_slice(a, spec, key, view)
            return view
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
    if kind is dispatch.ndarray and type(a) is kind and key._spec is not None:
        _remember_selection(a, spec, key, result)
    return result


def _remember_selection(a: Any, spec: Spec, key: Any, result: Any) -> None:
    known = result._spec
    if (spec if known is None else known).nbytes >= operators.TAGGED_BYTES:
        return
    plan, slots = dispatch.prepare(dispatch.op_of(_ROW_GET), (a, key))
    if slots == [a._handle, key._handle]:
        probe = None if known is not None else result._probe
        operators.remember(_SELECTIONS, spec, key._spec, (plan.head, known, probe))


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
    made = views.view(a, row, at * spec.strides[0])
    if type(a) is ndarray:
        operators.remember(_ROWS, spec, operators.ALONE, (views.head_of(row), row, shape[0], spec.strides[0]))
    return made


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
    made = views.view(a, part, offset)
    if type(a) is ndarray:
        slicing.remember(a, (key,), made)
        _remember_slice(a, spec, key, made)
    return made


def _remember_slice(a: Any, spec: Spec, key: slice, made: Any) -> None:
    """Note what `a[key]` gave. `a` is a plain array."""
    table, parts = (_SLICES, (key.start, key.stop)) if key.step is None else (_STEPS, (key.start, key.stop, key.step))
    if _has_room(table, spec):
        entry = views.head_of(made._spec), made._spec, made._offset - a._offset, *parts
        with contextlib.suppress(TypeError):  # a key with something unhashable in it
            operators.remember(table, spec, parts, entry)


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
    if type(a) is ndarray and _BASIC.issuperset(map(type, prepared)):
        slicing.remember(a, prepared, made)
        _remember_key(a, prepared, made)
    return made


def _remember_key(a: Any, key: tuple[Any, ...], made: Any) -> None:
    """Note what `a[key]` gave, a key of plain ints and slices. `a` is a plain array."""
    table = _PAIRS if len(key) == 2 else _VIEWS
    if not _has_room(table, a._spec):
        return
    if table is _PAIRS:
        parts = _pair(*key)
        numbers = [i for i, part in enumerate(parts) if part is not None and part is not Ellipsis]
    else:
        parts = tuple([(k.start, k.stop, k.step) if type(k) is slice else k for k in key])
        numbers = [i for i, part in enumerate(parts) if type(part) is tuple and part != (None, None, None)]
    entry = views.head_of(made._spec), made._spec, made._offset - a._offset, tuple(numbers)
    with contextlib.suppress(TypeError):  # a key with something unhashable in it
        operators.remember(table, a._spec, parts, entry)


def _pair(one: Any, two: Any) -> tuple[Any, ...]:
    """A key of two basic indices as a table has it: flat, the kinds of the two told by its length."""
    if type(one) is slice:
        return (one.start, one.stop, one.step, *((two.start, two.stop, two.step) if type(two) is slice else (two,)))
    return (one, two.start, two.stop, two.step, None) if type(two) is slice else (one, two)


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
    if type(a) is ndarray and _is_plain(key):
        kind = type(value)
        if kind is ndarray:
            target = _target(a, spec, key)
            try:
                extend((_ASSIGNED[target._spec][value._spec], target._handle, value._handle))
                if len(COMMANDS) > GATE.words:
                    session.flush()
                return
            except KeyError:
                pass
            if target is not value:
                value = _value(spec, value)
                dispatch.call(_ROW_SET, (target, Ellipsis, value))
                _remember_assignment(target, value)
            return
        if spec.dtype.kind == "f" and (kind is float or (kind is int and -MAX_EXACT <= value <= MAX_EXACT)):
            _put_real(_target(a, spec, key), Ellipsis, float(value))
            return
    elif type(value) is float and spec.dtype.kind == "f" and type(key) is ndarray and key._spec is not None:
        _put_real(a, key, value)
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


#: Integers up to here are what they are in every type of real numbers.
MAX_EXACT = 2048
_FULL = slice(None)


def _is_plain(key: Any) -> bool:
    """Whether a key as it was written is ints, slices, None and Ellipsis."""
    kind = type(key)
    return kind in _BASIC or (kind is tuple and _BASIC.issuperset(map(type, key)))


def _target(a: Any, spec: Spec, key: Any) -> Any:
    """What an assignment through a plain key writes: the array itself, or a view of it."""
    is_all = key is Ellipsis or (type(key) is slice and spec.ndim and key == _FULL)
    return a if is_all else getitem(a, key)


#: Target's spec -> {value's spec: form}. See Note [Hot tables].
_ASSIGNED = operators.new_table()


def _remember_assignment(target: Any, value: Any) -> None:
    specs = target._spec, value._spec
    if None in specs or type(target) is not ndarray or specs[0].nbytes >= operators.TAGGED_BYTES:
        return
    if specs[1].dtype.kind == "c" and specs[0].dtype.kind != "c":
        return  # warns each time
    plan, slots = dispatch.prepare(dispatch.op_of(_ROW_SET), (target, Ellipsis, value))
    if slots == [target._handle, value._handle]:
        operators.remember(_ASSIGNED, specs[0], specs[1], plan.head)


#: Array's spec -> {Ellipsis, or a key array's spec: form}. See Note [Hot tables].
_FILLS = operators.new_table()


def _put_real(a: Any, key: Any, value: float) -> None:
    """`a[key] = value` of a double into an array of real numbers; `key` is Ellipsis or an array of known spec."""
    try:
        if type(a) is dispatch.ndarray:
            if key is Ellipsis:
                extend((_FILLS[a._spec][Ellipsis], a._handle, operators.double_bits(value)))
            else:
                extend((_FILLS[a._spec][key._spec], a._handle, key._handle, operators.double_bits(value)))
            if len(COMMANDS) > GATE.words:
                session.flush()
            return
    except KeyError:
        pass
    dispatch.call(_ROW_SET, (a, key, value))
    if type(a) is dispatch.ndarray and a._spec is not None and a._spec.nbytes < operators.TAGGED_BYTES:
        plan, slots = dispatch.prepare(dispatch.op_of(_ROW_SET), (a, key, value))
        keys = [] if key is Ellipsis else [key._handle]
        if slots == [a._handle, *keys, operators.double_bits(value)]:
            operators.remember(_FILLS, a._spec, Ellipsis if key is Ellipsis else key._spec, plan.head)


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
