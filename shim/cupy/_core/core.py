"""`cupy._core.core`: where CuPy defines its array class."""

from __future__ import annotations

from ...array import ndarray as ndarray
from ...convert import array as array
