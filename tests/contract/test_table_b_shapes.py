"""Shapes that rules compute for arbitrary arguments, against NumPy doing it: reshape, joining, indexing, einsum, views."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cupool.apiserver.devices.cpu.ops_indexing import getitem as device_getitem
from cupool.apiserver.devices.cpu.ops_indexing import setitem as device_setitem
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cupool.contract.ops import UNKNOWN
from cupool.contract.ops.rules import indexing, linalg, manipulation
from cupool.contract.ops.rules.einsum import einsum
from cupool.contract.ops.rules.views import MAYBE_VIEW, VIEW_FUNCTIONS
from cupool.contract.spec import Spec, spec_like

FEW = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def numbered(shape: tuple[int, ...], order: str = "C") -> Any:
    return np.asarray(np.arange(int(np.prod(shape, dtype=np.int64)), dtype="f4").reshape(shape), order=order)  # type: ignore[call-overload]


def specs(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return spec_like(value)
    return type(value)(specs(v) for v in value) if isinstance(value, tuple | list) else value


@st.composite
def strided(draw: Any) -> Any:
    """An array whose memory is transposed, reversed or skipped."""
    a = numbered(draw(shapes))
    a = a.transpose(draw(st.permutations(range(a.ndim))))
    return a[tuple(slice(None, None, draw(st.sampled_from((1, 2, -1)))) for _ in range(a.ndim))]


@FEW
@given(strided(), st.lists(st.integers(0, 4), max_size=4), st.sampled_from("CFA"))
def test_reshape(a: Any, shape: list[int], order: Any) -> None:
    if int(np.prod(shape, dtype=np.int64)) != a.size:
        with pytest.raises(ValueError, match="cannot reshape"):
            manipulation.reshape(spec_like(a), tuple(shape), order)
        return
    expected = a.reshape(shape, order=order)
    promised = manipulation.reshape(spec_like(a), tuple(shape), order)
    assert promised.shape == expected.shape
    view = MAYBE_VIEW["reshape"](spec_like(a).shadow, tuple(shape), order)
    if a.size > 1:
        assert (view is not None) == np.may_share_memory(expected, a)
    if view is not None:
        assert view.strides == expected.strides or a.size <= 1


@FEW
@given(strided(), st.sampled_from("CFAK"))
def test_ravel_is_a_view_only_where_memory_is_in_order(a: Any, order: Any) -> None:
    view = MAYBE_VIEW["ravel"](spec_like(a).shadow, order)
    if a.size > 1:
        assert (view is not None) == np.may_share_memory(a.ravel(order=order), a)
    assert manipulation.ravel(spec_like(a), order).shape == (a.size,)


@FEW
@given(st.lists(shapes, min_size=1, max_size=3), st.integers(-4, 4))
def test_concatenate_agrees_with_numpy(several: list[tuple[int, ...]], axis: int) -> None:
    arrays = [numbered(shape) for shape in several]
    try:
        expected = np.concatenate(arrays, axis)
    except ValueError:
        with pytest.raises((ValueError, TypeError)):
            manipulation.concatenate(specs(arrays), axis)
        return
    assert manipulation.concatenate(specs(arrays), axis).shape == expected.shape


@st.composite
def keys(draw: Any, shape: tuple[int, ...]) -> Any:
    """A key with at most one mask; integer arrays in range."""
    items: list[Any] = []
    index_shape = draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=1, max_side=3))
    first = draw(st.integers(0, len(shape)))
    after = draw(st.integers(first, len(shape)))
    for axis, n in enumerate(shape):
        if axis == first and (after > first or draw(st.booleans())):
            items.append(Ellipsis)
        if first <= axis < after:
            continue
        kind = draw(st.sampled_from(("slice", "array", "int", "none")))
        if kind == "none":
            items.append(None)
        if kind == "array" and n:
            items.append(draw(hnp.arrays(np.int64, index_shape, elements=st.integers(-n, n - 1))))
        elif kind == "int" and n:
            items.append(draw(st.integers(-n, n - 1)))
        else:
            items.append(draw(st.slices(n)))
    return tuple(items)


@FEW
@given(st.data(), strided())
def test_fancy_reads_agree_with_numpy(data: Any, a: Any) -> None:
    key = data.draw(keys(a.shape))
    assume(any(isinstance(item, np.ndarray) for item in key))
    expected = a[key]
    promised = indexing.getitem(spec_like(a), specs(key))
    # With an Ellipsis that stands for no axis, or a scalar beside arrays, NumPy and CuPy agree in every case that both define.
    assert isinstance(promised, Spec)
    assert promised.shape == expected.shape, key
    assert np.array_equal(device_getitem(a, key), expected)


@FEW
@given(st.data(), shapes)
def test_fancy_assignment_agrees_with_numpy(data: Any, shape: tuple[int, ...]) -> None:
    ours, theirs = numbered(shape), numbered(shape)
    key = data.draw(keys(shape))
    target = theirs[key].shape
    value = data.draw(st.sampled_from((7, np.full(target, 9.0, "f4"), np.full((1, *target), 5.0, "f4"))))
    theirs[key] = value.reshape(target) if isinstance(value, np.ndarray) else value
    indexing.setitem(spec_like(ours), specs(key), specs(value))
    device_setitem(ours, key, value)
    assert np.array_equal(ours, theirs)


def test_indices_out_of_range_wrap() -> None:
    a = numbered((3, 4))
    assert np.array_equal(device_getitem(a, np.array([3, -4, 10])), a[[0, 2, 1]])
    assert np.array_equal(device_getitem(a, (slice(None), np.array([4, -5], "i1"))), a[:, [0, 3]])
    device_setitem(a, (np.array([5]), np.array([-7])), 100.0)
    assert a[2, 1] == 100.0
    assert np.array_equal(device_getitem(a, np.array([255], "u1")), a[[0]])


def test_masks_are_unknown_and_checked() -> None:
    a = spec_like(numbered((3, 4)))
    assert indexing.getitem(a, spec_like(np.ones((3, 4), bool))) == UNKNOWN
    with pytest.raises(IndexError, match="boolean index did not match"):
        indexing.getitem(a, spec_like(np.ones((4,), bool)))


@st.composite
def einsums(draw: Any) -> Any:
    """A subscripts text and operands that fit it."""
    lengths = {letter: draw(st.integers(1, 3)) for letter in "abcd"}
    count = draw(st.integers(1, 3))
    subs = ["".join(draw(st.lists(st.sampled_from("abcd"), max_size=3))) for _ in range(count)]
    operands = [numbered(tuple(lengths[letter] for letter in sub)) for sub in subs]
    letters = sorted(set("".join(subs)))
    output = draw(st.one_of(st.none(), st.lists(st.sampled_from(letters), unique=True) if letters else st.just([])))
    text = ",".join(subs) + ("" if output is None else "->" + "".join(output))
    return text, operands


@FEW
@given(einsums())
def test_einsum_agrees_with_numpy(case: Any) -> None:
    text, operands = case
    expected = np.asarray(np.einsum(text, *operands))
    promised = einsum(text, *specs(operands))
    assert (promised.shape, promised.dtype) == (expected.shape, expected.dtype), text
    view = MAYBE_VIEW["einsum"](text, *(spec_like(a).shadow for a in operands))
    if expected.size > 1:
        assert (view is not None) == any(np.shares_memory(expected, a) for a in operands), text
    if view is not None and expected.size > 1:
        assert view.strides == expected.strides


@FEW
@given(shapes, shapes)
def test_matmul_and_dot_agree_with_numpy(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    a, b = numbered(first), numbered(second)
    for rule, function in ((linalg.matmul, np.matmul), (linalg.dot, np.dot)):
        try:
            expected = np.asarray(function(a, b))  # type: ignore[operator]
        except ValueError:
            with pytest.raises(ValueError):
                rule(spec_like(a), spec_like(b))
            continue
        assert rule(spec_like(a), spec_like(b)).shape == expected.shape


VIEWS: dict[str, tuple[Any, ...]] = {
    "array_split": (2,), "broadcast_to": ((2, 4, 6),), "dsplit": (2,), "expand_dims": (1,), "hsplit": (2,), "moveaxis": (0, -1),
    "rollaxis": (2,), "split": (2,), "swapaxes": (0, 1), "vsplit": (1,),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(VIEW_FUNCTIONS))
def test_view_functions_stay_in_the_memory_of_their_argument(name: str) -> None:
    a = np.arange(48.0).reshape(2, 4, 6).astype("c16" if name == "real" else "f8")
    result = VIEW_FUNCTIONS[name](a, *VIEWS.get(name, ()))
    for view in result if isinstance(result, list | tuple) else (result,):
        assert np.shares_memory(view, a)


def test_a_shadow_is_never_read() -> None:
    # A shadow claims terabytes over a few bytes of memory: copying one would end this process.
    huge = Spec((1 << 20, 1 << 22), np.dtype("f8"), (8 << 22, 8))
    assert manipulation.reshape(huge, (1 << 22, 1 << 20)).size == huge.size
    assert MAYBE_VIEW["ravel"](huge.shadow.T) is None
    assert MAYBE_VIEW["reshape"](huge.shadow.T, (-1,)) is None
    assert MAYBE_VIEW["ascontiguousarray"](huge.shadow.T) is None
    assert MAYBE_VIEW["imag"](huge.shadow) is None
    assert einsum("ij->j", huge).shape == (1 << 22,)
    assert linalg.norm(huge).shape == ()
