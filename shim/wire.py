"""What this process makes and reads messages with: plain Python while it starts, protobuf from some frames on.

Loading protobuf takes as long as all of a first result (docs/decisions/029), and reading a frame with it a tenth of what it takes in
Python. So programs that ask a little never load it, and others do when they have heard `FRAMES`, or when something else has.

Boundary: which classes. A message of the one kind is put into one of the other as its bytes alone: who makes one takes `kinds()` once.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from cupool.contract import messages
from cupool.contract.errors import ProtocolError
from cupool.contract.values import encode

#: After so many frames protobuf is loaded.
FRAMES = 64

_kinds: Any = messages
_frames = 0
_read: Callable[[bytes], Any] = messages.ServerFrame.FromString
#: What `_read` raises that is none of ours.
_refusals: tuple[type[Exception], ...] = ()


def kinds() -> Any:
    """Where the classes of messages are, by their names in `proto/`: one choice for a message and all in it."""
    return _kinds


def server_frame(data: bytes) -> Any:
    """A `cupool.v1.ServerFrame`. Raises ProtocolError: it is none."""
    if _kinds is messages:
        _count()
    try:
        return _read(data)
    except _refusals as error:
        raise ProtocolError(f"Message: {error}.") from None


def value_bytes(value: Any, leaf: Callable[[Any], Any] | None = None) -> bytes:
    """A serialised `cupool.v1.Value`. Raises as `values.encode`."""
    return bytes(encode(value, leaf, 0, _kinds).SerializeToString())


def _count() -> None:
    global _frames
    _frames += 1
    if _frames > FRAMES or "google.protobuf.message" in sys.modules:
        use_protobuf()


def use_protobuf() -> None:
    """Load protobuf, and use it from here on."""
    if threading.current_thread() is threading.main_thread():
        # Where signal handlers run: one that raises in the middle of this import would leave halves of protobuf behind.
        loader = threading.Thread(target=_load, name="cupool-protobuf", daemon=True)
        try:
            loader.start()
        except RuntimeError:  # the interpreter ends, or the system gives none: what there is goes on
            return
        loader.join()
    else:
        _load()


def _load() -> None:
    global _kinds, _read, _refusals
    from google.protobuf.message import DecodeError

    from cupool.v1 import pool_pb2, session_pb2, value_pb2

    modules = (session_pb2, value_pb2, pool_pb2)
    classes = {name: getattr(module, name) for module in modules for name in module.DESCRIPTOR.message_types_by_name}
    # The refusals first: whoever reads in between has either.
    _refusals = (DecodeError,)
    _kinds, _read = SimpleNamespace(**classes), session_pb2.ServerFrame.FromString
