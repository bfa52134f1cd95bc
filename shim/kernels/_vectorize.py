"""`cupy.vectorize`: a Python function of numbers as an ElementwiseKernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dispatch
from .elementwise import ElementwiseKernel


class vectorize:
    """A function of arrays from one of numbers, as `cupy.vectorize`.

    Args:
        pyfunc: the function: its source is translated, so it must be a Python function.
        otypes: not supported when given: the types follow from the function.
        doc: the docstring; by default the function's.
        excluded, signature: not supported.
        cache: ignored.
    """

    __module__ = "cupy"

    def __init__(self, pyfunc: Callable[..., Any], otypes: Any = None, doc: str | None = None, excluded: Any = None, cache: bool = False,
                 signature: Any = None) -> None:  # fmt: skip
        self.pyfunc = pyfunc
        self.__doc__ = doc or pyfunc.__doc__
        self.excluded = excluded
        self.cache = cache
        self.signature = signature
        self.otypes = None if otypes is None else "".join(np.dtype(t).char for t in otypes)
        self._kernels: dict[tuple[np.dtype[Any], ...], ElementwiseKernel] = {}
        for name, given in (("excluded", excluded), ("signature", signature)):
            if given is not None:
                raise NotImplementedError(f"cupy.vectorize does not support `{name}` option currently.")

    def __call__(self, *args: Any) -> Any:
        """Apply the function to broadcast arrays and scalars; returns an array, or a tuple when it returns one.

        Raises:
            TypeError: the function does what no kernel can, with its lines in the message.
        """
        dtypes = tuple(a.dtype if isinstance(a, (dispatch.ndarray, np.generic)) else np.dtype(type(a)) for a in args)
        kernel = self._kernels.get(dtypes)
        if kernel is None:
            kernel = self._kernels[dtypes] = self._made(dtypes)
        return kernel(*args)

    def _made(self, dtypes: tuple[np.dtype[Any], ...]) -> ElementwiseKernel:
        from .jit.kernel import OPTIONS, translate
        from .jit.types import Scalar, Tuple

        if self.otypes is not None:
            raise NotImplementedError("cupy.vectorize does not support `otypes` option currently.")
        name, text, kind, _ = translate(self.pyfunc, ("__device__",), "numpy", tuple(Scalar(d) for d in dtypes), None)
        call = f"{name}({', '.join(f'in{i}' for i in range(len(dtypes)))})"
        items = kind.items if isinstance(kind, Tuple) else (kind,)
        outs = []
        for item in items:
            if not isinstance(item, Scalar):
                raise TypeError(f"Invalid return type: {kind}")
            outs.append(item.dtype)
        if isinstance(kind, Tuple):
            code = f"auto out = {call};\n" + "".join(f"out{i} = {_stored(d)}(out._{i});\n" for i, d in enumerate(outs))
        else:
            code = f"out0 = {_stored(outs[0])}({call});"
        return ElementwiseKernel(
            ", ".join(f"{d} in{i}" for i, d in enumerate(dtypes)), ", ".join(f"{d} out{i}" for i, d in enumerate(outs)), code,
            "cupy_vectorize", preamble=text, options=OPTIONS,
        )  # fmt: skip


def _stored(dtype: np.dtype[Any]) -> str:
    """Half precision is computed as float and rounded when it is stored."""
    return dtype.name if dtype.name in ("float16", "bfloat16") else ""
