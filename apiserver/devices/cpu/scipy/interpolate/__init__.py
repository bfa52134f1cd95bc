"""What `cupyx.scipy.interpolate` does on the device, on `scipy.interpolate`: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import grids, piecewise, polynomials, scattered, splines

#: Row's name -> function.
OPS: dict[str, Callable[..., Any]] = {}
for _module in (grids, piecewise, polynomials, scattered, splines):
    OPS.update({f"@cupyx.scipy.interpolate.{name}": function for name, function in _module.FUNCTIONS.items()})
