"""A CuPy of two GPUs that are memory of this process: enough of it for the CUDA device's own code to run without one.

Addresses are the GPU's: both have memory at the same ones, as two processes would. What a kernel does happens when somebody waits for it,
as late as CUDA may: whoever copies memory on another stream without waiting sees what was before. `install` puts it in the place of the
real packages for a test.

Boundary: what the CUDA device calls, as CuPy's documentation has it; functions of arrays are NumPy's.
"""

from __future__ import annotations

import ctypes
import gc
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import types
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

GRANULE = 1 << 16
TOTAL_BYTES = 64 << 20
#: name -> what a kernel of that name does: (gpu, arguments)
KERNELS: dict[str, Callable[..., None]] = {}


class Gpu:
    """One device: its memory by address, and what has been issued and not done."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.regions: dict[int, np.ndarray[Any, Any]] = {}
        self.issued: list[Callable[[], None]] = []
        #: streams that the default one does not wait for, with copies that have not been made yet
        self.apart: list[Stream] = []
        #: what a kernel failed by: from then on everything does
        self.fault: BaseException | None = None
        self.mapped: dict[int, int] = {}
        self._top = 0x5000_0000_0000

    def malloc(self, size: int) -> int:
        address = self._top
        self._top += -(-max(size, 1) // 512) * 512
        self.regions[address] = np.full(max(size, 1), 0xEE, np.uint8)
        return address

    def at(self, address: int, size: int) -> np.ndarray[Any, Any]:
        """These bytes. Raises RuntimeError where there is no memory."""
        for base, memory in self.regions.items():
            if base <= address and address + size <= base + memory.nbytes:
                return memory[address - base : address - base + size]
        raise RuntimeError(f"cudaErrorIllegalAddress: {size} bytes at {address:#x}")

    def wait(self) -> None:
        if self.fault is not None:
            raise self.fault
        issued, self.issued = self.issued, []
        try:
            for one in issued:
                one()
        except CUDARuntimeError as fault:
            self.fault = fault
            raise


GPUS: list[Gpu] = []
_local = threading.local()


def current() -> Gpu:
    return GPUS[getattr(_local, "number", 0)]


class Mapper:
    """In the place of `arena.DriverMapper`."""

    granule = GRANULE

    def __init__(self, number: int) -> None:
        self._gpu = GPUS[number]

    def reserve(self, size: int, hint: int) -> int:
        self._base = hint
        # One region of the host's address space; what is not mapped must not be touched, which `map` and `unmap` follow.
        self._gpu.regions[hint] = np.zeros(size, np.uint8)
        return hint

    def map(self, address: int, size: int) -> None:
        assert address not in self._gpu.mapped
        self._gpu.mapped[address] = size
        self._gpu.at(address, size)[:] = 0xEE  # whatever was there

    def clear(self, runs: list[tuple[int, int]]) -> None:
        for address, size in runs:
            self._gpu.at(address, size)[:] = 0

    def unmap(self, address: int, size: int) -> None:
        assert self._gpu.mapped.pop(address) == size

    def release(self, base: int, size: int) -> None:
        del self._gpu.regions[base]


# -- cupy.cuda ------------------------------------------------------------------------------------------------------------


class Device:
    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.attributes: dict[str, int] = {}
        self._before: list[int] = []

    @property
    def mem_info(self) -> tuple[int, int]:
        return TOTAL_BYTES // 2, TOTAL_BYTES

    def use(self) -> None:
        _local.number = self.number

    def synchronize(self) -> None:
        _device_synchronize()

    def __enter__(self) -> Device:
        self._before.append(getattr(_local, "number", 0))
        self.use()
        return self

    def __exit__(self, *_: Any) -> None:
        _local.number = self._before.pop()


class Memory:
    """Of `malloc`, and what any allocator gives."""

    def __init__(self, size: int, ptr: int, free: Callable[[int], None] | None = None) -> None:
        self.size, self.ptr, self.gpu, self._free = size, ptr, current(), free

    def __del__(self) -> None:
        if self._free is not None and self.ptr:
            self._free(self.ptr)


class UnownedMemory(Memory):
    def __init__(self, ptr: int, size: int, owner: Any, device_id: int = -1) -> None:
        super().__init__(size, ptr)


class MemoryPointer:
    def __init__(self, mem: Memory, offset: int) -> None:
        self.mem, self.ptr = mem, mem.ptr + offset

    def __add__(self, offset: int) -> MemoryPointer:
        return MemoryPointer(self.mem, self.ptr + offset - self.mem.ptr)

    def copy_from_host_async(self, mem: int, size: int, stream: Any = None) -> None:
        gpu, address, host = self.mem.gpu, self.ptr, _PINNED[mem]
        if stream is None or not stream.non_blocking:
            gpu.at(address, size)[:] = host[:size]
        else:
            stream.copies.append(lambda: gpu.at(address, size).__setitem__(slice(None), host[:size]))

    def copy_to_host_async(self, mem: int, size: int, stream: Any = None) -> None:
        if stream is None or not stream.non_blocking:
            self.mem.gpu.wait()
        _PINNED[mem][:size] = self.mem.gpu.at(self.ptr, size)


class PythonFunctionAllocator:
    def __init__(self, malloc_func: Callable[[int, int], int], free_func: Callable[[int, int], None]) -> None:
        self._malloc, self._free = malloc_func, free_func

    def malloc(self, size: int) -> MemoryPointer:
        number = getattr(_local, "number", 0)
        address = self._malloc(size, number) if size else 0
        return MemoryPointer(Memory(size, address, lambda ptr: self._free(ptr, number)), 0)


class OutOfMemoryError(MemoryError):
    pass


class MemoryPool:
    """Keeps what was freed, by size, and gives it again."""

    def __init__(self, allocator: Callable[[int], MemoryPointer]) -> None:
        self._allocator, self._limit, self._used, self._total = allocator, 0, 0, 0
        self._free: dict[int, list[Any]] = {}
        self._held: dict[int, Any] = {}

    def malloc(self, size: int) -> MemoryPointer:
        rounded = -(-size // 512) * 512
        if not rounded:
            return MemoryPointer(Memory(0, 0), 0)
        kept = self._free.get(rounded)
        if kept:
            chunk = kept.pop()
        else:
            if self._limit and self._total + rounded > self._limit:
                raise OutOfMemoryError(f"out of memory allocating {rounded}")
            try:
                chunk = self._allocator(rounded)
            except CUDARuntimeError as error:
                if error.status != 2:
                    raise
                raise OutOfMemoryError(f"out of memory allocating {rounded}") from None
            self._total += rounded
        self._used += rounded

        # Held here: of garbage with cycles in it, Python ends the one or the other first.
        self._held[chunk.ptr] = chunk

        def free(address: int) -> None:
            self._used -= rounded
            self._free.setdefault(rounded, []).append(self._held.pop(address))

        return MemoryPointer(Memory(rounded, chunk.ptr, free), 0)

    def free_all_blocks(self) -> None:
        self._total -= sum(size * len(chunks) for size, chunks in self._free.items())
        self._free.clear()

    def set_limit(self, size: int | None = None) -> None:
        self._limit = size or 0

    def get_limit(self) -> int:
        return self._limit

    def used_bytes(self) -> int:
        return self._used

    def total_bytes(self) -> int:
        return self._total

    def free_bytes(self) -> int:
        return self._total - self._used


_allocators: list[Callable[[int], MemoryPointer]] = []


def alloc(size: int) -> MemoryPointer:
    own = getattr(_local, "allocators", None)
    return (own[-1] if own else _allocators[current().number])(size)


def set_allocator(allocator: Callable[[int], MemoryPointer]) -> None:
    _allocators[current().number] = allocator


class using_allocator:
    def __init__(self, allocator: Callable[[int], MemoryPointer]) -> None:
        self._allocator = allocator

    def __enter__(self) -> None:
        if not hasattr(_local, "allocators"):
            _local.allocators = []
        _local.allocators.append(self._allocator)

    def __exit__(self, *_: Any) -> None:
        _local.allocators.pop()


_PINNED: dict[int, np.ndarray[Any, Any]] = {}


class Pinned(np.ndarray[Any, Any]):
    @property
    def ptr(self) -> int:
        return int(self.ctypes.data)


def alloc_pinned_memory(size: int) -> Pinned:
    made: Any = np.zeros(size, np.uint8).view(Pinned)
    _PINNED[made.ptr] = made.view(np.ndarray)
    return made  # type: ignore[no-any-return]


class Stream:
    """Of one GPU, whose streams all run in the order of issue. While one captures, what is launched on it is kept and not issued."""

    null: Stream

    def __init__(self, null: bool = False, non_blocking: bool = False, priority: int | None = None) -> None:
        self.non_blocking, self.priority = non_blocking, priority
        self.ptr = 0 if null else id(self)
        self.done = True
        #: what was launched since `begin_capture`; None: it does not capture
        self.captured: list[Callable[[], None]] | None = None
        #: to the device, not made yet
        self.copies: list[Callable[[], None]] = []
        #: events that what comes next waits for
        self.waited: list[Event] = []
        if non_blocking:
            current().apart.append(self)

    def use(self) -> Stream:
        _streams()[-1] = self
        return self

    def __enter__(self) -> Stream:
        _streams().append(self)
        return self

    def __exit__(self, *_: Any) -> None:
        _streams().pop()

    def synchronize(self) -> None:
        if self.captured is not None:
            raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported")
        self.copied(len(self.copies))
        current().wait()

    def copied(self, count: int) -> None:
        """The first copies are made."""
        for copy in self.copies[:count]:
            copy()
        self.copies = self.copies[count:]

    def record(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        self.waited.append(event)

    def begin_capture(self, mode: int | None = None) -> None:
        if not self.ptr:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        self.captured = []
        CAPTURING.append(self)

    def end_capture(self) -> Graph:
        captured, self.captured = self.captured, None
        CAPTURING.remove(self)
        if captured is None or BROKEN.pop("capture", False):
            raise CUDARuntimeError("cudaErrorStreamCaptureInvalidated")
        return Graph(captured)


class CUDARuntimeError(RuntimeError):
    def __init__(self, text: str, status: int = 900) -> None:
        super().__init__(text)
        self.status = status


#: Streams that capture now.
CAPTURING: list[Stream] = []
#: `ptr` -> module
MODULES: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
#: What goes wrong: "compile": what the compiler says of the next kernel from code; "capture": the next one is broken; "node": kind of the
#: next graph's last node; "launch": launches of graphs until one fails.
BROKEN: dict[str, Any] = {}


class Graph:
    """Launches, with the addresses that they were captured with."""

    known: ClassVar[weakref.WeakValueDictionary[int, Graph]] = weakref.WeakValueDictionary()

    def __init__(self, captured: list[Callable[[], None]]) -> None:
        self._captured = captured
        self.graph = self.graphExec = id(self)
        self.kinds = [0] * len(captured)
        if "node" in BROKEN:
            self.kinds[-1] = BROKEN.pop("node")
        self.known[self.graph] = self

    def launch(self, stream: Stream | None = None) -> None:
        if "launch" in BROKEN:
            BROKEN["launch"] -= 1
            if BROKEN["launch"] < 0:
                raise CUDARuntimeError("cudaErrorLaunchFailure")
        for one in self._captured:
            _issue(one, stream)


class Driver:
    """In the place of `driver.Driver`."""

    def node_types(self, graph: int) -> list[int]:
        return Graph.known[graph].kinds

    def global_of(self, module: int, name: str) -> tuple[int, int]:
        if name not in MODULES[module].variables:
            raise RuntimeError("cuModuleGetGlobal_v2 failed: CUDA_ERROR_NOT_FOUND")
        return MODULES[module].variables[name]  # type: ignore[no-any-return]


def _streams() -> list[Stream]:
    if not hasattr(_local, "streams"):
        _local.streams = [Stream.null]
    return _local.streams  # type: ignore[no-any-return]


def get_current_stream(device_id: int = -1) -> Stream:
    return _streams()[-1]


def _issue(launch: Callable[[], None], stream: Stream | None = None) -> None:
    captured = (stream or get_current_stream()).captured
    (current().issued if captured is None else captured).append(launch)


def _device_synchronize() -> None:
    if CAPTURING:
        BROKEN["capture"] = True
        raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported")
    for stream in current().apart:
        stream.copied(len(stream.copies))
    current().wait()


_now_ms = [0.0]


class Event:
    def __init__(self, block: bool = False, disable_timing: bool = False) -> None:
        self.at_ms: float | None = None
        self.done = True
        self._after: tuple[Stream, int] | None = None

    def record(self, stream: Any = None) -> None:
        _now_ms[0] += 1.0
        self.at_ms = _now_ms[0]
        stream = stream or get_current_stream()
        self.stream, self._after = stream, (stream, len(stream.copies))

    def synchronize(self) -> None:
        if self._after is not None:
            stream, count = self._after
            self._after = None
            stream.copied(count)


def get_elapsed_time(start: Event, end: Event) -> float:
    if start.at_ms is None or end.at_ms is None:
        raise RuntimeError("cudaErrorInvalidResourceHandle")
    return end.at_ms - start.at_ms


# -- arrays ---------------------------------------------------------------------------------------------------------------


class Flags:
    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.c_contiguous, self.f_contiguous = array.flags.c_contiguous, array.flags.f_contiguous


class ndarray:
    """An array of the GPU. Its methods are NumPy's, on the memory that it is over."""

    def __init__(self, shape: Any, dtype: Any = float, memptr: MemoryPointer | None = None, strides: Any = None,
                 order: str = "C") -> None:  # fmt: skip
        dtype = np.dtype(dtype)
        shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
        shadow = np.lib.stride_tricks.as_strided(np.empty(1, dtype), shape, strides) if strides is not None else None
        self.shape, self.dtype = shape, dtype
        self.size = int(np.prod(shape))
        self.itemsize, self.nbytes, self.ndim = dtype.itemsize, self.size * dtype.itemsize, len(shape)
        self.strides = np.empty(shape, dtype, order).strides if shadow is None else tuple(strides)  # type: ignore[call-overload]
        self.data = alloc(self.nbytes) if memptr is None else memptr
        self._owner: Any = None

    @property
    def base(self) -> Any:
        return self._owner

    @property
    def _np(self) -> np.ndarray[Any, Any]:
        """What numpy computes with: everything issued before has been done."""
        if not self.size:
            return np.empty(self.shape, self.dtype)
        gpu = self.data.mem.gpu
        if get_current_stream().captured is not None:
            raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported")
        gpu.wait()
        steps = [(n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)]
        low, high = sum(s for s in steps if s < 0), self.itemsize + sum(s for s in steps if s > 0)
        return np.ndarray(self.shape, self.dtype, gpu.at(self.data.ptr + low, high - low), -low, self.strides)

    @property
    def flags(self) -> Flags:
        shadow = np.lib.stride_tricks.as_strided(np.empty(1, self.dtype), self.shape, self.strides)
        return Flags(shadow if self.size else np.empty(self.shape, self.dtype))

    def get(self) -> np.ndarray[Any, Any]:
        return self._np.copy()

    def set(self, host: Any) -> None:
        self._np[...] = host

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(np.ndarray, name):
            raise AttributeError(name)
        return lambda *args, **named: _call(getattr(np.ndarray, name), self, *args, **named)


def _method(name: str) -> Callable[..., Any]:
    return lambda self, *args, **named: _call(getattr(np.ndarray, name), self, *args, **named)


for _name in (
    "add", "sub", "mul", "and", "or", "xor", "rshift", "lshift", "iadd", "imul", "ixor", "irshift", "getitem", "setitem", "eq",
):  # fmt: skip
    setattr(ndarray, f"__{_name}__", _method(f"__{_name}__"))
for _name in ("fill", "sort", "sum", "copy", "astype"):
    setattr(ndarray, _name, _method(_name))


class quietly:
    """`np.errstate(all="ignore")`, within whose change of a context variable no collection begins: finalizers of this module's memory wait
    for what was issued, and so come here again, which CPython 3.11 does not survive in the middle of such a change."""

    def __enter__(self) -> None:
        self._state = np.errstate(all="ignore")
        self._change(self._state.__enter__)

    def __exit__(self, *error: Any) -> None:
        self._change(lambda: self._state.__exit__(*error))

    @staticmethod
    def _change(change: Callable[[], Any]) -> None:
        collects = gc.isenabled()
        gc.disable()
        try:
            change()
        finally:
            if collects:
                gc.enable()


def _call(function: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """NumPy's function, on the GPU's memory: what it returns is new memory, or one of the arrays that it was given."""
    given: list[tuple[Any, Any]] = []

    def inner(value: Any) -> Any:
        if isinstance(value, ndarray):
            given.append((value, value._np))
            return given[-1][1]
        return tuple(map(inner, value)) if isinstance(value, tuple) else value

    with quietly():
        result = function(*(inner(a) for a in args), **{k: inner(v) for k, v in named.items()})
    return _outer(result, given)


#: The C++ of ufuncs, as CuPy has it.
ROUTINES = {
    "add": "out0 = in0 + in1", "subtract": "out0 = in0 - in1", "multiply": "out0 = in0 * in1", "negative": "out0 = -in0",
    "sqrt": "out0 = sqrt(in0)", "greater": "out0 = in0 > in1", "less_equal": "out0 = in0 <= in1", "equal": "out0 = in0 == in1",
    "logical_and": "out0 = in0 && in1", "logical_not": "out0 = !in0", "bitwise_and": "out0 = in0 & in1", "divide": "out0 = in0 / in1",
    "square": "out0 = in0 * in0", "isnan": "out0 = isnan(in0)", "invert": "out0 = ~in0", "floor": "out0 = floor(in0)",
}  # fmt: skip


class Operations:
    """The types of a ufunc that there is C++ for."""

    def __init__(self, function: np.ufunc) -> None:
        self._function = function

    def _guess_routine_from_in_types(self, in_types: Any, weaks: Any) -> Any:
        routine = ROUTINES.get(self._function.__name__)
        asked = [weak or dtype for dtype, weak in zip(in_types, weaks, strict=True)]
        try:
            *inputs, output = self._function.resolve_dtypes((*asked, None))
        except TypeError:
            return None
        if routine is None or (routine.startswith("out0 = ~") and inputs[0].kind == "b"):
            return None
        return types.SimpleNamespace(routine=routine, in_types=tuple(inputs), out_types=(output,))


class ufunc:
    """NumPy's, as a kernel: launched on the current stream with the addresses of its operands, and done when somebody waits."""

    _loop_prep = _preamble = ""

    def __init__(self, function: np.ufunc) -> None:
        self._function, self.nin, self.nout = function, function.nin, function.nout
        self._ops = Operations(function)

    def __call__(self, *args: Any, out: Any = None, **named: Any) -> Any:
        if (
            self.nout > 1
            or named
            or not all(isinstance(a, (ndarray, bool, int, float, complex, np.generic)) for a in args)
        ):
            return _call(self._function, *args, **named, **({} if out is None else {"out": out}))
        with quietly():
            # What comes out, shown by one element of each operand.
            shown = self._function(*(np.ones((1,) * a.ndim, a.dtype) if isinstance(a, ndarray) else a for a in args))
            shape = np.broadcast_shapes(*(a.shape for a in args if isinstance(a, ndarray)))
        made = out if out is not None else ndarray(shape, np.asarray(shown).dtype)
        if out is not None and (out.shape != shape or not np.can_cast(np.asarray(shown).dtype, out.dtype, "same_kind")):
            return _call(self._function, *args, out=out)  # which says what is wrong
        operands, target, function = [_placed(a) for a in args], _placed(made), self._function

        def launch() -> None:
            with quietly():
                if made_size:
                    function(*(o() if callable(o) else o for o in operands), out=target(), casting="same_kind")

        made_size = made.size
        _issue(launch)
        return made


def _placed(value: Any) -> Any:
    """A number as it is; of an array, what its memory holds when the kernel runs."""
    if not isinstance(value, ndarray):
        return value
    gpu, address, shape, dtype, strides = value.data.mem.gpu, value.data.ptr, value.shape, value.dtype, value.strides
    if not value.size:
        return lambda: np.empty(shape, dtype)
    steps = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
    low, high = sum(s for s in steps if s < 0), dtype.itemsize + sum(s for s in steps if s > 0)
    return lambda: np.ndarray(shape, dtype, gpu.at(address + low, high - low), -low, strides)


def _outer(result: Any, given: list[tuple[Any, Any]]) -> Any:
    if isinstance(result, tuple):
        return tuple(_outer(one, given) for one in result)
    if not isinstance(result, (np.ndarray, np.generic)):
        return result
    for array, seen in given:
        if result is seen:
            return array
    return asarray(result)


def asarray(value: Any) -> ndarray:
    host = np.asarray(value)
    made = ndarray(
        host.shape, host.dtype, None, host.strides if host.flags.f_contiguous and not host.flags.c_contiguous else None
    )
    made.set(host)
    return made


# -- random ---------------------------------------------------------------------------------------------------------------


class Curand(types.ModuleType):
    """cuRAND: generators whose state nobody can read."""

    CURAND_RNG_PSEUDO_DEFAULT = 100

    def __init__(self) -> None:
        super().__init__("cupy_backends.cuda.libs.curand")
        self._states: dict[int, list[int]] = {}

    def createGenerator(self, method: int) -> int:
        self._states[len(self._states) + 1] = [method, 0, 0]
        return len(self._states)

    def destroyGenerator(self, generator: int) -> None: ...

    def setPseudoRandomGeneratorSeed(self, generator: int, seed: int) -> None:
        self._states[generator][1:] = [seed, 0]

    def setGeneratorOffset(self, generator: int, offset: int) -> None:
        self._states[generator][2] = offset

    def generate(self, generator: int, pointer: int, count: int) -> None:
        self._draw(generator, pointer, count, np.uint32)

    def generateUniformDouble(self, generator: int, pointer: int, count: int) -> None:
        self._draw(generator, pointer, count, np.float64)

    def _draw(self, generator: int, pointer: int, count: int, dtype: Any) -> None:
        state = self._states[generator]
        drawn = np.random.default_rng(state).integers(0, 1 << 30, count).astype(dtype)
        # How far it goes depends on the call: two small ones are not one large one.
        state[2] += count + 3
        current().at(pointer, drawn.nbytes)[:] = drawn.view(np.uint8)


class RandomState:
    def __init__(self, seed: int | None = None, method: int | None = None) -> None:
        from cupy_backends.cuda.libs import curand

        self.method = method or 100
        self._generator = curand.createGenerator(self.method)
        self.seed(seed)

    def seed(self, seed: Any = None) -> None:
        from cupy_backends.cuda.libs import curand

        curand.setPseudoRandomGeneratorSeed(self._generator, int(seed or 0))
        curand.setGeneratorOffset(self._generator, 0)
        self._rk_seed = int(seed or 0)

    def randint(self, low: int, high: int, size: Any = None) -> ndarray:
        from cupy_backends.cuda.libs import curand

        made = ndarray((size,), np.uint32)
        curand.generate(self._generator, made.data.ptr, size)
        self._rk_seed += 1
        return asarray((made._np % (high - low) + low).astype(np.int64))

    def shuffle(self, a: ndarray) -> None:
        from cupy_backends.cuda.libs import curand

        made = ndarray((a.shape[0],), np.float64)
        curand.generateUniformDouble(self._generator, made.data.ptr, a.shape[0])
        a._np[...] = a._np[np.argsort(made._np, kind="stable")]


class BitGenerator:
    def __init__(self, seed: int | None = None, *, size: int = -1) -> None:
        self._size = 8 if size < 0 else size
        self._seed = np.uint32(seed or 0)
        self._state = asarray(np.full(16 * self._size, seed or 0, np.int64).view(np.int8))

    def random_raw(self, size: Any = None) -> ndarray:
        state = self._state._np.view(np.int64)
        state[0] += 1
        return asarray(np.random.default_rng(abs(int(state.sum()))).integers(0, 1 << 31, size or 1))


class XORWOW(BitGenerator): ...


class MRG32k3a(BitGenerator): ...


class Philox4x3210(BitGenerator): ...


class Generator:
    def __init__(self, bit_generator: BitGenerator) -> None:
        self.bit_generator = bit_generator

    def standard_normal(self, size: Any = None) -> ndarray:
        return asarray(np.random.default_rng(int(self.bit_generator.random_raw(1)._np[0])).standard_normal(size))


# -- kernels --------------------------------------------------------------------------------------------------------------


_HOST = """
#include <cmath>
using std::sqrt; using std::floor; using std::isnan;
#define __global__
#define __device__
#define __forceinline__ inline
struct { unsigned x, y, z; } static const gridDim = {1, 1, 1}, blockDim = {1, 1, 1}, blockIdx = {0, 0, 0}, threadIdx = {0, 0, 0};
"""
_COMPILED: dict[str, Any] = {}


def compiled(code: str) -> Any:
    """A kernel as one thread of this machine: the element at a time that a loop over the grid comes to. Raises as CuPy does."""
    if code not in _COMPILED:
        folder = Path(tempfile.mkdtemp(prefix="fakecupy-"))
        try:
            text = "\n".join(line for line in code.splitlines() if not line.startswith("#include <cupy/"))
            for letter, here in (("l", "r"), ("f", "x"), ("d", "x")):  # this machine's registers
                text = text.replace(f'asm("" : "+{letter}"(y))', f'asm("" : "+{here}"(y))')
            (folder / "kernel.cc").write_text(_HOST + text)
            done = subprocess.run(
                ["g++", "-std=c++17", "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-o", folder / "kernel.so",
                 folder / "kernel.cc"], capture_output=True, text=True,
            )  # fmt: skip
            if done.returncode:
                raise RuntimeError(f"CompileException: {done.stderr}")
            _COMPILED[code] = ctypes.CDLL(str(folder / "kernel.so"))
        finally:
            shutil.rmtree(folder)
    return _COMPILED[code]


class RawKernel:
    """Of a module, where `KERNELS` says what it does; or of its own code, which the C++ compiler takes."""

    def __init__(self, code: str, name: Any = None, options: Any = ()) -> None:
        self.name, self._module, self.code = (code, name, "") if not isinstance(name, str) else (name, None, code)
        self.options = options
        self.num_regs, self.max_dynamic_shared_size_bytes = 8, 0

    def compile(self) -> None:
        if "compile" in BROKEN:
            raise RuntimeError(BROKEN["compile"])
        compiled(self.code)

    def _launch(self, args: Any) -> None:
        function = getattr(compiled(self.code), self.name)
        placed = [_placed(a) if isinstance(a, ndarray) else a for a in args]

        def launch() -> None:
            values = [a() if callable(a) else a for a in placed]
            function(*(
                ctypes.c_void_p(v.ctypes.data) if isinstance(v, np.ndarray) else np.ctypeslib.as_ctypes_type(v.dtype)(v)
                for v in values
            ))  # fmt: skip

        _issue(launch)

    def __call__(self, grid: Any, block: Any, args: Any, shared_mem: int = 0) -> None:
        if self.code:
            self._launch(args)
            return
        gpu, name, pointers = current(), self.name, [a.data.ptr if isinstance(a, ndarray) else a for a in args]
        variables = [address for address, _ in self._module.variables.values()] if self._module is not None else []
        _issue(lambda: KERNELS[name](gpu, *variables, *pointers))


class RawModule:
    def __init__(self, *, code: str, options: Any = (), **_: Any) -> None:
        self.code = code
        # Each load has its variables elsewhere: of doubles, which is all that these GPUs know.
        self.variables = {
            name: (current().malloc(8 * int(count or 1) + 1024), 8 * int(count or 1))
            for name, count in re.findall(r"__(?:device|constant)__ double (\w+)(?:\[(\d+)\])?;", code)
        }
        for address, nbytes in self.variables.values():
            current().at(address, nbytes)[:] = 0
        self.module = self
        self.ptr = id(self)
        MODULES[self.ptr] = self

    def get_function(self, name: str) -> RawKernel:
        if name not in self.code:
            raise RuntimeError("CUDA_ERROR_NOT_FOUND")
        return RawKernel(name, self)

    def get_global(self, name: str) -> MemoryPointer:
        if name not in self.variables:
            raise RuntimeError("CUDA_ERROR_NOT_FOUND")
        return MemoryPointer(UnownedMemory(self.variables[name][0], 0, self), 0)


class ElementwiseKernel:
    """A copy where its text says so, else twice its first operand."""

    def __init__(self, *parts: Any, **named: Any) -> None:
        self.parts = parts

    def __call__(self, a: ndarray, *rest: Any, **named: Any) -> ndarray:
        if self.parts[2] == "y = x":
            source, target = _placed(a), _placed(rest[0])
            _issue(lambda: target().__setitem__(..., source()))
            return rest[0]  # type: ignore[no-any-return]
        return asarray(a._np * 2)


# -- packages -------------------------------------------------------------------------------------------------------------


class _Numpy(types.ModuleType):
    """A module whose other names are NumPy's functions, on arrays of the GPU."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        function = getattr(np, name)
        if isinstance(function, np.ufunc):
            made = self.__dict__[name] = ufunc(function)
            return made
        return (lambda *args, **named: _call(function, *args, **named)) if callable(function) else function


def _module(name: str, **members: Any) -> types.ModuleType:
    made = types.ModuleType(name)
    made.__dict__.update(members)
    return made


def again() -> None:
    """Fresh GPUs under the modules that are there."""
    gc.collect()  # of devices that nobody has any more: what they still hold goes back to them now
    GPUS[:] = [Gpu(0), Gpu(1)]
    _allocators[:] = [lambda size: MemoryPointer(Memory(size, current().malloc(size)), 0)] * 2


def install(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Two GPUs, and the CUDA device's modules over them, fresh. Returns `cupool.apiserver.devices.cuda.device`."""
    _PINNED.clear()
    again()
    _local.__dict__.clear()
    BROKEN.clear()
    CAPTURING.clear()
    Stream.null = Stream(null=True)
    runtime = _module(
        "cupy.cuda.runtime", deviceSynchronize=_device_synchronize, malloc=lambda size: current().malloc(size),
        free=lambda address: None, memset=lambda address, value, size: None,
        CUDARuntimeError=CUDARuntimeError, driverGetVersion=lambda: 12000, runtimeGetVersion=lambda: 12000,
        getDeviceProperties=lambda number: {
            "name": b"fake", "uuid": b"", "totalGlobalMem": TOTAL_BYTES, "major": 9, "minor": 0, "multiProcessorCount": 1,
        },
    )  # fmt: skip
    cuda = _module(
        "cupy.cuda", Device=Device, MemoryPointer=MemoryPointer, MemoryPool=MemoryPool, UnownedMemory=UnownedMemory,
        PythonFunctionAllocator=PythonFunctionAllocator, Stream=Stream, Event=Event, alloc=alloc, set_allocator=set_allocator,
        using_allocator=using_allocator, alloc_pinned_memory=alloc_pinned_memory, get_current_stream=get_current_stream, runtime=runtime,
        driver=types.SimpleNamespace(CUDADriverError=type("CUDADriverError", (RuntimeError,), {"status": 0})),
        get_elapsed_time=get_elapsed_time, memory=_module("cupy.cuda.memory", OutOfMemoryError=OutOfMemoryError),
    )  # fmt: skip
    random = _module(
        "cupy.random", RandomState=RandomState, BitGenerator=BitGenerator, XORWOW=XORWOW, MRG32k3a=MRG32k3a,
        Philox4x3210=Philox4x3210, Generator=Generator,
    )  # fmt: skip
    cupy = _Numpy("cupy")
    cupy.__dict__.update(
        __version__="0", ndarray=ndarray, cuda=cuda, random=random, asarray=asarray, asnumpy=lambda a: a.get(),
        ascontiguousarray=lambda a: asarray(np.ascontiguousarray(a.get())), RawModule=RawModule, RawKernel=RawKernel,
        ElementwiseKernel=ElementwiseKernel, ReductionKernel=ElementwiseKernel, ufunc=ufunc,
        where=lambda condition, x, y: _call(np.where, condition, x, y),
    )  # fmt: skip

    def scatter_add(a: ndarray, indices: Any, value: Any) -> None:
        np.add.at(
            a._np,
            indices._np if isinstance(indices, ndarray) else indices,
            value._np if isinstance(value, ndarray) else value,
        )

    cupy.__dict__["fft"] = types.SimpleNamespace(
        config=types.SimpleNamespace(get_plan_cache=lambda: types.SimpleNamespace(clear=lambda: None)), fft=np.fft.fft
    )
    curand = Curand()
    libs = _module("cupy_backends.cuda.libs", curand=curand)
    fakes = {
        "cupy": cupy, "cupy.cuda": cuda, "cupy.random": random, "cupyx": _module("cupyx", scatter_add=scatter_add),
        "cupy_backends": _module("cupy_backends"), "cupy_backends.cuda": _module("cupy_backends.cuda", libs=libs),
        "cupy_backends.cuda.libs": libs, "cupy_backends.cuda.libs.curand": curand,
    }  # fmt: skip
    prefix = "cupool.apiserver.devices.cuda"
    for name in [
        name for name in sys.modules if name.startswith((f"{prefix}.", "cupy.", "cupyx.")) or name in ("cupy", "cupyx")
    ]:
        monkeypatch.delitem(sys.modules, name)
    for name, fake in fakes.items():
        monkeypatch.setitem(sys.modules, name, fake)
    import importlib

    package = importlib.import_module(prefix)
    for name in [name for name, value in vars(package).items() if isinstance(value, types.ModuleType)]:
        delattr(package, name)  # else `from . import` finds those of an earlier test
    device = importlib.import_module(f"{prefix}.device")
    monkeypatch.setattr(device, "DriverMapper", Mapper)
    monkeypatch.setattr(importlib.import_module(f"{prefix}.driver"), "Driver", Driver)
    monkeypatch.setattr(device.names, "resolve", lambda impl: _resolved(device.names._SPECIAL, cupy, impl))
    return device


def _resolved(special: dict[str, Any], cupy: Any, impl: str) -> Any:
    """The function of a row; of one that these GPUs have not, one that says so when it is called."""
    if impl in special:
        return special[impl]
    found: Any = sys.modules["cupyx"] if impl.startswith("cupyx.") else cupy
    for part in impl.removeprefix("cupyx.").split("."):
        found = getattr(found, part, None)
    if callable(found):
        return found

    def missing(*args: Any, **named: Any) -> Any:
        raise NotImplementedError(impl)

    return missing
