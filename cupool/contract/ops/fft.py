"""Rows: `cupy.fft`."""

from __future__ import annotations

from typing import Any

import numpy as np

from cupool.contract.ops._row import op
from cupool.contract.ops._sample_arrays import arr, call, fails, pos
from cupool.contract.ops.rules import fft as rules

AxisError = np.exceptions.AxisError


def _one_samples(complex_input: bool) -> Any:
    kinds = ("f8", "f4", "i4", "f2", "c8", "c16") if complex_input else ("f8", "f4", "i4", "f2")

    def make() -> list[Any]:
        result = [call(pos(2, 6, dtype=kind)) for kind in kinds]
        return [
            *result,
            call(pos(2, 6), n=4),
            call(pos(2, 6), n=9, axis=0),
            call(pos(5), norm="ortho"),
            call(pos(5, dtype="c8"), norm="forward"),
        ]

    return make


def _one_errors() -> list[Any]:
    return [
        fails(AxisError, arr(3), axis=1), fails(ValueError, arr(3), norm="nope"), fails(ValueError, arr(3), n=0),
        fails(TypeError, [1.0, 2.0]),
    ]  # fmt: skip


def _several_samples() -> list[Any]:
    return [
        call(pos(4, 6)), call(pos(4, 6, dtype="f4")), call(pos(3, 4, 6), axes=(0, 2)), call(pos(4, 6), s=(3, 8)),
        call(pos(4, 6), s=(8, 4), axes=(1, 0)),
        call(pos(4, 6, dtype="i4"), norm="ortho"), call(pos(4, 6, dtype="c16")),
    ]  # fmt: skip


def _several_errors() -> list[Any]:
    return [
        fails(ValueError, arr(3, 3), s=(2,), axes=(0, 1)),
        fails(AxisError, arr(3, 3), axes=(0, 5)),
        fails(ValueError, arr(3, 3), norm="x"),
    ]


for _name, _kind in {
    "fft": "c2c",
    "ifft": "c2c",
    "rfft": "r2c",
    "irfft": "c2r",
    "hfft": "hfft",
    "ihfft": "ihfft",
}.items():
    op(
        f"fft.{_name}",
        "(a, n=None, axis=-1, norm=None)",
        rules.one(_kind),
        samples=_one_samples(_kind not in ("r2c", "ihfft")),
        errors=_one_errors,
    )
for _name, _kind in {"fft": "c2c", "ifft": "c2c", "rfft": "r2c", "irfft": "c2r"}.items():
    op(
        f"fft.{_name}2",
        "(a, s=None, axes=(-2, -1), norm=None)",
        rules.several(_kind, (-2, -1)),
        samples=_several_samples,
        errors=_several_errors,
    )
    op(
        f"fft.{_name}n",
        "(a, s=None, axes=None, norm=None)",
        rules.several(_kind),
        samples=_several_samples,
        errors=_several_errors,
    )
op(
    "fft.fftfreq",
    "(n, d=1.0)",
    rules.freq(False),
    varying=("d",),
    samples=lambda: [call(5), call(4, d=0.5), call(0)],
    errors=lambda: [fails(TypeError, 2.5)],
)
op(
    "fft.rfftfreq",
    "(n, d=1.0)",
    rules.freq(True),
    varying=("d",),
    samples=lambda: [call(5), call(4, d=0.5), call(0)],
    errors=lambda: [fails(TypeError, 2.5)],
)
for _name in ("fftshift", "ifftshift"):
    op(f"fft.{_name}", "(x, axes=None)", rules.shift, repeat="exact", samples=lambda: [call(arr(5)), call(arr(2, 3),
       axes=1), call(arr(2, 3), axes=(0, 1))],
       errors=lambda: [fails(AxisError, arr(3), axes=1)])  # fmt: skip
