"""What libraries reach for below `cupy.fft`: transforms axis by axis or by one plan, and which of the two CuPy takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._generated import fft as _plain
from . import _plans, _transform, config

_FORWARD = -1


def _size_last_transform_axis(shape: Any, s: Any, axes: Any) -> int:
    """The length of the last transformed axis."""
    if s is not None and s[-1] is not None:
        return int(s[-1])
    return int(shape[axes[-1]] if s is None and axes is not None else shape[-1])


def _convert_fft_type(dtype: Any, value_type: str) -> int:
    """cuFFT's number of a transform between complex (C) and real (R) values. Raises ValueError where it has none."""
    from ..cuda import cufft

    names = {"FC2C": "C2C", "fR2C": "R2C", "FC2R": "C2R", "DC2C": "Z2Z", "dR2C": "D2Z", "DC2R": "Z2D"}
    name = names.get(np.dtype(dtype).char + value_type)
    if name is None:
        raise ValueError(f"cuFFT has no transform {value_type} of {np.dtype(dtype)}")
    return int(getattr(cufft, f"CUFFT_{name}"))


def _run(a: Any, s: Any, axes: Any, norm: Any, direction: int, value_type: str, plan: Any, overwrite_x: bool) -> Any:
    forward = direction == _FORWARD
    name = {"R2C": "rfftn", "C2R": "irfftn"}.get(value_type, "fftn" if forward else "ifftn")
    return _transform.several(
        getattr(_plain, name), value_type, a, s, axes, norm, plan, by_plan=True, overwrite=overwrite_x
    )


def _fft(
    a: Any, s: Any, axes: Any, norm: Any, direction: int, value_type: str = "C2C", overwrite_x: bool = False, plan: Any = None
) -> Any:  # fmt: skip
    """A transform, one axis after the other."""
    return _run(a, s, axes, norm, direction, value_type, plan, overwrite_x)


def _fftn(
    a: Any, s: Any, axes: Any, norm: Any, direction: int, value_type: str = "C2C", order: str = "A", plan: Any = None,
    overwrite_x: bool = False, out: Any = None,
) -> Any:  # fmt: skip
    """A transform of several axes at once."""
    result = _run(a, s, axes, norm, direction, value_type, plan, overwrite_x)
    if out is None:
        return result
    out[...] = result
    return out


def _default_fft_func(a: Any, s: Any = None, axes: Any = None, plan: Any = None, value_type: str = "C2C") -> Any:
    """`_fftn` where one plan can do, else `_fft`. Raises RuntimeError for a plan beside the one that is entered."""
    current = _transform.current_plan()
    if current is not None and plan is not None:
        raise RuntimeError("Use the cuFFT plan either as a context manager or as an argument.")
    deciding = plan if current is None else current
    if deciding is not None:
        kind = type(deciding).__name__
        if kind in ("PlanNd", "Plan1d"):
            return _fftn if kind == "PlanNd" else _fft
    return _fftn if _plans.is_nd(_transform.known(a), s, axes, value_type, config._enable_nd_planning.get()) else _fft
