"""`cupy.cuda.cusolver` and the batched LU of `cupy.cuda.cublas`: LAPACK by device addresses, against NumPy."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cupool.shim import cupy as cp
from cupool.shim import session
from cupool.shim.cupy.cuda import cublas, cusolver

LETTERS = {"s": "f4", "d": "f8", "c": "c8", "z": "c16"}


@pytest.fixture(scope="module", autouse=True)
def device() -> Iterator[None]:
    session.current()
    yield
    session.close()


@pytest.fixture(scope="module")
def handle() -> Iterator[int]:
    made = cusolver.create()
    yield made
    cusolver.destroy(made)


def data(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    real = rng.standard_normal(shape)
    return (real + 1j * rng.standard_normal(shape) if dtype[0] == "c" else real).astype(dtype)


def positive(n: int, dtype: str) -> Any:
    a = data((n, n), dtype)
    return (a @ a.conj().T + np.eye(n)).astype(dtype)


def on_device(host: Any) -> Any:
    return cp.asarray(host, order="F")


def close(ours: Any, theirs: Any) -> None:
    tolerance = 2e-3 if np.dtype(ours.dtype).char in "fF" else 1e-9
    np.testing.assert_allclose(
        ours.get() if isinstance(ours, cp.ndarray) else ours, theirs, rtol=tolerance, atol=tolerance
    )


def routine(letter: str, name: str) -> Any:
    """The function of this type: Hermitian routines of complex types have names of their own."""
    if letter in "cz":
        name = name.replace("sye", "hee").replace("org", "ung").replace("orm", "unm")
    return getattr(cusolver, letter + name)


@pytest.mark.parametrize("letter", LETTERS)
def test_lu(handle: int, letter: str) -> None:
    host, right = data((4, 4), LETTERS[letter]), data((4, 2), LETTERS[letter], 1)
    a, b, pivots, info = on_device(host), on_device(right), cp.zeros(4, "i4"), cp.full(1, 7, "i4")
    assert routine(letter, "getrf_bufferSize")(handle, 4, 4, a.data.ptr, 4) >= 1
    routine(letter, "getrf")(handle, 4, 4, a.data.ptr, 4, 0, pivots.data.ptr, info.data.ptr)
    lower, upper = np.tril(a.get(), -1) + np.eye(4), np.triu(a.get())
    permuted = host.copy()
    for i, p in enumerate(pivots.get() - 1):
        permuted[[i, p]] = permuted[[p, i]]
    close(cp.asarray((lower @ upper).astype(a.dtype)), permuted)
    for trans, op in ((0, host), (1, host.T), (2, host.conj().T)):
        b[...] = cp.asarray(right)
        routine(letter, "getrs")(handle, trans, 4, 2, a.data.ptr, 4, pivots.data.ptr, b.data.ptr, 4, info.data.ptr)
        close(b, np.linalg.solve(op, right))
    assert info.item() == 0
    singular = on_device(np.ones((3, 3), LETTERS[letter]))
    routine(letter, "getrf")(handle, 3, 3, singular.data.ptr, 3, 0, pivots.data.ptr, info.data.ptr)
    assert info.item() == 2


@pytest.mark.parametrize("letter", LETTERS)
@pytest.mark.parametrize("uplo", [0, 1])
def test_cholesky(handle: int, letter: str, uplo: int) -> None:
    host, right = positive(4, LETTERS[letter]), data((4, 2), LETTERS[letter], 1)
    a, b, info = on_device(host), on_device(right), cp.full(1, 7, "i4")
    routine(letter, "potrf")(handle, uplo, 4, a.data.ptr, 4, 0, 0, info.data.ptr)
    factor = np.linalg.cholesky(host)
    half, other = (np.tril, np.triu) if uplo == 0 else (np.triu, np.tril)
    close(half(a.get()), factor if uplo == 0 else factor.conj().T)
    close(other(a.get(), 1 if uplo == 0 else -1), other(host, 1 if uplo == 0 else -1))
    routine(letter, "potrs")(handle, uplo, 4, 2, a.data.ptr, 4, b.data.ptr, 4, info.data.ptr)
    close(b, np.linalg.solve(host, right))
    assert info.item() == 0
    bad = on_device(np.diag([1, 2, -1, 3]).astype(LETTERS[letter]))
    routine(letter, "potrf")(handle, uplo, 4, bad.data.ptr, 4, 0, 0, info.data.ptr)
    assert info.item() == 3


@pytest.mark.parametrize("letter", LETTERS)
def test_batches_of_addresses(handle: int, letter: str) -> None:
    dtype = LETTERS[letter]
    hosts, rights = [positive(3, dtype), positive(3, dtype) * 2], [data((3, 1), dtype, i) for i in (1, 2)]
    matrices, columns = [on_device(h) for h in hosts], [on_device(r) for r in rights]
    info, pivots = cp.full(2, 7, "i4"), cp.zeros((2, 3), "i4")
    at = [cp.asarray(np.array([m.data.ptr for m in group], "u8")) for group in (matrices, columns)]
    routine(letter, "potrfBatched")(handle, 0, 3, at[0].data.ptr, 3, info.data.ptr, 2)
    routine(letter, "potrsBatched")(handle, 0, 3, 1, at[0].data.ptr, 3, at[1].data.ptr, 3, info.data.ptr, 2)
    for column, a, b in zip(columns, hosts, rights, strict=True):
        close(column, np.linalg.solve(a, b))
    assert info.tolist() == [0, 0]
    blas = cublas.create()
    inverses = [cp.empty((3, 3), dtype, order="F") for _ in hosts]
    to = cp.asarray(np.array([m.data.ptr for m in inverses], "u8"))
    for m, h, c, r in zip(matrices, hosts, columns, rights, strict=True):
        m[...], c[...] = cp.asarray(h), cp.asarray(r)
    getattr(cublas, letter + "getrfBatched")(blas, 3, at[0].data.ptr, 3, pivots.data.ptr, info.data.ptr, 2)
    getattr(cublas, letter + "getriBatched")(
        blas, 3, at[0].data.ptr, 3, pivots.data.ptr, to.data.ptr, 3, info.data.ptr, 2
    )
    said = ctypes.c_int(7)
    getattr(cublas, letter + "getrsBatched")(
        blas, 1, 3, 1, at[0].data.ptr, 3, pivots.data.ptr, at[1].data.ptr, 3, ctypes.addressof(said), 2
    )
    for inverse, column, a, b in zip(inverses, columns, hosts, rights, strict=True):
        close(inverse, np.linalg.inv(a))
        close(column, np.linalg.solve(a.T, b))
    assert info.tolist() == [0, 0] and said.value == 0
    with pytest.raises(cublas.CUBLASError):
        getattr(cublas, letter + "getrfBatched")(blas, 3, at[0].data.ptr, 3, 0, info.data.ptr, 2)
    cublas.destroy(blas)


@pytest.mark.parametrize("letter", LETTERS)
def test_qr(handle: int, letter: str) -> None:
    dtype = LETTERS[letter]
    host, other = data((5, 3), dtype), data((5, 2), dtype, 1)
    a, tau, info = on_device(host), cp.zeros(3, dtype), cp.full(1, 7, "i4")
    routine(letter, "geqrf")(handle, 5, 3, a.data.ptr, 5, tau.data.ptr, 0, 0, info.data.ptr)
    r, q = np.triu(a.get()[:3]), cp.array(a, order="F")
    routine(letter, "orgqr")(handle, 5, 3, 3, q.data.ptr, 5, tau.data.ptr, 0, 0, info.data.ptr)
    close(q @ cp.asarray(r), host)
    close(q.conj().T @ q, np.eye(3))
    whole = on_device(np.hstack([a.get(), np.zeros((5, 2), dtype)]))
    routine(letter, "orgqr")(handle, 5, 5, 3, whole.data.ptr, 5, tau.data.ptr, 0, 0, info.data.ptr)
    full = whole.get()
    for trans, op in ((0, full), (2 if dtype[0] == "c" else 1, full.conj().T)):
        c = on_device(other)
        routine(letter, "ormqr")(
            handle, 0, trans, 5, 2, 3, a.data.ptr, 5, tau.data.ptr, c.data.ptr, 5, 0, 0, info.data.ptr
        )
        close(c, op @ other)
        c = on_device(other.T.copy())
        routine(letter, "ormqr")(
            handle, 1, trans, 2, 5, 3, a.data.ptr, 5, tau.data.ptr, c.data.ptr, 2, 0, 0, info.data.ptr
        )
        close(c, other.T @ op)
    assert info.item() == 0


@pytest.mark.parametrize("letter", LETTERS)
def test_singular_values(handle: int, letter: str) -> None:
    dtype = LETTERS[letter]
    host, info = data((5, 3), dtype), cp.full(2, 7, "i4")
    s = cp.zeros((2, 3), dtype.replace("c8", "f4").replace("c16", "f8"))
    expected = np.linalg.svd(host, compute_uv=False)
    a, u, vt = on_device(host), cp.zeros((5, 5), dtype, order="F"), cp.zeros((3, 3), dtype, order="F")
    routine(letter, "gesvd")(
        handle,
        ord("A"),
        ord("S"),
        5,
        3,
        a.data.ptr,
        5,
        s.data.ptr,
        u.data.ptr,
        5,
        vt.data.ptr,
        3,
        0,
        0,
        0,
        info.data.ptr,
    )
    close(s[0], expected)
    close((u[:, :3] * s[0]) @ vt, host)
    close(u.conj().T @ u, np.eye(5))
    params = cusolver.createGesvdjInfo()
    cusolver.xgesvdjSetTolerance(params, 1e-7)
    a, v = on_device(host), cp.zeros((3, 3), dtype, order="F")
    routine(letter, "gesvdj")(
        handle, 1, 1, 5, 3, a.data.ptr, 5, s.data.ptr, u.data.ptr, 5, v.data.ptr, 3, 0, 0, info.data.ptr, params
    )
    close((u[:, :3] * s[0]) @ v.conj().T, host)
    assert cusolver.xgesvdjGetSweeps(handle, params) == 0
    cusolver.destroyGesvdjInfo(params)
    both = [host, host[::-1] * 2]
    stack = cp.asarray(np.array([m.T for m in both]))  # one after the other, in column order
    us, vs = cp.zeros((2, 5, 5), dtype), cp.zeros((2, 3, 3), dtype)
    routine(letter, "gesvdjBatched")(
        handle, 1, 5, 3, stack.data.ptr, 5, s.data.ptr, us.data.ptr, 5, vs.data.ptr, 3, 0, 0, info.data.ptr, 0, 2
    )
    for i, m in enumerate(both):
        close((us[i].T[:, :3] * s[i]) @ vs[i].T.conj().T, m)
    residuals = (ctypes.c_double * 2)(7, 7)
    routine(letter, "gesvdaStridedBatched")(
        handle, 1, 2, 5, 3, stack.data.ptr, 5, 15, s.data.ptr, 3, us.data.ptr, 5, 25, vs.data.ptr, 3, 9, 0, 0, info.data.ptr,
        ctypes.addressof(residuals), 2,
    )  # fmt: skip
    assert residuals[0] == pytest.approx(expected[2], rel=1e-3)
    close(s[1, :2], expected[:2] * 2)
    assert info.tolist() == [0, 0]


@pytest.mark.parametrize("letter", LETTERS)
def test_eigenvalues(handle: int, letter: str) -> None:
    dtype = LETTERS[letter]
    host, info = positive(4, dtype), cp.full(2, 7, "i4")
    w = cp.zeros((2, 4), dtype.replace("c8", "f4").replace("c16", "f8"))
    expected = np.linalg.eigvalsh(host)
    for uplo in (0, 1):
        a = on_device(np.tril(host) if uplo == 0 else np.triu(host))
        routine(letter, "syevd")(handle, 1, uplo, 4, a.data.ptr, 4, w.data.ptr, 0, 0, info.data.ptr)
        close(w[0], expected)
        close(cp.asarray(host) @ a, a.get() * w[0].get())
    a = on_device(host)
    routine(letter, "syevj")(
        handle, 0, 0, 4, a.data.ptr, 4, w.data.ptr, 0, 0, info.data.ptr, cusolver.createSyevjInfo()
    )
    close(w[0], expected)
    stack = cp.asarray(np.array([host.T, 3 * host.T]))
    routine(letter, "syevjBatched")(handle, 1, 0, 4, stack.data.ptr, 4, w.data.ptr, 0, 0, info.data.ptr, 0, 2)
    close(w[1], 3 * expected)
    code = {"s": (0, 0), "d": (1, 1), "c": (4, 0), "z": (5, 1)}[letter]
    a = on_device(host)
    cusolver.xsyevd(handle, 0, 0, 1, 4, code[0], a.data.ptr, 4, code[1], w.data.ptr, code[0], 0, 0, 0, 0, info.data.ptr)
    close(w[0], expected)
    with pytest.raises(cusolver.CUSOLVERError):
        cusolver.xsyevd(handle, 0, 0, 1, 4, 2, a.data.ptr, 4, 2, w.data.ptr, 2, 0, 0, 0, 0, info.data.ptr)


@pytest.mark.parametrize("names", ["ss", "sh", "dd", "ds", "cc", "ck", "zz", "zy"])
def test_systems_at_once(handle: int, names: str) -> None:
    dtype = LETTERS[names[0]]
    host, right, info = data((3, 3), dtype), data((3, 2), dtype, 1), cp.full(1, 7, "i4")
    a, b, x, pivots = on_device(host), on_device(right), cp.zeros((3, 2), dtype, order="F"), cp.zeros(3, "i4")
    solve = getattr(cusolver, names + "gesv")
    assert solve(handle, 3, 2, a.data.ptr, 3, pivots.data.ptr, b.data.ptr, 3, x.data.ptr, 3, 0, 0, info.data.ptr) == 0
    close(x, np.linalg.solve(host, right))
    close(b, right)
    tall, long = data((5, 3), dtype), data((5, 2), dtype, 1)
    a, b = on_device(tall), on_device(long)
    getattr(cusolver, names + "gels")(handle, 5, 3, 2, a.data.ptr, 5, b.data.ptr, 5, x.data.ptr, 3, 0, 0, info.data.ptr)
    close(x, np.linalg.lstsq(tall, long)[0])
    assert info.item() == 0


def test_refusals(handle: int) -> None:
    a = on_device(data((3, 3), "f8"))
    with pytest.raises(cusolver.CUSOLVERError, match="INVALID_VALUE"):
        cusolver.dgetrf(handle, 3, 3, a.data.ptr, 2, 0, 0, 0)
    with pytest.raises(cusolver.CUSOLVERError):
        cusolver.dgetrs(handle, 5, 3, 1, a.data.ptr, 3, 0, a.data.ptr, 3, 0)
    with pytest.raises(cusolver.CUSOLVERError):
        cusolver.dgesvd(handle, ord("A"), ord("A"), 2, 3, a.data.ptr, 3, 0, 0, 3, 0, 3, 0, 0, 0, 0)
    with pytest.raises(cusolver.CUSOLVERError):
        cusolver.dpotrf(12345, 0, 3, a.data.ptr, 3, 0, 0, 0)
    with pytest.raises(cusolver.CUSOLVERError):
        cusolver.xgesvdjSetTolerance(12345, 1.0)
    with pytest.raises(TypeError):
        cusolver.dpotrf(handle, 0)
