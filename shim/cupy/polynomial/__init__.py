"""`cupy.polynomial`: functions of coefficient arrays, lowest power first."""

from __future__ import annotations

from . import polynomial as polynomial
from . import polyutils as polyutils
