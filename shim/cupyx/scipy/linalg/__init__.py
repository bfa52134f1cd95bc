"""`cupyx.scipy.linalg`."""

from __future__ import annotations

from typing import Any

from ...._generated import cupyx_scipy_linalg as _plain
from ...._generated.cupyx_scipy_linalg import *  # noqa: F403
from ....cupy import linalg as _of_cupy
from .. import _backend
from . import _solving
from ._solving import *  # noqa: F403

__ua_domain__ = "numpy.scipy.linalg"
__ua_convert__ = _backend.convert

_NAMES = (
    "block_diag", "circulant", "companion", "convolution_matrix", "dft", "fiedler", "fiedler_companion", "hadamard", "hankel", "helmert",
    "hilbert", "leslie", "toeplitz",
)  # fmt: skip
_OF_CUPY = ("eigh", "eigvalsh", "cholesky", "qr", "svd", "norm", "det", "solve", "lstsq", "inv", "pinv")
__ua_function__ = _backend.caller(
    "scipy.linalg",
    {
        **{name: getattr(_plain, name) for name in _NAMES},
        **{name: getattr(_solving, name) for name in _solving.__all__},
        **{name: getattr(_of_cupy, name) for name in _OF_CUPY},
    },
)


def __getattr__(name: str) -> Any:
    from ....cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.scipy.linalg", name)
