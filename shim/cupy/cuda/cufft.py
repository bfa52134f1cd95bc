"""`cupy.cuda.cufft`: plans. A plan says how transforms lie in memory; the transforms are `cupy.fft`'s, on views of that memory.

As in cuFFT nothing is scaled: the inverse of the forward transform is the data times their number.

Boundary: no library handle lives here; a plan's `handle` is a number for the `exec…` functions.
"""

from __future__ import annotations

import itertools
import math
import threading
import weakref
from typing import Any, Self

import numpy as np

from cupool.contract.spec import spec_of

from . import _libraries
from ._memories import array_at
from ._pointer import MemoryPointer

CUFFT_C2C, CUFFT_R2C, CUFFT_C2R, CUFFT_Z2Z, CUFFT_D2Z, CUFFT_Z2D = 0x29, 0x2A, 0x2C, 0x69, 0x6A, 0x6C
CUFFT_FORWARD, CUFFT_INVERSE = -1, 1
(
    CUFFT_CB_LD_COMPLEX, CUFFT_CB_LD_COMPLEX_DOUBLE, CUFFT_CB_LD_REAL, CUFFT_CB_LD_REAL_DOUBLE, CUFFT_CB_ST_COMPLEX,
    CUFFT_CB_ST_COMPLEX_DOUBLE, CUFFT_CB_ST_REAL, CUFFT_CB_ST_REAL_DOUBLE,
) = range(8)  # fmt: skip

#: Kind of transform -> dtypes of input and output.
_TYPES = {
    CUFFT_C2C: ("F", "F"), CUFFT_R2C: ("f", "F"), CUFFT_C2R: ("F", "f"), CUFFT_Z2Z: ("D", "D"), CUFFT_D2Z: ("d", "D"),
    CUFFT_Z2D: ("D", "d"),
}  # fmt: skip
_INVALID_PLAN, _INVALID_VALUE, _INVALID_SIZE, _NOT_SUPPORTED = 1, 4, 8, 16
#: Two half-precision numbers: complex numbers that NumPy has no dtype for.
_HALF_COMPLEX = "E"


class CuFFTError(RuntimeError):
    """An error of cuFFT.

    Attributes:
        result: cuFFT's number for it.
    """

    __module__ = "cupy.cuda.cufft"
    _TEXTS = _libraries.texts(
        "CUFFT_",
        "0=SUCCESS 1=INVALID_PLAN 2=ALLOC_FAILED 3=INVALID_TYPE 4=INVALID_VALUE 5=INTERNAL_ERROR 6=EXEC_FAILED 7=SETUP_FAILED "
        "8=INVALID_SIZE 9=UNALIGNED_DATA 10=INCOMPLETE_PARAMETER_LIST 11=INVALID_DEVICE 12=PARSE_ERROR 13=NO_WORKSPACE "
        "14=NOT_IMPLEMENTED 15=LICENSE_ERROR 16=NOT_SUPPORTED",
    )

    def __init__(self, result: int) -> None:
        self.result = int(result)
        super().__init__(self._TEXTS.get(self.result, f"unknown result {result}"))

    def __reduce__(self) -> Any:
        return (type(self), (self.result,))


def check_result(result: int) -> None:
    """Raises CuFFTError for a result that is not 0."""
    if result:
        raise CuFFTError(result)


def getVersion() -> int:
    """The version of the library that belongs to the server's runtime."""
    from . import runtime

    version = runtime.runtimeGetVersion()
    return (version // 1000 - 1) * 1000 + version % 1000 // 10 * 100


class _Current(threading.local):
    plan: Any = None


_current = _Current()


def get_current_plan() -> Any:
    """The plan whose `with` block this thread is in, or None."""
    return _current.plan


_plans: weakref.WeakValueDictionary[int, _Plan] = weakref.WeakValueDictionary()
_numbers = itertools.count(1)


class _Layout:
    """Where a batch of transforms lies: shape (batch, *lengths), strides in elements."""

    def __init__(self, batch: int, lengths: tuple[int, ...], embed: Any, stride: int, dist: int) -> None:
        outer = lengths if embed is None else tuple(int(n) for n in embed)
        if embed is None:
            stride, dist = 1, math.prod(lengths)
        if len(outer) != len(lengths) or any(have < need for have, need in zip(outer[1:], lengths[1:], strict=True)):
            raise CuFFTError(_INVALID_VALUE)
        steps = [stride]
        for n in reversed(outer[1:]):
            steps.insert(0, steps[0] * n)
        self.shape = (batch, *lengths)
        self.strides = (dist, *steps)

    def view(self, place: Any, dtype: str) -> Any:
        """The transforms at a MemoryPointer or an address; half-precision pairs as complex64, a copy."""
        if dtype == _HALF_COMPLEX:
            spec = spec_of((*self.shape, 2), np.float16, (*(s * 4 for s in self.strides), 2))
        else:
            itemsize = np.dtype(dtype).itemsize
            spec = spec_of(self.shape, np.dtype(dtype), tuple(s * itemsize for s in self.strides))
        return place.as_array(spec) if isinstance(place, MemoryPointer) else array_at(int(place), spec)


def _read(layout: _Layout, place: Any, dtype: str) -> Any:
    found = layout.view(place, dtype)
    return found.astype(np.float32).view(np.complex64)[..., 0] if dtype == _HALF_COMPLEX else found


def _write(layout: _Layout, place: Any, dtype: str, value: Any) -> None:
    target = layout.view(place, dtype)
    if dtype == _HALF_COMPLEX:
        target[..., 0], target[..., 1] = value.real.astype(np.float16), value.imag.astype(np.float16)
    else:
        target[...] = value


class _Plan:
    """A batch of transforms of one shape and kind.

    Attributes:
        handle: a number that identifies it.
        fft_type: CUFFT_C2C, ...
        batch: how many transforms.
        work_area: memory that cuFFT would use; here of no bytes.
    """

    handle: int = 0
    fft_type: int = 0
    batch: int = 0
    gpus: Any = None

    def __init__(self, lengths: tuple[int, ...], dtypes: tuple[str, str], batch: int, given: Any, taken: Any) -> None:
        """`given`, `taken`: (embed, stride, dist) of input and output."""
        if any(n < 1 for n in lengths) or batch < 1:
            raise CuFFTError(_INVALID_SIZE)
        self.handle = next(_numbers)
        self.batch = int(batch)
        self._lengths = lengths
        self._dtypes = dtypes
        half = (*lengths[:-1], lengths[-1] // 2 + 1)
        self._is_real = dtypes[0] in "fd", dtypes[1] in "fd"
        self._in = _Layout(self.batch, half if self._is_real[1] else lengths, *given)
        self._out = _Layout(self.batch, half if self._is_real[0] else lengths, *taken)
        _plans[self.handle] = self

    @property
    def work_area(self) -> Any:
        """Memory of no bytes."""
        from ._memories import Memory

        return MemoryPointer(Memory(0), 0)

    def __enter__(self) -> Self:
        _current.plan = self
        return self

    def __exit__(self, *exc: object) -> None:
        _current.plan = None

    def run(self, given: Any, taken: Any, direction: int) -> None:
        """Transform what lies at one place to another."""
        from ... import cupy as cp

        if direction not in (CUFFT_FORWARD, CUFFT_INVERSE):
            raise CuFFTError(_INVALID_VALUE)
        data = _read(self._in, given, self._dtypes[0])
        axes = tuple(range(1, 1 + len(self._lengths)))
        if self._is_real[0]:
            result = cp.fft.rfftn(data, axes=axes)
        elif self._is_real[1]:
            result = cp.fft.irfftn(data, s=self._lengths, axes=axes) * math.prod(self._lengths)
        elif direction == CUFFT_FORWARD:
            result = cp.fft.fftn(data, axes=axes[::-1])
        else:
            result = cp.fft.ifftn(data, axes=axes[::-1]) * math.prod(self._lengths)
        _write(self._out, taken, self._dtypes[1], result)

    def fft(self, a: Any, out: Any, direction: int) -> None:
        """Transform the memory of `a` into that of `out`."""
        self.run(MemoryPointer.of_array(a), MemoryPointer.of_array(out), direction)


def _types_of(fft_type: int) -> tuple[str, str]:
    found = _TYPES.get(fft_type)
    if found is None:
        raise CuFFTError(3)
    return found


class Plan1d(_Plan):
    """A batch of one-dimensional transforms, packed one after the other.

    Attributes:
        nx: length of each.
        gpus: None: one device.
    """

    __module__ = "cupy.cuda.cufft"
    nx: int = 0

    def __init__(self, nx: int, fft_type: int, batch: int, *, devices: Any = None, out: Any = None) -> None:
        if devices is not None:
            raise _libraries.refused("cufft", "Plan1d(devices=…)", "a session has one device")
        self.nx = int(nx)
        self.fft_type = int(fft_type)
        super().__init__((self.nx,), _types_of(fft_type), batch, (None, 1, 0), (None, 1, 0))

    def _output_dtype_and_shape(self, a: Any) -> tuple[tuple[int, ...], Any]:
        last = self.nx // 2 + 1 if self._is_real[0] else self.nx
        return (*a.shape[:-1], last), np.dtype(self._dtypes[1])

    def get_output_array(self, a: Any) -> Any:
        """An array for the transforms of `a`."""
        from ... import cupy as cp

        shape, dtype = self._output_dtype_and_shape(a)
        return cp.empty(shape, dtype)

    def check_output_array(self, a: Any, out: Any) -> None:
        """Raises ValueError when `out` cannot take the transforms of `a`."""
        if out is a:
            return
        shape, dtype = self._output_dtype_and_shape(a)
        if out.shape != shape:
            raise ValueError(f"out must have shape {shape}.")
        if out.dtype != dtype:
            raise ValueError(f"out dtype mismatch: found {out.dtype}, expected {dtype}")


class _ManyPlan(_Plan):
    """What plans of several dimensions share.

    Attributes:
        shape: lengths of each transform.
        order: 'C' or 'F': how arrays lie in memory.
        last_axis, last_size: of transforms between real and complex: the halved axis, and its length in the output.
    """

    shape: tuple[int, ...] = ()
    order: str = "C"
    last_axis: int = -1
    last_size: Any = None

    def __init__(
        self,
        shape: Any,
        given: Any,
        taken: Any,
        dtypes: tuple[str, str],
        batch: int,
        order: str,
        last_axis: int,
        last_size: Any,
    ) -> None:
        self.shape = tuple(int(n) for n in shape)
        self.order = order
        self.last_axis = last_axis
        self.last_size = last_size
        super().__init__(self.shape, dtypes, batch, given, taken)

    def _output_dtype_and_shape(self, a: Any) -> tuple[tuple[int, ...], Any]:
        shape = list(a.shape)
        if any(self._is_real):
            shape[self.last_axis] = self.last_size
        return tuple(shape), np.dtype(np.float16 if self._dtypes[1] == _HALF_COMPLEX else self._dtypes[1])

    def get_output_array(self, a: Any, order: str = "C") -> Any:
        """An array for the transforms of `a`."""
        from ... import cupy as cp

        shape, dtype = self._output_dtype_and_shape(a)
        return cp.empty(shape, dtype, order=order)

    def check_output_array(self, a: Any, out: Any) -> None:
        """Raises ValueError when `out` cannot take the transforms of `a`."""
        if out is a:
            return
        shape, dtype = self._output_dtype_and_shape(a)
        if out.shape != shape:
            raise ValueError(f"output shape mismatch: found {out.shape}, expected {shape}")
        if out.dtype != dtype:
            raise ValueError(f"output dtype mismatch: found {out.dtype}, expected {dtype}")
        if (out.flags.c_contiguous, out.flags.f_contiguous) != (a.flags.c_contiguous, a.flags.f_contiguous):
            raise ValueError("output contiguity mismatch")


class PlanNd(_ManyPlan):
    """A batch of transforms of several dimensions, laid out as cufftPlanMany has it."""

    __module__ = "cupy.cuda.cufft"

    def __init__(
        self, shape: Any, inembed: Any, istride: int, idist: int, onembed: Any, ostride: int, odist: int, fft_type: int, batch: int,
        order: str, last_axis: int, last_size: Any,
    ) -> None:  # fmt: skip
        self.fft_type = int(fft_type)
        super().__init__(
            shape,
            (inembed, istride, idist),
            (onembed, ostride, odist),
            _types_of(fft_type),
            batch,
            order,
            last_axis,
            last_size,
        )


def _code(dtype: Any) -> str:
    return _HALF_COMPLEX if isinstance(dtype, str) and dtype == _HALF_COMPLEX else np.dtype(dtype).char


class XtPlanNd(_ManyPlan):
    """As `PlanNd`, with dtypes of their own for input, output and computation; "E" is half-precision complex.

    Attributes:
        itype, otype, etype: the dtypes.
    """

    __module__ = "cupy.cuda.cufft"
    itype: Any = None
    otype: Any = None
    etype: Any = None

    def __init__(
        self, shape: Any, inembed: Any, istride: int, idist: int, idtype: Any, onembed: Any, ostride: int, odist: int, odtype: Any,
        batch: int, edtype: Any, *, order: str, last_axis: int, last_size: Any,
    ) -> None:  # fmt: skip
        self.itype, self.otype, self.etype = idtype, odtype, edtype
        codes = _code(idtype), _code(odtype)
        if codes not in (*_TYPES.values(), (_HALF_COMPLEX, _HALF_COMPLEX)):
            raise CuFFTError(_NOT_SUPPORTED)
        super().__init__(
            shape, (inembed, istride, idist), (onembed, ostride, odist), codes, batch, order, last_axis, last_size
        )


# -- by handle and address ---------------------------------------------------------------------------------------------------


def _plan(handle: int) -> _Plan:
    found = _plans.get(handle)
    if found is None:
        raise CuFFTError(_INVALID_PLAN)
    return found


def execC2C(plan: int, idata: int, odata: int, direction: int) -> None:
    """Run a plan from one device address to another."""
    _plan(plan).run(idata, odata, direction)


execZ2Z = XtExec = execC2C


def execR2C(plan: int, idata: int, odata: int) -> None:
    """Run a forward plan from one device address to another."""
    _plan(plan).run(idata, odata, CUFFT_FORWARD)


execD2Z = execR2C


def execC2R(plan: int, idata: int, odata: int) -> None:
    """Run an inverse plan from one device address to another."""
    _plan(plan).run(idata, odata, CUFFT_INVERSE)


execZ2D = execC2R


def create() -> int:
    """A handle without a plan: until one is made for it, nothing can be run with it."""
    number = next(_numbers)
    _empty.add(number)
    return number


#: Handles of `create`.
_empty: set[int] = set()


def setAutoAllocation(plan: int, autoAllocate: int) -> int:
    """Noted for a plan's handle: workspaces are the device's own in any case. Returns 0."""
    if plan not in _plans and plan not in _empty:
        raise CuFFTError(_INVALID_PLAN)
    return 0


def __getattr__(name: str) -> Any:
    from .._missing import refuse_attribute

    return refuse_attribute("cuda.cufft", name)
