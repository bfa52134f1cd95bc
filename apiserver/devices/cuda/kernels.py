"""Kernels of the CUDA device: CuPy's own classes, compiled by NVRTC. Arguments as `cupool/contract/ops/_internal.py` lists them."""

from __future__ import annotations

import io
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cupy
import numpy as np

from . import driver, sources

#: Bytes of a source's variables that are written down.
MAX_VARIABLE_BYTES = 1 << 20
#: What a program has made of its code, as long as it is there. A process has one session.
_MADE: weakref.WeakSet[Any] = weakref.WeakSet()


def held_by() -> str:
    """What code of the session may keep outside of the arena, a few words; empty: nothing. See `sources.py`."""
    return next((made.held_by for made in _MADE if made.held_by), "")


class Binary:
    """A module from cubin or PTX bytes, which the client has read."""

    def __init__(self, image: bytes) -> None:
        self.image = bytes(image)
        self.held_by = sources.held_by_image(self.image)
        self._module = cupy.cuda.function.Module()
        self._module.load(image)
        _MADE.add(self)

    def get_function(self, name: str) -> Any:
        return self._module.get_function(name)

    def get_global(self, name: str) -> tuple[int, int]:
        """Address and bytes of a variable, which the program has then. Raises what CuPy does where there is none."""
        self._module.get_global_var(name)
        return _exposed(self, driver.Driver().global_of(int(self._module.ptr), name))

    def compile(self, log_stream: Any = None) -> None:
        """Compiled already."""


#: Variables whose addresses programs have: address -> (bytes, their module), as long as that is there.
_EXPOSED: dict[int, tuple[int, weakref.ref[Any]]] = {}


def _exposed(module: Any, found: tuple[int, int]) -> tuple[int, int]:
    address, nbytes = found
    _EXPOSED[address] = nbytes, weakref.ref(module)
    return found


def owner_of(address: int, nbytes: int) -> Any:
    """The module in one of whose variables these bytes lie; None: in none whose address a program has."""
    for start, (size, module) in list(_EXPOSED.items()):
        owner = module()
        if owner is None:
            del _EXPOSED[start]
        elif start <= address and address + nbytes <= start + size:
            return owner
    return None


def _write_headers(root: Path, headers: Any) -> None:
    """Write headers (name -> text) below a folder. Raises ValueError for a name that leads out of it."""
    for name, text in headers.items():
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            raise ValueError(f"header {name!r} does not lie below an include folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


class Source:
    """A RawModule with the headers that the client has read, in a folder that lives as long as it does: CuPy compiles when it must."""

    def __init__(self, headers: Any, options: tuple[str, ...], **fields: Any) -> None:
        self.headers = {str(name): str(text) for name, text in (headers or {}).items()}
        self.options, self.fields = options, fields
        code, others = str(fields["code"]), [*self.headers.values(), *options]
        #: variables whose contents can be carried, see Note [Variables]
        self.variables = sources.variables(code, others)
        for declaration in self.variables.values():
            code = sources.without(code, declaration)
        self.held_by = sources.held_by([code, *others])
        self._is_loaded = False
        self._folder = None
        if headers:
            self._folder = tempfile.TemporaryDirectory(prefix="cupool-headers-")
            root = Path(self._folder.name).resolve()
            _write_headers(root, headers)
            options = (f"-I{root}", *options)
        self._module = cupy.RawModule(options=options, **fields)
        _MADE.add(self)

    def get_function(self, name: str) -> Any:
        self._is_loaded = True
        return self._module.get_function(name)

    def get_global(self, name: str) -> tuple[int, int]:
        """As `Binary.get_global`."""
        self._module.get_global(name)
        self._is_loaded = True
        found = self._find(name)
        self.held_by = self.held_by or f"the variable {name[:80]}, whose address the program has,"
        return _exposed(self, found)

    def compile(self, log_stream: Any = None) -> None:
        self._module.compile(log_stream=log_stream)

    def _find(self, name: str) -> tuple[int, int]:
        return driver.Driver().global_of(int(self._module.module.ptr), name)

    def _bytes_of(self, name: str) -> Any:
        """A variable's memory as an array of bytes."""
        address, nbytes = self._find(name)
        return cupy.ndarray(
            (nbytes,), np.uint8, cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(address, nbytes, self), 0)
        )

    def contents(self) -> dict[str, bytes]:
        """What its variables hold; nothing of code that is not loaded yet. Nothing may run.

        Raises:
            RuntimeError: CUDA does not know a variable.
            ValueError: they are too large to be written down.
        """
        found = {name: self._bytes_of(name) for name in self.variables} if self._is_loaded else {}
        if sum(array.nbytes for array in found.values()) > MAX_VARIABLE_BYTES:
            raise ValueError("variables of more than a mebibyte")
        return {name: array.get().tobytes() for name, array in found.items()}

    def set_contents(self, contents: dict[str, bytes]) -> None:
        """The reverse, read back and compared. Raises ValueError, RuntimeError."""
        for name, data in contents.items():
            if name not in self.variables:
                raise ValueError("a variable that it has not")
            self._is_loaded = True
            array = self._bytes_of(name)
            if array.nbytes != len(data):
                raise ValueError("a variable of another size")
            array.set(np.frombuffer(data, np.uint8))
            if array.get().tobytes() != data:
                raise ValueError("a variable that does not hold what was written")


class Function:
    """A kernel of a module. Reads and calls are the library's own object's."""

    def __init__(self, module: Source | Binary, name: str) -> None:
        self.module, self.name = module, name
        #: attributes that the program has set
        self.attributes: dict[str, int] = {}
        self._found: Any = None

    @property
    def _function(self) -> Any:
        # Compiled at the first need: an error is then the launch's, and comes again at each.
        if self._found is None:
            self._found = self.module.get_function(self.name)
        return self._found

    def __call__(self, grid: Any, block: Any, args: Any, **named: Any) -> None:
        self._function(grid, block, args, **named)

    def compile(self, log_stream: Any = None) -> None:
        self.module.compile(log_stream=log_stream)
        self.load()

    def load(self) -> None:
        """Find it now. Raises what its launch would raise."""
        _ = self._function

    def attribute(self, name: str) -> int:
        """-1 where there is none."""
        return int(getattr(self._function, name, -1))

    def set_attribute(self, name: str, value: int) -> None:
        setattr(self._function, name, value)
        self.attributes[name] = int(value)


class Generated:
    """An ElementwiseKernel or a ReductionKernel, with what it was made of."""

    def __init__(self, kind: str, parts: tuple[Any, ...]) -> None:
        """
        Args:
            kind: "elementwise" or "reduction".
            parts: the arguments of `kernel_elementwise` or `kernel_reduction`, all of them.
        """
        self.kind, self.parts = kind, parts
        self.held_by = sources.held_by(str(part) for part in (*parts, *parts[-1]) if isinstance(part, str))
        self.kernel = _MAKERS[kind](*parts)
        _MADE.add(self)


def kernel_raw(
    source: str,
    options: Any = (),
    backend: str = "nvrtc",
    translate_cucomplex: bool = False,
    enable_cooperative_groups: bool = False,
    jitify: bool = False,
    name_expressions: Any = None,
    headers: Any = None,
) -> Any:
    return Source(
        headers, tuple(options or ()), code=source, backend=backend, translate_cucomplex=translate_cucomplex,
        enable_cooperative_groups=enable_cooperative_groups, jitify=jitify,
        name_expressions=list(name_expressions) if name_expressions else None,
    )  # fmt: skip


def compile_source(
    source: str, options: Any, arch: str, name: str, name_expressions: Any = None, headers: Any = None
) -> tuple[bytes, tuple[str, ...]]:
    """`@compile`: NVRTC's image, and the names of the expressions' kernels in it."""
    expressions = tuple(name_expressions or ())
    with tempfile.TemporaryDirectory(prefix="cupool-headers-") as folder:
        _write_headers(Path(folder).resolve(), headers or {})
        found = (f"-I{Path(folder).resolve()}",) if headers else ()
        image, mapping = cupy.cuda.compiler.compile_using_nvrtc(
            source, (*found, *(options or ())), arch or None, name, expressions or None
        )
    return bytes(image), tuple((mapping or {}).get(e, e) for e in expressions)  # pyright: ignore


#: What RawKernel tells about itself.
_ATTRIBUTES = (
    "max_threads_per_block", "shared_size_bytes", "const_size_bytes", "local_size_bytes", "num_regs", "ptx_version", "binary_version",
    "cache_mode_ca", "max_dynamic_shared_size_bytes", "preferred_shared_memory_carveout",
)  # fmt: skip
_SETTABLE = frozenset({"max_dynamic_shared_size_bytes", "preferred_shared_memory_carveout"})


def kernel_attributes(function: Any) -> dict[str, int]:
    return {name: function.attribute(name) for name in _ATTRIBUTES}


def kernel_set_attribute(function: Any, name: str, value: int) -> None:
    if name not in _SETTABLE:
        raise AttributeError(f"attribute {name!r} of a kernel cannot be set")
    function.set_attribute(name, value)


def kernel_compile(module: Any, log: bool = False) -> dict[str, Any]:
    stream = io.StringIO() if log else None
    module.compile(log_stream=stream)
    return {"kernels": None, "log": stream.getvalue() if stream is not None else ""}


def kernel_global(module: Any, name: str) -> tuple[int, int]:
    found: tuple[int, int] = module.get_global(name)
    return found


def launch(function: Any, grid: Any, block: Any, args: Any, shared_mem: int = 0) -> None:
    function(tuple(grid), tuple(block), tuple(args), shared_mem=shared_mem)


def kernel_elementwise(
    in_params: str, out_params: str, operation: str, name: str = "kernel", reduce_dims: bool = True, preamble: str = "",
    loop_prep: str = "", after_loop: str = "", options: Any = (),
) -> Any:  # fmt: skip
    parts = (in_params, out_params, operation, name, reduce_dims, preamble, loop_prep, after_loop, tuple(options or ()))
    return Generated("elementwise", parts)


def _elementwise(
    in_params: str, out_params: str, operation: str, name: str, reduce_dims: bool, preamble: str, loop_prep: str, after_loop: str,
    options: tuple[str, ...],
) -> Any:  # fmt: skip
    return cupy.ElementwiseKernel(
        in_params, out_params, operation, name, reduce_dims, preamble, loop_prep=loop_prep, after_loop=after_loop, options=options
    )  # fmt: skip


def call_elementwise(
    kernel: Any,
    args: Any,
    types: Any,
    shape: Any,
    outs: Any,
    size: int | None = None,
    block_size: int = 128,
    out: Any = None,
) -> tuple[Any, ...]:
    sizes = {} if size is None else {"size": size}
    return _as_tuple(kernel.kernel(*args, *(out or ()), **sizes, block_size=block_size))


def kernel_reduction(
    in_params: str, out_params: str, map_expr: str, reduce_expr: str, post_map_expr: str, identity: Any, name: str = "reduce_kernel",
    reduce_type: str | None = None, reduce_dims: bool = True, preamble: str = "", options: Any = (),
) -> Any:  # fmt: skip
    parts = (in_params, out_params, map_expr, reduce_expr, post_map_expr, identity or None, name, reduce_type, reduce_dims, preamble,
             tuple(options or ()))  # fmt: skip
    return Generated("reduction", parts)


_MAKERS: dict[str, Callable[..., Any]] = {"elementwise": _elementwise, "reduction": cupy.ReductionKernel}


def call_reduction(
    kernel: Any, args: Any, types: Any, axis: Any, keepdims: bool, shape: Any, outs: Any, out: Any = None
) -> tuple[Any, ...]:
    return _as_tuple(kernel.kernel(*args, *(out or ()), axis=tuple(axis), keepdims=keepdims))


def _as_tuple(results: Any) -> tuple[Any, ...]:
    return results if isinstance(results, tuple) else (results,)


OPS: dict[str, Callable[..., Any]] = {
    "@kernel_raw": kernel_raw,
    "@kernel_binary": Binary,
    "@kernel_function": Function,
    "@kernel_attributes": kernel_attributes,
    "@kernel_set_attribute": kernel_set_attribute,
    "@kernel_global": kernel_global,
    "@kernel_compile": kernel_compile,
    # CUDA writes what kernels print to the server's standard output.
    "@kernel_output": lambda: "",
    "@compile": compile_source,
    "@launch": launch,
    "@kernel_elementwise": kernel_elementwise,
    "@call_elementwise": call_elementwise,
    "@kernel_reduction": kernel_reduction,
    "@call_reduction": call_reduction,
}
