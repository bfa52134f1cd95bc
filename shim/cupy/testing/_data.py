"""Arrays for tests: the same values for NumPy (`xp=numpy`) and for the device."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import cupy as _cupy


def _filled(values: Any, shape: Any, xp: Any, dtype: Any, order: Any = "C") -> Any:
    """Values by counting: booleans alternate, complex numbers have equal parts."""
    kind = np.dtype(dtype)
    if kind == "?":
        values = values % 2 == 0
    elif kind.kind == "c":
        values = values + values * 1j
    return xp.array(values.astype(kind).reshape(shape), order=order)


def shaped_arange(shape: Any, xp: Any = _cupy, dtype: Any = np.float32, order: str = "C") -> Any:
    """1, 2, 3, … in a shape."""
    return _filled(np.arange(1, int(np.prod(shape)) + 1, 1), shape, xp, dtype, order)


def shaped_reverse_arange(shape: Any, xp: Any = _cupy, dtype: Any = np.float32) -> Any:
    """…, 3, 2, 1 in a shape."""
    return _filled(np.arange(int(np.prod(shape)), 0, -1), shape, xp, dtype)


def shaped_random(
    shape: Any, xp: Any = _cupy, dtype: Any = np.float32, scale: Any = 10, seed: int = 0, order: str = "C"
) -> Any:
    """Values between 0 and `scale` in a shape, from a generator of its own with this seed."""
    rng = np.random.RandomState(seed)
    kind = np.dtype(dtype)
    values: Any
    if kind == "?":
        values = rng.randint(2, size=shape)
    elif kind.kind == "c":
        values = (rng.rand(*shape) + 1j * rng.rand(*shape)) * scale
    else:
        values = rng.rand(*shape) * scale
    return xp.asarray(values, dtype=kind, order=order)


def shaped_sparse_random(
    shape: Any, sp: Any = None, dtype: Any = np.float32, density: float = 0.01, format: str = "coo", seed: int = 0
) -> Any:
    """A sparse matrix with random values, in `sp` (SciPy's or our `sparse`). Needs SciPy.

    Raises:
        ValueError: `sp` has no sparse matrices.
    """
    import scipy.sparse

    from ...cupyx.scipy import sparse

    module: Any = sparse if sp is None else sp
    rows, columns = shape
    made = scipy.sparse.random(rows, columns, density, random_state=seed).astype(dtype)
    try:
        return module.coo_matrix(made).asformat(format)
    except AttributeError:
        raise ValueError(f"Module {module} does not have the expected sparse APIs") from None


def shaped_linspace(start: Any, stop: Any, shape: Any, xp: Any = _cupy, dtype: Any = np.float32) -> Any:
    """Values from `start` to `stop`, evenly spaced, in a shape; cut to what the dtype can hold."""
    kind = np.dtype(dtype)
    if kind.kind in "bu":
        start = max(start, 0)
    if kind == "?":
        stop = min(stop, 1)
    return xp.array(np.linspace(start, stop, int(np.prod(shape))).astype(kind).reshape(shape))


def generate_matrix(shape: Any, xp: Any = _cupy, dtype: Any = np.float32, *, singular_values: Any = None) -> Any:
    """A random matrix, or a stack of them, with given singular values.

    Args:
        shape: (…, m, n).
        xp: NumPy or us.
        dtype: floating point or complex.
        singular_values: broadcastable to (…, min(m, n)).

    Raises:
        TypeError: another dtype, or no real singular values.
        ValueError: a shape of too few axes, or negative singular values.
    """
    if len(shape) <= 1:
        raise ValueError(f"shape {shape} is invalid for matrices: too few axes")
    if singular_values is None:
        raise TypeError("singular_values is not given")
    values = xp.asarray(singular_values)
    kind = np.dtype(dtype)
    if kind.kind not in "fc":
        raise TypeError(f"dtype {kind} is not supported")
    if not xp.isrealobj(values):
        raise TypeError("singular_values is not real")
    if (values < 0).any():
        raise ValueError("negative singular value is given")
    a = xp.random.randn(*shape)
    if kind.kind == "c":
        a = a + 1j * xp.random.randn(*shape)
    u, s, vh = xp.linalg.svd(a, full_matrices=False)
    made = xp.einsum("...ik,...k,...kj->...ij", u, xp.broadcast_to(values, s.shape), vh)
    return made.astype(kind)
