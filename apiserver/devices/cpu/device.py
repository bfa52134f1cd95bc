"""The CPU device: NumPy for arrays, g++ for kernels. A working device, with a memory limit of its own.

Boundary: memory and the calls of the `Device` protocol; the ops are in `ops_*.py`, kernels in `kernels/`, addresses in `arena.py`.
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cupool.contract.blocks import BlockCache
from cupool.contract.errors import OutOfMemoryError
from cupool.contract.spec import Spec

from ..base import PIECE_BYTES, MemoryInfo
from . import facts, memory, ops, streams
from .arena import Block
from .memory import Array

if TYPE_CHECKING:
    from ...fusion import Fusion

#: Exports from here on are read in place; copying a smaller one costs less than watching for writes.
PINNED_BYTES = 1 << 20

_SCALARS = (np.generic, bool, int, float, complex, np.ndarray)


class CpuDevice:
    """One CPU device of one process."""

    kind = "cpu"
    reuses = True
    array_type: type[Any] = np.ndarray
    select: Callable[[int, int], None] | None = None
    graphs: Any = None

    def __init__(self, number: int = 0, limit_bytes: int = 1 << 31, arena_base: int = 0) -> None:
        self.number = number
        self.limit_bytes = limit_bytes
        self.arena_base = arena_base
        self._accounting: Any = None
        self._engine: Any = None
        self._timeline = streams.Timeline()
        self._table: dict[str, Callable[..., Any]] = {}
        self._blocks = BlockCache()

    def fault_of(self, error: BaseException) -> str:
        return ""

    def open(self, accounting: Any, handles: Any) -> None:
        self._accounting = accounting
        engine = self.engine()
        if engine is not None:
            engine.open(accounting, handles)

    def enter(self) -> None:
        # CuPy never warns about a value: infinities and NaNs are results. NumPy keeps this setting per thread.
        np.seterr(all="ignore")

    def engine(self) -> Any:
        """The kernel engine; None when this build has none."""
        if self._engine is None:
            try:
                from .kernels import Engine
            except ImportError:
                return None
            self._engine = Engine(self)
        return self._engine

    # -- what it is -------------------------------------------------------------------------------------------------------

    def describe(self) -> Any:
        return facts.describe(self.number, self.limit_bytes, self._engine)

    def chains(self, executor: Any, threads: int, waves: bool) -> Fusion:
        from ...fusion import Fusion  # which takes its loops from here

        return Fusion(executor, threads, waves)

    def spare(self) -> CpuDevice:
        return CpuDevice(self.number)

    def warm(self) -> None:
        """One op of each library, so that the first command of a session finds them loaded."""
        self.enter()
        a = np.eye(8)
        np.add(a, a)
        np.matmul(a, a)
        np.linalg.solve(a, a[0])
        np.fft.fft(a[0])
        np.random.default_rng(0).normal(size=4)

    def resolve(self, impl: str) -> Callable[..., Any]:
        if not self._table:
            self._table = {**self._timeline.ops(), **_engine_ops(self.engine())}
        found = self._table.get(impl)
        return found if found is not None else ops.resolve(impl)

    def missing(self) -> dict[str, str]:
        return dict(ops.MISSING)

    # -- arrays -----------------------------------------------------------------------------------------------------------

    def as_array(self, value: Any) -> Array:
        if not isinstance(value, _SCALARS):
            raise TypeError(f"{type(value).__name__} is not an array")
        return np.asarray(value)

    def host_value(self, value: Any) -> Any:
        raise TypeError(f"a value of type {type(value).__name__} cannot be sent to the client")

    def empty(self, spec: Spec) -> Array:
        self._accounting.charge(spec.nbytes)
        return memory.empty(spec)

    def raw(self, nbytes: int, pooled: bool) -> Array:
        engine = self.engine()
        return np.empty(nbytes, np.uint8) if engine is None else engine.arena.block(nbytes)

    address = staticmethod(memory.address_of)

    def from_bytes(self, spec: Spec, data: bytes) -> Array:
        made = memory.empty(spec)
        if spec.size:
            made[...] = np.frombuffer(data, spec.dtype).reshape(spec.shape)
        return made

    def copy(self, array: Array, spec: Spec | None) -> Array:
        return np.array(array, order="C") if spec is None else memory.conform(array, spec)

    def conform(self, array: Array, spec: Spec) -> Array:
        return memory.conform(array, spec)

    view = staticmethod(memory.view)

    def buffer_of(self, array: Array) -> Array:
        return memory.root_of(array)

    # -- transfers --------------------------------------------------------------------------------------------------------

    def staging(self, nbytes: int) -> memoryview:
        """Charged as staged until the array that it becomes is stored, or it is dropped."""
        account = self._accounting
        account.stage(nbytes)
        try:
            memory_ = self._blocks.take(nbytes)
        except MemoryError:
            account.unstage(nbytes)
            raise OutOfMemoryError(nbytes, account.used, account.limit) from None
        _staged[id(memory_)] = weakref.finalize(memory_, _unstage, account, nbytes, id(memory_))
        return memory_.data

    def upload(self, spec: Spec, staging: Any) -> Array:
        owner = staging.obj
        release = _staged.pop(id(owner), None)
        if release is not None:
            release.detach()
            self._accounting.unstage(owner.nbytes)
        if owner.nbytes < spec.nbytes:
            raise ValueError(f"{owner.nbytes} bytes were uploaded for an array of {spec.nbytes}")
        if spec.c_contiguous:
            return np.ndarray(spec.shape, spec.dtype, owner, 0, spec.strides)
        return memory.conform(np.ndarray(spec.shape, spec.dtype, owner), spec)

    def download(self, array: Array) -> memoryview:
        """A copy, charged until it is dropped: the array may change before the client has all bytes."""
        account, nbytes = self._accounting, array.nbytes
        account.stage(nbytes)
        copied = self._blocks.take(nbytes)
        weakref.finalize(copied, account.unstage, nbytes)
        if nbytes:
            np.ndarray(array.shape, array.dtype, copied)[...] = array
        return copied.data

    def pin(self, array: Array) -> memoryview | None:
        if not array.flags.c_contiguous or array.nbytes < PINNED_BYTES:
            return None
        arena = getattr(self._engine, "arena", None)
        if arena is not None and arena.base <= memory.address_of(array) < arena.base + arena.nbytes:
            return None  # its place is used again once its last handle is freed
        return array.reshape(-1).view(np.uint8).data

    # -- for whoever copies the session ------------------------------------------------------------------------------------

    tracks_pages = True
    verifies = False

    @property
    def arena(self) -> Any:
        return getattr(self._engine, "arena", None)

    def fixed(self) -> str:
        from . import state

        return state.fixed(self._engine)

    def bytes_of(self, root: Array) -> Array:
        address = self.arena_address(root)
        return self.arena.memory_at(address, root.nbytes) if address else memory.raw_bytes(root)

    def hashes(self, data: Any) -> list[bytes]:
        return [
            hashlib.blake2b(data[at : at + PIECE_BYTES], digest_size=16).digest()
            for at in range(0, data.nbytes, PIECE_BYTES)
        ]

    def digest(self, root: Array) -> bytes:
        return hashlib.blake2b(self.bytes_of(root).data, digest_size=16).digest()

    def arena_address(self, root: Array) -> int:
        block: Any = root.base
        return block.address if type(block) is Block else 0

    def offset_in(self, array: Array, root: Array) -> int:
        return memory.address_of(array) - memory.address_of(root)

    def offset_of_bytes(self, data: memoryview, root: Array) -> int:
        return memory.address_of(np.frombuffer(data, np.uint8)) - memory.address_of(root)

    def object_state(self, value: Any, number_of: Callable[[Any], int]) -> tuple[str, Any]:
        from . import state

        return state.object_state(value, number_of)

    def object_of(self, kind: str, plain: Any, object_at: Callable[[int], Any]) -> Any:
        from . import state

        return state.object_of(kind, plain, object_at)

    def write_state(self, message: Any, known: set[int]) -> None:
        from . import state

        state.write(self._timeline, self._engine, message, known)

    def read_state(self, message: Any) -> None:
        from . import state

        state.read(self._timeline, self._engine, message)

    def place(self, nbytes: int, address: int) -> Array:
        if not address:
            return memory.fresh(nbytes)
        engine = self.engine()
        if engine is None:
            raise ValueError("this server has no arena")
        placed: Array = engine.arena.place(address, nbytes)
        return placed

    def landed(self, root: Array) -> None:
        """It was written in place."""

    def shaped(self, root: Array, spec: Spec) -> bool:
        if not spec.c_contiguous or spec.nbytes != root.nbytes:
            return False
        bare: Any = root  # in place: a view would not be its own root
        bare.dtype = spec.dtype
        bare.shape = spec.shape
        return bool(root.strides == spec.strides)

    def staged(self, root: Array) -> memoryview:
        self._accounting.stage(root.nbytes)
        _staged[id(root)] = weakref.finalize(root, _unstage, self._accounting, root.nbytes, id(root))
        return root.data

    def array_over(self, root: Array, offset: int, spec: Spec) -> Array:
        return memory.array_over(root, offset, spec)

    def place_in(self, array: Array, root: Array) -> tuple[int, int]:
        if array is root:
            return 0, root.nbytes
        low, high = memory.extent(array)
        at = memory.address_of(array) - memory.address_of(root)
        return at + low, at + high

    # -- the session ------------------------------------------------------------------------------------------------------

    def free_blocks(self) -> None:
        """Only large transfers' memory is kept for reuse; an array's goes back when it is dropped."""
        self._blocks.clear()

    def synchronize(self) -> None:
        """Every command has completed when the next one starts."""

    def memory(self) -> MemoryInfo:
        info: MemoryInfo = self._accounting.memory()
        return info

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()


#: id of staging memory -> what gives its charge back when it is dropped unused.
_staged: dict[int, Any] = {}


def _unstage(account: Any, nbytes: int, key: int) -> None:
    _staged.pop(key, None)
    account.unstage(nbytes)


_ENGINE_OPS = (
    "@pointer", "@from_pointer", "@kernel_raw", "@kernel_binary", "@kernel_function", "@kernel_attributes", "@kernel_set_attribute",
    "@kernel_global", "@kernel_compile", "@kernel_output", "@compile",
    "@launch", "@kernel_elementwise", "@call_elementwise", "@kernel_reduction", "@call_reduction",
)  # fmt: skip


def _engine_ops(engine: Any) -> dict[str, Callable[..., Any]]:
    """Op name -> the engine's method of that name, without its "@"."""
    if engine is None:
        return {}
    return {name: getattr(engine, name[1:]) for name in _ENGINE_OPS if hasattr(engine, name[1:])}


__all__ = ["CpuDevice"]
