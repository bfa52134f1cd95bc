"""`cupy.cublas`: BLAS on arrays against NumPy, on both kinds of scalars and of results, and its refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cupool.shim import cupy as cp
from cupool.shim.cupy import cublas
from live import device as device


def data(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    real = rng.standard_normal(shape)
    return (real + 1j * rng.standard_normal(shape) if dtype in "FD" else real).astype(dtype)


def close(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours.get(), theirs, rtol=1e-4 if theirs.dtype.char in "fF" else 1e-11, atol=1e-5)
    assert ours.dtype == theirs.dtype


@pytest.mark.parametrize("dtype", list("fdFD"))
def test_vectors(dtype: str) -> None:
    x, y = data((9,), dtype), data((9,), dtype, 1)
    dx, dy = cp.asarray(x), cp.asarray(y)
    close(cublas.dotu(dx, dy), x.dot(y))
    close(cublas.dotc(dx, dy), np.vdot(x, y))
    close(cublas.nrm2(dx), np.linalg.norm(x).astype(dtype.lower()))
    magnitudes = abs(x.real) + abs(x.imag)
    assert int(cublas.iamax(dx)) == magnitudes.argmax() + 1
    assert int(cublas.iamin(dx)) == magnitudes.argmin() + 1
    host = np.empty((), dtype.lower())
    assert cublas.asum(dx, out=host) is host
    np.testing.assert_allclose(host, magnitudes.sum(), rtol=1e-5)
    cublas.axpy(cp.asarray(2, dtype), dx, dy)
    cublas.scal(0.5, dy)
    close(dy, (y + 2 * x) / 2)


@pytest.mark.parametrize("dtype", list("fdFD"))
@pytest.mark.parametrize("order", ["C", "F"])
def test_matrices(dtype: str, order: str) -> None:
    a, b, c = data((3, 4), dtype), data((5, 4), dtype, 1), data((3, 5), dtype, 2)
    da, db, dc = (cp.asarray(m, order=order) for m in (a, b, c))
    close(cublas.gemm("N", "H", da, db), a @ b.conj().T)
    cublas.gemm("N", "T", da, db, out=dc, alpha=2, beta=cp.asarray(3, dtype))
    close(dc, 2 * a @ b.T + 3 * c)
    close(cublas.geam("T", "N", 2, da, -1, cp.asarray(a.T.copy())), 2 * a.T - a.T)
    x, y = data((4,), dtype), data((3,), dtype, 3)
    dx, dy = cp.asarray(x), cp.asarray(y)
    cublas.gemv("N", 1, da, dx, 0.5, dy)
    close(dy, (a @ x + y / 2).astype(dtype))
    cublas.gerc(1, dy, dx, da)
    close(da, a + np.outer(dy.get(), x.conj()))
    close(cublas.dgmm("R", da, dx, incx=-1), da.get() * x[::-1])
    close(cublas.syrk("N", da, lower=True), np.tril(da.get() @ da.get().T))


def test_nothing_times_nan_is_nothing() -> None:
    out = cp.full((2, 2), np.nan)
    cublas.gemm("N", "N", cp.eye(2), cp.eye(2), out=out)
    assert out.tolist() == [[1, 0], [0, 1]]


def test_a_banded_matrix_and_batches() -> None:
    full = np.diag([1.0, 2, 3, 4]) + np.diag([5.0, 6, 7], 1) + np.diag([5.0, 6, 7], -1)
    lower = cp.asarray(np.array([[1.0, 2, 3, 4], [5, 6, 7, 0]]))
    upper = cp.asarray(np.array([[0, 5.0, 6, 7], [1, 2, 3, 4]]))
    x = data((4,), "d")
    for stored, is_lower in ((lower, True), (upper, False)):
        y = cp.zeros(4)
        close(cublas.sbmv(1, 1, stored, cp.asarray(x), 0, y, lower=is_lower), full @ x)
    a, b = data((3, 4, 4), "d"), data((3, 4), "d", 1)
    close(cublas.batched_gesv(cp.asarray(a), cp.asarray(b)), np.linalg.solve(a, b[..., None])[..., 0])


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: cublas.dot(cp.ones(3, "F"), cp.ones(3, "F")), TypeError),
        (lambda: cublas.dotu(cp.ones(3), cp.ones(4)), ValueError),
        (lambda: cublas.dotu(cp.ones(3), cp.ones(3, "f")), TypeError),
        (lambda: cublas.nrm2(cp.ones((2, 2))), ValueError),
        (lambda: cublas.asum(cp.ones(3, int)), TypeError),
        (lambda: cublas.asum(cp.ones(3), out=[0.0]), TypeError),
        (lambda: cublas.gemm("N", "N", cp.ones((2, 3)), cp.ones((2, 3))), ValueError),
        (lambda: cublas.gemm("X", "N", cp.ones((2, 3)), cp.ones((3, 2))), TypeError),
        (lambda: cublas.ger(1, cp.ones(2, "D"), cp.ones(2, "D"), cp.ones((2, 2), "D")), TypeError),
        (lambda: cublas.sbmv(0, 1, cp.ones((1, 2), "F"), cp.ones(2, "F"), 0, cp.ones(2, "F")), TypeError),
        (lambda: cublas.dgmm("U", cp.ones((2, 2)), cp.ones(2)), ValueError),
        (lambda: cublas.batched_gesv(cp.ones((2, 3)), cp.ones(2)), np.linalg.LinAlgError),
        (lambda: cublas.batched_gesv(np.ones((2, 2)), cp.ones(2)), TypeError),
    ],
)
def test_what_does_not_fit_is_refused_at_the_call(call: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        call()
