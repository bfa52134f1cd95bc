"""CuPy's recursive filters below `lfilter` and `sosfilt`, under the names that CuPy gives them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...._generated import cupyx_scipy_signal as _generated
from .._commands import cp


def apply_iir(x: Any, a: Any, axis: int = -1, zi: Any = None, dtype: Any = None, block_sz: int = 1024) -> Any:
    """`y[n] = x[n] + a[0] * y[n - 1] + a[1] * y[n - 2] …` along `axis`.

    Args:
        x: input.
        a: coefficients (order,).
        axis: along which.
        zi: the last outputs before, oldest first, (…, order, …) or (order,); zeros by default.
        dtype: of the result; that of `x` and `a` together by default.
        block_sz: not used: the server chooses.
    """
    dtype = np.result_type(x.dtype, a.dtype) if dtype is None else np.dtype(dtype)
    one = cp.ones(1, dtype)
    feedback = cp.concatenate([one, -a.astype(dtype)])
    if zi is None:
        return _generated.lfilter(one, feedback, x.astype(dtype), axis)
    return _generated.lfilter(one, feedback, x.astype(dtype), axis, zi.astype(dtype))[0]


def apply_iir_sos(
    x: Any,
    sos: Any,
    axis: int = -1,
    zi: Any = None,
    dtype: Any = None,
    block_sz: int = 1024,
    apply_fir: bool = True,
    out: Any = None,
) -> Any:
    """Filter by second-order sections along `axis`; with `apply_fir` False by their recursive halves alone.

    Returns the output, or with `zi` (sections, …, 4, …) the output and the states after it. `out` is written, too.
    """
    dtype = np.result_type(x.dtype, sos.dtype) if dtype is None else np.dtype(dtype)
    sos = sos.astype(dtype)
    if not apply_fir:
        through = cp.zeros((sos.shape[0], 3), dtype)
        through[:, 0] = 1
        sos = cp.concatenate([through, sos[:, 3:]], axis=1)
    made = _generated.sosfilt(sos, x.astype(dtype), axis, None if zi is None else zi.astype(dtype))
    if out is not None:
        out[...] = made if zi is None else made[0]
    return made
