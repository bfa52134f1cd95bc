"""Rules of what belongs to no family."""

from __future__ import annotations

from typing import Any, cast

from cupool.contract.ops._row import Same
from cupool.contract.ops.rules._arrays import as_spec, broadcast, is_scalar, packed
from cupool.contract.ops.rules.common import require_array
from cupool.contract.spec import Spec, spec_like


def real(val: Any) -> Any:
    """A view of a complex array's real parts; a real array is its own."""
    val = as_spec(val)
    return spec_like(val.shadow.real) if val.dtype.kind == "c" else Same("val")


def imag(val: Any) -> Spec:
    """A view of a complex array's imaginary parts; zeros for a real array."""
    val = as_spec(val)
    return spec_like(val.shadow.imag) if val.dtype.kind == "c" else packed(val.shape, val.dtype)


def piecewise(x: Any, condlist: Any, funclist: Any) -> Spec:
    x = require_array(x, "x")
    is_one = is_scalar(condlist) or (isinstance(condlist, Spec) and condlist.ndim == x.ndim)
    conditions: list[Any] = [condlist] if is_one else [] if isinstance(condlist, Spec) else list(cast(Any, condlist))
    n = condlist.shape[0] if isinstance(condlist, Spec) and not is_one else len(conditions)
    if (funclist.shape[0] if isinstance(funclist, Spec) else len(funclist)) not in (n, n + 1):
        raise ValueError(f"with {n} condition(s), either {n} or {n + 1} functions are expected")
    if not isinstance(funclist, Spec) and any(callable(f) for f in funclist):
        raise NotImplementedError("Callable functions are not supported currently")
    broadcast(x, *(c for c in conditions if isinstance(c, Spec)))
    return packed(x.shape, x.dtype)
