"""`import cupy`: the public namespace. Importing opens nothing.

Boundary: names only. Functions of the op table come from `_generated`, arrays from `shim/array.py`, what is written by hand from the
private modules here; submodules and kernels are loaded when they are looked at, and names without support say why at use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy
from numpy import bool as bool
from numpy import (
    bool_,
    byte,
    cdouble,
    complex64,
    complex128,
    complexfloating,
    csingle,
    double,
    dtype,
    e,
    euler_gamma,
    finfo,
    float16,
    float32,
    float64,
    floating,
    generic,
    get_printoptions,
    half,
    iinfo,
    index_exp,
    inexact,
    inf,
    int8,
    int16,
    int32,
    int64,
    int_,
    intc,
    integer,
    intp,
    isdtype,
    issubdtype,
    iterable,
    long,
    longlong,
    mintypecode,
    nan,
    ndindex,
    newaxis,
    number,
    pi,
    printoptions,
    promote_types,
    s_,
    set_printoptions,
    short,
    signedinteger,
    single,
    typename,
    ubyte,
    uint,
    uint8,
    uint16,
    uint32,
    uint64,
    uintc,
    uintp,
    ulong,
    ulonglong,
    unsignedinteger,
    ushort,
)

from .. import naming
from .._generated.functions import *  # noqa: F403
from ..array import ndarray
from ..convert import asnumpy
from ..ufunc import ufunc
from ._creation import (
    array,
    asanyarray,
    asarray,
    asarray_chkfinite,
    ascontiguousarray,
    asfarray,
    asfortranarray,
    c_,
    copy,
    from_dlpack,
    frombuffer,
    fromDlpack,
    fromfile,
    fromfunction,
    fromiter,
    fromstring,
    genfromtxt,
    loadtxt,
    mgrid,
    ogrid,
    r_,
)

if TYPE_CHECKING:
    # Loaded when they are looked at, see `_LAZY`.
    from ..composites import *  # noqa: F403
    from ..flatiter import flatiter
    from ..local import (
        broadcast_shapes,
        byte_bounds,
        can_cast,
        common_type,
        iscomplexobj,
        isfortran,
        isrealobj,
        isscalar,
        may_share_memory,
        min_scalar_type,
        ndim,
        result_type,
        shape,
        shares_memory,
        size,
    )
    from ._functional import (
        apply_along_axis,
        apply_over_axes,
        broadcast,
        clear_memo,
        get_array_module,
        memoize,
        show_config,
        who,
    )

#: The CuPy release whose behaviour this is.
__version__ = "14.2.0"

cfloat = complex_ = cdouble
float_ = double
singlecomplex = csingle
Inf = Infinity = infty = PINF = inf
NINF = -inf
NaN = NAN = nan
PZERO, NZERO = 0.0, -0.0
#: Experimental functions do not warn here; programs set it to silence them.
disable_experimental_feature_warning = False

_SUBMODULES = frozenset(
    ("_core", "_util", "cublas", "cuda", "exceptions", "fft", "lib", "linalg", "polynomial", "random", "testing", "typing")
)  # fmt: skip
#: Names that CuPy has for its pools, which programs free in this way too -> the functions that give them.
_POOLS = {
    "_default_memory_pool": "get_default_memory_pool",
    "_default_pinned_memory_pool": "get_default_pinned_memory_pool",
}
#: Public names -> the module of the shim that has them; loaded when first looked at.
_LAZY = {
    **dict.fromkeys(
        (
            "cumproduct",
            "histogramdd",
            "iscomplex",
            "isreal",
            "linspace",
            "matmul",
            "meshgrid",
            "msort",
            "pad",
            "product",
            "round_",
            "row_stack",
            "unique_all",
            "unique_counts",
            "unique_inverse",
        ),
        "..composites",
    ),
    "flatiter": "..flatiter",
    **dict.fromkeys(
        (
            "broadcast_shapes",
            "byte_bounds",
            "can_cast",
            "common_type",
            "iscomplexobj",
            "isfortran",
            "isrealobj",
            "isscalar",
            "may_share_memory",
            "min_scalar_type",
            "ndim",
            "result_type",
            "shape",
            "shares_memory",
            "size",
        ),
        "..local",
    ),
    **dict.fromkeys(
        (
            "apply_along_axis",
            "apply_over_axes",
            "broadcast",
            "clear_memo",
            "get_array_module",
            "memoize",
            "show_config",
            "who",
        ),
        "._functional",
    ),
    **dict.fromkeys(("ElementwiseKernel", "RawKernel", "RawModule", "ReductionKernel", "vectorize"), "..kernels"),
    "fuse": "..fusion",
    **dict.fromkeys(
        (
            "load",
            "save",
            "savetxt",
            "savez",
            "savez_compressed",
            "array_repr",
            "array_str",
            "array2string",
            "base_repr",
            "binary_repr",
            "format_float_positional",
            "format_float_scientific",
        ),
        "._io",
    ),
    **dict.fromkeys(
        (
            "DataSource",
            "disp",
            "find_common_type",
            "format_parser",
            "get_array_wrap",
            "issctype",
            "issubclass_",
            "issubsctype",
            "obj2sctype",
            "safe_eval",
            "sctype2char",
            "set_string_function",
        ),
        "._old",
    ),
    "OutOfMemoryError": ".cuda.memory",
    "get_default_memory_pool": ".cuda.memory",
    "get_default_pinned_memory_pool": ".cuda.pinned_memory",
    "make_aligned_dtype": "._dtypes",
    "mask_indices": "._indexing",
    **dict.fromkeys(
        (
            "AxisError",
            "ComplexWarning",
            "ModuleDeprecationWarning",
            "RankWarning",
            "TooHardError",
            "VisibleDeprecationWarning",
        ),
        ".exceptions",
    ),
    **dict.fromkeys(("poly", "poly1d", "polyadd", "polyfit", "polymul", "polysub", "polyval", "roots"), "._poly"),
}


# Those of the generated functions that are hand-written.
for _name in _LAZY:
    globals().pop(_name, None)
del _name


def is_available() -> Any:
    """Whether there is a device to be had."""
    from . import cuda

    return cuda.is_available()


def _begin_testing() -> None:
    """`cupy.testing` as CuPy has it for `from cupy import *`: a module that is there and is loaded when something of it is asked for."""
    import importlib.util
    import sys

    if f"{_HERE}.testing" in sys.modules:
        return
    spec = importlib.util.find_spec(f"{_HERE}.testing")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = globals()["testing"] = module
    spec.loader.exec_module(module)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{_HERE}.{name}")
    if name in _POOLS:
        return __getattr__(_POOLS[name])()
    where = _LAZY.get(name)
    if where is not None:
        try:
            value = getattr(importlib.import_module(where, _HERE), name)
        except ModuleNotFoundError as error:
            if error.name is None or not error.name.startswith(_HERE.rpartition(".")[0]):
                raise
        else:
            naming.adopt(value, "cupy")
            globals()[name] = value
            return value
    if name == "__all__":  # asked for by `from cupy import *`
        from cupool.contract.ops._public_names import NAMES

        _begin_testing()
        here = globals().keys() | _LAZY.keys() | _SUBMODULES
        return [public for public in NAMES["cupy"].split() if public in here]
    from ._missing import refuse_attribute

    return refuse_attribute("", name)


_HERE = __name__
# `xp.__name__ == "cupy"` is how programs tell CuPy from NumPy. Imports go by `__package__` and `__spec__`, which keep the real name.
__name__ = "cupy"

naming.present(globals())
