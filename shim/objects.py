"""Remote objects that are not arrays: random generators, modules, kernels, events. A handle with an owner, nothing else.

Boundary: knows nothing of what the object is; classes with behaviour derive from `RemoteObject` where they live.
"""

from __future__ import annotations

from typing import Any, Self

from .pending import extend


class RemoteObject:
    """Owns one handle of a remote object; its death frees the handle.

    Attributes:
        handle: the handle, minted by this process.
    """

    __slots__ = ("__weakref__", "handle")

    handle: int

    def __init__(self, handle: int) -> None:
        self.handle = handle

    @classmethod
    def from_handle(cls, handle: int) -> Self:
        """An instance of a subclass around a handle, without running its `__init__`."""
        self = object.__new__(cls)  # a subclass may have a `__new__` that makes a new one on the server
        self.handle = handle
        return self

    def __del__(self, extend: Any = extend) -> None:
        # Appends only: a finalizer may run at any bytecode, and never sends.
        handle = getattr(self, "handle", 0)
        if handle:
            extend((0, handle))

    def __copy__(self) -> Self:
        raise TypeError(f"{type(self).__name__} objects cannot be copied")
