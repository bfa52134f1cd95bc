"""Python functions as CUDA C++: what is translated, by which types, and what is refused. Nothing is compiled here."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from cupool.shim.cupyx import jit
from cupool.shim.kernels import cpp
from cupool.shim.kernels.jit.kernel import translate
from cupool.shim.kernels.jit.operations import choose_loop
from cupool.shim.kernels.jit.types import VOID, Array, CType, Scalar, literal

FLOATS = Array(np.float32, 1, True)
GLOBAL = ('extern "C"', "__global__")


def text(function: Any, *types: CType, mode: str = "cuda", result: CType | None = VOID) -> str:
    return translate(function, GLOBAL, mode, types, result)[1]


def body(function: Any, *types: CType, **options: Any) -> str:
    return text(function, *types, **options).partition('extern "C" __global__')[2]


def test_a_kernel_starts_with_what_it_needs_and_no_more() -> None:
    def nothing(n):  # type: ignore[no-untyped-def]
        pass

    def shapes(a):  # type: ignore[no-untyped-def]
        a[0] = a.shape[0] // 3

    plain = text(nothing, Scalar(np.int32))
    assert "cupool_array" not in plain and "cupool_tuple" not in plain and "cupool_floor_divide" not in plain
    full = text(shapes, FLOATS)
    assert all(
        name in full for name in ("struct cupool_array", "struct cupool_tuple_1", "cupool_floor_divide(T a, T b)")
    )
    assert "void shapes(cupool_array<float, 1, true> a)" in full


@pytest.mark.parametrize(
    ("name", "types", "mode", "expected"),
    [
        ("add", "ii", "cuda", "ii->i"), ("add", "iI", "cuda", "II->I"), ("add", "if", "cuda", "ff->f"), ("add", "qf", "cuda", "ff->f"),
        ("add", "if", "numpy", "dd->d"), ("add", "iI", "numpy", "ll->l"), ("add", "lL", "numpy", "dd->d"), ("add", "lL", "cuda", "LL->L"),
        ("true_divide", "ii", "cuda", "qq->d"), ("less", "iI", "cuda", "qq->?"), ("sqrt", "i", "cuda", "e->e"),
        ("sqrt", "l", "numpy", "d->d"),
        ("left_shift", "??", "numpy", "bb->b"),
    ],
)  # fmt: skip
def test_loops_are_chosen_by_the_modes_rule(name: str, types: str, mode: str, expected: str) -> None:
    loop = choose_loop(name, [np.dtype(c) for c in types], None, mode)
    assert f"{loop.ins}->{loop.outs}" == expected


def test_no_loop() -> None:
    with pytest.raises(TypeError, match="does not support"):
        choose_loop("bitwise_and", [np.dtype("f"), np.dtype("f")], None, "cuda")
    with pytest.raises(TypeError, match="boolean subtract"):
        choose_loop("subtract", [np.dtype("?"), np.dtype("?")], None, "cuda")
    assert choose_loop("add", [np.dtype("i"), np.dtype("i")], np.dtype("d"), "cuda").outs == "d"


def test_cubs_classes_take_their_storage_and_their_dtype() -> None:
    cub: Any = jit.cub

    def wrong_storage(a):  # type: ignore[no-untyped-def]
        temp = jit.shared_memory(np.float32, 1)
        cub.WarpReduce[np.float32](temp[0])

    def wrong_input(a):  # type: ignore[no-untyped-def]
        Warp = cub.WarpReduce[np.float64]
        a[0] = Warp(jit.shared_memory(Warp.TempStorage, 1)[0]).Sum(a[0])

    def wrong_operator(a):  # type: ignore[no-untyped-def]
        Warp = cub.WarpReduce[np.float32]
        a[0] = Warp(jit.shared_memory(Warp.TempStorage, 1)[0]).Reduce(a[0], 1)

    def in_a_branch(a):  # type: ignore[no-untyped-def]
        Warp = cub.WarpReduce[np.float32]
        temp = jit.shared_memory(Warp.TempStorage, 1)
        if a[0] > 0:
            warp = Warp(temp[0])
            a[0] = warp.Sum(a[0])

    def twice(a):  # type: ignore[no-untyped-def]
        Warp = cub.WarpReduce[np.float32]
        temp = jit.shared_memory(Warp.TempStorage, 2)
        warp = Warp(temp[0])
        warp = Warp(temp[1])
        a[0] = warp.Sum(a[0])

    for function, message in (
        (wrong_storage, "Invalid temp_storage type"), (wrong_input, "Invalid input type"), (wrong_operator, "is no operator"),
        (in_a_branch, "outside of loops"), (twice, "mismatch of variable"),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=message):
            text(function, FLOATS)
    for given in ((np.float32, 32, 1), np.dtype("f"), (np.float32, 2.5)):
        with pytest.raises(TypeError, match="takes"):
            cub.BlockReduce[given]
    with pytest.raises(RuntimeError, match="outside a kernel"):
        cub.BlockReduce[np.float32, 64](None)


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (1, "i", "1"), (-1, "i", "(-1)"), (1 << 40, "q", "1099511627776ll"), (-(1 << 31), "i", "(-2147483647 - 1)"),
        (7, "Q", "7ull"), (3, "b", "(signed char)(3)"), (0.1, "d", "0.1"), (0.1, "f", "0.1f"), (1e30, "d", "1e+30"), (2.0, "d", "2.0"),
        (-0.0, "f", "(-0.0f)"), (True, "?", "true"), (1 + 2j, "F", "thrust::complex<float>(1.0f, 2.0f)"), (float("nan"), "d", 'nan("")'),
        (float("-inf"), "f", "(-__int_as_float(0x7f800000))"),
    ],
)  # fmt: skip
def test_literals(value: Any, dtype: str, expected: str) -> None:
    assert literal(value, Scalar(dtype)) == expected


def test_constants_are_folded_and_branches_on_them_vanish() -> None:
    size, table, use = 3, (10, 20, 30), False

    def kernel(a):  # type: ignore[no-untyped-def]
        if use:
            a[0] = unknown  # type: ignore[name-defined]  # noqa: F821
        elif size * 2 == 6 and table[1] == 20:
            a[len("ab")] = table[size - 1] + max(1, 2)

    code = body(kernel, FLOATS)
    assert "if" not in code and "a.at(2) = ((float)32);" in code


def test_each_value_is_computed_once() -> None:
    def kernel(a, i):  # type: ignore[no-untyped-def]
        a[jit.atomic_add(i, 0, 1)] += abs(jit.atomic_sub(i, 0, 1)) ** 2

    code = body(kernel, FLOATS, Array(np.int32, 1, True))
    assert code.count("atomicAdd(") == 1 and code.count("atomicSub(") == 1


def test_loops_keep_their_bounds_and_their_variable() -> None:
    def kernel(a, n):  # type: ignore[no-untyped-def]
        for i in range(n, 0, -2):
            n -= 1
        a[0] = i
        for _j in jit.range(5, unroll=4):
            pass

    code = body(kernel, FLOATS, Scalar(np.int32))
    assert "cupool_i2 > cupool_i2_stop" in code and "i = cupool_i2;" in code and "#pragma unroll(4)\n  for (" in code


def test_names_of_c_are_not_names_of_python() -> None:
    def kernel(int, signed):  # type: ignore[no-untyped-def]
        float = signed
        int[0] = float

    code = body(kernel, FLOATS, Scalar(np.float32))
    assert "cupool_array<float, 1, true> int_" in code and "float float_ = signed_;" in code


def test_half_precision_is_computed_as_float_and_stored_as_half() -> None:
    def kernel(a, x):  # type: ignore[no-untyped-def]
        a[0] = a[1] * x
        a[2] += x

    code = body(kernel, Array(np.float16, 1, True), Scalar(np.float16))
    assert "float x" in code and "a.at(0) = (float16)(" in code and "((float)a.at(1))" in code
    assert "cupool_target_1 = (float16)(" in code


def test_functions_that_kernels_call() -> None:
    @jit.rawkernel(device=True)
    def twice(x):  # type: ignore[no-untyped-def]
        return x + x

    @jit.rawkernel(device=True)
    def endless(x):  # type: ignore[no-untyped-def]
        return endless(x)

    def kernel(a, n):  # type: ignore[no-untyped-def]
        a[0] = twice(a[1]) + twice(n) + twice(n)

    def bad(a):  # type: ignore[no-untyped-def]
        a[0] = endless(1)

    code = text(kernel, FLOATS, Scalar(np.int32))
    assert code.count("__device__ float twice_1(float x)") == 1 and code.count("__device__ int twice_2(int x)") == 1
    with pytest.raises(ValueError, match="Recursive"):
        text(bad, FLOATS)


def _refused_unbound(a: Any) -> None:
    a[0] = nobody  # type: ignore[name-defined]  # noqa: F821


def _refused_unpack(a: Any) -> None:
    _x, _y = jit.grid(3)


def _refused_cast(a: Any) -> None:
    n = 1
    n = a[0]  # noqa: F841


def _refused_float_index(a: Any) -> None:
    a[0.5] = 1


def _refused_too_many_indices(a: Any) -> None:
    a[0, 1] = 1


def _refused_try(a: Any) -> None:
    try:
        a[0] = 1
    finally:
        pass


def _refused_call(a: Any) -> None:
    a[0] = sorted(a)


def _refused_grid(a: Any) -> None:
    jit.grid(4)


def _refused_order(a: Any) -> None:
    a[0] = (a[0] + 1j) < 2j


def _refused_unroll(a: Any) -> None:
    for _ in jit.range(a.size, unroll=True):
        pass


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (_refused_unbound, NameError, "Unbound name: nobody"), (_refused_unpack, ValueError, "too many values"),
        (_refused_cast, TypeError, "Cannot cast from 'float32' to int32"), (_refused_float_index, TypeError, "must be integer"),
        (_refused_too_many_indices, IndexError, "beyond array dim: 1"), (_refused_try, ValueError, "not allowed"),
        (_refused_call, TypeError, "Invalid function call 'sorted'"), (_refused_grid, ValueError, "ndim=1,2,3"),
        (_refused_order, TypeError, "no order"), (_refused_unroll, TypeError, "constant"),
    ],
)  # fmt: skip
def test_refusals_name_the_reason_and_show_the_line(function: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        text(function, FLOATS)
    assert "\n> " in str(caught.value) and f"def {function.__name__}" in str(caught.value)


def test_refused_definitions() -> None:
    def default(a, n=1):  # type: ignore[no-untyped-def]
        pass

    def star(*a):  # type: ignore[no-untyped-def]
        pass

    for function in (default, star):
        with pytest.raises(NotImplementedError, match="not supported currently"):
            text(function, FLOATS)
    with pytest.raises(TypeError, match="takes 1 positional arguments but 2 were given"):
        text(_refused_try, FLOATS, FLOATS)
    pair = [lambda x: x, lambda x: -x]
    with pytest.raises(ValueError, match="Multiple callables"):
        text(pair[0], FLOATS)
    with pytest.raises(ValueError, match="built-in"):
        text(len, FLOATS)
    with pytest.raises(RuntimeError, match="cannot be called outside a kernel"):
        jit.syncthreads()


def test_every_helper_is_defined_before_it_is_called() -> None:
    for name in ("remainder", "maximum", "lcm", "less_equal", "sign"):
        for loop in cpp.loops(name):
            if not loop.error:
                code = cpp.write(name, loop, ["x", "y"][: len(loop.ins)])
                helpers = cpp.helper_text(cpp.needed(code))
                assert all(f"{called}(" in helpers for called in set(re.findall(r"cupool_\w+", code)))
    order = cpp.needed("cupool_complex_maximum(x, y)")
    assert order.index("complex_less") < order.index("complex_extremes")
