"""Chains as kernels: their C++, what it is compiled to, and how it is launched.

A kernel is written for a *shape of a chain*: which operations, on what, of which types, and what of it is stored; not for sizes. It is
compiled by a thread of its own while the commands run one by one, which is what they do until it is there.

Note [Opaque]
    C++ leaves open what an integer's overflow gives, or a conversion of a float that does not fit; a GPU's instructions do not, and each
    of CuPy's kernels has one of them. The compiler may use that where it sees two texts at once: of `y = x + n; y > x` it makes `n > 0`,
    and of a conversion to single precision and back nothing at all. Such a kernel gives its commands' bits until numbers come that
    overflow, so that a trial does not tell. So each result goes through an empty `asm`, behind which the compiler knows nothing of it.
    It costs no instruction.

Boundary: knows nothing of handles, the account, or which commands meet in a chain (`window.py`).
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cupy
import numpy as np

from .operations import TYPENAMES, Operation

log = logging.getLogger(__name__)

#: How an operand lies: packed and of the chain's shape, one element, or anyhow.
FULL, ONE, STRIDED = range(3)
#: A kernel's threads: in a block, and blocks at most (each thread goes on behind what all have done).
THREADS = 256
MOST_BLOCKS = 1 << 22
#: Times that a chain is met before it is compiled: what comes once is not worth it.
MEETINGS = 2
#: Chains that are known, compiled or not.
MOST_KNOWN = 512
#: Kernels that a session has compiled at most: CuPy keeps each until the process ends.
MOST_COMPILED = 1024
#: That wait to be compiled; what comes beyond is met again.
MOST_WAITING = 32
#: Without contracting a product and a sum into one rounding, see `operations.py`.
OPTIONS = ("--std=c++17", "--fmad=false")

_NAME = "cupool_chain"
#: What CuPy's elementwise kernels begin with.
_HEADERS = """
#include <cupy/complex.cuh>
#include <cupy/carray.cuh>
#include <cupy/atomics.cuh>
#include <cupy/math_constants.h>
"""
#: Of a type, in what a register is, and its letter in an `asm`. See Note [Opaque].
_REGISTERS = {
    "bool": ("int", "r"), "signed char": ("int", "r"), "unsigned char": ("int", "r"), "short": ("int", "r"),
    "unsigned short": ("int", "r"), "int": ("int", "r"), "unsigned int": ("unsigned int", "r"), "long long": ("long long", "l"),
    "unsigned long long": ("unsigned long long", "l"), "float": ("float", "f"), "double": ("double", "d"),
}  # fmt: skip
_OPAQUE = "".join(
    f'static __device__ __forceinline__ {name} cupool_opaque({name} x) {{ {register} y = x; asm("" : "+{letter}"(y)); return y; }}\n'
    for name, (register, letter) in _REGISTERS.items()
)


@dataclass(frozen=True, slots=True)
class Chain:
    """The shape of a chain.

    Attributes:
        nodes: operations in order, and of each what it takes: k, the result of the k-th; or -1 - k, the k-th operand.
        operands: (dtype's character, how it lies); numbers are ONE, see `numbers`.
        numbers: indices of operands that are numbers, given with the launch.
        stored: nodes whose results are written.
        ndim: of the places of operands that are STRIDED; 0: there are none.
        is_wide: there are so many elements that places are found by 64-bit divisions, which take a GPU several times as long.
    """

    nodes: tuple[tuple[Operation, tuple[int, ...]], ...]
    operands: tuple[tuple[str, int], ...]
    numbers: frozenset[int]
    stored: tuple[int, ...]
    ndim: int
    is_wide: bool = False


def source(chain: Chain) -> str:
    """The C++ of a chain: one `extern "C"` kernel. Its parameters are the operands, then where results are stored, then the number of
    elements; where there are STRIDED operands also the shape, and of each of those its strides in bytes."""
    parameters, loads = [], []
    strides = []
    for k, (char, how) in enumerate(chain.operands):
        name = TYPENAMES[char]
        if k in chain.numbers:
            parameters.append(f"const {name} x{k}")
            continue
        parameters.append(f"const {name}* p{k}")
        at = f"p{k}[{'i' if how == FULL else 0}]"
        if how == STRIDED:
            strides += [f"const long long s{k}_{d}" for d in range(chain.ndim)]
            steps = " + ".join(f"i{d} * s{k}_{d}" for d in range(chain.ndim))
            at = f"*reinterpret_cast<const {name}*>(reinterpret_cast<const char*>(p{k}) + ({steps}))"
        loads.append(f"const {name} x{k} = {at};")
    parameters += [f"{TYPENAMES[chain.nodes[k][0].dtype.char]}* r{k}" for k in chain.stored]
    parameters += ["const long long size", *(f"const long long n{d}" for d in range(chain.ndim)), *strides]
    place = "unsigned long long" if chain.is_wide else "unsigned int"
    places = [f"{place} rest = i;"] if chain.ndim else []
    for d in range(chain.ndim - 1, 0, -1):
        places += [f"const long long i{d} = rest % ({place})n{d};", f"rest /= ({place})n{d};"]
    if chain.ndim:
        places.append("const long long i0 = rest;")
    body = "\n".join(
        (*places, *loads, *(_node(k, *node, chain) for k, node in enumerate(chain.nodes)),
         *(f"r{k}[i] = v{k};" for k in chain.stored))
    )  # fmt: skip
    preambles = "\n".join(dict.fromkeys(operation.preamble for operation, _ in chain.nodes if operation.preamble))
    return (
        f'{_HEADERS}{_OPAQUE}{preambles}\nextern "C" __global__ void {_NAME}({", ".join(parameters)}) {{\n'
        "const long long step = (long long)gridDim.x * blockDim.x;\n"
        "#pragma unroll 1\n"  # as CuPy's: nearly every thread has one element
        "for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < size; i += step) {\n"
        f"{body}\n}}\n}}\n"
    )


def _node(k: int, operation: Operation, takes: tuple[int, ...], chain: Chain) -> str:
    """One operation, in a scope of its own, as CuPy's kernel has it around the routine."""
    lines = []
    for j, (ref, dtype) in enumerate(zip(takes, operation.inputs, strict=True)):
        given = chain.nodes[ref][0].dtype.char if ref >= 0 else chain.operands[-1 - ref][0]
        name = f"v{ref}" if ref >= 0 else f"x{-1 - ref}"
        lines.append(
            f"typedef {TYPENAMES[dtype.char]} in{j}_type; const in{j}_type in{j}({_cast(given, dtype, name)});"
        )
    lines.append(f"typedef {TYPENAMES[operation.output.char]} out0_type; out0_type out0;")
    lines.append(f"{operation.routine};")
    name = TYPENAMES[operation.dtype.char]
    lines.append(f"const {name} kept = {_cast(operation.output.char, operation.dtype, 'out0')};")
    lines.append(f"v{k} = cupool_opaque(kept);")
    return f"{name} v{k};\n{{ {' '.join(lines)} }}"


def _cast(char: str, into: np.dtype[Any], what: str) -> str:
    """As CuPy writes conversions."""
    return f"({what}) ? 1 : 0" if char == "?" and into.kind != "b" else what


class Entry:
    """A chain that was met.

    Attributes:
        meetings: how often.
        kernel: None: it is not compiled.
        is_proven: it gave what its commands give.
        is_refused: it cannot be compiled, or gave something else.
    """

    __slots__ = ("chain", "is_proven", "is_refused", "is_waiting", "kernel", "meetings")

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.meetings = 0
        self.kernel: Any = None
        self.is_waiting = self.is_proven = self.is_refused = False


class Kernels:
    """The chains of one device that were met, and their kernels. Used by the executing thread; compiled by another."""

    def __init__(self, number: int, guard: Callable[[], Any], waits: bool = False) -> None:
        """
        Args:
            number: CUDA's ordinal of the device.
            guard: a context in which a module may be loaded.
            waits: chains are compiled where they are met, by the thread that asks.
        """
        self._number = number
        self._guard = guard
        self._waits = waits
        self._known: OrderedDict[Chain, Entry] = OrderedDict()
        self._queue: queue.Queue[Entry | None] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None
        #: kernels that were compiled, and chains that have none and get none
        self.compiled = 0
        self.refused = 0

    def meet(self, chain: Chain) -> Entry:
        """What is known of a chain; from the second time on it is compiled."""
        entry = self._known.get(chain)
        if entry is None:
            entry = self._known[chain] = Entry(chain)
            if len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        self._known.move_to_end(chain)
        entry.meetings += 1
        if entry.kernel is None and not entry.is_waiting and not entry.is_refused and entry.meetings >= MEETINGS:
            if self.compiled >= MOST_COMPILED:
                return entry
            if self._waits:
                self._compile(entry)
            else:
                self._ask(entry)
        return entry

    def refuse(self, entry: Entry, why: str) -> None:
        """Its commands run one by one from now on."""
        entry.is_refused, entry.kernel = True, None
        self.refused += 1
        names = " ".join(operation.routine for operation, _ in entry.chain.nodes)[:200]
        log.warning("event=chain-refused operations=%d why=%s routines=%s", len(entry.chain.nodes), why, names)

    def _ask(self, entry: Entry) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="chains", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait(entry)
        except queue.Full:
            return
        entry.is_waiting = True

    def close(self) -> None:
        """Nothing more is compiled; returns when what is being compiled is done."""
        thread, self._thread = self._thread, None
        if thread is not None:
            with contextlib.suppress(queue.Empty):  # its thread takes from it too
                while True:
                    self._queue.get_nowait()
            self._queue.put(None)
            thread.join()

    def _serve(self) -> None:
        cupy.cuda.Device(self._number).use()
        while (entry := self._queue.get()) is not None:
            self._compile(entry)
            entry.is_waiting = False

    def _compile(self, entry: Entry) -> None:
        try:
            kernel = cupy.RawKernel(source(entry.chain), _NAME, OPTIONS)
            with self._guard():
                kernel.compile()
        except Exception as error:  # of the compiler, the driver or the cache's folder: the commands run without it
            self.refuse(entry, f"{type(error).__name__}: {str(error)[:300]}")
            return
        entry.kernel = kernel
        self.compiled += 1


def launch(kernel: Any, chain: Chain, size: int, operands: list[Any], results: list[Any], places: list[int]) -> None:
    """Start a chain's kernel on the current stream.

    Args:
        size: elements.
        operands: arrays and NumPy scalars, as in `chain.operands`.
        results: packed arrays, as in `chain.stored`.
        places: the shape, and the strides of each STRIDED operand, one behind the other.
    """
    blocks = min(-(-size // THREADS), MOST_BLOCKS)
    kernel((blocks,), (THREADS,), (*operands, *results, np.int64(size), *map(np.int64, places)))


__all__ = ["FULL", "MEETINGS", "ONE", "STRIDED", "Chain", "Entry", "Kernels", "launch", "source"]
