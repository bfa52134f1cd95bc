"""`cupy.make_aligned_dtype`: structured dtypes as kernels need them, each field on a multiple of its own size."""

from __future__ import annotations

from typing import Any

import numpy as np


def make_aligned_dtype(dtype: Any, *, alignment: int = -1, recurse: bool = True) -> np.dtype[Any]:
    """As `cupy.make_aligned_dtype`.

    Args:
        dtype: what `numpy.dtype` takes; structured, its fields in order.
        alignment: the result's own alignment, at least what its fields need; kept in the dtype's metadata.
        recurse: align nested structures too; else they are taken as they are.

    Raises:
        ValueError: not structured, fields out of order, or an alignment that is no power of two or too small.
    """
    if np.dtype(dtype, align=True).fields is None:
        raise ValueError("make_aligned_dtype() only supports structured dtypes.")
    return _aligned(np.dtype(dtype, align=True), alignment, recurse)[0]


def _aligned(dtype: np.dtype[Any], alignment: int, recurse: bool) -> tuple[np.dtype[Any], int]:
    """The dtype and what a field of it is aligned to."""
    if alignment != -1 and (alignment <= 0 or alignment.bit_count() != 1):
        raise ValueError("Reasonable alignments must be >0 and a power of 2.")
    formats, offsets, end, last, needed = [], [], 0, 0, 1
    fields: Any = dtype.fields
    for name in dtype.names or ():
        field, offset = fields[name][:2]
        if offset < last:
            raise ValueError(
                "make_aligned_dtype() only supports well behaved in-order fields as it ignores field offsets."
            )
        last = offset + field.itemsize
        field, own = _field(field, recurse)
        end = -(-end // own) * own
        formats.append(field)
        offsets.append(end)
        end, needed = end + field.itemsize, max(needed, own)
    if alignment != -1 and alignment < needed:
        raise ValueError(f"make_aligned_dtype(): given alignment={alignment} smaller than minimum alignment {needed}")
    needed = max(needed, alignment)
    layout: Any = {
        "names": dtype.names, "formats": formats, "offsets": offsets, "itemsize": -(-end // needed) * needed,
    }  # fmt: skip
    metadata: Any = {} if alignment == -1 else {"metadata": {"__cuda_alignment__": alignment}}
    made: np.dtype[Any] = np.dtype(layout, align=True, **metadata)
    return made, needed


def _field(field: np.dtype[Any], recurse: bool) -> tuple[np.dtype[Any], int]:
    metadata: Any = field.metadata or {}
    given = metadata.get("__cuda_alignment__")
    if given is not None:
        return field, given
    if field.fields is not None:
        return _aligned(field, -1, recurse) if recurse else (field, field.alignment)
    if field.subdtype is not None:
        if field.base.fields is not None:
            raise ValueError("CuPy does not yet support subarray dtypes.")
        return field, _field(field.base, recurse)[1]
    return field, 1 if field.type is np.void else field.itemsize
