"""Write `tools/data/cupy_record.json`: what the real CuPy says of itself. Run with a Python that has CuPy; no GPU is needed.

    PYTHON_WITH_CUPY tools/record_cupy.py tools/data/cupy_record.json

The record holds signatures of public callables, and of each ufunc and each simple reduction the loops, which of them raise and with
what text, and what differs from the default. With ml_dtypes installed it holds the bfloat16 loops too (character "E").
`tools/generate.py` makes `cupool/contract/ops/_loops.py` from it.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from typing import Any

import cupy  # type: ignore[import-not-found]

MODULES = ("cupy", "cupy.linalg", "cupy.fft", "cupy.random", "cupy.polynomial", "cupyx", "cupyx.scipy.special", "cupyx.scipy.ndimage",
           "cupyx.scipy.fft", "cupyx.scipy.stats", "cupyx.scipy.signal", "cupyx.scipy.linalg", "cupyx.scipy.spatial")  # fmt: skip

#: Not public, but public functions are thin wrappers over them and accept just what they accept. Name -> attribute paths.
INTERNAL = {
    "@angle": "cupy._core._routines_math.angle",
    "@clip": "cupy._core._routines_math.clip",
    "@nan_to_num": "cupy._math.misc._nan_to_num",
    "@round": "cupy._core.core._round_ufunc",
    "@isclose": "cupy._logic.comparison._is_close",
    "@isclose_complex": "cupy._logic.comparison._is_close_complex",
    "@isneginf": "cupy._logic.content._isneginf",
    "@where": "cupy._sorting.search._where_ufunc",
    "@arange": "cupy._creation.ranges._arange_ufunc",
    "@linspace": "cupy._creation.ranges._linspace_ufunc",
    "@cupyx.scipy.special.btdtr": "cupyx.scipy.special._stats_distributions._btdtr",
    "@cupyx.scipy.special.btdtri": "cupyx.scipy.special._stats_distributions._btdtri",
    "@cupyx.scipy.special.lambertw": "cupyx.scipy.special._lambertw._lambertw_scalar",
    "@cupyx.scipy.special.sph_harm": "cupyx.scipy.special._sph_harm._sph_harm",
    "@cupyx.scipy.special.spherical_yn": "cupyx.scipy.special._spherical_bessel._spherical_yn_real",
}
REDUCTIONS = {
    "sum": "cupy._core._routines_math.sum_auto_dtype",
    "sum_dtype": "cupy._core._routines_math._sum_keep_dtype",
    "prod": "cupy._core._routines_math.prod_auto_dtype",
    "prod_dtype": "cupy._core._routines_math._prod_keep_dtype",
    "nansum": "cupy._core._routines_math.nansum_auto_dtype",
    "nansum_dtype": "cupy._core._routines_math._nansum_keep_dtype",
    "nansum_complex": "cupy._core._routines_math._nansum_complex_dtype",
    "nanprod": "cupy._core._routines_math.nanprod_auto_dtype",
    "nanprod_dtype": "cupy._core._routines_math._nanprod_keep_dtype",
    "nanprod_complex": "cupy._core._routines_math._nanprod_complex_dtype",
    "max": "cupy._core._routines_statistics.amax",
    "min": "cupy._core._routines_statistics.amin",
    "nanmax": "cupy._core._routines_statistics.nanmax",
    "nanmin": "cupy._core._routines_statistics.nanmin",
    "all": "cupy._core._routines_logic.all",
    "any": "cupy._core._routines_logic.any",
    "count_nonzero": "cupy._sorting.count._count_nonzero",
}


def _resolve(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name, None)


def _loop(op: Any) -> str:
    text = f"{''.join(t.char for t in op.in_types)}->{''.join(t.char for t in op.out_types)}"
    return f"!{text}" if op.error_func is not None else text


def _error_text(ops: Any) -> str:
    for op in ops:
        if op.error_func is not None:
            try:
                op.error_func()
            except TypeError as error:
                return str(error)
    return ""


def _kernel(kernel: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": kernel.name, "nin": kernel.nin, "nout": kernel.nout}
    entry["loops"] = " ".join(_loop(op) for op in kernel._ops.ops)
    if text := _error_text(kernel._ops.ops):
        entry["error"] = text
    if getattr(kernel, "_out_ops", None) is not None:
        entry["out_loops"] = " ".join(_loop(op) for op in kernel._out_ops.ops)
    if getattr(kernel, "_default_casting", "same_kind") != "same_kind":
        entry["casting"] = kernel._default_casting
    if getattr(kernel, "_scatter_op", None):
        entry["scatter"] = kernel._scatter_op
    if kernel._ops.promote_types is not None:
        entry["strong_int"] = True
    return entry


def _signature(value: Any) -> str | None:
    try:
        text = str(inspect.signature(value))
    except (TypeError, ValueError):
        return None
    text = re.sub(r" -> .*$", "", text)
    text = re.sub(r"(\w+): '[^']*'", r"\1", text)
    text = re.sub(r"<class '(?:numpy\.)?(\w+)'>", r"\1", text)
    return re.sub(r" = ", "=", text)


def record() -> dict[str, Any]:
    """The whole record."""
    signatures: dict[str, str] = {}
    ufuncs: dict[str, Any] = {}
    missing: list[str] = []
    for path in MODULES:
        try:
            module = importlib.import_module(path)
        except ImportError as error:
            missing.append(f"{path}: {error}")
            continue
        prefix = path.removeprefix("cupy").lstrip(".") if not path.startswith("cupyx") else path
        for name in sorted(dir(module)):
            value = getattr(module, name, None)
            full = f"{prefix}.{name}".lstrip(".")
            if name.startswith("_") or not callable(value):
                continue
            if isinstance(value, cupy.ufunc):
                ufuncs[full] = _kernel(value)
            elif (text := _signature(value)) is not None and not isinstance(value, type):
                signatures[full] = text
    methods = {}
    for name in dir(cupy.ndarray):
        head = (getattr(cupy.ndarray, name).__doc__ or "").split("\n")[0]
        match = re.match(rf"(?:_ndarray_base|ndarray)\.{name}(\(.*\))(?: -> .*)?$", head)
        if match and not name.startswith("_"):
            methods[name] = re.sub(r"\b(?:Py_ssize_t|int|_ndarray_base) (\w)", r"\1", match[1])
    for name, path in INTERNAL.items():
        kernel = _resolve(path)
        if kernel is None:
            missing.append(path)
        else:
            ufuncs[name] = _kernel(kernel)
    reductions = {}
    for name, path in REDUCTIONS.items():
        kernel = _resolve(path)
        if kernel is None or not hasattr(kernel, "_ops"):
            missing.append(path)
        else:
            reductions[name] = _kernel(kernel)
    return {
        "cupy": cupy.__version__,
        "missing": missing,
        "methods": methods,
        "reductions": reductions,
        "signatures": signatures,
        "ufuncs": ufuncs,
    }


def main() -> None:
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        json.dump(record(), f, indent=1, sort_keys=True)
        f.write("\n")


if __name__ == "__main__":
    main()
