"""Windows."""

from __future__ import annotations

from typing import Any

import numpy as np

from cupool.contract.ops.scipy._rules_signal_spectral import named_window

from ._common import sp_signal, table

NAMES = (
    "barthann", "bartlett", "blackman", "blackmanharris", "bohman", "boxcar", "chebwin", "cosine", "exponential", "flattop", "gaussian",
    "general_cosine", "general_gaussian", "general_hamming", "hamming", "hann", "kaiser", "kaiser_bessel_derived", "lanczos", "nuttall",
    "parzen", "taylor", "triang", "tukey",
)  # fmt: skip


def _made(name: str) -> Any:
    function = getattr(sp_signal.windows, name)

    def run(M: Any, *args: Any, **kwargs: Any) -> Any:
        return np.asarray(function(int(M), *args, **kwargs), np.float64)

    return run


_FUNCTIONS = {name: _made(name) for name in NAMES}


def get_window(window: Any, Nx: int, fftbins: bool = True) -> Any:
    name, parameters = named_window(window)
    return _FUNCTIONS[name](Nx, *parameters, sym=not fftbins)


OPS = {
    **table(**{f"windows.{name}": function for name, function in _FUNCTIONS.items()}),
    **table(get_window=get_window, **{"windows.get_window": get_window}),
}
