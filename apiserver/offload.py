"""Functions of the program that run here, next to the device: `cupool.offload`. The one place in which a pickle is read.

Who may: the session's assignment says so (`AssignRequest.allow_offload`, the operator's word for a tenant). Without it nothing of what
came is looked at. This process is the session's own, behind its sandbox: a function can do here what a raw kernel can.

What a function sees: on CUDA real CuPy and the session's arrays; on the CPU device the shim itself, whose commands run in this process
(`cupool/nested.py`): CuPy's semantics to the same extent as outside. See docs/decisions/008-offload.md.

Note [Results of functions]. What a call returns is known when it has run. Arrays among it get a handle of our own each, beyond the numbers
that a client can send, and live as long as the call's result object; the client takes those it wants by `@offload_result`.

Boundary: permission, pickles, results. What a device's arrays look like from inside is the runtime's.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import os
import pickle
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cupool.contract import ids
from cupool.contract import offload as contract
from cupool.contract.errors import ProtocolError, Unsupported
from cupool.contract.spec import spec_like, spec_of
from cupool.contract.values import HandleRef, decode, encode
from cupool.v1 import session_pb2

from .faults import Propagated, Raised
from .forms import OBJECT, REPLY, SLOT_HANDLE, SLOT_INTEGER, SLOT_VALUE, UNKNOWN, Constant, Form

if TYPE_CHECKING:
    from .executor import Executor

Step = Callable[[list[int], int], None]

#: Handles of result objects begin here: beyond those of clients and of graphs.
OWN_HANDLES = 1 << 64
#: What functions print between two looks is kept up to this many characters.
OUTPUT_CHARS = 1 << 20
#: What cloudpickle calls the file of code that it carries.
_UNNAMED = "<dynamic-code>"
#: Our own files.
_OWN_FOLDERS = tuple(
    os.path.join(os.path.dirname(os.path.abspath(importlib.import_module(name).__file__ or "")), "")
    for name in ("cupool", "cupool.shim", "cupool.apiserver")
)


class Runtime(Protocol):
    """How a function sees the device's arrays."""

    def running(self) -> contextlib.AbstractContextManager[None]:
        """Around everything that runs or unpickles code of the program. Raises on leaving what the function left unreported."""
        ...

    def ended(self) -> contextlib.AbstractContextManager[None]:
        """Around what is done with a function's results. Threads that it left behind do nothing from then on."""
        ...

    def wrap(self, handle: int, array: Any) -> Any:
        """The session's array as the function gets it."""

    def unwrap(self, value: Any) -> tuple[Any, int] | None:
        """(array, its handle or 0) of an array of the function's; None for anything else."""
        ...


class Native:
    """The device's arrays are what a function gets: real CuPy."""

    def __init__(self, executor: Executor) -> None:
        self._array_type = executor.device.array_type

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        yield

    ended = running

    def wrap(self, handle: int, array: Any) -> Any:
        return array

    def unwrap(self, value: Any) -> tuple[Any, int] | None:
        return (value, 0) if isinstance(value, self._array_type) else None


class Function:
    """What `@offload_function` makes."""

    def __init__(self, call: Callable[..., Any], name: str, file: str) -> None:
        self.call = call
        self.name = name
        self.file = file


class Results:
    """What a call left for the client to take. Dropped by the handle table."""

    def __init__(self, offload: Offload) -> None:
        self.handles: list[int] = []
        self._offload = offload

    def on_dropped(self) -> None:
        self._offload.free(self.handles)


class _Unpickler(pickle.Unpickler):
    """Arrays of the arguments go by number."""

    def __init__(self, data: bytes, arrays: list[Any]) -> None:
        super().__init__(io.BytesIO(data))
        self._arrays = arrays

    def persistent_load(self, pid: Any) -> Any:
        return self._arrays[pid]


class Offload:
    """The functions of one session."""

    def __init__(self, executor: Executor) -> None:
        #: A function has come. Forms of calls come with any session of a program that has offloaded once.
        self.has_functions = False
        self._executor = executor
        self._numbers = itertools.count(OWN_HANDLES)
        self._runtime: Runtime | None = None
        self._output = io.StringIO()

    @classmethod
    def of(cls, executor: Executor) -> Offload:
        """The session's."""
        if executor.offload is None:
            executor.offload = cls(executor)
        found: Offload = executor.offload
        return found

    def check_allowed(self) -> None:
        """Raises Unsupported where the tenant may not."""
        if not self._executor.allow_offload:
            raise Unsupported(
                "This pool does not let this tenant send functions (cupool.offload).",
                "Call the function without the decorator, or have the pool's operator allow it: cupool quota set TENANT --offload.",
            )

    @property
    def runtime(self) -> Runtime:
        made = self._runtime
        if made is None:
            if self._executor.device.kind == "cpu":
                # By name: components do not import each other, `cupool` itself composes them.
                self._enter_range()
                made = importlib.import_module("cupool.nested").Nested(self._executor)
            else:
                made = Native(self._executor)
            self._runtime = made
        return made

    def _enter_range(self) -> None:
        """Numbers that the shim mints in here are none of the client's. Before the shim is imported."""
        known = {ids.range_of(handle) for handle in self._executor.handles.table}
        ids.enter_child_range()
        while ids.current_range in known:
            ids.enter_child_range()

    # -- what the ops do --------------------------------------------------------------------------------------------------

    def define(self, data: bytes, name: str, file: str, python: str) -> Function:
        """The function in a pickle. `file`: where its author wrote it; `python`: the author's version, "3.12"."""
        if python != contract.PYTHON:
            raise Unsupported(
                f"The function was made by Python {python}, the server has Python {contract.PYTHON}: code does not travel between them.",
                "Use the same minor version of Python on both sides, or call the function without cupool.offload.",
            )
        self.has_functions = True
        with self._watched(name):
            try:
                with self._told(name, file):
                    call = _Unpickler(data, []).load()
            finally:
                with self.runtime.ended():
                    pass
        if not callable(call):
            raise TypeError(f"A function was promised, the pickle holds a {type(call).__name__}.")
        return Function(call, name, file)

    def call(
        self, function: Function, handles: list[int], data: bytes, store: Callable[[Any, list[Any]], None]
    ) -> None:
        """Run a function and hand over what it returns, with the array arguments as it saw them, while its arrays are alive."""
        runtime, get = self.runtime, self._executor.handles.get
        arrays = [runtime.wrap(handle, get(handle)) for handle in handles]
        value = args = kwargs = None
        has_returned = False
        try:
            with self._watched(function.name), self._told(function.name, function.file):
                args, kwargs = _Unpickler(data, arrays).load()
                value = function.call(*args, **kwargs)
                has_returned = True
        finally:
            with runtime.ended():
                args = kwargs = None
                try:
                    if has_returned:
                        with self._told(function.name, function.file):
                            store(value, arrays)
                finally:
                    value = None
                    arrays.clear()

    @contextlib.contextmanager
    def _watched(self, name: str) -> Iterator[None]:
        """The kernel limit holds for functions, and what they print goes to the client."""
        status = self._executor.status
        status.running(f"function {name}")
        before = sys.stdout
        sys.stdout = self._output
        try:
            yield
        finally:
            sys.stdout = before
            status.running("")
            if self._output.tell() > OUTPUT_CHARS:
                self._keep_output(self._output.getvalue()[:OUTPUT_CHARS])

    @contextlib.contextmanager
    def _told(self, name: str, file: str) -> Iterator[None]:
        """What a function raises, as Raised with a traceback for its author."""
        try:
            with self.runtime.running():
                yield
        except Propagated:
            raise
        except (KeyboardInterrupt, SystemExit) as error:
            raise Raised(
                RuntimeError(f"The function ended with {error!r}."), remote_traceback(error, name, file)
            ) from None
        except ModuleNotFoundError as error:
            if error.name == "cloudpickle":
                error = ModuleNotFoundError("No module named 'cloudpickle'", name="cupool[server]")
            missing = ModuleNotFoundError(
                f"{error} on the server. An offloaded function may import what the server has: ask the pool's operator for {error.name}."
            )
            raise Raised(missing, remote_traceback(error, name, file)) from None
        except Exception as error:
            text = remote_traceback(error, name, file)
            traceback.clear_frames(error.__traceback__)  # their arrays would live on
            raise Raised(error.with_traceback(None), text) from None

    def _keep_output(self, text: str) -> None:
        self._output.seek(0)
        self._output.truncate()
        self._output.write(text)

    def take_output(self) -> str:
        """What functions have printed since the last time."""
        text = self._output.getvalue()
        self._keep_output("")
        return text

    # -- results ----------------------------------------------------------------------------------------------------------

    def put(self, handle: int, array: Any, owner: int) -> None:
        """Store an array of a function's under a handle; `owner` has it already, or 0."""
        if owner:
            self._executor.handles.put_view(handle, array, owner)
        else:
            self._executor.stepper.put_or_share(handle, array)

    def keep(self, array: Any, owner: int) -> int:
        """Store an array under a handle of our own."""
        handle = next(self._numbers)
        self.put(handle, array, owner)
        return handle

    def keep_host(self, array: Any) -> int:
        """Store a copy of a NumPy array on the device, under a handle of our own."""
        executor, spec = self._executor, spec_of(array.shape, array.dtype)
        executor.accounting.charge(spec.nbytes)
        handle = next(self._numbers)
        try:
            executor.handles.put_own(handle, executor.device.from_bytes(spec, np.ascontiguousarray(array).tobytes()))
        except BaseException:
            executor.accounting.refund(spec.nbytes)
            raise
        return handle

    def free(self, handles: list[int]) -> None:
        for handle in handles:
            self._executor.handles.free(handle)
        handles.clear()

    def tree(self, value: Any, arrays: list[Any], results: Results) -> Any:
        """The node for a value, see `cupool.contract.offload`. Raises TypeError for what cannot travel."""
        for i, given in enumerate(arrays):
            if value is given:
                return (contract.GIVEN, i)
        found = self.runtime.unwrap(value)
        if found is not None:
            results.handles.append(self.keep(*found))
            return (contract.ARRAY, len(results.handles) - 1, *_layout(found[0]))
        kind = type(value)
        if kind in (tuple, list):
            return (contract.TUPLE if kind is tuple else contract.LIST, [self.tree(v, arrays, results) for v in value])
        if kind is dict and any(type(key) not in (str, int, float, bool, bytes, type(None)) for key in value):
            raise TypeError("A dict that an offloaded function returns has keys that are strings, numbers or None.")
        if kind is dict:
            return (contract.DICT, list(value), [self.tree(v, arrays, results) for v in value.values()])
        if isinstance(value, np.ndarray) and value.nbytes > contract.ANSWER_BYTES and not value.dtype.hasobject:
            results.handles.append(self.keep_host(value))
            return (contract.HOST, len(results.handles) - 1, *_layout(np.ascontiguousarray(value)))
        if isinstance(value, tuple) or not _can_travel(value):  # a named tuple would come back as a plain one
            raise TypeError(
                f"An offloaded function returned a {type(value).__module__}.{type(value).__qualname__}. It may return arrays, numbers, "
                "strings, bytes, None, NumPy arrays, and tuples, lists and dicts of them."
            )
        return (contract.VALUE, value)


def _can_travel(value: Any) -> bool:
    try:
        encode(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _layout(array: Any) -> tuple[Any, ...]:
    spec = spec_like(array)
    return spec.dtype, spec.shape, spec.strides


def remote_traceback(error: BaseException, name: str, file: str) -> str:
    """A traceback for the function's author: of the author's file its path, of the server's files only the last names, of ours nothing."""
    lines = [f"{contract.TRACEBACK_HEAD} {name} (most recent call last):"]
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith(_OWN_FOLDERS) or frame.filename == contextlib.__file__:
            continue
        shown = file if frame.filename in (file, _UNNAMED) else _short(frame.filename)
        lines.append(f'  File "{shown}", line {frame.lineno}, in {frame.name}')
    if error.__cause__ is not None or (error.__context__ is not None and not error.__suppress_context__):
        earlier = error.__cause__ or error.__context__
        lines.append(f"  (after {type(earlier).__name__}: {str(earlier)[:200]})")
    lines += [str(note)[:300] for note in getattr(error, "__notes__", ())]
    while sum(map(len, lines)) > contract.TRACEBACK_CHARS and len(lines) > 3:
        del lines[len(lines) // 2]
    return "\n".join(lines)[: contract.TRACEBACK_CHARS]


def _short(path: str) -> str:
    """The part of a path that says nothing of the host."""
    inside = path.replace("\\", "/").rpartition("/site-packages/")[2]
    return "/".join(inside.rsplit("/", 2)[-2:])


# -- the ops --------------------------------------------------------------------------------------------------------------


def _slots(form: Form, *kinds: int) -> list[int]:
    """Word offsets of the leading arguments, which are bare slots of these kinds."""
    slots = [s for s in form.slots if s.bare]
    if [s.kind for s in form.slots] != list(kinds) or len(slots) != len(kinds) or form.kwargs:
        raise ProtocolError(f"Form {form.id}: {form.row.name} has other arguments.")
    return [s.offset for s in slots]


def _results(form: Form, *kinds: int) -> None:
    if tuple(plan.kind for plan in form.results) != kinds:
        raise ProtocolError(f"Form {form.id}: {form.row.name} has other results.")


def _bytes_reader(executor: Executor, offset: int) -> Callable[[list[int], int], bytes]:
    """Reads an argument that is bytes, or the handle of an array of bytes."""

    def read(words: list[int], i: int) -> bytes:
        value = decode(executor.value(words[i + offset]))
        if isinstance(value, HandleRef):
            value = bytes(executor.device.download(executor.handles.get(value.handle)))
        if not isinstance(value, bytes):
            raise ProtocolError("A pickle is bytes.")
        return value

    return read


def _function(executor: Executor, form: Form) -> Step:
    _results(form, OBJECT)
    (at,) = _slots(form, SLOT_VALUE)
    told = [item.value for item in form.args[1:] if isinstance(item, Constant)]
    if len(told) != 3 or not all(type(text) is str and len(text) < 4096 for text in told):
        raise ProtocolError(
            f"Form {form.id}: @offload_function takes the code, a name, a file and a version of Python."
        )
    offload, read = Offload.of(executor), _bytes_reader(executor, at)

    def step(words: list[int], i: int) -> None:
        offload.check_allowed()
        executor.handles.put_object(words[i + 1], offload.define(read(words, i), *told))

    return step


def _call(executor: Executor, form: Form) -> Step:
    kinds = tuple(plan.kind for plan in form.results)
    is_tree = kinds == (OBJECT, REPLY)
    if not is_tree and set(kinds) - {UNKNOWN}:
        raise ProtocolError(f"Form {form.id}: @offload has other results.")
    at_function, at_arrays, at_arguments = _slots(form, SLOT_HANDLE, SLOT_VALUE, SLOT_VALUE)
    offload, read, handles = Offload.of(executor), _bytes_reader(executor, at_arguments), executor.handles
    form.settled = True

    def step(words: list[int], i: int) -> None:
        offload.check_allowed()
        function = handles.get(words[i + at_function])
        refs = decode(executor.value(words[i + at_arrays]))
        if (
            not isinstance(function, Function)
            or type(refs) is not tuple
            or not all(isinstance(r, HandleRef) for r in refs)
        ):
            raise ProtocolError("@offload takes a function, a tuple of handles and its arguments.")
        executor.transfers.unpin()
        named = handles.named = [ref.handle for ref in refs]
        results = words[i + 1 : i + 1 + len(kinds)]
        take = _tree if is_tree else _outs
        offload.call(
            function, named, read(words, i), lambda value, arrays: take(offload, executor, results, value, arrays)
        )

    return step


def _tree(offload: Offload, executor: Executor, handles: list[int], value: Any, arrays: list[Any]) -> None:
    """Any structure: the arrays under a result object, the structure as a reply."""
    results = Results(offload)
    try:
        executor.stepper.answer(handles[1], offload.tree(value, arrays, results))
        executor.handles.put_object(handles[0], results)
    except BaseException:
        results.on_dropped()
        raise


def _outs(offload: Offload, executor: Executor, handles: list[int], value: Any, arrays: list[Any]) -> None:
    """As many arrays as the decorator said."""
    n = len(handles)
    values = (value,) if n == 1 else value if n else ()
    if (n == 0 and value is not None) or (n > 1 and (not isinstance(value, tuple | list) or len(value) != n)):
        got = f"{len(value)} values" if isinstance(value, tuple | list) else f"a {type(value).__name__}"
        raise TypeError(f"An offloaded function with outs={n} returned {got}.")
    found = []
    for one in values:
        array = offload.runtime.unwrap(one)
        if array is None:
            raise TypeError(f"An offloaded function with outs={n} returns arrays; it returned a {type(one).__name__}.")
        found.append(array)
    for handle, (array, owner) in zip(handles, found, strict=True):
        from .steps import spec_to_wire

        offload.put(handle, array, owner)
        executor.reply(session_pb2.Result(id=handle, spec=spec_to_wire(array)).SerializeToString())


def _result(executor: Executor, form: Form) -> Step:
    if len(form.results) != 1 or form.results[0].spec is None:
        raise ProtocolError(f"Form {form.id}: @offload_result has one array result.")
    spec = form.results[0].spec
    at_results, at_index = _slots(form, SLOT_HANDLE, SLOT_INTEGER)
    handles = executor.handles

    def step(words: list[int], i: int) -> None:
        results, index = handles.get(words[i + at_results]), words[i + at_index]
        if not isinstance(results, Results) or not 0 <= index < len(results.handles):
            raise ProtocolError(
                "@offload_result takes the result object of a call and the number of one of its arrays."
            )
        own = results.handles[index]
        array = handles.get(own)
        if array.dtype != spec.dtype or array.shape != spec.shape or array.strides != spec.strides:
            raise ProtocolError("The array of an offloaded function is not what its call said.")
        handles.put_view(words[i + 1], array, own)

    return step


def _output(executor: Executor, form: Form) -> Step:
    _results(form, REPLY)
    _slots(form)
    offload = Offload.of(executor)
    return lambda words, i: executor.stepper.answer(words[i + 1], offload.take_output())


OPS: dict[str, Callable[[Executor, Form], Step]] = {
    "@offload": _call,
    "@offload_function": _function,
    "@offload_output": _output,
    "@offload_result": _result,
}
