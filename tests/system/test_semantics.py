"""What a CuPy program may rely on besides numbers: types, refusals and their texts, devices, streams, protocols."""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from typing import Any

import numpy as np
import pytest
from cupool.shim import cupy as cp
from cupool.shim import cupyx
from live import device as device
from live import waits

from cupool.contract.errors import CupoolError, Unsupported

# -- host arrays are never taken or given silently ----------------------------------------------------------------------------


def test_numpy_must_not_convert_silently() -> None:
    a = cp.arange(3)
    for convert in (np.asarray, np.array, lambda x: np.zeros(3) + np.asarray(x)):
        with pytest.raises(
            TypeError, match=r"Implicit conversion to a NumPy array is not allowed. Please use `.get\(\)`"
        ):
            convert(a)


@pytest.mark.parametrize("other", [np.arange(3), np.zeros(()), [1, 2, 3], (1,)], ids=repr)
def test_operands_must_be_on_the_device(other: Any) -> None:
    a = cp.arange(3)
    for use in (lambda: cp.add(a, other), lambda: cp.add(other, a), lambda: a + other, lambda: other + a):
        with pytest.raises(TypeError, match=r"Unsupported type|NotImplemented"):
            use()
    with pytest.raises(TypeError, match="Unsupported type"):
        a += other


def test_comparisons_take_numpy_scalars_and_0d() -> None:
    a = cp.arange(3)
    assert (a == np.int64(1)).tolist() == [False, True, False]
    assert (a < np.array(1)).tolist() == [True, False, False]
    for other in (None, object(), Ellipsis):
        assert (a == other).tolist() == [False] * 3
        assert (a != other).tolist() == [True] * 3
    with pytest.raises(TypeError):
        hash(a)


def test_host_arrays_are_fine_as_metadata() -> None:
    a = cp.arange(6)
    assert a.reshape(tuple(np.array([2, 3]))).shape == (2, 3)
    assert cp.zeros(tuple(np.array([2, 2]))).shape == (2, 2)
    assert a[np.array([1, 2])].tolist() == [1, 2]
    assert cp.take(a, np.array([0, 5])).tolist() == [0, 5]
    assert cp.repeat(a, 2).size == 12


def test_filling_from_host_arrays_is_refused() -> None:
    a = cp.zeros(3)
    for value in (np.arange(3.0), [1, 2, 3]):
        with pytest.raises(ValueError, match=r"non-scalar numpy\.ndarray cannot be used for fill"):
            a[...] = value
        with pytest.raises(ValueError, match="non-scalar"):
            a[0:2] = value[:2]
    a[[0, 1]] = np.array([5.0, 6.0])
    assert a.tolist() == [5, 6, 0]
    a[...] = np.float32(2)
    cp.copyto(a, cp.arange(3.0))
    assert a.tolist() == [0, 1, 2]
    with pytest.raises(OverflowError):
        cp.zeros(2, "u1")[...] = 300


@pytest.mark.parametrize(
    "data",
    [object(), ["a"], np.array(["x"]), np.array([None]), 2**70, np.datetime64("2020")],
    ids=["object", "strings", "string array", "object array", "huge int", "datetime"],
)
def test_dtypes_that_devices_lack(data: Any) -> None:
    with pytest.raises(ValueError, match="Unsupported dtype"):
        cp.array(data)


def test_array_from_all_sorts() -> None:
    a = cp.arange(3.0)
    assert cp.asarray(a) is a
    assert cp.array(a) is not a
    assert cp.array(a, copy=False) is a
    with pytest.raises(ValueError, match="copy"):
        cp.array(a, dtype="f4", copy=False)
    assert cp.array([a, a]).shape == (2, 3)
    assert cp.array([[a[0], a[1]], [a[2], a[0]]]).tolist() == [[0, 1], [2, 0]]
    assert cp.array([1, 2], ndmin=3).shape == (1, 1, 2)
    assert cp.array(a, ndmin=2).shape == (1, 3)
    with pytest.raises(TypeError, match="Implicit conversion"):
        cp.array([a, 1.0])
    with pytest.raises(ValueError, match=r"inhomogeneous|sequence"):
        cp.array([[1, 2], [3]])
    big = cp.array(np.arange(3, dtype=">i4"))
    assert big.dtype == np.dtype("<i4")
    assert big.tolist() == [0, 1, 2]
    assert cp.array(np.asfortranarray(np.ones((2, 3)))).flags.f_contiguous
    assert cp.frombuffer(b"\1\2", np.uint8).tolist() == [1, 2]
    assert cp.array(5).shape == ()
    with pytest.raises(NotImplementedError):
        cp.array([1], subok=True)


def test_the_source_may_change_after_the_call() -> None:
    host = np.arange(4.0)
    a = cp.asarray(host)
    host[:] = -1
    assert a.tolist() == [0, 1, 2, 3]


# -- duck typing ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sum", "mean", "std", "max", "argmin", "reshape", "transpose", "ravel", "clip"])
def test_functions_given_numpy_arrays_give_numpy_results(name: str) -> None:
    more = {"reshape": ((3, 2),), "clip": (1, 3)}.get(name, ())
    host = np.arange(6.0).reshape(2, 3)
    got = getattr(cp, name)(host, *more)
    assert not isinstance(got, cp.ndarray)
    np.testing.assert_array_equal(got, getattr(np, name)(host, *more))
    with pytest.raises(AttributeError):
        getattr(cp, name)([1.0, 2.0], *more)


def test_array_modules() -> None:
    assert cp.get_array_module(np.arange(2), cp.arange(2)) is cp
    assert cp.get_array_module(np.arange(2), 5) is np
    host = np.arange(2)
    assert cp.asnumpy(host) is host
    assert cp.asnumpy([1, 2]).tolist() == [1, 2]


# -- NumPy's protocols -------------------------------------------------------------------------------------------------------------


def test_numpy_functions_on_device_arrays_are_ours() -> None:
    a = cp.arange(4.0)
    for got, expected in (
        (np.sum(a), 6), (np.sqrt(a), [0, 1, 2**0.5, 3**0.5]), (np.concatenate([a, a]), [0, 1, 2, 3] * 2), (np.add(a, 1), [1, 2, 3, 4]),
        (np.linalg.norm(a), 14**0.5), (np.add.reduce(a), 6), (np.multiply.outer(a, a)[1], [0, 1, 2, 3]),
    ):  # fmt: skip
        assert isinstance(got, cp.ndarray)
        np.testing.assert_allclose(got.get(), expected)
    out = cp.zeros(4)
    assert np.negative(a, out=out) is out
    assert out.tolist() == [0, -1, -2, -3]
    with pytest.raises(TypeError):
        np.busday_count(a, a)  # type: ignore[call-overload]
    assert a.__array_namespace__() is cp
    assert a.__array_priority__ == 100


def test_foreign_objects_get_their_turn() -> None:
    class Other:
        __array_ufunc__ = None

        def __radd__(self, left: Any) -> str:
            return "mine"

        def __rmatmul__(self, left: Any) -> str:
            return "mine too"

    class Prior:
        __array_priority__ = 1000

        def __rsub__(self, left: Any) -> str:
            return "prior"

    a = cp.arange(2)
    assert a + Other() == "mine"
    assert a @ Other() == "mine too"
    assert a - Prior() == "prior"


def test_dlpack_to_the_host_and_nowhere_else() -> None:
    a = cp.arange(3)
    assert a.__dlpack_device__() == (2, 0)
    assert np.from_dlpack(a, device="cpu").tolist() == [0, 1, 2]
    with pytest.raises(BufferError, match="unsupported device"):
        a.__dlpack__(dl_device=(2, 7))
    with pytest.raises((BufferError, RuntimeError)):
        np.from_dlpack(a)
    assert cp.from_dlpack(np.arange(3)).tolist() == [0, 1, 2]


def test_pointers_find_their_way_back() -> None:
    a = cp.arange(6.0)
    before = waits()
    pointer = a[2:].data
    assert waits() == before
    assert pointer.ptr == a.data.ptr + 16
    again = cp.ndarray((2, 2), np.float64, pointer)
    again[...] = -1
    assert a.tolist() == [0, 1, -1, -1, -1, -1]

    class Exposes:
        __cuda_array_interface__ = a.__cuda_array_interface__

    assert cp.asarray(Exposes()).tolist() == a.tolist()

    class Foreign:
        __cuda_array_interface__ = a.__cuda_array_interface__ | {"data": (0x1234, False)}

    with pytest.raises(CupoolError, match="not in the memory of this session's device"):
        cp.asarray(Foreign())
    memory = cp.cuda.alloc(32)
    filled = cp.ndarray((4,), np.float64, memory)
    filled[...] = 3
    assert float(filled.sum()) == 12


# -- values that are CuPy's ----------------------------------------------------------------------------------------------------------


def test_reductions_give_0d_device_arrays() -> None:
    a = cp.arange(3.0)
    for r in (a.sum(), a[1], cp.dot(a, a), a.max(), cp.linalg.norm(a)):
        assert isinstance(r, cp.ndarray)
        assert r.shape == ()
    assert cp.float32 is np.float32


def test_power_shortcuts() -> None:
    a = cp.array([4, 9], "i4")
    assert (a**2).dtype == np.int32
    assert (a**0.5).dtype == np.float64
    assert (a**0.5).tolist() == [2, 3]
    assert (cp.array([True]) ** 2).dtype == np.int64


def test_memory_questions_need_no_wait() -> None:
    a, b = cp.arange(10), cp.arange(10)
    before = waits()
    assert cp.may_share_memory(a[:5], a[4:])
    assert not cp.may_share_memory(a[:5], a[5:])
    assert not cp.may_share_memory(a, b)
    assert cp.may_share_memory(a[::2], a[1::2])
    assert not cp.shares_memory(a[::2], a[1::2])
    assert cp.shares_memory(a[::2], a[2:])
    assert cp.result_type(a, 1.0) == np.float64
    assert cp.can_cast(a, "f8")
    assert cp.shape(a) == (10,)
    assert waits() == before


# -- devices and streams ----------------------------------------------------------------------------------------------------------------


def test_one_device() -> None:
    runtime = cp.cuda.runtime
    assert runtime.getDeviceCount() == 1
    assert cp.cuda.is_available() and cp.is_available()
    for use in (
        cp.cuda.Device(1).use,
        cp.cuda.Device(1).__enter__,
        lambda: runtime.setDevice(3),
        lambda: runtime.getDeviceProperties(1),
    ):
        with pytest.raises(runtime.CUDARuntimeError, match="cudaErrorInvalidDevice: invalid device ordinal") as caught:
            use()
        assert caught.value.status == 101
    with cp.cuda.Device(0) as device:
        assert device == cp.cuda.Device() == cp.arange(1).device
    assert cp.cuda.Device(0).use() == cp.cuda.Device(0)
    assert repr(device) == "<CUDA Device 0>"
    assert int(cp.cuda.Device(0)) == 0
    free, total = cp.cuda.Device(0).mem_info
    assert 0 < free <= total
    assert type(runtime.getDeviceProperties(0)["name"]) is bytes
    assert runtime.CUDARuntimeError.__module__ == "cupy_backends.cuda.api.runtime"


def test_leaving_a_with_block_restores_the_enclosing_stream() -> None:
    null = cp.cuda.Stream.null
    one, two, three = (cp.cuda.Stream(non_blocking=True) for _ in range(3))
    current = cp.cuda.get_current_stream
    assert current() == null
    one.use()
    with two:
        assert current() is two
        three.use()
        assert current() is three
        with one:
            assert current() is one
        assert current() is two, "an earlier use() inside is forgotten"
    assert current() == null, "and so is one from outside"
    seen = []
    with one:
        thread = threading.Thread(target=lambda: seen.append(current()))
        thread.start()
        thread.join()
    assert seen == [null], "each thread has its own"


def test_streams_order_and_measure() -> None:
    stream = cp.cuda.Stream()
    start, end = cp.cuda.Event(), cp.cuda.Event()
    with stream:
        start.record()
        a = cp.arange(1000.0) * 2
        end.record()
    other = cp.cuda.Stream()
    other.wait_event(end)
    with other:
        b = a + 1
    other.synchronize()
    assert end.done
    assert cp.cuda.get_elapsed_time(start, end) >= 0
    assert float(b[-1]) == 1999
    stream.synchronize()
    assert stream.done
    assert isinstance(stream.record(), cp.cuda.Event)
    assert stream != other
    assert hash(stream) == stream.ptr


@pytest.mark.keeps("the thread that runs callbacks")
def test_host_functions_run_after_the_work() -> None:
    stream, done, seen = cp.cuda.Stream(), threading.Event(), []
    with stream:
        cp.arange(10).sum()
    stream.launch_host_func(seen.append, "first")
    stream.add_callback(lambda s, status, arg: (seen.append((s is stream, status, arg)), done.set()), "second")
    assert done.wait(30)
    assert seen == ["first", (True, 0, "second")]


@pytest.mark.keeps("the connection for large arrays, opened when one fails")
def test_pool_limits() -> None:
    pool = cp.get_default_memory_pool()
    used = pool.used_bytes()
    a = cp.zeros(1000)
    assert pool.used_bytes() == used + 8192
    del a
    assert pool.used_bytes() == used
    pool.set_limit(size=used + 4096)
    try:
        assert pool.get_limit() == used + 4096
        with pytest.raises(cp.cuda.memory.OutOfMemoryError, match="limit set to"):
            cp.zeros(10_000).get()
    finally:
        pool.set_limit(size=0)
    cp.zeros(10_000).get()
    with pytest.raises(ValueError, match="out of range"):
        pool.set_limit(fraction=2)


# -- errors and names ------------------------------------------------------------------------------------------------------------------


def test_errors_come_at_the_users_line() -> None:
    a, b = cp.zeros((2, 3)), cp.zeros((4, 5))
    for wrong, error in (
        (lambda: a + b, ValueError), (lambda: a.sum(axis=5), np.exceptions.AxisError), (lambda: a.reshape(7), ValueError),
        (lambda: cp.concatenate([a, b]), ValueError), (lambda: a @ a, ValueError), (lambda: cp.sum(a, bogus=1), TypeError),
        (lambda: cp.zeros(-1), ValueError), (lambda: cp.invert(a), TypeError), (lambda: a.astype(object), ValueError),
        (lambda: cp.add(a, a, out=b), ValueError), (lambda: a.transpose(0, 0), ValueError), (lambda: cp.add(a), TypeError),
    ):  # fmt: skip
        before = waits()
        with pytest.raises(error):
            wrong()
        assert waits() == before


def test_exceptions_are_picklable() -> None:
    for error in (cp.cuda.runtime.CUDARuntimeError(101), cp.cuda.memory.OutOfMemoryError(1024, 0, 512)):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert str(again) == str(error)
    assert issubclass(cp.cuda.memory.OutOfMemoryError, MemoryError)
    assert cp.linalg.LinAlgError is np.linalg.LinAlgError
    assert cp.exceptions.AxisError is np.exceptions.AxisError


def test_singular_input_raises_only_when_asked_to() -> None:
    singular = cp.zeros((2, 2))
    cp.linalg.inv(singular)
    with cupyx.errstate(linalg="raise"), pytest.raises(np.linalg.LinAlgError):
        cp.linalg.inv(singular)
    assert cupyx.geterr()["linalg"] == "ignore"


@pytest.mark.parametrize(
    "name", ["cupyx.scipy.sparse", "cupyx.scipy.sparse.linalg", "cupyx.scipy.ndimage", "cupyx.jit", "cupy.cuda.texture"]
)
def test_modules_without_code_can_be_imported(name: str) -> None:
    module = importlib.import_module(f"cupool.shim.{name}")
    assert not hasattr(module, "no_such_name")


def test_sparse_questions() -> None:
    from cupool.shim.cupyx.scipy import sparse

    assert not sparse.issparse(cp.arange(3))


def test_names_without_support_say_why() -> None:
    from cupool.contract.ops import TABLE

    refused = [r for r in TABLE.values() if r.unsupported and r.name.count(".") == 0]
    for row in refused[:20]:
        with pytest.raises(Unsupported, match="not supported"):
            getattr(cp, row.name)(1)
    with pytest.raises(AttributeError):
        cp.no_such_function  # noqa: B018


def test_pinned_arrays_are_numpys() -> None:
    for made in (
        cupyx.empty_pinned((2, 3)),
        cupyx.zeros_pinned(4, "f4"),
        cupyx.zeros_like_pinned(cp.zeros((2, 2), "i4")),
    ):
        assert type(made) is np.ndarray
    memory = cp.cuda.alloc_pinned_memory(64)
    host = np.frombuffer(memory, np.float64, 8)
    host[...] = 2
    assert float(cp.asarray(host).sum()) == 16


def test_testing_compares_across() -> None:
    a = cp.arange(3.0)
    cp.testing.assert_array_equal(a, np.arange(3.0))
    cp.testing.assert_allclose(a, a + 1e-9, atol=1e-6)
    with pytest.raises(AssertionError):
        cp.testing.assert_array_equal(a, a + 1)


# -- processes --------------------------------------------------------------------------------------------------------------------------


def run(program: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_opens_nothing() -> None:
    out = run(
        """
        import os
        from cupool.shim import cupy, cupyx, session
        import cupool.shim.cupy.cuda
        print(session.is_open(), [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
              if os.path.exists(f"/proc/self/fd/{n}") and os.readlink(f"/proc/self/fd/{n}").startswith("socket")])
        """
    )
    assert out == "False []\n"


def test_a_forked_child_has_arrays_of_its_own() -> None:
    out = run(
        """
        import os, sys
        from cupool.shim import cupy as cp
        from cupool.contract.errors import ForeignArray
        a = cp.arange(3.0); b = a + a; a + a
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            try:
                a + a
            except ForeignArray:
                print("refused")
            c = cp.arange(4.0)
            print((c + c).tolist())
            sys.stdout.flush()
            from cupool.shim import session
            session.close()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        print((a + b).tolist())
        """
    )
    assert out == "refused\n[0.0, 2.0, 4.0, 6.0]\n[0.0, 3.0, 6.0]\n"


def test_sync_mode_raises_at_the_call() -> None:
    out = run(
        """
        from cupool.shim import cupy as cp
        try:
            cp.empty(1 << 45, "u1")
        except MemoryError as error:
            print(type(error).__name__)
        print((cp.arange(3) + 1).tolist())
        """,
        CUPOOL_SYNC="1",
    )
    assert out == "OutOfMemoryError\n[1, 2, 3]\n"


def test_exit_with_living_arrays_and_streams() -> None:
    out = run(
        """
        from cupool.shim import cupy as cp
        keep = [cp.arange(3) + i for i in range(100)]
        stream = cp.cuda.Stream(); event = stream.record()
        print("end")
        """
    )
    assert out == "end\n"


def test_two_threads_may_look_at_one_pending_array() -> None:
    for _ in range(20):
        a = cp.arange(10)
        picked = a[a > 3]
        barrier, seen = threading.Barrier(2), []

        def look(array: Any = picked, start: threading.Barrier = barrier, out: list[Any] = seen) -> None:
            start.wait()
            out.append(array.shape)

        threads = [threading.Thread(target=look, daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert seen == [(6,), (6,)]


def test_negative_scalars_of_one_length_are_told_apart() -> None:
    a = cp.arange(3, dtype="i1")
    assert (a + -128).dtype == np.int8
    with pytest.raises(OverflowError):
        a + -200


def test_a_subclass_stays_one_when_its_shape_is_set_or_found_out() -> None:
    class Mine(cp.ndarray):
        pass

    a = cp.arange(6).view(Mine)
    a.shape = (2, 3)
    assert type(a + 1) is Mine
    picked = a[a > 2]
    assert picked.shape == (3,)
    assert type(picked + 1) is type(picked)
