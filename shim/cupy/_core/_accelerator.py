"""`cupy._core._accelerator`: the libraries that CuPy would use in place of its own kernels. Which ones a device uses is its own
business: the lists are kept for programs that look at them, and change nothing.
"""

from __future__ import annotations

from typing import Any

ACCELERATOR_CUB, ACCELERATOR_CUTENSOR, ACCELERATOR_CUTENSORNET = 1, 2, 3
_NAMES = {"cub": ACCELERATOR_CUB, "cutensor": ACCELERATOR_CUTENSOR, "cutensornet": ACCELERATOR_CUTENSORNET}

_elementwise: list[int] = []
_reduction: list[int] = []
_routine: list[int] = []


def _numbers(accelerators: Any) -> list[int]:
    """Raises ValueError at a name that is none."""
    for accelerator in accelerators:
        if not isinstance(accelerator, int) and accelerator not in _NAMES:
            raise ValueError(f"Unknown accelerator: {accelerator}")
    return [a if isinstance(a, int) else _NAMES[a] for a in accelerators]


def set_elementwise_accelerators(accelerators: Any) -> None:
    """Keep a list of names or numbers."""
    _elementwise[:] = _numbers(accelerators)


def set_reduction_accelerators(accelerators: Any) -> None:
    """Keep a list of names or numbers."""
    _reduction[:] = _numbers(accelerators)


def set_routine_accelerators(accelerators: Any) -> None:
    """Keep a list of names or numbers."""
    _routine[:] = _numbers(accelerators)


def get_elementwise_accelerators() -> list[int]:
    """What was set."""
    return list(_elementwise)


def get_reduction_accelerators() -> list[int]:
    """What was set."""
    return list(_reduction)


def get_routine_accelerators() -> list[int]:
    """What was set."""
    return list(_routine)
