"""Kernels and modules on the server, one per content: equal sources share one handle for as long as somebody uses it."""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from typing import Any

from cupool.contract.errors import ForeignArray
from cupool.contract.ops import row

from .. import dispatch, session
from ..objects import RemoteObject

_made: weakref.WeakValueDictionary[Hashable, RemoteObject] = weakref.WeakValueDictionary()


def is_alive(remote: RemoteObject | None) -> bool:
    """Whether the handle belongs to this process's session as it is now."""
    if remote is None:
        return False
    try:
        session.check_handle(remote.handle)
    except ForeignArray:
        return False
    return True


def made(op: str, args: tuple[Any, ...], key: Hashable) -> RemoteObject:
    """The remote object of a constructor row; made when there is none of this key, or it went with its session."""
    full = (op, key)
    remote = _made.get(full)
    if remote is None or not is_alive(remote):
        remote = dispatch.construct(row(op), args)
        _made[full] = remote
    return remote
