"""`cupy.cuda.nvrtc`: programs by number, compiled by the server (`compiler.compile_using_nvrtc`)."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

from cupool.contract.errors import CompileException

from . import _libraries, compiler

_INVALID_PROGRAM, _COMPILATION, _NO_NAME = 4, 6, 10
_SENTENCES = {1: "OUT_OF_MEMORY", 2: "PROGRAM_CREATION_FAILURE", 3: "INVALID_INPUT", 4: "INVALID_PROGRAM", 5: "INVALID_OPTION",
              6: "COMPILATION", 7: "BUILTIN_OPERATION_FAILURE", 8: "NO_NAME_EXPRESSIONS_AFTER_COMPILATION",
              9: "NO_LOWERED_NAMES_BEFORE_COMPILATION", 10: "NAME_EXPRESSION_NOT_VALID", 11: "INTERNAL_ERROR"}  # fmt: skip


class NVRTCError(_libraries.LibraryError):
    """An error of NVRTC."""

    __module__ = "cupy_backends.cuda.libs.nvrtc"
    TEXTS: ClassVar[dict[int, str]] = {status: f"NVRTC_ERROR_{name} ({status})" for status, name in _SENTENCES.items()}


def check_status(status: int) -> None:
    """Raises NVRTCError for a status that is not 0."""
    if status:
        raise NVRTCError(status)


class _Program:
    def __init__(self, source: str, name: str, headers: dict[str, str]) -> None:
        self.source, self.name, self.headers = source, name or "default_program", headers
        self.expressions: list[str] = []
        self.image: bytes | None = None
        self.names: dict[str, str] = {}
        self.log = ""


_programs: dict[int, _Program] = {}
_numbers = itertools.count(0x6000)


def _of(prog: int) -> _Program:
    found = _programs.get(prog)
    if found is None:
        raise NVRTCError(_INVALID_PROGRAM)
    return found


def getVersion() -> tuple[int, int]:
    """(major, minor) of the server's compiler."""
    return compiler._get_nvrtc_version()


def getSupportedArchs() -> tuple[int, ...]:
    """Architectures that compile for the server's device: its own."""
    return (int(compiler._get_arch()),)


def createProgram(src: str, name: str, headers: Any, include_names: Any) -> int:
    """A program, by its number. `headers`: texts, under `include_names`."""
    text = {str(n): str(h) for n, h in zip(include_names or (), headers or (), strict=True)}
    number = next(_numbers)
    _programs[number] = _Program(src, name, text)
    return number


def destroyProgram(prog: int) -> None:
    """Free a program."""
    _of(prog)
    del _programs[prog]


def addNameExpression(prog: int, name: str) -> None:
    """Instantiate a template, or know a kernel's name."""
    _of(prog).expressions.append(name)


def compileProgram(prog: int, options: Any) -> None:
    """Compile. Waits; raises NVRTCError, and then `getProgramLog` has the compiler's text."""
    program = _of(prog)
    kept, arch = [], None
    for option in options:
        name, _, value = option.partition("=")
        if name in ("-arch", "--gpu-architecture"):
            arch = value.removeprefix("compute_").removeprefix("sm_")
        else:
            kept.append(option)
    try:
        program.image, names = compiler.compile_with_headers(
            program.source, tuple(kept), arch, program.name, tuple(program.expressions) or None, program.headers
        )
    except CompileException as error:
        program.log = error.get_message()
        raise NVRTCError(_COMPILATION) from None
    program.names = names or {}


def getProgramLog(prog: int) -> str:
    """What the compiler said."""
    return _of(prog).log


def getPTX(prog: int) -> bytes:
    """The image, as `driver.moduleLoadData` takes it: PTX or cubin where the device is a GPU."""
    image = _of(prog).image
    if image is None:
        raise NVRTCError(_INVALID_PROGRAM)
    return image


getCUBIN = getPTX


def getLoweredName(prog: int, name: str) -> str:
    """The name in the image of what `addNameExpression` named."""
    found = _of(prog).names.get(name)
    if found is None:
        raise NVRTCError(_NO_NAME)
    return found


def __getattr__(name: str) -> Any:
    from .._missing import refuse_attribute

    return refuse_attribute("cuda.nvrtc", name)
