"""Functions that warn of what only the data can tell: the device says whether it was warned, the client warns.

Note [Flagged calls]. CuPy looks at the data in these functions, so waiting for the flag is no wait that CuPy does not have.
"""

from __future__ import annotations

import warnings
from typing import Any

from .._commands import command


class BadCoefficients(UserWarning):
    """Warning about badly conditioned filter coefficients."""

    __module__ = "cupyx.scipy.signal"


_flagged = command("@cupyx.scipy.signal.flagged")
#: Function -> (category, text). All that are not here warn of bad coefficients.
_WARNINGS: dict[str, tuple[type[Warning], str]] = {
    "istft": (UserWarning, "NOLA condition failed, STFT may not be invertible"),
    "minimum_phase": (RuntimeWarning, "h does not appear to by symmetric, conversion may fail"),
    "ord": (RuntimeWarning, "Order is zero...check input parameters."),
}
_BAD = (
    BadCoefficients,
    "Badly conditioned filter coefficients (numerator): the results may be meaningless",
)


def flagged(name: str, *args: Any, **options: Any) -> Any:
    """Run a function of `cupyx.scipy.signal`, wait for it, and warn where it did."""
    *results, flag = _flagged(name, args, options)
    if int(flag):
        category, text = _WARNINGS.get(name, _WARNINGS["ord"] if name.endswith("ord") else _BAD)
        warnings.warn(text, category, stacklevel=3)
    return results[0] if len(results) == 1 else tuple(results)
