"""What becomes of large arrays on their way: compressed, or `float32` as 16 bits. Off unless the program or its environment asks.

    CUPOOL_COMPRESSION=zlib            bulk bytes are packed where they travel over gRPC; nothing of them changes
    CUPOOL_FLOAT32_AS=float16          arrays of float32 above 64 KiB travel as float16, or bfloat16: half of the bytes, and rounded
    with cupool.transit(...):          either, for the arrays that are sent and fetched in the block

Rounding is to nearest, once each way. The bounds: float16, an error of at most 2**-11 of the value, or 2**-25 for values below 2**-14;
bfloat16, 2**-8 of the value, or 2**-134 below 2**-126. An infinity or NaN stays one. A value that would become an infinity does not: its
array travels whole.

Boundary: which wishes hold here and now, and the rounding. Who sends is `convert.py` (rounded) and `bulk.py` (packed).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cupool.contract.compressions import COMPRESSIONS

from .config import FLOAT32_AS, config, one_of

Host = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Transit:
    """`compression`: "zlib" or ""; `float32_as`: "float16", "bfloat16" or ""."""

    compression: str
    float32_as: str


_wishes: ContextVar[Transit | None] = ContextVar("cupool_transit", default=None)


def wishes() -> Transit:
    """What holds here and now: of the innermost block, else of the environment."""
    found = _wishes.get()
    if found is None:
        settings = config()
        found = Transit(settings.compression, settings.float32_as)
    return found


@contextmanager
def transit(*, compression: str | None = None, float32_as: str | None = None) -> Iterator[None]:
    """A block whose large arrays travel in another way; the bounds of what is rounded are this module's first lines.

        with cupool.transit(float32_as="float16"):
            images = cp.asarray(batch)

    Args:
        compression: "zlib": bytes are packed between hosts; "": they are not. None: as outside of the block.
        float32_as: "float16" or "bfloat16": arrays of float32 are rounded to that on their way, in both directions; "": they are not.
            None: as outside of the block.

    Raises:
        ValueError: another word.
    """
    wanted = wishes()
    if compression is not None:
        wanted = replace(wanted, compression=one_of(compression, ("", *COMPRESSIONS), "compression"))
    if float32_as is not None:
        wanted = replace(wanted, float32_as=one_of(float32_as, FLOAT32_AS, "float32_as"))
    token = _wishes.set(wanted)
    try:
        yield
    finally:
        _wishes.reset(token)


# -- float32 as 16 bits -----------------------------------------------------------------------------------------------
def rounded(host: Host, float32_as: str) -> Host | None:
    """The array in 16 bits, of the same shape and layout: float16, or the upper half of the bits as uint16. None: a value would become
    an infinity."""
    if float32_as == "float16":
        with np.errstate(over="ignore"):
            half = host.astype(np.float16)
        return half if np.isinf(half).sum() == np.isinf(host).sum() else None
    bits = host.view(np.uint32)
    upper = (bits >> np.uint32(16)).astype(np.uint16)
    # To nearest, ties to even: the lower half is more than a half, or it is one and the upper half is odd.
    lower = bits.astype(np.uint16)
    upper += (lower > 0x8000) | ((lower == 0x8000) & (upper & 1).astype(bool))
    is_nan = np.isnan(host)
    if is_nan.any():
        upper[is_nan] = 0x7FC0
    return upper if ((upper & 0x7FFF) == 0x7F80).sum() == np.isinf(host).sum() else None


def whole(half: Host, out: Host | None = None) -> Host | None:
    """float32 again, into `out` or a new array. None: there is an infinity, which may be one by rounding alone."""
    if half.dtype == np.float16:
        if np.isinf(half).any():
            return None
        made = np.empty(half.shape, np.float32) if out is None else out
        np.copyto(made, half)
        return made
    if ((half & 0x7FFF) == 0x7F80).any():
        return None
    made = np.empty(half.shape, np.float32) if out is None else out
    np.left_shift(half, np.uint32(16), out=made.view(np.uint32), dtype=np.uint32)
    return made


def sent_rounded(host: Host, float32_as: str, upload: Any) -> Any:
    """A device array of float32 that travelled as 16 bits; None: it has to travel whole."""
    half = rounded(host, float32_as)
    if half is None:
        return None
    made = upload(half)
    if float32_as == "float16":
        return made.astype(np.float32)
    bits = made.astype(np.uint32)
    bits <<= 16
    return bits.view(np.float32)


def fetched_rounded(array: Any, float32_as: str, fetch: Any) -> Host:
    """The 16 bits of a device array of float32, in C order, rounded where it is."""
    from . import cupy as cp

    if float32_as == "float16":
        found: Host = fetch(array.astype(np.float16, order="C"))
        return found
    bits = cp.ascontiguousarray(array).view(np.uint32)
    upper = bits >> 16
    upper += ((bits & 0xFFFF) + (upper & 1)) > 0x8000
    halves: Host = fetch(cp.where(cp.isnan(array), np.uint32(0x7FC0), upper).astype(np.uint16, order="C"))
    return halves
