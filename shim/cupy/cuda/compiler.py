"""`cupy.cuda.compiler`: compiling CUDA C++ without launching it. The server compiles; sources and headers are read here."""

from __future__ import annotations

import re
from typing import Any

from cupool.contract.errors import CompileException, Unsupported
from cupool.contract.ops import row as _row

from ... import dispatch
from . import device

_COMPILE = _row("@compile")
_NAME = re.compile(r"\A[a-zA-Z_][a-zA-Z_0-9]*\Z")


class NVCCException(Exception):
    """An error of nvcc, which does not run here."""


class HIPCCException(Exception):
    """An error of hipcc, which does not run here."""


class JitifyException(Exception):
    """An error of Jitify, which does not run here."""


def _get_nvrtc_version() -> tuple[int, int]:
    """(major, minor) of the server's compiler."""
    from . import runtime

    version = runtime.runtimeGetVersion()
    return version // 1000, version % 1000 // 10


def _get_arch() -> str:
    """The device's architecture, as compilers name it: "90"."""
    return str(device.Device().compute_capability)


def is_valid_kernel_name(name: str) -> bool:
    """Whether a name is one that a kernel can have."""
    return _NAME.match(name) is not None


def compile_using_nvrtc(
    source: str, options: tuple[str, ...] = (), arch: str | None = None, filename: str = "kern.cu",
    name_expressions: Any = None, log_stream: Any = None, cache_in_memory: bool = False, jitify: bool = False,
) -> tuple[bytes, dict[str, str] | None]:  # fmt: skip
    """Compile a source for an architecture. Waits.

    Returns:
        an image that `cupy.cuda.Module.load` and `RawModule` of this device take, and for name expressions the names of their kernels.

    Raises:
        CompileException: the compiler's text.
    """
    return compile_with_headers(source, tuple(options), arch, filename, name_expressions, {})


def compile_with_headers(
    source: str,
    options: tuple[str, ...],
    arch: str | None,
    filename: str,
    name_expressions: Any,
    headers: dict[str, str],
) -> tuple[bytes, dict[str, str] | None]:
    """As `compile_using_nvrtc`, with headers (name -> text) beside those that are found along the options' folders."""
    from ...kernels.includes import gather

    kept, found = gather(source, options)
    expressions = None if name_expressions is None else tuple(name_expressions)
    image, names = dispatch.call(_COMPILE, (source, kept, arch or "", filename, expressions, {**found, **headers}))
    return bytes(image), None if expressions is None else dict(zip(expressions, names, strict=True))


def compile_using_nvcc(*args: Any, **kwargs: Any) -> Any:
    """Refused: nvcc is a program of the server's machine that a client cannot start."""
    raise Unsupported("compile_using_nvcc is not supported: nvcc does not run here.", "Use compile_using_nvrtc.")


def compile_using_hipcc(*args: Any, **kwargs: Any) -> Any:
    """Refused: there is no ROCm."""
    raise Unsupported("compile_using_hipcc is not supported: there is no ROCm.", "Use compile_using_nvrtc.")


def _compile_module_with_cache(
    source: str, options: tuple[str, ...] = (), arch: str | None = None, cache_dir: Any = None, extra_source: Any = None,
    backend: str = "nvrtc", *, enable_cooperative_groups: bool = False, name_expressions: Any = None, log_stream: Any = None,
    jitify: bool = False, **_: Any,
) -> Any:  # fmt: skip
    from .function import Module

    module = Module()
    image, names = compile_using_nvrtc(source, options, arch, name_expressions=name_expressions)
    module.load(image)
    module._set_mapping(names)
    return module


__all__ = [
    "CompileException", "HIPCCException", "JitifyException", "NVCCException", "compile_using_hipcc", "compile_using_nvcc",
    "compile_using_nvrtc", "is_valid_kernel_name",
]  # fmt: skip
