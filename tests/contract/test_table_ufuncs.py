"""Ufuncs: recorded loops against NumPy's own resolution, rules against the device over dtypes, scalars, shapes, `out=`, `where=`."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from cupool.apiserver.devices.cpu import ops
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cupool.contract.ops import TABLE
from cupool.contract.ops._loops import KERNELS, REDUCTIONS
from cupool.contract.ops.rules import reductions
from cupool.contract.ops.rules.elementwise import apply, find_loop, first_loop, kernel
from cupool.contract.ops.ufuncs import UFUNCS
from cupool.contract.spec import Spec, spec_like, spec_of

CHARS = "?bBhHiIlLefdFD"
PYTHON = (True, 3, 2.5, 1 + 2j)

#: NumPy has another result dtype than CuPy, by ufunc: CuPy's is kept, and the device converts.
DIFFERENT: set[str] = set()


def numpy_types(name: str, dtypes: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """What NumPy would give, or None where it has no such ufunc or refuses."""
    function = getattr(np, name, None)
    if not isinstance(function, np.ufunc):
        return None
    try:
        return function.resolve_dtypes((*dtypes, *(None,) * function.nout))[function.nin :]
    except TypeError:
        return None


@pytest.mark.parametrize("name", sorted(UFUNCS))
def test_loops_give_numpys_dtypes_where_both_accept(name: str) -> None:
    for dtypes in itertools.product(map(np.dtype, CHARS), repeat=KERNELS[name][0]):
        loop = find_loop(name, tuple((d, None) for d in dtypes))
        theirs = numpy_types(name, dtypes)
        if loop is None or loop.error or theirs is None:
            continue
        assert loop.outputs == tuple(theirs), (name, dtypes)


def values(char: str) -> Any:
    """Small operands that are in every function's domain or at least harmless."""
    return np.array([[0, 1, 2], [1, 0, 1]]).astype(char)


@pytest.mark.parametrize("name", sorted(UFUNCS))
def test_device_gives_what_the_rule_promises(name: str) -> None:
    nin = KERNELS[name][0]
    operands: list[Any] = [values(c) for c in CHARS]
    pairs = [(a,) for a in operands] if nin == 1 else [
        *itertools.product(operands, repeat=2),
        *itertools.product(operands, PYTHON), *itertools.product(PYTHON, operands),
        (operands[2], np.float32(2)), (np.int64(3), operands[5]), (operands[1], 2),
    ]  # fmt: skip
    accepted = 0
    for args in pairs:
        try:
            promised = apply(name, tuple(spec_like(x) if isinstance(x, np.ndarray) else x for x in args))
        except (TypeError, OverflowError) as refused:
            with pytest.raises(type(refused)), np.errstate(all="ignore"):
                ops.resolve(name)(*args)
            continue
        accepted += 1
        with np.errstate(all="ignore"):
            actual = ops.resolve(name)(*args)
        check(promised, actual, (name, args))
    assert accepted


def check(promised: Any, actual: Any, about: Any) -> None:
    if isinstance(promised, tuple):
        for p, a in zip(promised, actual, strict=True):
            check(p, a, about)
        return
    assert isinstance(actual, np.ndarray), about
    assert (actual.shape, actual.dtype) == (promised.shape, promised.dtype), about


@pytest.mark.parametrize("name", ["add", "true_divide", "power", "less", "sqrt", "floor", "divmod"])
@pytest.mark.parametrize("char", list("?bBilefdFD"))
def test_dtype_argument(name: str, char: str) -> None:
    nin = KERNELS[name][0]
    args = tuple(values("i") for _ in range(nin))
    try:
        promised = apply(name, tuple(map(spec_like, args)), dtype=char)
    except TypeError:
        with pytest.raises(TypeError):
            ops.resolve(name)(*args, dtype=np.dtype(char))
        return
    with np.errstate(all="ignore"):
        check(promised, ops.resolve(name)(*args, dtype=np.dtype(char)), (name, char))


def test_out_and_where() -> None:
    a, b, mask = values("d"), values("d") + 1, values("d") > 0
    out = np.full((2, 3), 7.0)
    assert ops.resolve("add")(a, b, out=out, where=mask) is out
    assert (out == np.where(mask, a + b, 7)).all()
    narrow = np.zeros((2, 3), np.float32)
    ops.resolve("add")(a, b, out=narrow)
    assert (narrow == (a + b).astype("f4")).all()
    spec = spec_like(a)
    assert apply("add", (spec, spec), out=spec) is spec
    for bad, error in ((spec_of((2, 2), "d"), ValueError), (spec_of((2, 3), "i"), TypeError), (np.zeros(3), TypeError)):
        with pytest.raises(error):
            apply("add", (spec, spec), out=bad)
    with pytest.raises(TypeError, match="rule 'safe'"):
        apply("add", (spec, spec), where=spec)
    assert apply("add", (spec, spec), out=spec_of((2, 3), "i"), casting="unsafe").dtype == np.int32


def test_two_results_into_given_arrays() -> None:
    q, r = np.zeros(3), np.zeros(3)
    result = ops.resolve("divmod")(np.array([5.0, 6, 7]), 2.0, out=(q, r))
    assert result[0] is q and result[1] is r
    assert (q == [2, 3, 3]).all() and (r == [1, 0, 1]).all()


def test_unsafe_results_convert_as_a_gpu_does() -> None:
    out = np.zeros(3, np.int32)
    ops.resolve("add")(np.array([np.inf, -np.inf, 2.7]), 0.0, out=out, casting="unsafe")
    assert (out == [2147483647, -2147483648, 2]).all()


def test_integer_powers() -> None:
    power = ops.resolve("power")
    assert (power(np.array([2, 1, -1, 0]), np.array([-1, -1, -3, -2])) == [0, 1, -1, 0]).all()
    assert power(np.array([True, False, False]), np.array([True, True, False])).tolist() == [1, 0, 1]


def test_errors_are_cupys() -> None:
    small = spec_of((2,), "u1")
    with pytest.raises(TypeError, match="boolean subtract"):
        apply("subtract", (spec_of((2,), "?"), True))
    with pytest.raises(OverflowError):
        apply("add", (small, 300))
    assert apply("add", (small, 2)).dtype == np.uint8
    assert apply("equal", (small, 300)).dtype == np.bool_
    with pytest.raises(TypeError, match="Wrong type"):
        apply("bitwise_and", (spec_of((2,), "f4"), 1))
    with pytest.raises(ValueError, match=r"could not be broadcast together with shapes \(2,\) \(3,\)"):
        apply("add", (small, spec_of((3,), "u1")))
    with pytest.raises(TypeError, match="Unsupported type"):
        apply("add", (small, "text"))
    with pytest.raises(TypeError, match="Unsupported type"):
        apply("add", (small, None))


@settings(max_examples=60, deadline=None)
@given(
    hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3, min_side=0),
    st.sampled_from(CHARS),
    st.sampled_from(CHARS),
)
def test_broadcasting(shapes: Any, left: str, right: str) -> None:
    a, b = (np.ones(shape, char) for shape, char in zip(shapes.input_shapes, (left, right), strict=True))
    promised = apply("multiply", (spec_like(a), spec_like(b)))
    assert isinstance(promised, Spec) and promised.shape == shapes.result_shape and promised.c_contiguous
    check(promised, ops.resolve("multiply")(a, b), (shapes, left, right))


def test_every_public_ufunc_has_a_row() -> None:
    missing = {n for n in KERNELS if n.startswith("cupyx.scipy.special.")} - set(TABLE)
    public = {name for name in KERNELS if not name.startswith("@")} - missing
    assert public == {name for name, row in TABLE.items() if row.family == "ufunc"}


@pytest.mark.parametrize("name", sorted(UFUNCS))
def test_what_may_be_called_directly_gives_the_same(name: str) -> None:
    """The executor calls NumPy's ufunc itself where an implementation says that it may."""
    impl = ops.resolve(name)
    for chars in itertools.product(CHARS, repeat=KERNELS[name][0]):
        args = tuple(values(c) for c in chars)
        try:
            promised = apply(name, tuple(map(spec_like, args)))
        except TypeError:
            continue  # the client refuses
        direct = impl.direct_for(args) if hasattr(impl, "direct_for") else None
        if direct is None:
            continue
        with np.errstate(all="ignore"):
            result, general = direct(*args), impl(*args)
        check(promised, result, (name, chars))
        np.testing.assert_array_equal(result, general)


def test_bfloat16s_loops_are_taken_by_bfloat16_alone() -> None:
    """So they may be left out until a program has loaded ml_dtypes."""
    bfloat16 = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    strong = [(np.dtype(c), None) for c in "?bBhHiIlLefdFD"]
    weak = [(np.dtype(type(value)), type(value)) for value in (1, 1.0, 1j)]
    compared = 0
    for name, (nin, *_) in KERNELS.items():
        whole = kernel(name)
        if not any(bfloat16 in (*loop.inputs, *loop.outputs) for loop in whole.loops):
            continue
        rest = whole._replace(
            loops=tuple(loop for loop in whole.loops if bfloat16 not in (*loop.inputs, *loop.outputs))
        )
        for operands in (
            itertools.product((*strong, *weak), repeat=nin) if nin < 3 else zip(*[strong] * nin, strict=True)
        ):
            assert first_loop(whole, operands) == first_loop(rest, operands), (name, operands)
            compared += 1
        for char, _ in strong:
            assert not any(bfloat16 in loop.outputs for loop in whole.typed if all(t == char for t in loop.outputs))
    for name in (*REDUCTIONS, *reductions._UNRECORDED):
        for source, _ in strong:
            try:
                loop = reductions.reduction_loop(name, source, None)
            except TypeError:
                continue
            assert bfloat16 not in (*loop.inputs, *loop.outputs), (name, source)
            compared += 1
    assert compared > 10_000
