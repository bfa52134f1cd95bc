"""How the driver gives NumPy's bits: tried once for each loop, on values that are corners for the most part, before it is used.

Note [Rows that are apart]: where an operand's rows are not next to each other, or are repeated, NumPy calls a loop for each row; or, where
rows are short, copies as many as fit into a buffer of 8192 elements, so that only the end of such a chunk is a loop's tail, and what is
repeated is an operand like any other. It shows where a loop's body and tail differ (Note [Bits of a loop] in proof.py). The driver has both
ways, and here it is seen which one is right for a loop and a width of rows.

The trial is the real thing, a program of one step in small blocks, beside one call of NumPy.

Boundary: knows programs and the driver, nothing of commands.
"""

from __future__ import annotations

import math
from math import prod
from typing import Any

import numpy as np

from . import proof
from .driver import Driver
from .kinds import Operation, Reduction
from .lowering import lower
from .programs import Program, Scratch, compile_segment
from .segments import Node, Segment, Value

Array = np.ndarray[Any, Any]

_SIZE = 1543
_BLOCK_BYTES = 1024
#: Rows for blocks that end within vectors.
_FOLDED = (31, 49)
#: Wider ones are not tried by rows: a row is a long way from its ends.
_WIDEST = 1 << 16
#: Rows that are reduced: shorter than a vector, than a run of a sum, and longer; with a size that no vector divides.
_REDUCED = ((40, 2), (40, 7), (16, 8), (11, 129), (5, 1001), (3, 5, 70))
#: And elements of which totals are taken: more than a run of a sum.
_TOTAL = 4099

_known: dict[Any, Any] = {}


class Trials:
    """Of one driver; a `lowering.Ways`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def flat(self, how: Operation, given: tuple[Any, ...]) -> bool:
        """See `Ways`."""
        name = how.ufunc.__name__ if how.ufunc is not None else "where" if how.makes else "copy"
        chars = tuple(d and (d[0].char, "one") if isinstance(d, tuple) else d and d.char for d in given)
        key = (name, chars, tuple(d.char for d in how.inputs), how.dtype.char)
        found = _known.get(key)
        if found is None:
            rng = np.random.default_rng(11)
            found = _known[key] = all(
                self._is_same(how, values, "rows")
                and (how.ufunc is None or self._is_same(how, [_folded(v) for v in values], "rows"))
                for values in _samples(how, given, rng)
            )
        return bool(found)

    def rows(self, how: Operation, given: tuple[Any, ...], width: int) -> str:
        """See `Ways`."""
        assert how.ufunc is not None
        kinds = tuple(of and (of[0].char, *of[1:]) for of in given)
        key = (how.ufunc.__name__, kinds, how.dtype.char, width)
        found = _known.get(key)
        if found is None:
            found = ""
            if width <= _WIDEST:
                samples = [self._apart(how, given, width, is_nan) for is_nan in (True, False)]
                ways = ("rows", "chunks")
                found = next((way for way in ways if all(self._is_same(how, of, way) for of in samples)), "")
            _known[key] = found
        return str(found)

    def _apart(self, how: Operation, given: tuple[Any, ...], width: int, is_nan: bool) -> list[Any]:
        """Operands with such rows: values with corners, or, where they are floating point numbers, nothing but NaNs that differ."""
        rows = 8192 // width + 3  # more than a chunk
        rng = np.random.default_rng(17)
        values: list[Any] = []
        for k, of in enumerate(given):
            if of is None:
                values.append(_number(how, k, is_nan))
                continue
            dtype, has_rows, has_columns = of
            size = rows * (width + 3)
            whole = proof.values(rng, dtype, size)
            if is_nan and dtype.kind == "f":
                whole[:] = np.nan
                whole.view(f"u{dtype.itemsize}")[:] |= rng.integers(0, 1000, size).astype(f"u{dtype.itemsize}")
            part = whole.reshape(rows, width + 3)[:, k : k + width]
            values.append(part[: rows if has_rows else 1, : width if has_columns else 1])
        return values

    def _is_same(self, how: Operation, values: list[Any], way: str) -> bool:
        if how.copies or how.converts:
            expected = np.empty(values[0].shape, how.dtype)
            how.call(values[0], out=expected)
        else:
            expected = how.call(*values)
        made = np.full(expected.shape, 1, how.dtype)
        segment = Segment(0, expected.shape)
        operands = [Value(v.shape, v.dtype, v) if isinstance(v, np.ndarray) else v for v in values]
        segment.add(Node(how, operands, Value(made.shape, made.dtype, made), None, False))
        segment.is_flat = made.ndim == 1  # what is folded shall run by rows
        return self._run(segment, way) is not None and made.tobytes() == expected.tobytes()

    def _run(self, segment: Segment, way: str) -> tuple[Program, list[Array]] | None:
        """The program, run by the driver in small blocks, and the blocks' parts of totals; None where it cannot be."""
        scratch = Scratch()
        program = compile_segment(segment, scratch, _BLOCK_BYTES, may_be_ragged=True)
        lowered = lower(program, scratch, 2, _Only(way))
        if lowered is None:
            return None
        with self._driver.team(lowered.threads) as team:
            lowered.run(program, team)
        return program, lowered.parts

    def reduces(self, how: Reduction, given: np.dtype[Any], by_row: bool) -> bool:
        """See `Ways`."""
        key = (how.ufunc.__name__, how.dtype.char, given.char, by_row, by_row and how.divide, by_row and how.root)
        found = _known.get(key)
        if found is None:
            found = _known[key] = self._reduces(how, given, by_row)
        return bool(found)

    def _reduces(self, how: Reduction, dtype: np.dtype[Any], by_row: bool) -> bool:
        rng = np.random.default_rng(13)
        nothing = -np.zeros(_TOTAL, dtype) if dtype.kind == "f" else np.zeros(_TOTAL, dtype)
        if not by_row:
            return self._totals_agree(how, _plain(rng, dtype, (_TOTAL,))) and self._totals_agree(how, nothing)
        return all(
            self._rows_agree(how, proof.values(rng, dtype, prod(shape)).reshape(shape))
            and self._rows_agree(how, _plain(rng, dtype, shape))
            for shape in _REDUCED
        ) and self._rows_agree(how, nothing[:4096].reshape(64, 64))

    def _rows_agree(self, how: Reduction, x: Array) -> bool:
        expected: Array = np.empty((*x.shape[:-1], 1), how.dtype)
        how.ufunc.reduce(x, axis=-1, dtype=_adding(how), out=expected, keepdims=True)
        if how.divide:
            np.true_divide(expected, np.asarray(x.shape[-1], how.dtype), out=expected)
        if how.root:
            np.sqrt(expected, out=expected)
        made = np.full_like(expected, 1)
        result = Value(made.shape, made.dtype, made)
        result.is_reduced = True
        segment = Segment(0, x.shape)
        segment.add(Node(how, [Value(x.shape, x.dtype, x)], result, None, True))
        return self._run(segment, "rows") is not None and made.tobytes() == expected.tobytes()

    def _totals_agree(self, how: Reduction, x: Array) -> bool:
        segment = Segment(0, x.shape)
        segment.add(Node(how, [Value(x.shape, x.dtype, x)], Value((), how.dtype, np.empty((), how.dtype)), None, False))
        found = self._run(segment, "rows")
        if found is None:
            return False
        program, (parts,) = found
        for (_, _, first, last), part in zip(program.bounds(), parts, strict=True):
            piece = x[first:last]
            expected = np.count_nonzero(piece) if how.style == "count" else how.ufunc.reduce(piece, dtype=_adding(how))
            if np.asarray(part, how.dtype).tobytes() != np.asarray(expected, how.dtype).tobytes():
                return False
        return True


def _samples(how: Operation, given: tuple[Any, ...], rng: np.random.Generator) -> list[list[Any]]:
    """Operands for `Trials.flat`: of elements that stand for all once a NaN as no array has it, once a number."""
    arrays = [proof.values(rng, d, _SIZE) if isinstance(d, np.dtype) else None for d in given]
    singles = [d[0] if isinstance(d, tuple) else None for d in given]
    return [
        [
            _one(single, is_nan) if single is not None else _number(how, k, is_nan) if array is None else array
            for k, (array, single) in enumerate(zip(arrays, singles, strict=True))
        ]
        for is_nan in ((True, False) if any(d is None or type(d) is tuple for d in given) else (False,))
    ]  # fmt: skip


def _one(dtype: np.dtype[Any], is_nan: bool) -> Array:
    """An array of no dimensions."""
    if not is_nan or dtype.kind != "f":
        return np.array(1, dtype)
    made = np.array([np.nan], dtype)
    made.view(f"u{dtype.itemsize}")[:] |= 1234 if dtype.itemsize > 2 else 77
    return made.reshape(())


def _folded(value: Any) -> Any:
    """A packed array as rows that no vector divides: the driver's blocks of them end within vectors."""
    return value[: _FOLDED[0] * _FOLDED[1]].reshape(_FOLDED) if isinstance(value, np.ndarray) and value.ndim else value


class _Only:
    """One way, whatever it gives: for the trial of it."""

    def __init__(self, way: str) -> None:
        self._way = way

    def flat(self, how: Operation, given: tuple[Any, ...]) -> bool:
        return True

    def rows(self, how: Operation, given: tuple[Any, ...], width: int) -> str:
        return self._way

    def reduces(self, how: Reduction, given: np.dtype[Any], by_row: bool) -> bool:
        return True


def _plain(rng: np.random.Generator, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """Values without corners, whose sum depends on the order."""
    if dtype.kind != "f":
        return proof.values(rng, dtype, prod(shape)).reshape(shape)
    return (rng.standard_normal(shape) * 1e3).astype(dtype)


def _number(how: Operation, k: int, is_nan: bool) -> float:
    """For an operand that is a number, or one element for all."""
    if how.inputs and how.inputs[k].kind in "iu":
        return 3
    return math.nan if is_nan else 0.75


def _adding(how: Reduction) -> np.dtype[Any] | None:
    """The dtype that NumPy is told, as in programs.py."""
    return None if how.ufunc in (np.logical_or, np.logical_and) else how.dtype


__all__ = ["Trials"]
