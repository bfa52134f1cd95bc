"""`cupy.ndarray`: a handle and a spec.

Boundary: hot paths (operators, basic indexing) are here; functions and most methods go through `dispatch`.
"""

from __future__ import annotations

from typing import Any

from .pending import extend


class ndarray:  # noqa: N801 - CuPy's name
    """An array on the server.

    Attributes:
        _handle: this array's handle (owned: freed when this object dies).
        _spec: interned `cupool.contract.spec.Spec`; None while pending (only the data can tell; `_resolve()` waits).
        _base: the array whose memory this is a view of, or None.
        _offset: bytes from the first element of `_base` (the root) to the first element of this array.
    """

    __slots__ = ("__dict__", "__weakref__", "_base", "_handle", "_offset", "_spec")

    def __del__(self, extend: Any = extend) -> None:
        extend((0, self._handle))


def new_array(handle: int, spec: Any, base: Any = None, offset: int = 0) -> ndarray:
    """An array around a handle that a command has promised. `spec` None: pending."""
    a = ndarray.__new__(ndarray)
    a._handle = handle
    a._spec = spec
    a._base = base
    a._offset = offset
    return a
