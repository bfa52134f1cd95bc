"""Modules, functions and launches. A launch is one C call, during which the interpreter lock is free.

Boundary: addresses and bytes; arrays are turned into them by `ops.py`.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cupool.contract.errors import CompileException, CUDADriverError, CUDARuntimeError

from .compiler import Compiler
from .compiling import default_compiler
from .source import (
    RefusedSource,
    check_includes,
    has_barriers,
    needed,
    renamed,
    rewritten,
    scan_kernels,
    strip_comments,
)
from .variables import Library, remembered

MAX_THREADS = 1024
#: Dynamic shared memory of a block, and what a program may raise it to: as `facts.py` says.
SHARED_BYTES = 48 * 1024
SHARED_BYTES_OPTIN = 96 * 1024
STACK_BYTES = 256 * 1024
#: Threads of a cooperative grid, which all exist at once.
MAX_GRID_THREADS = 16 * 1024
_MAX_BLOCK = (1024, 1024, 64)
_MAX_GRID = (2**31 - 1, 65535, 65535)
_MAX_PARAMETERS = 512
#: What kernels may print between two looks at it; CUDA's own buffer is as large.
PRINT_BYTES = 1 << 20
#: MAP_NORESERVE has no name in `mmap`; its value on Linux.
_STACK_FLAGS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000


class _Launch(ctypes.Structure):
    _fields_ = (
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared_bytes", ctypes.c_ulonglong),
        ("args", ctypes.c_void_p),
        ("stacks", ctypes.c_void_p),
        ("stack_bytes", ctypes.c_ulonglong),
        ("message", ctypes.c_void_p),
        ("message_bytes", ctypes.c_ulonglong),
        ("printed", ctypes.c_void_p),
        ("printed_bytes", ctypes.c_ulonglong),
        ("printed_used", ctypes.c_ulonglong),
        ("cooperative", ctypes.c_uint),
    )


class _Parameter(ctypes.Structure):
    _fields_ = (("bytes", ctypes.c_uint), ("alignment", ctypes.c_uint), ("kind", ctypes.c_uint))


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a kernel: size and alignment in bytes; kind "p" pointer, "i" integer, "f" real, "s" anything else."""

    nbytes: int
    alignment: int
    kind: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the source of a module says about all its kernels.

    Attributes:
        fibers: threads of a block may wait for each other.
        grid: the blocks of a grid may wait for each other.
        prints: a kernel may print.
        has_shared: there are `__shared__` variables of a fixed size; has_constants: `__constant__` ones.
    """

    fibers: bool
    grid: bool
    prints: bool
    has_shared: bool
    has_constants: bool


class Module:
    """A loaded shared object and its functions. Lives as long as the process: code cannot be unloaded safely."""

    def __init__(self, path: Path, indices: Mapping[str, int], engine: KernelEngine, facts: Facts) -> None:
        self._library = ctypes.CDLL(str(path))
        self._indices = dict(indices)
        self._engine = engine
        self.facts = facts

    @property
    def base(self) -> int:
        """Where the object is loaded."""
        link_map = ctypes.c_void_p()
        if (
            ctypes.CDLL(None).dlinfo(ctypes.c_void_p(self._library._handle), 2, ctypes.byref(link_map))
            or not link_map.value
        ):
            raise OSError(0, "the loader says nothing of a module")
        return int(ctypes.c_uint64.from_address(link_map.value).value)

    @property
    def kernels(self) -> tuple[str, ...]:
        """Names that `function` takes."""
        return tuple(self._indices)

    def function(self, name: str) -> Function:
        """The kernel of this name or name expression. Raises CUDADriverError when there is none, as CUDA does."""
        index = self._indices.get(name)
        if index is None:
            raise CUDADriverError(500, f"CUDA_ERROR_NOT_FOUND: named symbol not found: {name!r}")
        return Function(self, name, self._library, index)

    def address_of(self, name: str) -> tuple[int, int]:
        """(address, size in bytes) of a __device__ or __constant__ variable. Raises CUDADriverError when there is none."""
        try:
            address = ctypes.addressof(ctypes.c_char.in_dll(self._library, name))
        except ValueError:
            raise CUDADriverError(500, f"CUDA_ERROR_NOT_FOUND: named symbol not found: {name!r}") from None
        return address, _symbol_bytes(address)


def _symbol_bytes(address: int) -> int:
    """The size that the object's symbol table states for what lies at `address`; 0 when it says nothing."""
    libc = ctypes.CDLL(None)
    info = (ctypes.c_void_p * 4)()
    symbol = ctypes.c_void_p()
    if not libc.dladdr1(ctypes.c_void_p(address), ctypes.byref(info), ctypes.byref(symbol), 1) or not symbol.value:
        return 0
    # Elf64_Sym: st_size is the 64-bit word at offset 16.
    return int(ctypes.c_uint64.from_address(symbol.value + 16).value)


class Function:
    """One kernel.

    Attributes:
        name: as the program asked for it.
        parameters: what it takes.
        max_dynamic_shared_bytes: limit on dynamic shared memory, settable up to `SHARED_BYTES_OPTIN`.
    """

    def __init__(self, module: Module, name: str, library: ctypes.CDLL, index: int) -> None:
        self._module = module
        self.name = name
        self.max_dynamic_shared_bytes = SHARED_BYTES
        self._entry = getattr(library, f"cupool_launch_{index}")
        self._entry.argtypes = (ctypes.c_void_p,)
        self._entry.restype = ctypes.c_int
        room = (_Parameter * _MAX_PARAMETERS)()
        count = getattr(library, f"cupool_describe_{index}")(room, _MAX_PARAMETERS)
        if count > _MAX_PARAMETERS:
            raise ValueError(f"kernel {name!r} has {count} parameters; at most {_MAX_PARAMETERS} are supported")
        self.parameters = tuple(Parameter(p.bytes, p.alignment, chr(p.kind)) for p in room[:count])

    def launch(
        self,
        grid: Sequence[int],
        block: Sequence[int],
        args: Sequence[bytes],
        shared_bytes: int = 0,
        cooperative: bool = False,
    ) -> None:
        """Run it; returns when it is done.

        Args:
            grid, block: up to three sizes each.
            args: per parameter its bytes, at least as many as the parameter has.
            cooperative: the blocks of the grid may wait for each other.

        Raises:
            CUDADriverError: impossible sizes.
            CUDARuntimeError: the kernel trapped, or its threads wait for each other for ever.
            ValueError: fewer arguments than parameters.
        """
        sizes = _triple(grid), _triple(block)
        self._check(*sizes, len(args), shared_bytes)
        # Each argument in aligned memory of its own; 16 is the largest alignment that parameters have, but structs may ask for more.
        offsets, total = [], 0
        for parameter in self.parameters:
            align = max(parameter.alignment, 1)
            total = -(-total // align) * align
            offsets.append(total)
            total += parameter.nbytes
        store = ctypes.create_string_buffer(total + 256)
        base = -(-ctypes.addressof(store) // 256) * 256
        pointers = (ctypes.c_void_p * (len(offsets) + 1))()
        for i, (offset, parameter) in enumerate(zip(offsets, self.parameters, strict=True)):
            ctypes.memmove(base + offset, args[i], parameter.nbytes)
            pointers[i] = base + offset
        message = ctypes.create_string_buffer(1024)
        launch = _Launch(
            (ctypes.c_uint * 3)(*sizes[0]), (ctypes.c_uint * 3)(*sizes[1]), shared_bytes, ctypes.addressof(pointers)
        )
        engine, facts = self._module._engine, self._module.facts
        if facts.prints:
            launch.printed, launch.printed_bytes = engine.print_room()
        if facts.fibers:
            launch.cooperative = cooperative and facts.grid
            threads = math.prod(sizes[1]) * (math.prod(sizes[0]) if launch.cooperative else 1)
            if threads > MAX_GRID_THREADS:
                raise CUDADriverError(
                    720, f"CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE: too many blocks in cooperative launch: {threads} threads, here at most "
                    f"{MAX_GRID_THREADS}"
                )  # fmt: skip
            launch.stacks, launch.stack_bytes = engine.stacks(threads), STACK_BYTES
        launch.message, launch.message_bytes = ctypes.addressof(message), len(message)
        outcome = self._entry(ctypes.byref(launch))
        if launch.printed_used:
            engine.printed += launch.printed_used
        if outcome:
            text = message.value.decode(errors="replace")
            raise CUDARuntimeError(
                719, f"cudaErrorLaunchFailure: unspecified launch failure: kernel {self.name!r}: {text}"
            )

    def _check(self, grid: tuple[int, ...], block: tuple[int, ...], given: int, shared_bytes: int) -> None:
        threads = block[0] * block[1] * block[2]
        if (
            any(n > most for n, most in zip((*grid, *block), (*_MAX_GRID, *_MAX_BLOCK), strict=True))
            or threads > MAX_THREADS
        ):
            raise CUDADriverError(1, f"CUDA_ERROR_INVALID_VALUE: invalid argument: grid {grid}, block {block}")
        if shared_bytes > self.max_dynamic_shared_bytes:
            raise CUDADriverError(
                1, f"CUDA_ERROR_INVALID_VALUE: invalid argument: {shared_bytes} bytes of shared memory; the limit of kernel "
                f"{self.name!r} is {self.max_dynamic_shared_bytes}, see max_dynamic_shared_size_bytes"
            )  # fmt: skip
        if given < len(self.parameters):
            raise ValueError(f"kernel {self.name!r} takes {len(self.parameters)} arguments, {given} were given")


def _triple(sizes: Sequence[int]) -> tuple[int, int, int]:
    x, y, z = (*(max(1, int(n)) for n in sizes), 1, 1, 1)[:3]
    return x, y, z


class KernelEngine:
    """Compiles and keeps the modules of one process."""

    def __init__(self, compiler: Compiler | None = None) -> None:
        self.compiler = compiler or default_compiler()
        self._stacks: mmap.mmap | None = None
        self._stacks_at = 0
        self._print_buffer: Any = None
        #: Bytes that kernels have printed since `take_printed`.
        self.printed = 0
        #: what is loaded, by the object's path
        self.libraries: dict[str, Library] = {}

    def probe(self) -> str:
        """Empty when kernels work here; else why not and what to install."""
        return self.compiler.probe()

    def stacks(self, threads: int) -> int:
        """Address of the stacks that fibers run on; pages come into being when touched."""
        if self._stacks is None or len(self._stacks) < threads * STACK_BYTES:
            self._stacks = mmap.mmap(-1, max(threads, MAX_THREADS) * STACK_BYTES, flags=_STACK_FLAGS)
            self._stacks_at = ctypes.addressof(ctypes.c_char.from_buffer(self._stacks))
        return self._stacks_at

    def print_room(self) -> tuple[int, int]:
        """(address, size) of the room that is left for what kernels print."""
        if self._print_buffer is None:
            self._print_buffer = ctypes.create_string_buffer(PRINT_BYTES)
        return ctypes.addressof(self._print_buffer) + self.printed, PRINT_BYTES - self.printed

    def peek_printed(self) -> bytes:
        """The same, left where it is."""
        return ctypes.string_at(self._print_buffer, self.printed) if self.printed else b""

    def restore_printed(self, data: bytes) -> None:
        """What kernels had printed elsewhere. Raises ValueError when there is more than could be."""
        if len(data) > PRINT_BYTES:
            raise ValueError("more was printed than there is room for")
        if data:
            self.printed = 0
            ctypes.memmove(self.print_room()[0], data, len(data))
            self.printed = len(data)

    def take_printed(self) -> str:
        """What kernels have printed since the last time."""
        if not self.printed:
            return ""
        data = ctypes.string_at(self._print_buffer, self.printed)
        self.printed = 0
        return data.decode(errors="replace")

    def warnings(self, source: str, options: Sequence[str], headers: Mapping[str, str]) -> str:
        """What the compiler has to say about a source that it compiles."""
        text = self._text(source, "kernel.cu", (), (), False)
        return self.compiler.warnings(
            text, options, {name: rewritten(h) for name, h in needed(source, headers).items()}
        )

    def module(self, source: str, options: Sequence[str] = (), *, name: str = "kernel.cu", expressions: Sequence[str] = (),
               headers: Mapping[str, str] | None = None, backend: str = "nvrtc", wanted: Sequence[str] = ()) -> Module:  # fmt: skip
        """Compile and load a CUDA C++ source.

        Args:
            source: the text.
            options: NVRTC's options.
            name: what messages call the source.
            expressions: C++ names to instantiate ("kernel<float>"), as `name_expressions`.
            headers: name -> text of the headers that it includes and that are not built in.
            wanted: names that must be found, for the source that hides them from the scan.

        Raises:
            CompileException, OpMissing: see `Compiler.compile`.
        """
        given = headers = needed(source, headers or {})
        try:
            for text in (source, *headers.values()):
                check_includes(text, frozenset(headers))
        except RefusedSource as error:
            raise CompileException(f"{name}: error: {error}", source, name, tuple(options), backend) from None
        everything = "\n".join((source, *headers.values(), *options))
        scan = scan_kernels(source)
        kernels = list(scan.kernels)
        if not scan.certain:
            seen = self.compiler.preprocess(source, options)
            if seen is not None:
                kernels = list(scan_kernels(seen, "cupool_global").kernels)
        if headers:
            kernels += [k for text in headers.values() for k in scan_kernels(text).kernels if k not in kernels]
        entries = [*kernels, *(e for e in expressions if e not in kernels and not e.lstrip().startswith("&"))]
        facts = facts_of(everything)
        text = (_GRID_SHARED if facts.grid else "") + self._text(source, name, kernels, entries, facts.fibers)
        headers = {header: rewritten(contents) for header, contents in headers.items()}
        path = self.compiler.compile(text, options, headers, source=source, name=name, backend=backend)
        # Modules of one source share their globals, as CuPy's do: loading an object twice gives the same one.
        module = Module(path, {e: i for i, e in enumerate(entries)}, self, facts)
        if str(path) not in self.libraries:
            self.libraries[str(path)] = remembered(
                path, module.base, source, tuple(options), name, tuple(expressions), given, backend
            )
        return module

    def _text(self, source: str, name: str, kernels: Sequence[str], entries: Sequence[str], fibers: bool) -> str:
        label = re.sub(r"[^\w.<>, -]", "_", name)
        renames = "".join(f"#define {k} {renamed(k)}\n" for k in kernels if renamed(k) != k)
        lines = [f'{_stdint(source)}{renames}#line 1 "{label}"\n{rewritten(source)}\n#line 1 "entries of {label}"\n']
        lines += [f"CUPOOL_KERNEL({i}, {str(fibers).lower()}, {e})\n" for i, e in enumerate(entries)]
        return "".join(lines)


_GRID = re.compile(r"\b(this_grid|grid_group)\b")
#: In kernels whose blocks exist at once, the shared variables of a block can be put aside.
_GRID_SHARED = '#undef __shared__\n#define __shared__ static __attribute__((section("cupool_shared")))\n'


def facts_of(text: str) -> Facts:
    """What a source and its headers say about their kernels."""
    bare = strip_comments(text)
    return Facts(
        has_barriers(text),
        _GRID.search(bare) is not None,
        "print" in bare,
        "__shared__" in rewritten(bare),
        "__constant__" in bare,
    )


_FIXED = {
    "int8_t": "signed char", "uint8_t": "unsigned char", "int16_t": "short", "uint16_t": "unsigned short", "int32_t": "int",
    "uint32_t": "unsigned int", "int64_t": "long", "uint64_t": "unsigned long",
}  # fmt: skip


def _stdint(source: str) -> str:
    """Fixed-width names, but for those that the source declares itself."""
    own: Any = re.compile(r"\b(?:typedef\b[^;]*?\b(u?int\d+_t)\s*;|using\s+(u?int\d+_t)\s*=)")
    declared = {a or b for a, b in own.findall(source)}
    return "".join(f"typedef {c} {name};\n" for name, c in _FIXED.items() if name not in declared)
