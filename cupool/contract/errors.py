"""Errors on both ends: our own few, CuPy's that need a class of their own, and how each crosses the wire.

The user sees CuPy's and NumPy's exceptions. Ours are few, under one base, each saying what to do next. An error crosses the
wire as a *name from the list below* and values, never as code: a name that is not in the list becomes its nearest listed base.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


class CupoolError(Exception):
    """Base of the errors that cupool itself raises. `cure` says what to do."""

    def __init__(self, what: str, cure: str = "") -> None:
        super().__init__(f"{what} {cure}".strip())
        self.what = what
        self.cure = cure


class PoolUnreachable(CupoolError, ConnectionError):
    """No pool answers at the address."""


class LeaseRefused(CupoolError):
    """The pool answered and gave no session: full, over quota, or not allowed."""


class VersionMismatch(CupoolError):
    """Client and server have no protocol version in common, or their rows of an op differ."""


class OpMissing(CupoolError, NotImplementedError):
    """The op exists in the table but this server cannot run it."""


class Unsupported(CupoolError, NotImplementedError):
    """A public CuPy name that cupool does not support, with the reason."""


class ProtocolError(CupoolError):
    """A frame that breaks the protocol: malformed, out of bounds, out of order."""


class ContractViolation(CupoolError):
    """The device's result is not what the client promised in its form. No wrong number was returned.

    From cupool's own client a bug of cupool: report it. From another client its form's ResultSpec is wrong.
    """


class SessionLost(CupoolError):
    """The session is gone and cannot be brought back."""

    #: Its server was lost, by no fault of the session: another could do again what it did.
    is_server_lost = False
    #: No server ever had it, though the pool gave it: nothing was done.
    is_unserved = False


class SessionCloned(SessionLost):
    """The session belongs to another process, a clone of this one: both came from one snapshot. This one gets another session."""

    #: What a lost server costs, it costs here too: all that the session did is done again on another server, where it can be.
    is_server_lost = True


#: In the sentence of a server that had a session and has it no more, or has it at a later epoch.
MOVED_AWAY = "has moved"
#: What a server says that ends because its agent has: its sessions are lost with it, and by nobody's wish.
AGENT_GONE = "the agent is gone"
#: In the reason of a session that an operator saved to a file and ended: who was attached to it cannot go on.
SAVED_AS = "it was saved as "
#: What a server says to a clone that comes second.
STALE_NONCE = (
    "The nonce is stale: another process, a clone of this one, attached to the session. Acquire a session of its own."
)


class ForeignArray(CupoolError, ValueError):
    """An array of another session: of the parent process before a fork, or of a session that was closed."""


def _again(name: str, args: tuple[Any, ...]) -> BaseException:
    """Unpickling. By name in this module: the classes' `__module__` is CuPy's, which only exists where the shim is installed."""
    error: BaseException = globals()[name](*args)
    return error


class CUDARuntimeError(RuntimeError):
    """As `cupy.cuda.runtime.CUDARuntimeError`. `status` is the CUDA error number."""

    def __init__(self, status: int, text: str | None = None) -> None:
        self.status = int(status)
        self.infos: list[str] = []
        super().__init__(text if text is not None else cuda_error_text(self.status))

    def __reduce__(self) -> Any:
        return (_again, (type(self).__name__, (self.status, str(self))))


class CUDADriverError(RuntimeError):
    """As `cupy.cuda.driver.CUDADriverError`."""

    def __init__(self, status: int, text: str | None = None) -> None:
        self.status = int(status)
        super().__init__(text if text is not None else driver_error_text(self.status))

    def __reduce__(self) -> Any:
        return (_again, (type(self).__name__, (self.status, str(self))))


class OutOfMemoryError(MemoryError):
    """As `cupy.cuda.memory.OutOfMemoryError`. Sizes in bytes."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        self._size, self._total, self._limit = int(size), int(total), int(limit)
        text = f"Out of memory allocating {self._size:,} bytes (allocated so far: {self._total:,} bytes"
        text += f", limit set to: {self._limit:,} bytes)." if self._limit else ")."
        super().__init__(text)

    def __reduce__(self) -> Any:
        return (_again, (type(self).__name__, (self._size, self._total, self._limit)))


class CompileException(Exception):
    """As `cupy.cuda.compiler.CompileException`: the compiler's text, the source, its name, the options and the backend."""

    def __init__(self, msg: str, source: str, name: str, options: tuple[str, ...], backend: str = "nvrtc") -> None:
        self._msg = msg
        self.source = source
        self.name = name
        self.options = options
        self.backend = backend
        super().__init__()

    def __reduce__(self) -> Any:
        return (_again, (type(self).__name__, (self._msg, self.source, self.name, self.options, self.backend)))

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return self.get_message()

    def get_message(self) -> str:
        return self._msg

    def dump(self, f: Any) -> None:
        """Write the source with line numbers to the file object `f`."""
        lines = self.source.split("\n")
        digits = len(str(len(lines)))
        f.write(f"{self.backend.upper()} compilation error: {self}\n-----\nName: {self.name}\n")
        f.write(f"Options: {' '.join(self.options)}\nSource:\n")
        for i, line in enumerate(lines):
            f.write(f"{i + 1:0{digits}d} {line.rstrip()}\n")
        f.write("-----\n")
        f.flush()


# CuPy's own names, as tracebacks and logs show them, whichever modules of the shim are loaded.
CUDARuntimeError.__module__ = "cupy_backends.cuda.api.runtime"
CUDADriverError.__module__ = "cupy_backends.cuda.api.driver"
OutOfMemoryError.__module__ = "cupy.cuda.memory"
CompileException.__module__ = "cupy.cuda.compiler"


#: CUDA error number -> (name, text), as cudaGetErrorName and cudaGetErrorString give them; the ones that programs meet.
CUDA_ERRORS: dict[int, tuple[str, str]] = {
    1: ("cudaErrorInvalidValue", "invalid argument"),
    2: ("cudaErrorMemoryAllocation", "out of memory"),
    9: ("cudaErrorInvalidConfiguration", "invalid configuration argument"),
    12: ("cudaErrorInvalidPitchValue", "invalid pitch argument"),
    17: ("cudaErrorInvalidDevicePointer", "invalid device pointer"),
    21: ("cudaErrorInvalidMemcpyDirection", "invalid copy direction for memcpy"),
    34: ("cudaErrorStubLibrary", "CUDA driver is a stub library"),
    35: ("cudaErrorInsufficientDriver", "CUDA driver version is insufficient for CUDA runtime version"),
    98: ("cudaErrorInvalidDeviceFunction", "invalid device function"),
    100: ("cudaErrorNoDevice", "no CUDA-capable device is detected"),
    101: ("cudaErrorInvalidDevice", "invalid device ordinal"),
    215: ("cudaErrorUnsupportedLimit", "limit is not supported on this architecture"),
    217: ("cudaErrorPeerAccessUnsupported", "peer access is not supported between these two devices"),
    400: ("cudaErrorInvalidResourceHandle", "invalid resource handle"),
    401: ("cudaErrorIllegalState", "the operation cannot be performed in the present state"),
    500: ("cudaErrorSymbolNotFound", "named symbol not found"),
    600: ("cudaErrorNotReady", "device not ready"),
    700: ("cudaErrorIllegalAddress", "an illegal memory access was encountered"),
    701: ("cudaErrorLaunchOutOfResources", "too many resources requested for launch"),
    702: ("cudaErrorLaunchTimeout", "the launch timed out and was terminated"),
    704: ("cudaErrorPeerAccessAlreadyEnabled", "peer access is already enabled"),
    709: ("cudaErrorContextIsDestroyed", "context is destroyed"),
    712: ("cudaErrorHostMemoryAlreadyRegistered", "part or all of the requested memory range is already mapped"),
    713: ("cudaErrorHostMemoryNotRegistered", "pointer does not correspond to a registered memory region"),
    719: ("cudaErrorLaunchFailure", "unspecified launch failure"),
    801: ("cudaErrorNotSupported", "operation not supported"),
    900: ("cudaErrorStreamCaptureUnsupported", "operation not permitted when stream is capturing"),
    901: ("cudaErrorStreamCaptureInvalidated", "operation failed due to a previous error during capture"),
    902: ("cudaErrorStreamCaptureMerge", "operation would result in a merge of separate capture sequences"),
    903: ("cudaErrorStreamCaptureUnmatched", "capture was not ended in the same stream as it began"),
    904: ("cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"),
    905: ("cudaErrorStreamCaptureIsolation", "dependency created on uncaptured work in another stream"),
    906: (
        "cudaErrorStreamCaptureImplicit",
        "operation would make the legacy stream depend on a capturing blocking stream",
    ),
    999: ("cudaErrorUnknown", "unknown error"),
}


#: CUDA driver error number -> (name, text).
DRIVER_ERRORS: dict[int, tuple[str, str]] = {
    1: ("CUDA_ERROR_INVALID_VALUE", "invalid argument"),
    2: ("CUDA_ERROR_OUT_OF_MEMORY", "out of memory"),
    100: ("CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"),
    101: ("CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"),
    200: ("CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"),
    201: ("CUDA_ERROR_INVALID_CONTEXT", "invalid device context"),
    400: ("CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"),
    500: ("CUDA_ERROR_NOT_FOUND", "named symbol not found"),
    801: ("CUDA_ERROR_NOT_SUPPORTED", "operation not supported"),
}


def driver_error_text(status: int) -> str:
    """As CuPy writes it: "CUDA_ERROR_INVALID_VALUE: invalid argument"."""
    name, text = DRIVER_ERRORS.get(status, ("CUDA_ERROR_UNKNOWN", f"error {status}"))
    return f"{name}: {text}"


def cuda_error_text(status: int) -> str:
    """As CuPy writes it: "cudaErrorInvalidDevice: invalid device ordinal"."""
    name, text = CUDA_ERRORS.get(status, ("cudaErrorUnknown", f"error {status}"))
    return f"{name}: {text}"


def _plain(cls: type[BaseException]) -> Callable[[str, dict[str, Any]], BaseException]:
    return lambda message, fields: cls(message)


def _ours(cls: type[CupoolError]) -> Callable[[str, dict[str, Any]], BaseException]:
    return lambda message, fields: cls(fields.get("what", message), fields.get("cure", ""))


_OURS = (
    PoolUnreachable, LeaseRefused, VersionMismatch, OpMissing, Unsupported, ProtocolError, ContractViolation, SessionCloned, SessionLost,
    ForeignArray,
)  # fmt: skip
_PLAIN: dict[str, type[BaseException]] = {
    "ValueError": ValueError,
    "TypeError": TypeError,
    "IndexError": IndexError,
    "KeyError": KeyError,
    "AttributeError": AttributeError,
    "NotImplementedError": NotImplementedError,
    "ZeroDivisionError": ZeroDivisionError,
    "OverflowError": OverflowError,
    "FloatingPointError": FloatingPointError,
    "ArithmeticError": ArithmeticError,
    "RuntimeError": RuntimeError,
    "MemoryError": MemoryError,
    "AssertionError": AssertionError,
    "LookupError": LookupError,
    "ImportError": ImportError,
    "ModuleNotFoundError": ModuleNotFoundError,
    "TimeoutError": TimeoutError,
    "StopIteration": StopIteration,
    "FileNotFoundError": FileNotFoundError,
    "PermissionError": PermissionError,
    "OSError": OSError,
    "UnicodeError": UnicodeError,
    "Exception": Exception,
    "numpy.linalg.LinAlgError": np.linalg.LinAlgError,
}

#: Wire name -> (class on this side, how to build it from message and fields).
WIRE: dict[str, tuple[type[BaseException], Callable[[str, dict[str, Any]], BaseException]]] = {
    **{name: (cls, _plain(cls)) for name, cls in _PLAIN.items()},
    **{f"cupool.{cls.__name__}": (cls, _ours(cls)) for cls in _OURS},
    "numpy.exceptions.AxisError": (np.exceptions.AxisError, lambda m, f: np.exceptions.AxisError(m)),
    "numpy.exceptions.DTypePromotionError": (
        np.exceptions.DTypePromotionError,
        _plain(np.exceptions.DTypePromotionError),
    ),
    "cupy.cuda.runtime.CUDARuntimeError": (CUDARuntimeError, lambda m, f: CUDARuntimeError(f.get("status", 999), m)),
    "cupy.cuda.driver.CUDADriverError": (CUDADriverError, lambda m, f: CUDADriverError(f.get("status", 999), m)),
    "cupy.cuda.memory.OutOfMemoryError": (
        OutOfMemoryError,
        lambda m, f: OutOfMemoryError(f.get("size", 0), f.get("total", 0), f.get("limit", 0)),
    ),
    "cupy.cuda.compiler.CompileException": (
        CompileException,
        lambda m, f: CompileException(
            m, f.get("source", ""), f.get("name", ""), tuple(f.get("options", ())), f.get("backend", "nvrtc")
        ),
    ),
}
_NAME_OF: dict[type[BaseException], str] = {cls: name for name, (cls, _) in WIRE.items()}

#: Real CuPy's classes (on a CUDA server), by module and name, to wire names.
_FOREIGN: dict[str, str] = {
    "cupy_backends.cuda.api.runtime.CUDARuntimeError": "cupy.cuda.runtime.CUDARuntimeError",
    "cupy_backends.cuda.api.driver.CUDADriverError": "cupy.cuda.driver.CUDADriverError",
    "cupy.cuda.memory.OutOfMemoryError": "cupy.cuda.memory.OutOfMemoryError",
    "cupy.cuda.compiler.CompileException": "cupy.cuda.compiler.CompileException",
}


#: CUDA_ERROR_NOT_FOUND.
_NOT_FOUND = 500


def is_before_launch(error: BaseException) -> bool:
    """Whether a command failed before it ran: its kernel does not compile, is not there, or no kernel is. It has written nothing.

    See Note [Before the launch] in `apiserver/faults.py`.
    """
    name = wire_name(error)
    if name == "cupy.cuda.driver.CUDADriverError":
        return int(getattr(error, "status", 0)) == _NOT_FOUND
    return name in ("cupy.cuda.compiler.CompileException", "cupool.OpMissing")


def wire_name(error: BaseException) -> str:
    """The listed name of the error's class or of its nearest listed base."""
    for cls in type(error).__mro__:
        name = _NAME_OF.get(cls) or _FOREIGN.get(f"{cls.__module__}.{cls.__qualname__}")
        if name:
            return name
    return "Exception"


def wire_fields(error: BaseException) -> dict[str, Any]:
    """Type-specific values that the other end needs to build the same error."""
    if isinstance(error, CupoolError):
        return {"what": error.what, "cure": error.cure}
    name = wire_name(error)
    if name in ("cupy.cuda.runtime.CUDARuntimeError", "cupy.cuda.driver.CUDADriverError"):
        return {"status": int(getattr(error, "status", 999))}
    if name == "cupy.cuda.memory.OutOfMemoryError":
        reduced: Any = error.__reduce__()
        size, total, limit = (reduced[1][1] if isinstance(error, OutOfMemoryError) else reduced[1])[:3]
        return {"size": int(size), "total": int(total), "limit": int(limit)}
    if name == "cupy.cuda.compiler.CompileException":
        # getattr: CuPy's own class on a CUDA server has the same attributes.
        e: Any = error
        return {
            "source": e.source,
            "name": e.name,
            "options": tuple(e.options),
            "backend": getattr(e, "backend", "nvrtc"),
        }
    return {}


def error_to_wire(error: BaseException, detail: str = "") -> Any:
    """As a `cupool.v1.Error`."""
    from cupool.contract.values import named
    from cupool.v1 import session_pb2

    name = wire_name(error)
    cls = WIRE[name][0]
    message = str(error) if isinstance(error, cls) or name.startswith("cupy.") else f"{type(error).__name__}: {error}"
    if isinstance(error, KeyError) and error.args:
        message = str(error.args[0])
    if not isinstance(error, Exception) or (type(error).__name__ not in name and name == "Exception"):
        message = f"{type(error).__name__}: {error}"
    return session_pb2.Error(type=name, message=message, fields=named(wire_fields(error)), detail=detail[-4096:])


def error_from_wire(message: Any) -> BaseException:
    """The exception that a `cupool.v1.Error` describes. An unknown name gives a RuntimeError that says it."""
    from cupool.contract.offload import TRACEBACK_HEAD, with_source
    from cupool.contract.values import from_named

    entry = WIRE.get(message.type)
    if entry is None:
        return RuntimeError(f"{message.type}: {message.message}")
    error = entry[1](message.message, from_named(message.fields))
    if message.detail.startswith(TRACEBACK_HEAD):
        error.add_note(with_source(message.detail))
    return error
