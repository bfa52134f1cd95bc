"""Where CuPy is not NumPy, and its users rely on it. Each group says what CuPy documents ("Differences between CuPy and NumPy") or does.

What else a program may rely on, protocols and names, is in test_semantics.py.
"""

from __future__ import annotations

import gc
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from cupool.shim import cupy as cp
from cupool.shim import cupyx
from live import device as device
from live import waits

REFUSAL = (
    r"Implicit conversion to a NumPy array is not allowed. Please use `.get\(\)` to construct a NumPy array explicitly."
)


# -- reductions return 0-d arrays -----------------------------------------------------------------------------------------------

REDUCTIONS: list[Callable[[Any], Any]] = [
    lambda a: a.sum(), lambda a: a.prod(), lambda a: a.max(), lambda a: a.min(), lambda a: a.mean(), lambda a: a.std(),
    lambda a: a.var(), lambda a: a.argmax(), lambda a: a.argmin(), lambda a: a.any(), lambda a: a.all(), lambda a: a.dot(a),
    lambda a: cp.inner(a, a), lambda a: cp.vdot(a, a), lambda a: cp.median(a), lambda a: cp.percentile(a, 50), lambda a: cp.ptp(a),
    lambda a: cp.average(a), lambda a: cp.nansum(a), lambda a: cp.nanmax(a), lambda a: cp.count_nonzero(a), lambda a: cp.linalg.norm(a),
    lambda a: cp.trapz(a) if hasattr(cp, "trapz") else cp.trapezoid(a), lambda a: a[2], lambda a: a.reshape(2, 3)[1, 2],
    lambda a: cp.trace(a.reshape(2, 3)), lambda a: cp.linalg.det(cp.eye(3) * a[1]), lambda a: cp.allclose(a, a),
    lambda a: cp.array_equal(a, a), lambda a: cupyx.scipy.special.logsumexp(a),
]  # fmt: skip


@pytest.mark.parametrize("reduce", REDUCTIONS, ids=range(len(REDUCTIONS)))
def test_results_without_dimensions_are_arrays_of_the_device(reduce: Callable[[Any], Any]) -> None:
    a = cp.arange(6.0)
    before = waits()
    result = reduce(a)
    assert type(result) is cp.ndarray
    assert result.shape == ()
    assert waits() == before, "nobody looked at it"


def test_a_0d_array_is_a_scalar_only_when_it_is_looked_at() -> None:
    a = cp.arange(6.0)
    before = waits()
    total = a.sum() + 1
    assert waits() == before
    assert (float(total), int(total), bool(total), complex(total), total.item()) == (16.0, 16, True, 16 + 0j, 16.0)
    assert f"{total:.1f}" == "16.0"
    assert waits() == before + 6
    for not_a_scalar in (lambda: len(total), lambda: iter(total), lambda: [1, 2, 3][total]):
        with pytest.raises(TypeError):
            not_a_scalar()
    with pytest.raises(ValueError, match="ambiguous"):
        bool(a)
    with pytest.raises(TypeError):
        int(a)


# -- no implicit conversion ------------------------------------------------------------------------------------------------------

IMPLICIT: list[Callable[[Any], Any]] = [
    np.asarray, np.array, np.ascontiguousarray, lambda a: np.asarray([a, a]),
    lambda a: np.zeros(3).__setitem__(slice(None), a), memoryview, lambda a: np.frombuffer(a),
]  # fmt: skip


@pytest.mark.parametrize("convert", IMPLICIT, ids=range(len(IMPLICIT)))
def test_nothing_is_copied_to_the_host_unasked(convert: Callable[[Any], Any]) -> None:
    a = cp.arange(3.0)
    before = waits()
    with pytest.raises(TypeError):
        convert(a)
    assert waits() == before


def test_the_refusal_is_cupys() -> None:
    with pytest.raises(TypeError, match=REFUSAL):
        np.asarray(cp.arange(3))


def test_the_ways_out_are_explicit() -> None:
    a = cp.arange(3.0)
    for host in (a.get(), cp.asnumpy(a), np.array(a.tolist())):
        assert type(host) is np.ndarray
        assert host.tolist() == [0, 1, 2]
    out = np.empty(3)
    assert a.get(out=out) is out
    with pytest.raises(TypeError):
        a.get(out=np.empty(3, "f4"))
    with pytest.raises(ValueError):
        a.get(out=np.empty(4))


def test_nothing_is_copied_to_the_device_unasked() -> None:
    a = cp.zeros(3)
    host = np.arange(3.0)
    with pytest.raises(ValueError, match=r"non-scalar numpy\.ndarray cannot be used for fill"):
        a[:] = host
    with pytest.raises(TypeError, match="Unsupported type"):
        cp.exp(host)
    a.set(host)
    assert a.tolist() == [0, 1, 2]
    a[...] = np.float64(7)
    a[1] = np.array(8.0)  # without dimensions it is a scalar
    assert a.tolist() == [7, 8, 7]


# -- duplicate indices in assignment --------------------------------------------------------------------------------------------------


def test_one_of_the_values_of_a_duplicate_index_wins() -> None:
    n = 10_000
    a = cp.zeros(2)
    i = cp.arange(n) % 2
    a[i] = cp.arange(float(n))
    got = a.get()
    assert got[0] % 2 == 0, "a value that was meant for this element"
    assert got[1] % 2 == 1
    b = cp.zeros(3)
    b[cp.array([0, 0, 2])] += 1
    assert b.tolist() == [1, 0, 1], "added once: read, add, write"


def test_scatter_accumulates_duplicates() -> None:
    i = cp.array([0, 0, 2, -1])
    for add in (
        lambda a: cp.add.at(a, i, 1), lambda a: cupyx.scatter_add(a, i, 1), lambda a: cp.add.at(a, i, cp.ones(4)),
    ):  # fmt: skip
        a = cp.zeros(3)
        add(a)
        assert a.tolist() == [2, 0, 2]
    a = cp.zeros(3)
    cupyx.scatter_max(a, i, cp.array([5.0, 3.0, 1.0, 2.0]))
    assert a.tolist() == [5, 0, 2]
    cupyx.scatter_min(a, i, cp.array([1.0, -1.0, 7.0, 1.0]))
    assert a.tolist() == [-1, 0, 1]


# -- out-of-bounds indices wrap -----------------------------------------------------------------------------------------------------


def test_index_arrays_wrap_around() -> None:
    a = cp.arange(5)
    before = waits()
    read = a[cp.array([5, 7, -6, 1_000_001])]
    a[cp.array([6])] = 60
    taken = cp.take(a, cp.array([5, -7]))
    assert waits() == before, "nothing is checked, so nothing is waited for"
    assert read.tolist() == [0, 2, 4, 1]
    assert a.tolist() == [0, 60, 2, 3, 4]
    assert taken.tolist() == [0, 3]


def test_integers_are_checked() -> None:
    a = cp.zeros((2, 3))
    for wrong in (lambda: a[2], lambda: a[0, 3], lambda: a[-3], lambda: a.__setitem__((0, 5), 1.0)):
        before = waits()
        with pytest.raises(IndexError, match="out of bounds"):
            wrong()
        assert waits() == before


# -- casts -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["e", "f", "d"])
@pytest.mark.parametrize("target", ["B", "H", "I", "L"])
def test_negative_floats_become_unsigned_zero(source: str, target: str) -> None:
    assert cp.array([-1.0, -0.5, 0.0, 2.9], source).astype(target).tolist() == [0, 0, 0, 2]


def test_floats_out_of_range_saturate_in_32_bits() -> None:
    assert cp.array([np.inf, -np.inf, 1e30]).astype("i4").tolist() == [2147483647, -2147483648, 2147483647]
    assert cp.array([1e30]).astype("u4").tolist() == [4294967295]
    a = cp.zeros(2, "u1")
    a[...] = cp.array([-3.0, 5.7])
    assert a.tolist() == [0, 5]


def test_complex_loses_its_imaginary_part_with_a_warning() -> None:
    with pytest.warns(np.exceptions.ComplexWarning):
        assert cp.array([1 + 2j]).astype("f8").tolist() == [1.0]


# -- mixed operands ----------------------------------------------------------------------------------------------------------------------


class Foreign:
    """Another library's array: who has the higher `__array_priority__` handles the operator."""

    def __init__(self, priority: float) -> None:
        self.__array_priority__ = priority

    def __add__(self, other: Any) -> str:
        return "theirs"

    __radd__ = __mul__ = __rmul__ = __sub__ = __rsub__ = __truediv__ = __rtruediv__ = __matmul__ = __rmatmul__ = __add__


class Opting(Foreign):
    """One that wants nothing of NumPy's protocols, whatever its priority."""

    __array_ufunc__ = None


def test_priority_decides() -> None:
    a = cp.ones(2)
    assert a.__array_priority__ == 100
    high = Foreign(1000)
    for mixed in (
        lambda: a + high, lambda: high + a, lambda: a * high, lambda: a - high, lambda: a / high, lambda: a @ high, lambda: high @ a,
    ):  # fmt: skip
        assert mixed() == "theirs"
    low = Foreign(0)
    assert low + a == "theirs", "Python asks the left operand first"
    with pytest.raises(TypeError):
        a + low
    assert a + Opting(0) == "theirs"


@pytest.mark.parametrize("host", [np.ones(2), np.ones((1, 2)), np.arange(2)], ids=repr)
def test_arrays_of_both_kinds_do_not_mix(host: Any) -> None:
    a = cp.ones(2)
    for mixed in (
        lambda: a + host, lambda: host + a, lambda: a * host, lambda: host - a, lambda: np.add(host, a), lambda: cp.add(a, host),
        lambda: a == host, lambda: host < a, lambda: cp.maximum(host, a), lambda: a @ host,
    ):  # fmt: skip
        with pytest.raises(TypeError):
            mixed()
    with pytest.raises(TypeError):
        a += host


def test_numpys_scalars_do_mix() -> None:
    a = cp.ones(2, "f4")
    for scalar in (np.float64(2), np.int32(2), np.bool_(True)):
        for made in (a + scalar, scalar + a, a * scalar):
            assert type(made) is cp.ndarray
    assert (a + np.float64(2)).dtype == np.float64, "NumPy's scalars are strong"
    assert (a + 2.0).dtype == np.float32, "Python's are weak"
    assert (np.float64(2) * a).tolist() == [2, 2]


def test_numpys_functions_on_our_arrays_are_ours() -> None:
    a = cp.arange(4.0)
    before = waits()
    for made in (
        np.sum(a),
        np.exp(a),
        np.concatenate([a, a]),
        np.add.reduce(a),
        np.linalg.norm(a),
        np.where(a > 1, a, 0),
    ):
        assert type(made) is cp.ndarray
    assert waits() == before
    with pytest.raises(TypeError):
        np.concatenate([a, np.arange(4.0)])


# -- streams ---------------------------------------------------------------------------------------------------------------------------


def test_each_thread_has_a_current_stream_of_its_own() -> None:
    null, current = cp.cuda.Stream.null, cp.cuda.get_current_stream
    streams = [cp.cuda.Stream(non_blocking=True) for _ in range(4)]
    barrier, seen = threading.Barrier(5), {}

    def work(i: int) -> None:
        start = current()
        with streams[i]:
            barrier.wait(30)
            inside = current()
            total = (cp.arange(100.0) + i).sum()
            barrier.wait(30)
        streams[i].use()
        after = current()
        seen[i] = (start == null, inside is streams[i], after is streams[i], float(total))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    barrier.wait(30)
    assert current() == null
    barrier.wait(30)
    for thread in threads:
        thread.join()
    assert current() == null, "what other threads use is theirs"
    assert seen == {i: (True, True, True, 4950.0 + 100 * i) for i in range(4)}


def test_a_thread_that_uses_a_stream_leaves_none_to_the_next() -> None:
    stream, seen = cp.cuda.Stream(), []
    for action in (stream.use, lambda: None):
        thread = threading.Thread(target=lambda action=action: (action(), seen.append(cp.cuda.get_current_stream())))
        thread.start()
        thread.join()
    assert seen[0] is stream
    assert seen[1] == cp.cuda.Stream.null


# -- memory ----------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_garbage() -> Iterator[None]:
    """Arrays that other tests have left in cycles of references are freed before, and not at any moment of this one."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage")
def test_the_pools_numbers_add_up() -> None:
    pool = cp.get_default_memory_pool()
    start = pool.used_bytes()
    sizes = [1, 512, 513, 10_000, 1 << 20]
    rounded = [512 * -(-n // 512) for n in sizes]
    arrays = []
    for n, r in zip(sizes, rounded, strict=True):
        before = pool.used_bytes()
        arrays.append(cp.zeros(n, np.uint8))
        assert pool.used_bytes() - before == r, "blocks are rounded to 512 bytes"
    assert pool.used_bytes() - start == sum(rounded)
    assert pool.total_bytes() == pool.used_bytes() + pool.free_bytes()
    view = arrays[-1][10:20]
    del arrays[-1]
    assert pool.used_bytes() - start == sum(rounded), "a view keeps its memory"
    del view
    assert pool.used_bytes() - start == sum(rounded[:-1])
    arrays.clear()
    assert pool.used_bytes() == start
    assert pool.total_bytes() == pool.used_bytes() + pool.free_bytes()
    pool.free_all_blocks()
    assert pool.free_bytes() == 0
    assert pool.n_free_blocks() == 0
    assert pool.total_bytes() == pool.used_bytes() == start


@pytest.mark.usefixtures("no_garbage")
def test_temporaries_are_given_back_at_once() -> None:
    pool = cp.get_default_memory_pool()
    a = cp.zeros(1 << 18)
    before = pool.used_bytes()
    for _ in range(5):
        a = (a + 1) * 2 - a
    assert pool.used_bytes() == before
    assert float(a[0]) == float(np.float64(a.get()[0]))


# -- errors ----------------------------------------------------------------------------------------------------------------------------

ERRORS: list[tuple[Callable[[], Any], type[BaseException]]] = [
    (lambda: cp.zeros(2) + cp.zeros(3), ValueError),
    (lambda: cp.zeros(2).reshape(3), ValueError),
    (lambda: cp.zeros(2).sum(axis=1), np.exceptions.AxisError),
    (lambda: cp.zeros(2)[5], IndexError),
    (lambda: cp.zeros(2)[1, 1], IndexError),
    (lambda: cp.zeros(2)["a"], IndexError),
    (lambda: cp.zeros((2, 3)) @ cp.zeros((2, 3)), ValueError),
    (lambda: cp.array(["a"]), ValueError),
    (lambda: cp.array([object()]), ValueError),
    (lambda: cp.zeros(2, "m8[s]"), ValueError),
    (lambda: cp.invert(cp.zeros(2)), TypeError),
    (lambda: cp.subtract(cp.ones(2, "?"), cp.ones(2, "?")), TypeError),
    (lambda: -cp.ones(2, "?"), TypeError),
    (lambda: cp.add(cp.zeros(2), 1, out=cp.zeros(3)), ValueError),
    (lambda: cp.add(cp.zeros(2), 1, out=cp.zeros(2, "i4")), TypeError),
    (lambda: cp.linalg.inv(cp.zeros((2, 3))), np.linalg.LinAlgError),
    (lambda: cp.linalg.cholesky(cp.zeros(3)), np.linalg.LinAlgError),
    (lambda: cp.cuda.Device(7).use(), cp.cuda.runtime.CUDARuntimeError),
    (lambda: cp.no_such_function, AttributeError),
    (lambda: cp.arange(3) & 1.5, TypeError),
    (lambda: cp.arange(3, dtype="u1") + 300, OverflowError),
    (lambda: hash(cp.zeros(2)), TypeError),
    (lambda: cp.zeros(2).item(), ValueError),
    (lambda: cp.concatenate([]), ValueError),
    (lambda: cp.random.default_rng().integers(5, 2), ValueError),
]


@pytest.mark.parametrize(("wrong", "error"), ERRORS, ids=range(len(ERRORS)))
def test_errors_of_the_call_are_raised_by_the_call(wrong: Callable[[], Any], error: type[BaseException]) -> None:
    with pytest.raises(error) as caught:
        wrong()
    assert caught.type is error
    assert str(caught.value), "it says something"


def test_error_classes_are_cupys() -> None:
    runtime, memory = cp.cuda.runtime.CUDARuntimeError, cp.cuda.memory.OutOfMemoryError
    assert issubclass(runtime, RuntimeError) and runtime.__module__ == "cupy_backends.cuda.api.runtime"
    assert issubclass(memory, MemoryError) and memory.__module__ == "cupy.cuda.memory"
    assert cp.cuda.compiler.CompileException.__module__ == "cupy.cuda.compiler"
    assert cp.linalg.LinAlgError is np.linalg.LinAlgError
    for name in ("AxisError", "ComplexWarning", "VisibleDeprecationWarning", "TooHardError"):
        assert getattr(cp.exceptions, name) is getattr(np.exceptions, name)
    for error in (runtime(2), memory(1 << 40, 0, 0)):
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert "cudaErrorMemoryAllocation" in str(runtime(2))


@pytest.mark.keeps("the connection for large arrays, opened when one fails")
def test_too_much_memory_is_out_of_memory() -> None:
    with pytest.raises(cp.cuda.memory.OutOfMemoryError, match=r"Out of memory allocating [\d,]+ bytes"):
        cp.zeros(1 << 45, "u1").sum().get()
    assert float(cp.ones(3).sum()) == 3, "and the session goes on"


def test_a_reduction_to_real_numbers_says_that_it_drops_the_imaginary_parts() -> None:
    a = cp.ones(8, "c8")
    for reduce in (a.sum, a.prod, a.mean):
        for _ in range(3):  # also where the call is one that was seen before
            with pytest.warns(np.exceptions.ComplexWarning, match="discards the imaginary part") as seen:
                assert reduce(dtype="f4").dtype == "f4"
            assert seen[0].filename == __file__
        assert reduce(dtype="c16").dtype == "c16"  # warnings are errors here
