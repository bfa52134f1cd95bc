"""Whether a ufunc's loop gives the same bits when its operands are cut: the condition for running it in blocks.

Note [Bits of a loop]: NumPy's loops have a body of whole vectors and a tail, which need not give the same bits (sums and products of two
NaNs with different payloads: the body keeps the first, the tail the second), and paths of their own for strides. So blocks are cut where
no vector is: after multiples of `UNIT` elements, or of whole rows where an operand is not packed, so that every element is in a body or
tail, packed or strided, as it would have been. That this is enough is a property of this NumPy on this processor: it is tried here, once
for each loop, before the loop is joined, on values that are corners for the most part.

So is the order in which sums are added up (Note [Sums in blocks] in programs.py).

Boundary: knows ufuncs and dtypes, nothing of commands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: Elements of a trial; odd, so that each split has bodies and tails.
_SIZE = 1543
_CUTS = (64, 192, 1024)
#: Blocks are multiples of this many elements: of every vector's length.
UNIT = 64

#: Sizes of the trial of sums, and of their parts.
_SUMS = ((9, 128), (1031, 128), (40_003, 4096), (70_001, 16384))

_known: dict[tuple[str, tuple[str, ...]], bool] = {}
_sums: dict[str, bool] = {}


def can_be_cut(ufunc: np.ufunc, dtypes: tuple[np.dtype[Any], ...]) -> bool:
    """Whether parts of the operands give the same parts of the result, bit for bit; also over an operand, also elsewhere in memory.

    Args:
        dtypes: of the operands, one each. The caller's thread ignores floating point errors.
    """
    key = (ufunc.__name__, tuple(d.char for d in dtypes))
    found = _known.get(key)
    if found is None:
        found = _known[key] = _try(ufunc, dtypes)
    return found


def _try(ufunc: np.ufunc, dtypes: tuple[np.dtype[Any], ...]) -> bool:
    rng = np.random.default_rng(7)
    operands = [values(rng, dtype, _SIZE) for dtype in dtypes]
    whole: Array = ufunc(*operands)
    expected = whole.tobytes()

    def agrees(made: Array) -> bool:
        return bool(made.tobytes() == expected)

    for cut in _CUTS:
        made = np.empty_like(whole)
        low = 0
        while low < _SIZE:
            high = low + cut if low + cut + UNIT <= _SIZE else _SIZE
            ufunc(*[x[low:high] for x in operands], out=made[low:high])
            low = high
        if not agrees(made):
            return False
    if not agrees(ufunc(*[_shifted(x) for x in operands])):
        return False
    for k, operand in enumerate(operands):
        if operand.dtype == whole.dtype:
            own = [x.copy() for x in operands]
            if not agrees(ufunc(*own, out=own[k])):
                return False
    return True


def halves(n: int, most: int) -> Iterator[int]:
    """The sizes of the parts into which NumPy's sum divides n numbers, divided until they have at most `most`."""
    if n <= most:
        yield n
        return
    half = n // 2
    half -= half % 8
    yield from halves(half, most)
    yield from halves(n - half, most)


def added(parts: Iterator[Any], n: int, most: int) -> Any:
    """The sums of those parts, added up as NumPy does."""
    if n <= most:
        return next(parts)
    half = n // 2
    half -= half % 8
    left = added(parts, half, most)
    return left + added(parts, n - half, most)


def adds_by_halves(dtype: np.dtype[Any]) -> bool:
    """Whether this NumPy adds numbers of a dtype by those halves: tried once, on numbers whose sum depends on the order."""
    found = _sums.get(dtype.char)
    if found is None:
        found = _sums[dtype.char] = all(_try_sum(dtype, n, most) for n, most in _SUMS)
    return found


def _try_sum(dtype: np.dtype[Any], n: int, most: int) -> bool:
    x = (np.random.default_rng(n).standard_normal(n) * 1e3).astype(dtype)
    parts, at = [], 0
    for size in halves(n, most):
        parts.append(np.add.reduce(x[at : at + size], axis=None, dtype=dtype))
        at += size
    total = np.asarray(added(iter(parts), n, most), dtype)
    return total.tobytes() == np.asarray(np.add.reduce(x, axis=None, dtype=dtype)).tobytes()


def _shifted(x: Array) -> Array:
    memory = np.empty(x.size + 3, x.dtype)
    memory[3:] = x
    return memory[3:]


def values(rng: np.random.Generator, dtype: np.dtype[Any], size: int) -> Array:
    """Values of a dtype, corners among them."""
    if dtype.kind == "b":
        return rng.random(size) < 0.5
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        whole = rng.integers(info.min, info.max, size, dtype, endpoint=True)
        small = rng.random(size) < 0.5
        whole[small] = rng.integers(0 if dtype.kind == "u" else -5, 6, int(small.sum())).astype(dtype)
        return whole
    x = rng.standard_normal(size) * np.exp(rng.uniform(-20, 20, size))
    x[::3] = rng.uniform(-2, 2, len(x[::3]))
    real: Array = x.astype(dtype)
    info_f = np.finfo(dtype)
    corners = np.array(
        [0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, 1.0, -1.0, 2.0, info_f.tiny, info_f.max, info_f.smallest_subnormal], dtype
    )  # fmt: skip
    chosen = rng.random(size) < 0.4
    real[chosen] = rng.choice(corners, int(chosen.sum()))
    bits = real.view(f"u{dtype.itemsize}")
    marked = np.isnan(real) & (rng.random(size) < 0.5)
    bits[marked] |= rng.integers(0, 200, int(marked.sum())).astype(bits.dtype)
    return real


__all__ = ["UNIT", "added", "adds_by_halves", "can_be_cut", "halves", "values"]
