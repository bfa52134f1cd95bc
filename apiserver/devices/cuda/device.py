"""The CUDA device: CuPy's arrays and functions, its memory pool over the session's arena.

Boundary: the calls of the `Device` protocol; memory is in `memory.py` and `arena.py`, names in `names.py`, kernels in `kernels.py`.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.errors import CUDARuntimeError, OutOfMemoryError
from cupool.contract.ops import TABLE
from cupool.contract.spec import Spec

from ..base import MemoryInfo

# One default stream for all threads: memory that one thread frees is used again by others in its order.
os.environ.pop("CUPY_CUDA_PER_THREAD_DEFAULT_STREAM", None)
try:
    import cupy
except ImportError as error:
    raise ImportError(
        f"The CUDA device needs CuPy, which cannot be imported: {error}. Install the extra that fits the driver: "
        "pip install 'cupool[server,cuda12]' or 'cupool[server,cuda13]'; or use --device cpu:0."
    ) from error

from . import draws, facts, hot, kernels, memory, names, state
from .arena import Arena, ClearedMemory, DriverMapper
from .chains import Chains, Kernels
from .copying import Copying, WeakArrays
from .graphs import Graphs, Whole
from .streams import Streams

log = logging.getLogger(__name__)

_ILLEGAL_ADDRESS = 700
#: Errors of CUDA after which every call of the process fails: of kernels, which come late and whoever waits next, and of the hardware.
_LASTING = frozenset({214, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721})
#: Where the arena begins if the driver agrees: one place for all servers, so that a session finds its addresses again elsewhere.
ARENA_HINT = 0x3000_0000_0000
#: Addresses reserved, as a multiple of the device's memory: freed blocks leave gaps.
ARENA_FACTOR = 4


class ArenaTaken(OSError):
    """The wanted address range cannot be reserved."""


class CudaDevice(Copying):
    """One GPU of one process.

    Args:
        number: CUDA's ordinal of the GPU in this process.
        limit_bytes: what CuPy's memory pool may hold; 0: all of the device.
        arena_base: where the arena should begin; 0: at the usual place, or elsewhere if that is taken.
        moves: whether sessions may be moved and saved, see `state.OFF`.
        graphs: whether loops run as captured graphs, see `graphs.py`.
        fuses: whether chains of elementwise commands run as one kernel, see `chains/`.
    """

    kind = "cuda"
    reuses = False
    array_type: type = cupy.ndarray

    def __init__(self, number: int = 0, limit_bytes: int = 0, arena_base: int = 0, moves: bool = False,
                 graphs: bool = False, fuses: bool = False) -> None:  # fmt: skip
        self.number = number
        self.moves = moves
        self.limit_bytes = limit_bytes
        self._accounting: Any = None
        self._device = cupy.cuda.Device(number)
        self._device.use()
        self._whole = Whole()
        self._arena = self._make_arena(arena_base)
        #: Memory of the arena beside every pool; None: there is no arena.
        self._arena_allocator = (
            None
            if self._arena is None
            else cupy.cuda.PythonFunctionAllocator(self._arena.malloc, self._free_block).malloc
        )
        self._cleared = ClearedMemory(cupy.cuda.runtime)
        plain = cupy.cuda.PythonFunctionAllocator(self._cleared.malloc, self._cleared.free).malloc
        self._pool = cupy.cuda.MemoryPool(self._arena_allocator or plain)
        self._plain = plain
        #: runs loops as captured graphs; None: command by command
        self.graphs = Graphs(plain, self._whole) if graphs else None
        #: kernels of chains; None: each command runs by itself
        self._kernels = Kernels(number, self._whole.loading) if fuses else None
        #: arrays that were made of an address: nobody knows whose memory they are in
        self._addressed: WeakArrays = WeakArrays()
        cupy.cuda.set_allocator(self._pool.malloc)
        self._begin_copying()
        if moves:
            with contextlib.suppress(ImportError):  # without cuRAND there are no generators to follow
                draws.install()
        if limit_bytes:
            self._pool.set_limit(size=limit_bytes)
        self._streams = Streams(number)
        self._special: dict[str, Callable[..., Any]] = {
            **self._streams.ops(),
            **kernels.OPS,
            "@pointer": lambda a: int(a.data.ptr),
            "@from_pointer": self._from_pointer,
        }

    def _make_arena(self, base: int) -> Arena | None:
        """None, and a warning, where it cannot be. Raises ArenaTaken when `base` was asked for and is taken."""
        total = self._device.mem_info[1]
        try:
            arena = Arena(DriverMapper(self.number), total * ARENA_FACTOR, base or ARENA_HINT)
            if base and arena.base != base:
                arena.close()
                raise ArenaTaken(
                    f"The address range of the arena at {base:#x} is taken in this process; choose another server."
                )
            return arena
        except ArenaTaken:
            raise
        except OSError as error:
            why = f"CUDA's driver library cannot be loaded ({error})"
        except RuntimeError as error:
            why = f"the driver has no virtual memory management here ({error})"
        log.warning("No arena: %s. Sessions of this server run, but cannot be moved with their raw pointers.", why)
        return None

    # -- the session ------------------------------------------------------------------------------------------------------

    def open(self, accounting: Any, handles: Any) -> None:
        self._accounting = accounting

    def chains(self, executor: Any, threads: int, waves: bool) -> Chains | None:
        return Chains(executor, self._kernels, self._plain) if self._kernels is not None else None

    def enter(self) -> None:
        self._streams.enter()

    def select(self, device: int, stream: int) -> None:
        """Make a stream current for the calls that follow."""
        self._streams.select(device, stream)

    def describe(self) -> Any:
        return facts.describe(self.number, self.limit_bytes or self._device.mem_info[1], self._arena)

    def spare(self) -> None:
        return None  # its context is the process's, and what a session leaves in it is not nothing

    def warm(self) -> None:
        """Context, one op of each library, and the kernels that most programs use (`hot.py`), so that a session's first commands find them
        loaded. What a library keeps of it lies beside the arena, all of which is the session's."""
        self.enter()
        with cupy.cuda.using_allocator(self._plain):
            a = cupy.eye(8)
            (a + a).sum()
            cupy.matmul(a, a)
            cupy.linalg.solve(a, a[0])
            cupy.fft.fft(a[0])
            cupy.sort(a[0])
            cupy.random.default_rng(0).standard_normal(4)
            hot.load()
            self.synchronize()
            del a
        self._pool.free_all_blocks()

    def fault_of(self, error: BaseException) -> str:
        if isinstance(error, (cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError)) and (
            error.status in _LASTING  # pyright: ignore
        ):
            return (
                f"a kernel failed ({error}), after which CUDA refuses this process everything. The session's arrays are lost; "
                "the call that failed has the error."
            )
        return ""

    def resolve(self, impl: str) -> Callable[..., Any]:
        special = self._special.get(impl)
        return names.resolve(impl) if special is None else special

    def missing(self) -> dict[str, str]:
        """Rows that this CuPy has no function for."""
        found = {}
        for row in TABLE.values():
            if row.is_remote and not row.impl.startswith("@"):
                try:
                    names.resolve(row.impl)
                except KeyError as error:
                    found[row.impl] = (
                        f"a library that CuPy needs for {row.impl} is not on this server ({error.args[1]}); install it there"
                        if len(error.args) > 1
                        else f"CuPy {cupy.__version__} on this server has no {row.impl}; upgrade CuPy there"
                    )
        return found

    def synchronize(self) -> None:
        with self._device:
            self._whole.wait()

    def memory(self) -> MemoryInfo:
        free, total = self._device.mem_info
        pool = self._pool
        placed = self._placed_bytes
        return MemoryInfo(
            pool.used_bytes() + placed,
            pool.total_bytes() + placed,
            pool.free_bytes(),
            self.limit_bytes or pool.get_limit(),
            free,
            total,
        )

    def free_blocks(self) -> None:
        self._pool.free_all_blocks()
        if self._arena is not None:
            # An unmapped block may still be in use by a kernel that runs.
            self.synchronize()
            self._arena.trim()

    def close(self) -> None:
        if self._kernels is not None:
            self._kernels.close()
        self.synchronize()
        if self.graphs is not None:
            self.graphs.clear()
        cupy.fft.config.get_plan_cache().clear()
        # The arena itself goes with the process: arrays that somebody still holds would free into it.
        self.free_blocks()
        # The next session on this device may get the memory, whoever's it is.
        if self._arena is not None:
            self._arena.clear()
        self._cleared.clear()

    # -- arrays -----------------------------------------------------------------------------------------------------------

    def as_array(self, value: Any) -> Any:
        if isinstance(value, cupy.ndarray):
            return memory.plain(value)
        if not isinstance(value, (np.generic, np.ndarray, bool, int, float, complex)):
            raise TypeError(f"{type(value).__name__} is not an array")
        return cupy.asarray(value)

    def host_value(self, value: Any) -> Any:
        if isinstance(value, cupy.ndarray):
            return value.get()
        raise TypeError(f"a value of type {type(value).__name__} cannot be sent to the client")

    def empty(self, spec: Spec) -> Any:
        self._accounting.charge(spec.nbytes)
        return memory.empty(spec)

    def raw(self, nbytes: int, pooled: bool) -> Any:
        try:
            pointer = (
                cupy.cuda.alloc(nbytes) if pooled or self._arena_allocator is None else self._arena_allocator(nbytes)
            )
        except MemoryError:
            raise OutOfMemoryError(nbytes, self._accounting.used, self._accounting.limit) from None
        return cupy.ndarray((nbytes,), np.uint8, pointer)

    def address(self, array: Any) -> int:
        return int(array.data.ptr)

    def from_bytes(self, spec: Spec, data: bytes) -> Any:
        made = memory.empty(spec)
        if spec.size:
            host = np.frombuffer(data, spec.dtype).reshape(spec.shape)
            if spec.c_contiguous or spec.f_contiguous:
                made.set(host)
            else:
                made[...] = cupy.asarray(host)
        return made

    def copy(self, array: Any, spec: Spec | None) -> Any:
        if spec is None:
            made = cupy.ndarray(array.shape, array.dtype)
            made[...] = array
            return made
        return memory.conform(array, spec)

    def conform(self, array: Any, spec: Spec) -> Any:
        return memory.conform(array, spec)

    def view(self, array: Any, offset: int, spec: Spec) -> Any:
        return memory.view(array, offset, spec)

    def buffer_of(self, array: Any) -> Any:
        return memory.root_of(array)

    def _from_pointer(self, address: int, dtype: Any, shape: Any, strides: Any) -> Any:
        """An array over memory of the arena, or over a module's variable. Every element must lie in one live block, or variable."""
        spec = Spec(tuple(shape), np.dtype(dtype), tuple(strides))
        low, high = memory.extent(spec)
        module = kernels.owner_of(address + low, high - low)
        arena = self._arena
        if arena is None and module is None:
            raise NotImplementedError(
                "Arrays from raw addresses need the arena, which this server has not; its log says why."
            )
        if module is None and arena is not None and not arena.covers(address + low, high - low):
            raise CUDARuntimeError(
                _ILLEGAL_ADDRESS,
                f"cudaErrorIllegalAddress: an illegal memory access was encountered: {high - low} bytes at {address + low:#x} are not "
                "device memory of this session",
            )
        unowned = cupy.cuda.UnownedMemory(address + low, max(high - low, 1), module or self, self.number)
        made = cupy.ndarray(spec.shape, spec.dtype, cupy.cuda.MemoryPointer(unowned, -low), spec.strides)
        self._addressed.add(made)
        return made

    # -- transfers --------------------------------------------------------------------------------------------------------

    def staging(self, nbytes: int) -> Any:
        """Device memory that pieces are copied to as they come; charged as staged until the array is stored."""
        account = self._accounting
        account.stage(nbytes)
        try:
            return memory.Staging(self.number, nbytes)
        except cupy.cuda.memory.OutOfMemoryError:
            raise OutOfMemoryError(nbytes, account.used, account.limit) from None
        finally:
            # From here on the pool itself counts the bytes; the array is charged when it is stored.
            account.unstage(nbytes)

    def upload(self, spec: Spec, staging: Any) -> Any:
        memory.check_bytes(staging.nbytes, spec)
        made = cupy.ndarray(spec.shape, spec.dtype, staging.finish())
        stream = self._streams.apart
        if stream is None:
            return made if spec.c_contiguous else memory.conform(made, spec)
        # The memory is the default stream's, to which it goes back: what this stream does with it would not be waited for then.
        own = memory.conform(made, spec)
        cupy.cuda.Stream.null.wait_event(stream.record())
        return own

    def download(self, array: Any) -> memoryview:
        return memory.download(array)

    def pin(self, array: Any) -> memoryview | None:
        return None  # host memory it is not

    # -- what copies a session, beside `Copying` --------------------------------------------------------------------------

    def fixed(self) -> str:
        return state.fixed(self._arena, bool(self._addressed)) if self.moves else state.OFF

    def object_state(self, value: Any, number_of: Callable[[Any], int]) -> tuple[str, Any]:
        return state.object_state(value, number_of)

    def object_of(self, kind: str, plain: Any, object_at: Callable[[int], Any]) -> Any:
        return state.object_of(kind, plain, object_at)

    def write_state(self, message: Any, known: set[int]) -> None:
        state.write(self._streams, self._arena, message)

    def read_state(self, message: Any) -> None:
        state.read(self._streams, self._arena, message)


__all__ = ["CudaDevice"]
