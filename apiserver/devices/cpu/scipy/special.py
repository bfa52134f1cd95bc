"""`cupyx.scipy.special` on `scipy.special`, with CuPy's loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import scipy.special

from cupool.contract.ops.scipy.special import UFUNCS

from ..ops_ufuncs import Ufunc

_PREFIX = "cupyx.scipy.special."

#: Row's name -> function.
OPS: dict[str, Callable[..., Any]] = {
    _PREFIX + name: Ufunc(_PREFIX + name, getattr(scipy.special, name)) for name in UFUNCS
}
