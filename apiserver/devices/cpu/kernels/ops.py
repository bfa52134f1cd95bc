"""The kernel rows of the op table on the CPU device: arrays become pointers into the arena, calls become launches.

Boundary: knows arrays, the arena and the handle table; `engine.py` knows only bytes and addresses.
"""

from __future__ import annotations

import contextlib
import platform
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cupool.contract.errors import CUDADriverError
from cupool.contract.spec import spec_of

from ..arena import Arena
from ..memory import address_of, root_of
from . import generate, images
from .arguments import pack
from .engine import SHARED_BYTES_OPTIN, Function, KernelEngine, Module
from .generate import Argument
from .generate import Parameter as Declared
from .globals import Globals
from .variables import Library, apply

Array = np.ndarray[Any, Any]
#: General registers of the processor that kernels run on.
_REGISTERS = {"x86_64": 16, "aarch64": 31}.get(platform.machine(), -1)


@dataclass(slots=True)
class RawModuleObject:
    """What a RawModule handle stands for. Compiled at the first need; an error comes again each time."""

    source: str
    options: tuple[str, ...]
    backend: str
    expressions: tuple[str, ...]
    headers: dict[str, str]
    module: Module | None = None
    #: launched so that a grid can wait for all its blocks
    cooperative: bool = False


@dataclass(slots=True)
class FunctionObject:
    """What a RawKernel handle stands for."""

    module: RawModuleObject
    name: str
    function: Function | None = None
    attributes: dict[str, int] = field(default_factory=dict)
    #: of a session that comes from elsewhere: what its dynamic shared memory was raised to, until it is loaded
    shared_bytes: int | None = None


#: The names of the arrays themselves, casts, and casts to references.
_AROUND_CONST = re.compile(r"_raw_|_cast\b|&\s*\)")


class Generated:
    """An elementwise or reduction kernel: the source's parts, and a function for each kind of call."""

    __slots__ = (
        "addressed",
        "declared",
        "functions",
        "in_grid",
        "inputs",
        "may_write_inputs",
        "name",
        "options",
        "outputs",
        "parts",
        "reduce_dims",
    )

    def __init__(
        self,
        in_params: str,
        out_params: str,
        name: str,
        reduce_dims: bool,
        options: Sequence[str],
        parts: dict[str, str],
    ) -> None:
        self.declared = (in_params, out_params)
        self.inputs = generate.parse_parameters(in_params, True)
        self.outputs = generate.parse_parameters(out_params, False)
        self.name = name
        self.reduce_dims = bool(reduce_dims)
        self.options = tuple(options)
        self.parts = parts
        self.functions: dict[Any, Function] = {}
        code = " ".join(parts.values())
        #: an input is a reference to const, which code can get around; see tracking.py
        self.may_write_inputs = _AROUND_CONST.search(code) is not None or not all(p.const for p in self.inputs)
        #: what each thread has of its own, or ends with, must be a thread's here too
        self.in_grid = (
            generate.GRID_NAMES.search(code) is not None
            or generate.ENDS.search(parts.get("operation", "")) is not None
            or bool(parts.get("loop_prep", "").strip() or parts.get("after_loop", "").strip())
        )
        #: parameters whose addresses the code may see: they lie in the arena
        self.addressed = frozenset(
            p.name
            for p in (*self.inputs, *self.outputs)
            if p.raw or re.search(rf"(?<!&)&\s*\(?\s*{re.escape(p.name)}\b", code)
        )


class Engine:
    """The kernels of one device.

    Attributes:
        arena: the session's address range.
    """

    def __init__(self, device: Any = None, engine: KernelEngine | None = None, arena: Arena | None = None) -> None:
        self._kernels = engine or KernelEngine()
        self.arena = arena or Arena(getattr(device, "arena_base", 0) or None)
        self._globals = Globals(self.arena)
        self._accounting: Any = None
        self._rebind: Callable[..., None] | None = None
        self._status: Any = None
        self._kept: list[Array] = []

    # -- the device's side ------------------------------------------------------------------------------------------------

    def why_not(self) -> str:
        """Empty when kernels compile here; else why not and what to install."""
        return self._kernels.probe()

    def open(self, accounting: Any, handles: Any) -> None:
        """The session begins."""
        self._accounting = accounting
        self._rebind = handles.rebind

    def watch(self, status: Any) -> None:
        """`status` (a StatusWriter) says how long a kernel has been running; compiling one does not count."""
        self._status = status

    @contextlib.contextmanager
    def _compiling(self) -> Iterator[None]:
        status = self._status
        running = status.current() if status is not None else ""
        if status is None or not running:
            yield
            return
        status.running("")
        try:
            yield
        finally:
            status.running(running)

    def close(self) -> None:
        """The session is over."""
        self.arena.close()

    # -- for whoever copies the session -----------------------------------------------------------------------------------

    def libraries(self) -> list[Library]:
        """What is loaded."""
        return list(self._kernels.libraries.values())

    def mapped(self) -> dict[int, tuple[int, int, int]]:
        """See `Globals.mapped`."""
        return self._globals.mapped()

    def keep(self, block: Array) -> None:
        """A block of the arena stays in use until the end."""
        self._kept.append(block)

    def restore_library(self, source: str, options: tuple[str, ...], name: str, expressions: tuple[str, ...], headers: dict[str, str],
                        backend: str, object_hash: bytes, size: int, offsets: list[int], data: list[bytes],
                        place: tuple[int, int, int]) -> None:  # fmt: skip
        """Load a module and give its variables what they held elsewhere; `place`: map them
        there in the arena, in the block of this address and size; zeros: not.

        Raises:
            ValueError: it is compiled to another object here.
        """
        before = set(self._kernels.libraries)
        self._kernels.module(source, options, name=name, expressions=expressions, headers=headers, backend=backend)
        found = [library for library in self._kernels.libraries.values() if library.object_hash == object_hash]
        if not found or found[0].size != size:
            new = set(self._kernels.libraries) - before
            raise ValueError(
                f"a module with variables is compiled to another object here ({len(new)} new): another compiler"
            )
        apply(found[0], offsets, data)
        if place[0]:
            self._globals.restore(found[0].start, size, *place)

    def peek_printed(self) -> bytes:
        """See `KernelEngine.peek_printed`."""
        return self._kernels.peek_printed()

    def restore_printed(self, data: bytes) -> None:
        """See `KernelEngine.restore_printed`."""
        self._kernels.restore_printed(data)

    # -- addresses --------------------------------------------------------------------------------------------------------

    def expose(self, array: Array) -> tuple[int, Array]:
        """(address of the first element, the array in the arena). Moves the array's whole buffer there, and every alias with it."""
        (array,) = self._exposed((array,))
        return address_of(array), array

    def _exposed(self, values: Sequence[Any], addressed: Sequence[bool] | None = None) -> list[Any]:
        """A call's arguments with the arrays among them in the arena; `addressed`: which of them must be, all without it.

        A buffer moves once however many of the arguments lie in it, and all of them move with it: the command's own arguments are
        not among the handles that `rebind` puts onto the new memory.
        """
        moved: list[tuple[Array, Callable[[Array], Array]]] = []
        for i, value in enumerate(values):
            if isinstance(value, np.ndarray) and (addressed is None or addressed[i]):
                root = root_of(value)
                if not self.arena.holds(root) and not any(root is old for old, _ in moved):
                    _, rebuild = self.arena.move_in(root)
                    moved.append((root, rebuild))
                    if self._rebind is not None:
                        self._rebind(root, rebuild)
        given = list(values)
        for old, rebuild in moved:
            given = [rebuild(v) if isinstance(v, np.ndarray) and root_of(v) is old else v for v in given]
        return given

    def pointer(self, a: Array) -> int:
        """`@pointer`"""
        return self.expose(a)[0]

    def from_pointer(self, address: int, dtype: Any, shape: Sequence[int], strides: Sequence[int]) -> Array:
        """`@from_pointer`"""
        return self.arena.array_at(int(address), spec_of(tuple(shape), dtype, tuple(strides)))

    # -- raw kernels ------------------------------------------------------------------------------------------------------

    def kernel_raw(self, source: str, options: Sequence[str], backend: str, translate_cucomplex: bool, enable_cooperative_groups: bool,
                   jitify: Any, name_expressions: Sequence[str] | None,
                   headers: dict[str, str] | None = None) -> RawModuleObject:  # fmt: skip
        """`@kernel_raw`: nothing is compiled yet."""
        self._count()
        if translate_cucomplex:
            options = (*options, "-DCUPOOL_TRANSLATE_CUCOMPLEX")
        module = RawModuleObject(source, tuple(options), backend, tuple(name_expressions or ()), dict(headers or {}))
        module.cooperative = bool(enable_cooperative_groups)
        return module

    def kernel_binary(self, image: bytes) -> RawModuleObject:
        """`@kernel_binary`: an image of `compile`; a GPU's machine code is refused."""
        self._count()
        found = images.unpack(image)
        return RawModuleObject(found.source, found.options, "nvrtc", found.expressions, found.headers)

    def compile(self, source: str, options: Sequence[str], arch: str, name: str, name_expressions: Sequence[str] | None,
                headers: dict[str, str] | None = None) -> tuple[bytes, tuple[str, ...]]:  # fmt: skip
        """`@compile`: the image holds the source; its object is in the compiler's cache. Kernels keep the names they were asked by."""
        expressions = tuple(name_expressions or ())
        images.check_arch(arch, source, name, tuple(options))
        with self._compiling():
            self._kernels.module(source, tuple(options), name=name, expressions=expressions, headers=headers)
        return images.pack(images.Image(source, tuple(options), expressions, dict(headers or {}))), expressions

    def _load(self, module: RawModuleObject) -> Module:
        if module.module is None:
            with self._compiling():
                module.module = self._kernels.module(
                    module.source, module.options, name="kernel.cu", expressions=module.expressions, headers=module.headers,
                    backend=module.backend,
                )  # fmt: skip
        return module.module

    def kernel_function(self, module: RawModuleObject, name: str) -> FunctionObject:
        """`@kernel_function`"""
        return FunctionObject(module, name)

    def _function(self, kernel: FunctionObject) -> Function:
        if kernel.function is None:
            kernel.function = self._load(kernel.module).function(kernel.name)
            if kernel.shared_bytes is not None:
                kernel.function.max_dynamic_shared_bytes = kernel.shared_bytes
        return kernel.function

    def kernel_compile(self, module: RawModuleObject | FunctionObject, log: bool = False) -> dict[str, Any]:
        """`@kernel_compile`"""
        if isinstance(module, FunctionObject):
            self._function(module)
            module = module.module
        loaded = self._load(module)
        said = self._kernels.warnings(module.source, module.options, module.headers) if log else ""
        return {"kernels": loaded.kernels, "log": said}

    def kernel_output(self) -> str:
        """`@kernel_output`"""
        return self._kernels.take_printed()

    def kernel_attributes(self, function: FunctionObject) -> dict[str, int]:
        """`@kernel_attributes`"""
        loaded = self._function(function)
        facts = self._load(function.module).facts
        return {
            "max_threads_per_block": 1024, "shared_size_bytes": -1 if facts.has_shared else 0,
            "const_size_bytes": -1 if facts.has_constants else 0, "local_size_bytes": -1, "num_regs": _REGISTERS,
            "ptx_version": 90, "binary_version": 90, "cache_mode_ca": 0,
            "max_dynamic_shared_size_bytes": loaded.max_dynamic_shared_bytes,
            "preferred_shared_memory_carveout": function.attributes.get("preferred_shared_memory_carveout", -1),
        }  # fmt: skip

    def kernel_set_attribute(self, function: FunctionObject, name: str, value: int) -> None:
        """`@kernel_set_attribute`"""
        if name == "max_dynamic_shared_size_bytes":
            if not 0 <= value <= SHARED_BYTES_OPTIN:
                raise CUDADriverError(
                    1, f"CUDA_ERROR_INVALID_VALUE: invalid argument: {name} {value}, at most {SHARED_BYTES_OPTIN}"
                )
            self._function(function).max_dynamic_shared_bytes = value
        elif name == "preferred_shared_memory_carveout":
            function.attributes[name] = value
        else:
            raise AttributeError(f"kernel attribute {name!r} cannot be set")

    def kernel_global(self, module: RawModuleObject, name: str) -> tuple[int, int]:
        """`@kernel_global`"""
        address, nbytes = self._load(module).address_of(name)
        return self._globals.address_in_arena(address), nbytes

    def launch(
        self, function: FunctionObject, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], shared_mem: int
    ) -> None:
        """`@launch`"""
        loaded = self._function(function)
        if len(args) < len(loaded.parameters):
            raise ValueError(
                f"kernel {function.name!r} takes {len(loaded.parameters)} arguments, {len(args)} were given"
            )
        packed = []
        exposed = self._exposed(args[: len(loaded.parameters)])
        for i, (parameter, value) in enumerate(zip(loaded.parameters, exposed, strict=True)):
            if isinstance(value, np.ndarray):
                if parameter.kind == "s" and parameter.nbytes == 16 + 16 * value.ndim:
                    packed.append(_bytes_of(value))  # CuPy's CArray, by value
                    continue
                if parameter.kind != "p" and not (parameter.kind == "i" and parameter.nbytes == 8):
                    raise TypeError(
                        f"argument {i} is an array; the kernel's parameter is not a pointer ({parameter.nbytes} bytes)"
                    )
                packed.append(address_of(value).to_bytes(8, "little"))
            else:
                packed.append(pack(parameter, value, i))
        loaded.launch(grid, block, packed, int(shared_mem), function.module.cooperative)

    # -- elementwise kernels ----------------------------------------------------------------------------------------------

    def kernel_elementwise(self, in_params: str, out_params: str, operation: str, name: str, reduce_dims: bool, preamble: str,
                           loop_prep: str, after_loop: str, options: Sequence[str]) -> Generated:  # fmt: skip
        """`@kernel_elementwise`"""
        self._count()
        parts = {"operation": operation, "preamble": preamble, "loop_prep": loop_prep, "after_loop": after_loop}
        return Generated(in_params, out_params, name, reduce_dims, options, parts)

    def call_elementwise(self, kernel: Generated, args: Sequence[Any], types: dict[str, Any], shape: Sequence[int], outs: Sequence[Any],
                         size: int | None, block_size: int, out: Sequence[Array] | None = None) -> tuple[Array, ...]:  # fmt: skip
        """`@call_elementwise`"""
        shape = tuple(shape)
        params = (*kernel.inputs, *kernel.outputs)
        results = tuple(out) if out is not None else self._outputs(kernel, shape, outs)
        if 0 in shape:
            return results
        given = self._given(kernel, params, (*args, *results), types)
        results = tuple(given[len(kernel.inputs) :])
        views = [np.broadcast_to(a, shape) if _is_plain(p, a) else a for p, a in zip(params, given, strict=True)]
        if kernel.reduce_dims:
            shape, _ = _merge(views, params, shape)
        arguments = tuple(_argument(a) for a in views)
        key = (arguments, len(shape), tuple(sorted((k, np.dtype(v)) for k, v in types.items())))
        function = kernel.functions.get(key)
        if function is None:
            source = generate.elementwise(
                params, arguments, types, len(shape), name=kernel.name, in_grid=kernel.in_grid, **kernel.parts
            )  # fmt: skip
            function = kernel.functions[key] = self._compiled(kernel, source)
        total = 1
        for n in shape:
            total *= n
        grid, block = 1, 1
        if kernel.in_grid:
            grid, block = min(2**31 - 1, -(-total // block_size)), min(block_size, total)
        function.launch((grid,), (block,), [*map(_bytes_of, views), _indexer(shape)])
        return results

    def _given(
        self, kernel: Generated, params: Sequence[Declared], args: Sequence[Any], types: dict[str, Any]
    ) -> list[Any]:
        """Arguments with addressed arrays in the arena and scalars of their parameter's type."""
        given = self._exposed(args, [p.name in kernel.addressed for p in params])
        for i, (p, value) in enumerate(zip(params, given, strict=True)):
            if not isinstance(value, np.ndarray):
                dtype = np.dtype(types[p.ctype]) if p.dtype is None else p.dtype
                scalar = np.empty((), dtype)
                scalar[()] = value
                given[i] = scalar[()]
        return given

    def _outputs(self, kernel: Generated, shape: tuple[int, ...], outs: Sequence[Any]) -> tuple[Array, ...]:
        return tuple(
            self.arena.empty(shape, dtype) if p.name in kernel.addressed else np.empty(shape, dtype)
            for p, dtype in zip(kernel.outputs, outs, strict=True)
        )

    def _compiled(self, kernel: Generated, source: str) -> Function:
        with self._compiling():
            module = self._kernels.module(source, kernel.options, name=kernel.name)
        function = module.function(generate.ENTRY)
        function.name = kernel.name
        return function

    # -- reduction kernels ------------------------------------------------------------------------------------------------

    def kernel_reduction(self, in_params: str, out_params: str, map_expr: str, reduce_expr: str, post_map_expr: str, identity: str,
                         name: str, reduce_type: str, reduce_dims: bool, preamble: str, options: Sequence[str]) -> Generated:  # fmt: skip
        """`@kernel_reduction`"""
        self._count()
        parts = {"map_expr": map_expr, "reduce_expr": reduce_expr, "post_map_expr": post_map_expr, "identity": identity,
                 "reduce_type": reduce_type, "preamble": preamble}  # fmt: skip
        return Generated(in_params, out_params, name, reduce_dims, options, parts)

    def call_reduction(self, kernel: Generated, args: Sequence[Any], types: dict[str, Any], axis: Sequence[int], keepdims: bool,
                       shape: Sequence[int], outs: Sequence[Any], out: Sequence[Array] | None = None) -> tuple[Array, ...]:  # fmt: skip
        """`@call_reduction`"""
        results = tuple(out) if out is not None else self._outputs(kernel, tuple(shape), outs)
        if 0 in tuple(shape):
            return results
        params = (*kernel.inputs, *kernel.outputs)
        nin = len(kernel.inputs)
        given = self._given(kernel, params, (*args, *results), types)
        results = tuple(given[nin:])
        in_shape = np.broadcast_shapes(
            *(a.shape for p, a in zip(kernel.inputs, given, strict=False) if _is_plain(p, a))
        )
        kept = tuple(d for d in range(len(in_shape)) if d not in axis)
        order = (*axis, *kept)
        inputs = [
            np.broadcast_to(a, in_shape).transpose(order) if _is_plain(p, a) else a
            for p, a in zip(kernel.inputs, given, strict=False)
        ]
        moved_shape = tuple(in_shape[d] for d in order)
        out_shape = tuple(in_shape[d] for d in kept)
        # Leaving out axes of length one never copies.
        outputs = [a.reshape(out_shape) if _is_plain(p, a) and a.shape != out_shape and a.size else a
                   for p, a in zip(kernel.outputs, results, strict=True)]  # fmt: skip
        lanes = generate.reduction_lanes(
            _product(moved_shape), _product(out_shape), _contiguous_size(inputs, kernel.inputs, out_shape)
        )
        head = len(axis)
        if kernel.reduce_dims:
            moved_shape, head = _merge(inputs, kernel.inputs, moved_shape, head)
            out_shape, _ = _merge(outputs, kernel.outputs, out_shape)
        views = [*inputs, *outputs]
        arguments = tuple(_argument(a) for a in views)
        ndims = len(moved_shape), len(out_shape), head
        key = (arguments, ndims, lanes, tuple(sorted((k, np.dtype(v)) for k, v in types.items())))
        function = kernel.functions.get(key)
        if function is None:
            source = generate.reduction(
                params, arguments, types, nin, ndims[:2], name=kernel.name, head=head, lanes=lanes, **kernel.parts
            )  # fmt: skip
            function = kernel.functions[key] = self._compiled(kernel, source)
        function.launch((1,), (1,), [*map(_bytes_of, views), _indexer(moved_shape), _indexer(out_shape)])
        return results

    def _count(self) -> None:
        if self._accounting is not None:
            self._accounting.modules += 1


# -- arrays as parameters -------------------------------------------------------------------------------------------------


def _is_plain(parameter: Declared, value: Any) -> bool:
    return isinstance(value, np.ndarray) and not parameter.raw


def _product(shape: Sequence[int]) -> int:
    total = 1
    for n in shape:
        total *= n
    return total


def _argument(value: Any) -> Argument:
    if isinstance(value, np.ndarray):
        return Argument(value.dtype, value.ndim, value.flags.c_contiguous)
    return Argument(value.dtype, None)


def _bytes_of(value: Any) -> bytes:
    """As CArray or as the scalar's own bytes."""
    if not isinstance(value, np.ndarray):
        return bytes(value.tobytes())
    words = (address_of(value), value.size, *value.shape, *value.strides)
    return np.array(words, np.int64).tobytes()


def _indexer(shape: Sequence[int]) -> bytes:
    """As CIndexer: size, shape, room for an index."""
    return np.array((_product(shape), *shape, *([0] * max(len(shape), 1))), np.int64).tobytes()


def _merge(
    views: list[Any], params: Sequence[Declared], shape: tuple[int, ...], head: int = 0
) -> tuple[tuple[int, ...], int]:
    """Join neighbouring dimensions that every plain array steps through evenly; the first `head` only among themselves.

    Changes `views`; returns the new shape and how many of its dimensions come from the first `head`.
    """
    plain = [k for k, (p, a) in enumerate(zip(params, views, strict=False)) if _is_plain(p, a)]
    if not plain or not shape:
        return shape, head
    groups: list[list[int]] = []  # [extent, last dimension]
    new_head = 0
    for d, n in enumerate(shape):
        if n == 1:
            continue
        joined = groups and not (groups[-1][1] < head <= d)
        if joined and all(views[k].strides[d] * n == views[k].strides[groups[-1][1]] for k in plain):
            groups[-1] = [groups[-1][0] * n, d]
        else:
            groups.append([n, d])
            new_head += d < head
    merged = tuple(n for n, _ in groups)
    for k in plain:
        strides = tuple(views[k].strides[d] for _, d in groups)
        views[k] = np.lib.stride_tricks.as_strided(views[k], merged, strides)
    return merged, new_head


def _contiguous_size(views: Sequence[Any], params: Sequence[Declared], out_shape: tuple[int, ...]) -> int:
    """The longest run of outputs over which an input is packed; as CuPy counts it."""
    best = 1
    for p, a in zip(params, views, strict=False):
        if not _is_plain(p, a):
            continue
        run = 1
        for j in range(len(out_shape)):
            if a.strides[a.ndim - j - 1] != run * a.itemsize:
                break
            run *= out_shape[len(out_shape) - j - 1]
        best = max(best, run)
    return best


__all__ = ["Engine", "FunctionObject", "RawModuleObject"]
