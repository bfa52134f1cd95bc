"""Sparse matrices through the whole stack: against SciPy, what waits and what does not, what is refused, and with what words."""

from __future__ import annotations

import operator
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from cupool.shim import cupy as cp
from cupool.shim import cupyx, session
from cupool.shim.cupyx.scipy import sparse
from cupool.shim.cupyx.scipy.sparse import linalg
from cupool.shim.finder import uninstall
from live import waits

import cupool

FORMATS = ("csr", "csc", "coo")


@pytest.fixture(scope="module", autouse=True)
def device() -> Iterator[None]:
    cupool.install()  # pickles refer to classes by their public place
    session.current()
    cp.array(np.zeros(100_000)).get()
    yield
    session.close()
    uninstall()


def host(format: str = "csr", dtype: Any = np.float64, shape: Any = (5, 7)) -> Any:
    """A SciPy matrix with a stored zero."""
    rng = np.random.default_rng(3)
    dense = np.where(rng.random(shape) < 0.4, np.round(rng.standard_normal(shape), 1), 0)
    made = scipy.sparse.coo_matrix(dense.astype(dtype))
    made.data[0] = 0
    return made.asformat(format)


def ours(format: str = "csr", dtype: Any = np.float64, shape: Any = (5, 7)) -> Any:
    return getattr(sparse, f"{format}_matrix")(host(format, dtype, shape))


def same(a: Any, b: Any) -> None:
    if sparse.issparse(a):
        assert a.shape == b.shape
        a = a.toarray()
    if scipy.sparse.issparse(b):
        b = b.toarray()
    a, b = cp.asnumpy(a), np.asarray(b)
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-12)


# -- against SciPy -----------------------------------------------------------------------------------------------------------

UNARY: dict[str, Any] = {
    "abs": abs, "neg": operator.neg, "T": lambda m: m.T, "scaled": lambda m: m * 2, "divided": lambda m: m / 4, "sum": lambda m: m.sum(),
    "sum 0": lambda m: m.sum(axis=0), "mean 1": lambda m: m.mean(axis=1), "max": lambda m: m.tocsr().max(), "sin": lambda m: m.sin(),
    "diagonal": lambda m: m.diagonal(1), "csr": lambda m: m.tocsr(), "csc": lambda m: m.tocsc(), "coo": lambda m: m.tocoo(),
    "power": lambda m: m.power(2), "max 0": lambda m: m.tocsr().max(axis=0), "argmin 1": lambda m: m.tocsr().argmin(axis=1),
    "greater": lambda m: m > 0.3, "reshape": lambda m: m.reshape(7, 5), "astype": lambda m: m.astype(np.complex64),
}  # fmt: skip


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", UNARY)
def test_of_one_matrix(name: str, format: str) -> None:
    same(UNARY[name](ours(format)), UNARY[name](host(format)))


BINARY: dict[str, Any] = {
    "add": operator.add, "sub": operator.sub, "maximum": lambda a, b: a.maximum(b), "ne": operator.ne, "lt": operator.lt,
    "multiply": lambda a, b: a.multiply(b), "product": lambda a, b: a @ b.T,
}  # fmt: skip


@pytest.mark.parametrize("formats", [(a, b) for a in FORMATS for b in FORMATS], ids="-".join)
@pytest.mark.parametrize("name", BINARY)
def test_of_two_matrices(name: str, formats: tuple[str, str]) -> None:
    a, b = formats
    same(BINARY[name](ours(a), ours(b) * 2), BINARY[name](host(a), host(b) * 2))


KEYS: dict[str, Any] = {
    "element": (1, 2), "row": 1, "column": (slice(None), 3), "block": (slice(1, 4), slice(2, 6, 2)),
    "back": (slice(None, None, -1), slice(None)),
    "rows": [0, 3, 3], "pairs": ([0, 1, 4], [2, 2, 6]), "outer": ([[0], [2]], [1, 5]), "mask": np.array([True, False, True, True, False]),
}  # fmt: skip


@pytest.mark.parametrize("format", ["csr", "csc"])
@pytest.mark.parametrize("name", KEYS)
def test_index(name: str, format: str) -> None:
    same(
        ours(format)[KEYS[name]], np.asarray(host(format)[KEYS[name]]) if name == "pairs" else host(format)[KEYS[name]]
    )


@pytest.mark.parametrize("format", ["csr", "csc"])
@pytest.mark.parametrize("name", KEYS)
@pytest.mark.filterwarnings("ignore")
def test_assign(name: str, format: str) -> None:
    a, b = ours(format), host(format)
    a[KEYS[name]] = 5
    b[KEYS[name]] = 5
    same(a, b)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("other", [np.arange(7.0), np.arange(14.0).reshape(7, 2)], ids=["vector", "matrix"])
def test_product_with_a_dense_array(format: str, other: Any) -> None:
    same(ours(format) @ cp.asarray(other), host(format) @ other)
    same(cp.asarray(other).T @ ours(format).T, other.T @ host(format).T)


def test_construction() -> None:
    same(sparse.eye(4, 5, k=1), scipy.sparse.eye(4, 5, k=1))
    same(sparse.diags([[1.0, 2], [3.0, 4, 5]], [1, 0]), scipy.sparse.diags([[1.0, 2], [3.0, 4, 5]], [1, 0]))
    a, b = ours(), host()
    same(sparse.hstack([a, a]), scipy.sparse.hstack([b, b]))
    same(sparse.vstack([a, a]), scipy.sparse.vstack([b, b]))
    same(sparse.bmat([[a, None], [None, a.T]]), scipy.sparse.bmat([[b, None], [None, b.T]]))
    same(sparse.kron(a, a), scipy.sparse.kron(b, b))
    same(sparse.tril(a, -1), scipy.sparse.tril(b, -1))
    for x, y in zip(sparse.find(a), scipy.sparse.find(b), strict=True):
        assert sorted(x.tolist()) == sorted(y.tolist())


def system(dtype: Any = np.float64) -> tuple[Any, Any]:
    a = scipy.sparse.diags([np.full(29, -1.0), np.full(30, 4.0), np.full(29, -1.0)], [-1, 0, 1], format="csr").astype(
        dtype
    )
    return a, np.linspace(1, 2, 30).astype(dtype)


@pytest.mark.parametrize("name", ["cg", "cgs", "bicgstab", "gmres", "minres"])
@pytest.mark.parametrize("as_operator", [False, True], ids=["matrix", "operator"])
def test_iterative_solvers(name: str, as_operator: bool) -> None:
    a, b = system()
    A: Any = sparse.csr_matrix(a)
    if as_operator:
        A = linalg.LinearOperator(A.shape, matvec=A.dot, dtype=A.dtype)
    x, info = getattr(linalg, name)(A, cp.asarray(b))
    assert info == 0
    np.testing.assert_allclose(a @ x.get(), b, rtol=1e-3)


def test_direct_solvers() -> None:
    a, b = system()
    A, B = sparse.csr_matrix(a), cp.asarray(b)
    expected = scipy.sparse.linalg.spsolve(a.tocsc(), b)
    np.testing.assert_allclose(linalg.spsolve(A, B).get(), expected)
    np.testing.assert_allclose(linalg.splu(A.tocsc()).solve(B).get(), expected)
    np.testing.assert_allclose(linalg.factorized(A.tocsc())(B).get(), expected)
    np.testing.assert_allclose(linalg.lsqr(A, B)[0].get(), expected)
    np.testing.assert_allclose(linalg.lsmr(A, B)[0].get(), expected, rtol=1e-4)
    lower = sparse.tril(A, format="csr")
    np.testing.assert_allclose(lower.get() @ linalg.spsolve_triangular(lower, B).get(), b)


def test_eigenvalues() -> None:
    a, _ = system()
    for A in (sparse.csr_matrix(a), linalg.aslinearoperator(sparse.csr_matrix(a)) * 1.0):
        w, v = linalg.eigsh(A, k=3)
        np.testing.assert_allclose(w.get(), np.linalg.eigvalsh(a.toarray())[-3:], rtol=1e-8)
        np.testing.assert_allclose(a @ v.get(), v.get() * w.get(), atol=1e-6)
    np.testing.assert_allclose(
        linalg.svds(sparse.csr_matrix(a), k=2)[1].get(), np.linalg.eigvalsh(a.toarray())[-2:], rtol=1e-6
    )


def test_a_singular_matrix_raises_at_the_call() -> None:
    with pytest.raises(RuntimeError, match="singular"):
        linalg.splu(sparse.csc_matrix(cp.asarray([[1.0, 1], [1, 1]])))
    with pytest.raises(ValueError, match=r"a\(1,1\) is missing"):
        linalg.spilu(sparse.csr_matrix(cp.asarray([[1.0, 1], [1, 0]])), fill_factor=1)


# -- what waits ----------------------------------------------------------------------------------------------------------------


def test_methods_do_not_wait() -> None:
    a, b, x = ours(), ours("csc"), cp.arange(7.0)
    a.toarray().get()
    before = waits()
    made = (
        a @ a.T,
        a + b.tocsr(),
        a.multiply(b),
        a.tocoo(),
        a.tocsc(),
        a > 0.5,
        a[1:3],
        a[:, [1, 2]],
        abs(a) * 2,
        a.maximum(b),
        a.power(2),
    )
    follow = (
        [m @ cp.ones(m.shape[1]) for m in made]
        + [m.sum(axis=0) for m in made]
        + [a @ x, a.sum(), a.max(), a.argmax(axis=0)]
    )
    for m in made:
        assert m.shape and m.dtype
    assert follow[0].shape == (5,)
    assert (made[0] @ made[0]).shape == (5, 5)
    assert waits() == before
    assert made[0].nnz == (host() @ host().T).nnz
    assert waits() == before + 1
    made[0].nnz  # noqa: B018 - known by now
    assert waits() == before + 1


def test_solvers_on_matrices_wait_once() -> None:
    a, b = system()
    A, B = sparse.csr_matrix(a), cp.asarray(b)
    linalg.cg(A, B)
    before = waits()
    linalg.cg(A, B)
    assert waits() == before + 1


# -- arrays are the program's ------------------------------------------------------------------------------------------------------


def test_arrays_are_shared() -> None:
    data = cp.asarray([1.0, 2, 3])
    a = sparse.csr_matrix((data, cp.asarray([0, 2, 1], "i"), cp.asarray([0, 1, 2, 3], "i")), shape=(3, 3))
    assert a.data is data
    turned = a.T
    data *= 10
    assert turned.toarray().tolist() == [[10, 0, 0], [0, 0, 30], [0, 20, 0]]
    a.data[0] = 7
    assert float(data[0]) == 7
    assert not cp.shares_memory(a.copy().data, data)
    assert a.tocoo().data is data


def test_operands_keep_their_duplicates() -> None:
    a = sparse.csr_matrix((cp.ones(4), cp.asarray([1, 0, 1, 1], "i"), cp.asarray([0, 3, 4], "i")), shape=(2, 2))
    same(a @ a.T, np.array([[5.0, 2], [2, 1]]))
    assert a.nnz == 4 and not a.has_canonical_format
    a.sum_duplicates()
    assert a.nnz == 3 and a.has_canonical_format
    assert a.indices.tolist() == [0, 1, 1] and a.data.tolist() == [1, 2, 1]


def test_pickle_and_get() -> None:
    for format in FORMATS:
        a = ours(format)
        same(pickle.loads(pickle.dumps(a)), a.get())
        assert type(a.get()) is getattr(scipy.sparse, f"{format}_matrix")
    assert isinstance(sparse.csr_array(ours()).get(), scipy.sparse.csr_array)


def test_array_module() -> None:
    a = ours()
    assert cp.get_array_module(a) is cp
    assert cupyx.scipy.get_array_module(a) is cupyx.scipy
    assert cupyx.scipy.get_array_module(host()) is __import__("scipy")


# -- refusals --------------------------------------------------------------------------------------------------------------------


def test_errors_at_the_call() -> None:
    a = ours()
    for call, error, text in (
        (lambda: a @ a, ValueError, "mismatched shape"),
        (lambda: a @ cp.ones(3), ValueError, "dimension mismatch"),
        (lambda: a + a.T, ValueError, "inconsistent shapes"),
        (lambda: a + 1, NotImplementedError, "adding a nonzero scalar to a sparse matrix is not supported"),
        (lambda: a @ 2, ValueError, "Scalar operands are not allowed"),
        (lambda: a.astype("i4").tocsc().toarray().foo, AttributeError, "foo"),
        (lambda: a[9, 0], IndexError, r"row \(9\) out of range"),
        (lambda: a.sum(axis=2), ValueError, "axis out of range"),
        (lambda: len(a), TypeError, "sparse array length is ambiguous"),
        (lambda: bool(a), ValueError, "truth value"),
        (lambda: sparse.csr_matrix(cp.arange(6).reshape(2, 3)), ValueError, "Only bool, float32"),
        (lambda: sparse.csr_matrix(5), ValueError, "Unsupported initializer format"),
        (lambda: a.todia(), NotImplementedError, "^$"),
    ):
        with pytest.raises(error, match=text):
            call()


def test_indices_of_the_program_are_looked_at() -> None:
    one, zero = cp.ones(1), cp.zeros(1, "i")
    with pytest.raises(ValueError, match="column index exceeds matrix dimensions"):
        sparse.coo_matrix((one, (zero, zero + 5)), shape=(2, 2))
    with pytest.raises(ValueError, match="negative row index found"):
        sparse.coo_matrix((one, (zero - 1, zero)), shape=(2, 2))
    with pytest.raises(ValueError, match="index pointer should start with 0"):
        sparse.csr_matrix((one, zero, cp.asarray([1, 1], "i")), shape=(1, 2))
    with pytest.raises(ValueError, match="exceeds the size of data/indices"):
        sparse.csr_matrix((one, zero, cp.asarray([0, 9], "i")), shape=(1, 2))


def test_indices_that_were_spoilt_are_an_error_and_no_crash() -> None:
    a = ours()
    a.indices[0] = 100
    with pytest.raises(ValueError, match="column indices outside"):
        (a @ cp.ones(7)).get()
    b = ours()
    b.indptr[1] = -3
    with pytest.raises(ValueError, match="index pointer"):
        b.toarray().get()


def test_warnings_are_scipys() -> None:
    assert sparse.SparseEfficiencyWarning is scipy.sparse.SparseEfficiencyWarning
    with pytest.warns(scipy.sparse.SparseEfficiencyWarning, match="Try using != instead"):
        ours() == 0  # noqa: B015
    a = ours()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        a.data[:] = 1
        a[tuple(x.tolist() for x in a.nonzero())] = 3


def test_without_scipy_in_the_client() -> None:
    """The thin client has no SciPy: everything works, and what needs it says so."""
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_SCIPY], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2.0", "CooWarning", "scipy", "is", "not", "available"]


_WITHOUT_SCIPY = """
import sys
sys.modules["scipy"] = None
import cupool
cupool.install()
import cupy, cupyx.scipy.sparse as sp
a = sp.eye(3, format="csr") * 2
print(float((a @ a.T @ cupy.ones(3) / 2)[0]), sp.SparseEfficiencyWarning.__mro__[1].__name__.replace("Sparse", "Coo"))
try:
    a.get()
except RuntimeError as error:
    print(*str(error).partition(":")[0].split())
"""
