"""Random programs of views, in-place operations, slices, masks and reductions: arrays and NumPy must agree after every one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from cupool.shim import cupy as cp
from cupool.shim import session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DTYPES = ("?", "i1", "u1", "i4", "i8", "f4", "f8", "c8", "c16")


@pytest.fixture(scope="module", autouse=True)
def device() -> Iterator[None]:
    session.current()
    yield
    session.close()


Step = Callable[[list[Any]], None]


@st.composite
def slices(draw: st.DrawFn) -> Any:
    return slice(
        draw(st.none() | st.integers(-4, 4)),
        draw(st.none() | st.integers(-4, 4)),
        draw(st.none() | st.sampled_from([-2, -1, 1, 2])),
    )


KEYS = st.lists(slices() | st.integers(-2, 1) | st.just(None) | st.just(Ellipsis), min_size=1, max_size=3).map(tuple)
BINARY = st.sampled_from(
    [
        lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a < b, lambda a, b: a == b, lambda a, b: a >= b,
        lambda a, b: a != b,
    ]
)  # fmt: skip
SCALARS = st.sampled_from([0, 1, 2, 3, -1, 0.5, -2.0, 2.0, True])
VIEWS = st.sampled_from(
    [
        lambda a: a.T, lambda a: a.reshape(-1), lambda a: a[::-1], lambda a: a[..., None], lambda a: a.ravel(), lambda a: a.squeeze(),
        lambda a: a.copy(), lambda a: a.swapaxes(0, -1), lambda a: a.real,
    ]
)  # fmt: skip
REDUCTIONS = st.sampled_from(
    [
        lambda a: a.sum(), lambda a: a.max(), lambda a: a.min(), lambda a: a.sum(axis=0), lambda a: a.any(), lambda a: a.all(),
        lambda a: a.prod(axis=-1), lambda a: a.argmax(), lambda a: a.sum(axis=-1, keepdims=True),
    ]
)  # fmt: skip


@st.composite
def programs(draw: st.DrawFn) -> list[tuple[str, Any]]:
    """A list of steps; each takes arrays by position from what there is and may add one."""
    steps: list[tuple[str, Any]] = []
    for _ in range(draw(st.integers(1, 10))):
        kind = draw(
            st.sampled_from(
                ["key", "binary", "scalar", "view", "reduce", "inplace", "assign", "mask", "set mask", "unary"]
            )
        )
        i, j = draw(st.integers(0, 20)), draw(st.integers(0, 20))
        argument = {
            "key": KEYS, "binary": BINARY, "scalar": st.tuples(BINARY, SCALARS), "view": VIEWS, "reduce": REDUCTIONS,
            "inplace": st.tuples(st.sampled_from(["__iadd__", "__isub__", "__imul__"]), SCALARS | st.none()),
            "assign": st.tuples(KEYS, SCALARS), "mask": SCALARS, "set mask": st.tuples(SCALARS, SCALARS),
            "unary": st.sampled_from([lambda a: -a, abs, lambda a: +a, lambda a: ~a]),
        }[kind]  # fmt: skip
        steps.append((kind, (i, j, draw(argument))))
    return steps


def run_step(arrays: list[Any], kind: str, step: Any) -> Any:
    i, j, argument = step
    a, b = arrays[i % len(arrays)], arrays[j % len(arrays)]
    match kind:
        case "key":
            result = a[argument if Ellipsis in argument else (*argument, Ellipsis)]
        case "binary":
            result = argument(a, b)
        case "scalar":
            result = argument[0](a, argument[1])
        case "view" | "reduce" | "unary":
            result = argument(a)
        case "inplace":
            result = getattr(a, argument[0])(b if argument[1] is None else argument[1])
        case "assign":
            a[argument[0]] = argument[1]
            result = None
        case "mask":
            result = a[a > argument] if a.ndim else None
        case _:
            a[a > argument[0]] = argument[1]
            result = None
    if isinstance(result, np.generic):
        result = np.asarray(result)
    return result


def outcome(arrays: list[Any], kind: str, step: Any) -> tuple[Any, type[BaseException] | None]:
    try:
        with np.errstate(all="ignore"):
            return run_step(arrays, kind, step), None
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        return None, type(error)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    program=programs(),
    shapes=st.lists(st.sampled_from([(3,), (2, 3), (1,), (4, 1), (2, 2, 2), (0, 2), ()]), min_size=1, max_size=3),
    dtypes=st.lists(st.sampled_from(DTYPES), min_size=3, max_size=3),
)
def test_random_programs_agree_with_numpy(program: list[Any], shapes: list[Any], dtypes: list[str]) -> None:
    hosts: list[Any] = []
    for shape, dtype in zip(shapes, dtypes, strict=False):
        size = int(np.prod(shape))
        hosts.append((np.arange(size) % 5 - (0 if dtype in ("?", "u1") else 2)).astype(dtype).reshape(shape))
    arrays: list[Any] = [cp.array(h) for h in hosts]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind, step in program:
            if _differs_by_design(hosts, kind, step):
                continue
            expected, host_error = outcome(hosts, kind, step)
            got, error = outcome(arrays, kind, step)
            if host_error is not None or error is not None:
                # CuPy refuses some loops that NumPy has and the other way round; the kinds of errors differ little.
                if host_error is None or error is None:
                    _undo(hosts, arrays)
                continue
            if expected is not None:
                assert got.shape == expected.shape, (kind, step)
                assert got.dtype == expected.dtype or kind in ("reduce", "mask"), (kind, got.dtype, expected.dtype)
                if not any(expected is h for h in hosts):
                    hosts.append(expected)
                    arrays.append(got)
            for host, array in zip(hosts, arrays, strict=True):
                np.testing.assert_array_equal(array.get(), host)


def _differs_by_design(hosts: list[Any], kind: str, step: Any) -> bool:
    """Where CuPy itself differs from NumPy: order of complex numbers, negative assigned to unsigned, in-place overlap."""
    i, j, argument = step
    a, b = hosts[i % len(hosts)], hosts[j % len(hosts)]
    if any(h.dtype.kind == "c" for h in (a, b)) and kind in ("binary", "scalar", "reduce", "mask", "set mask", "unary"):
        return True
    if kind in ("assign", "set mask") and a.dtype.kind in "u?" and argument[1] in (-1, -2.0, 0.5):
        return True
    return kind == "inplace" and np.shares_memory(a, b)


def _undo(hosts: list[Any], arrays: list[Any]) -> None:
    """One side did something and the other refused: start over from the host's values."""
    arrays[:] = [cp.array(h) for h in hosts]
    hosts[:] = [h.copy() for h in hosts]
