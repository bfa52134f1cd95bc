"""Views that ints and slices without steps name, by arithmetic: for programs whose every key is another one.

Note [Direct views]. A loop over `a[i, :j]` has a new key in each round, so remembering keys does not help, and NumPy on the shadow
takes as long as twenty operations. What the view looks like depends only on the array's spec and on how long each part is; where it
starts is a sum. So the first key of some lengths goes through `indexing.basic`, and its form is remembered under the lengths.

Boundary: keys that are anything else, empty slices (NumPy's own strides and offsets) and indices out of bounds (its errors) are left
to `indexing.py`.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from cupool.contract.spec import Spec

from . import operators, session, views
from .pending import GATE, extend

#: Array's spec -> {lengths of the key's parts: (form, view's spec)}. See Note [Hot tables].
_DIRECT = operators.new_table()
#: Lengths remembered for one spec.
MAX_LENGTHS = 4096

#: What a part of a key is, in place of a slice's length.
_INT, _NEW = -1, -2
_INTS = frozenset({int, *(np.dtype(c).type for c in "bhilqBHILQ")})


def measure(spec: Spec, key: tuple[Any, ...]) -> tuple[tuple[int, ...], int] | None:
    """(length of each part, bytes from the array's first element to the view's), or None: not a key for this module."""
    shape = spec.shape
    strides = spec.strides
    ndim = len(shape)
    if not spec.size:
        return None
    offset = axis = 0
    lengths: list[int] = []
    for part in key:
        if part is None:
            lengths.append(_NEW)
            continue
        if axis == ndim:
            return None
        n = shape[axis]
        kind = type(part)
        if kind is slice:
            if part.step is not None:
                return None
            start, stop = part.start, part.stop
            if start is None:
                start = 0
            elif type(start) not in _INTS:
                return None
            elif start < 0:
                start = max(start + n, 0)
            if stop is None:
                stop = n
            elif type(stop) not in _INTS:
                return None
            elif stop < 0:
                stop += n
            elif stop > n:
                stop = n
            if start >= stop:
                return None
            lengths.append(int(stop - start))
            offset += int(start) * strides[axis]
        elif kind in _INTS:
            at = int(part)
            if at < 0:
                at += n
            if not 0 <= at < n:
                return None
            lengths.append(_INT)
            offset += at * strides[axis]
        else:
            return None
        axis += 1
    return tuple(lengths), offset


def view(a: Any, key: tuple[Any, ...]) -> Any:
    """`a[key]`, or None where it is not for this module or of lengths that were not met before."""
    try:
        known = _DIRECT[a._spec]
        measured = measure(a._spec, key)
        if measured is None:
            return None
        head, spec = known[measured[0]]
    except (KeyError, TypeError):  # a part that cannot be compared
        return None
    made = operators.blank()
    made._spec = spec
    made._handle = handle = next(operators.counter)
    offset = measured[1]
    try:
        root = a._root
    except AttributeError:
        root = a._root = None  # as in `views.emit`
    if root is None:
        made._root, made._shift = a, offset
    else:
        made._root, made._shift = root, a._shift + offset
    extend((head, handle, a._handle, offset))
    if GATE.is_behind:  # see Note [Views leave later]
        session.flush()
    return made


def remember(a: Any, key: tuple[Any, ...], made: Any) -> None:
    """Note what `a[key]` gave. `a` is a plain array."""
    spec = a._spec
    with contextlib.suppress(TypeError):
        measured = measure(spec, key)
        if measured is None or measured[1] != made._offset - a._offset:
            return
        known = _DIRECT.get(spec)
        if known is not None and len(known) >= MAX_LENGTHS:
            known.clear()
        operators.remember(_DIRECT, spec, measured[0], (views.head_of(made._spec), made._spec))
