"""`cupool.offload`: a whole function runs next to the device.

Boundary: the decorator, a call's commands, and its results. What runs is pickled by `pickling.py`; what may run says the server.
Importing this imports neither numpy nor grpc: a decorated function costs nothing until it is called.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, overload

from cupool.contract import offload as contract

#: More promised results than any function returns.
MAX_OUTS = 64


@overload
def offload(function: Callable[..., Any], /) -> Offloaded: ...
@overload
def offload(*, outs: int | None = None) -> Callable[[Callable[..., Any]], Offloaded]: ...
def offload(function: Callable[..., Any] | None = None, /, *, outs: int | None = None) -> Any:
    """A function that runs on the server, next to the device, as one command.

        @cupool.offload
        def smooth(image, steps):
            import cupy as cp
            while float(cp.abs(cp.diff(image)).max()) > 0.1 and steps:      # no wait on the wire here
                image = (image + cp.roll(image, 1)) / 2
                steps -= 1
            return image, steps

    Array arguments stay where they are, also inside of lists, tuples, dicts and objects; arrays that it returns stay there too. Everything
    else in arguments is pickled; results are arrays, numbers, strings, bytes, None, NumPy arrays, and tuples, lists and dicts of them. It
    may import what the server has. Inside of it `import cupy` is what the device has. It is sent once for a session: what it refers to is
    taken as it is at its first call, and its globals live on the server from then on.

    Args:
        function: the function.
        outs: None: a call waits for the function, and returns what it returns, or raises what it raises. A number: the function
            returns that many arrays (0: None), and a call returns them at once; errors surface at the next wait.

    Raises (a call):
        ModuleNotFoundError: cloudpickle is not installed here.
        Unsupported: the pool does not allow this tenant to send functions.
        what the function raises, with its traceback as a note.
    """
    if outs is not None and (type(outs) is not int or not 0 <= outs <= MAX_OUTS):
        raise ValueError(f"outs is a number of arrays from 0 to {MAX_OUTS}, or None; not {outs!r}")
    if function is None:
        return lambda f: Offloaded(f, outs)
    if not callable(function):
        raise TypeError(f"cupool.offload takes a function, not a {type(function).__name__}")
    return Offloaded(function, outs)


class Offloaded:
    """An offloaded function. `local` is the function itself, for a call on this side."""

    def __init__(self, function: Callable[..., Any], outs: int | None) -> None:
        functools.update_wrapper(self, function)
        self.local = function
        self.outs = outs
        self._lock = threading.Lock()
        self._remote: tuple[Any, Any] | None = None  # the session it was sent in, and the remote object

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if contract.INSIDE:
            return self.local(*args, **kwargs)
        return _call(self, self._sent(), args, kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __reduce__(self) -> Any:
        return contract.plain, (self.local,)

    def __repr__(self) -> str:
        return f"<offloaded {self.local!r}>"

    def _sent(self) -> Any:
        """The remote function of the open session, sent at its first call."""
        from . import session

        with self._lock:
            current = session.current()
            if self._remote is None or self._remote[0] is not current:
                self._remote = (current, _define(self.local))
            return self._remote[1]


def _pickled(value: Any, arrays: list[Any] | None) -> bytes:
    try:
        from . import pickling
    except ModuleNotFoundError as error:
        if error.name != "cloudpickle":
            raise
        raise ModuleNotFoundError(
            "cupool.offload needs cloudpickle, which is not installed on this side. Install it: pip install 'cupool[offload]'",
            name="cloudpickle",
        ) from None
    return pickling.dump_function(value) if arrays is None else pickling.dump(value, arrays)


def _word(data: bytes) -> tuple[bytes, Any]:
    """(the side table's entry for these bytes, what must live until the command is sent)."""
    import numpy as np

    from cupool.contract.values import HandleRef

    from .wire import value_bytes

    if len(data) <= contract.INLINE_BYTES:
        return value_bytes(data), None
    from . import convert

    array = convert.upload(np.frombuffer(data, np.uint8))
    return value_bytes(HandleRef(array._handle)), array


def _define(function: Callable[..., Any]) -> Any:
    from cupool.contract.values import SLOT_VALUE, SlotRef

    from . import dispatch
    from .objects import RemoteObject

    name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', repr(function))}"[:200]
    file = str(getattr(getattr(function, "__code__", None), "co_filename", ""))[:2000]
    word, keep = _word(_pickled(function, None))
    args = (SlotRef(SLOT_VALUE), name, file, contract.PYTHON)
    (handle,) = dispatch.send("@offload_function", args, (word,), ("object",))
    del keep
    return RemoteObject(handle)


def _call(function: Offloaded, remote: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    from cupool.contract.values import SLOT_HANDLE, SLOT_VALUE, HandleRef, SlotRef

    from . import captures, dispatch, session
    from .objects import RemoteObject
    from .syncdetect import declare
    from .wire import value_bytes

    captures.check_wait()
    arrays: list[Any] = []
    word, keep = _word(_pickled((args, kwargs), arrays))
    for array in arrays:
        session.check_handle(array._handle)
    operands = value_bytes(tuple(HandleRef(a._handle) for a in arrays))
    form = (SlotRef(SLOT_HANDLE), SlotRef(SLOT_VALUE), SlotRef(SLOT_VALUE))
    slots = (remote.handle, operands, word)
    if function.outs is not None:
        ids = dispatch.send("@offload", form, slots, ("unknown",) * function.outs)
        made = tuple(dispatch.new_array(i, None) for i in ids)
        _collect_output()
        if dispatch.is_sync():
            session.after_call()
        return made if len(made) > 1 else made[0] if made else None
    declare()
    handle, reply = dispatch.send("@offload", form, slots, ("object", "reply"))
    results = RemoteObject(handle)
    _collect_output()
    try:
        tree = session.wait_reply(reply)
    except Exception as error:
        raise error.with_traceback(None) from None  # our own frames say nothing to the user
    finally:
        del keep
    return _built(tree, results, arrays)


def _collect_output() -> None:
    """Ask for what functions have printed; it is shown at the next wait, as what kernels print is."""
    from . import dispatch, session

    (reply,) = dispatch.send("@offload_output", (), (), ("reply",))
    session.current().printing.append(reply)


def _built(node: Any, results: Any, arrays: list[Any]) -> Any:
    """What a tree of nodes stands for, see `cupool.contract.offload`."""
    kind, *rest = node
    if kind == contract.VALUE:
        return rest[0]
    if kind == contract.GIVEN:
        return arrays[rest[0]]
    if kind in (contract.ARRAY, contract.HOST):
        made = _taken(results, *rest)
        return made.get() if kind == contract.HOST else made
    if kind == contract.TUPLE:
        return tuple(_built(item, results, arrays) for item in rest[0])
    if kind == contract.LIST:
        return [_built(item, results, arrays) for item in rest[0]]
    keys, items = rest
    return {key: _built(item, results, arrays) for key, item in zip(keys, items, strict=True)}


def _taken(results: Any, index: int, dtype: Any, shape: Any, strides: Any) -> Any:
    """The call's result array `index`, under a handle of its own."""
    from cupool.contract.spec import spec_of
    from cupool.contract.values import SLOT_HANDLE, SLOT_INTEGER, SlotRef

    from . import dispatch

    spec = spec_of(tuple(shape), dtype, tuple(strides))
    form = (SlotRef(SLOT_HANDLE), SlotRef(SLOT_INTEGER))
    (handle,) = dispatch.send("@offload_result", form, (results.handle, index), (spec,))
    return dispatch.new_array(handle, spec)
