"""cupool: an unmodified CuPy program runs on a warm GPU somewhere else.

    import cupool
    cupool.install()          # from here on `import cupy` and `import cupyx` are the shim
    import cupy as cp

or, without touching the program: `cupool run script.py`. `from cupool import cupy as cp` gives the same modules and leaves
`import cupy` alone. Nothing is opened before the first array is made.

Boundary: this package composes the components and holds nothing of its own; importing it imports neither numpy nor grpc.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cupool.contract.errors import (
        ContractViolation,
        CupoolError,
        ForeignArray,
        LeaseRefused,
        OpMissing,
        PoolUnreachable,
        ProtocolError,
        SessionCloned,
        SessionLost,
        Unsupported,
        VersionMismatch,
    )
    from cupool.shim import cupy, cupyx
    from cupool.shim.offload import offload
    from cupool.shim.scopes import session
    from cupool.shim.transit import transit

__version__ = "0.1.0"

__all__ = [
    "ContractViolation",
    "CupoolError",
    "ForeignArray",
    "LeaseRefused",
    "OpMissing",
    "PoolUnreachable",
    "ProtocolError",
    "SessionCloned",
    "SessionLost",
    "Unsupported",
    "VersionMismatch",
    "__version__",
    "connect",
    "cupy",
    "cupyx",
    "install",
    "offload",
    "session",
    "statistics",
    "transit",
]

#: Public functions that are written in the shim, loaded when they are used.
_FUNCTIONS = {"offload": "cupool.shim.offload", "session": "cupool.shim.scopes", "transit": "cupool.shim.transit"}
_ERRORS = frozenset(n for n in __all__ if n[0].isupper())


def install() -> None:
    """Make `import cupy` and `import cupyx` the shim, in this process. Calling it again does nothing.

    Raises:
        CupoolError: the real CuPy is already imported.
    """
    from cupool.shim import finder

    finder.install()


def connect(addr: str | None = None, token: str | None = None, durability: str | None = None) -> None:
    """Say where the pool is, instead of `CUPOOL_ADDR` and `CUPOOL_TOKEN`, and open the session now.

    Args:
        addr: "host:port" or "unix:/path" of a pool; None: what the environment says, else an embedded pool.
        token: the tenant credential, where the pool asks for one.
        durability: what becomes of the session when its server is lost, instead of `CUPOOL_DURABILITY`: "replay", "node", "file" or "none".

    Raises:
        PoolUnreachable: no pool answers there.
        LeaseRefused: the pool gave no session, or keeps no checkpoints where `durability` wants them.
        ValueError: an unknown `durability`.
        CupoolError: this process has a session already.
    """
    importlib.import_module("cupool.shim.session").connect(addr, token, durability)


def statistics() -> Any:
    """What the session of this process did so far, as a frozen record: commands, batches, waits, bytes, time."""
    return importlib.import_module("cupool.shim.session").statistics()


def __getattr__(name: str) -> Any:
    if name in _ERRORS:
        return getattr(importlib.import_module("cupool.contract.errors"), name)
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    if name in ("cupy", "cupyx"):
        from cupool.shim.loading import load

        return load(f"cupool.shim.{name}")
    raise AttributeError(f"module 'cupool' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
