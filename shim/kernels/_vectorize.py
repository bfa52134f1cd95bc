"""`cupy.vectorize`: not supported yet; the name is there so that the refusal says why."""

from __future__ import annotations

from typing import Any

from cupool.contract.errors import Unsupported


class vectorize:
    """Refuses, with the reason."""

    __module__ = "cupy"

    def __init__(self, pyfunc: Any, *args: Any, **kwargs: Any) -> None:
        raise Unsupported(
            "cupy.vectorize is not supported: it translates the Python source of a function into a kernel.",
            "Write the function with array operations, or as cupy.ElementwiseKernel.",
        )
