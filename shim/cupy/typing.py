"""`cupy.typing`."""

from __future__ import annotations

from types import GenericAlias
from typing import Any, TypeVar

from numpy.typing import ArrayLike, DTypeLike, NBitBase

from ..array import ndarray

_Scalar = TypeVar("_Scalar")
NDArray: Any = GenericAlias(ndarray, (Any, _Scalar))

__all__ = ["ArrayLike", "DTypeLike", "NBitBase", "NDArray"]
