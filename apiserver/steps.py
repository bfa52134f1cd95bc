"""Makes the step of a form: the function that runs one command.

A step of a common shape (one or two operands, one array out) is a closure over everything it needs; all others build their
argument tree. Every array result is compared with its spec: that is what makes a disagreement between the ends an error and never a
wrong number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cupool.contract.codec import result_of_array
from cupool.contract.errors import ContractViolation
from cupool.contract.spec import Spec, spec_like
from cupool.contract.values import dtype_to_wire, encode
from cupool.v1 import session_pb2

from . import captures, lastuse
from .accounting import rounded
from .forms import (
    ARRAY,
    KERNELS,
    OBJECT,
    REPLY,
    SLOT_HANDLE,
    SLOT_INTEGER,
    SLOT_REAL,
    SLOT_VALUE,
    UNKNOWN,
    Constant,
    Form,
    Reader,
    ResultPlan,
    handles_in,
    reader,
)
from .internal import INTERNAL

if TYPE_CHECKING:
    from .executor import Executor

Step = Callable[[list[int], int], None]
#: Checks a result and makes it storable: (result, words, index of the header) -> array alone in its buffer, or one with a record.
Admit = Callable[[Any, list[int], int], Any]

_REPORT = (
    "From cupool's own client this is a bug of cupool: report it with the call that caused it. In a client of your own, mend the "
    "ResultSpec of the form, or set `unknown` where it cannot be foretold (docs/integrators.md, Promises)."
)


class Stepper:
    """Makes steps for one executor."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._handles = executor.handles
        self._device = executor.device
        self._array_type = executor.device.array_type

    def equip(self, form: Form) -> None:
        """Give a compiled form its step and what to charge for it."""
        maker = INTERNAL.get(form.row.impl)
        if maker is not None:
            form.step = maker(self._executor, form)
            self._join(form, None)
            return
        impl = self._executor.impl(form.row)
        if form.row.name in KERNELS:
            impl = self._watched(form.row.name, impl)
        plain = form.row.view_of is None and all(plan.kind == ARRAY for plan in form.results)
        plain = plain and form.row.impl not in captures.OPS  # which run other commands, and keep the account
        if not plain:
            form.step = self._general(form, impl)
            return
        form.charge = sum(rounded(plan.spec.nbytes) for plan in form.results if plan.spec is not None)
        form.impl = None if form.row.name in KERNELS else impl
        form.step = self._short(form, impl) or self._plain(form, impl)
        if self._executor.reuses:
            form.over = lastuse.maker(form, impl, self._executor)
        self._join(form, impl)

    def _join(self, form: Form, impl: Any) -> None:
        if self._executor.fusion is not None:
            form.join = self._executor.fusion.join_of(form, impl)

    def careful(self, form: Form, words: list[int], i: int) -> None:
        """Run one command with every operand looked at first."""
        handles = self._handles
        if handles.faults and not form.raw:
            for slot in form.slots:
                if slot.kind == SLOT_HANDLE:
                    (handles.raw if slot.written and form.fresh else handles.get)(words[i + slot.offset])
        transfers = self._executor.transfers
        if transfers.pinned and (form.written or form.row.writes):
            transfers.unpin()
        self.charged(form, words, i)
        if form.fresh and handles.faults:
            for slot in form.written:
                if slot.kind == SLOT_HANDLE:
                    handles.cleanse(handles.table[words[i + slot.offset]])

    def charged(self, form: Form, words: list[int], i: int, step: Step | None = None) -> None:
        """Run one command, its results charged where they are known before. The executor's walk has the same written out.

        Args:
            step: other than the form's own.
        """
        step, account = step or form.step, self._executor.accounting
        assert step is not None
        if form.charge >= 0:
            if account.used + form.charge > account.ceiling:
                account.grow(form.charge)
            step(words, i)
            account.used += form.charge
        else:
            step(words, i)

    # -- steps of plain forms: every result a new array of known spec ---------------------------------------------------

    def _short(self, form: Form, impl: Callable[..., Any]) -> Step | None:
        """A closure for the common shapes; None for the others."""
        # A method's first operand is no array.
        if len(form.results) != 1 or form.row.params[:1] == ("self",):
            return None
        maker = _SHORT.get(form.shape_key)
        spec = form.results[0].spec
        if maker is None or spec is None:
            return None
        return maker(impl, spec, self._handles, self._executor, self._admitter(form, form.results[0]))

    def _plain(self, form: Form, impl: Callable[..., Any]) -> Step:
        """Builds the argument tree; results in one go."""
        call = self._caller(form, impl)
        admits = [self._admitter(form, plan) for plan in form.results]
        n, put, refuse_known = len(admits), self._handles.put_admitted, self._handles.refuse_any_known
        if n == 0:
            if form.row.name not in KERNELS:

                def nothing(words: list[int], i: int) -> None:
                    call(words, i)  # an in-place op returns its array, which must not be asked for its truth

                form.call = call
                return nothing
            handles, named = self._handles, self._named

            def none(words: list[int], i: int) -> None:
                # For `rebind`, which finds the owner of an exposed buffer among them.
                handles.named = named(form, words, i)
                call(words, i)

            return none
        if n == 1:
            admit = admits[0]

            def one(words: list[int], i: int) -> None:
                put(words[i + 1], admit(_only(call(words, i)), words, i))

            return one

        def several(words: list[int], i: int) -> None:
            results = _exactly(call(words, i), n, form)
            arrays = [admit(result, words, i) for admit, result in zip(admits, results, strict=True)]
            refuse_known(words[i + 1 : i + 1 + n])
            for k, array in enumerate(arrays, i + 1):
                put(words[k], array)

        return several

    def _admitter(self, form: Form, plan: ResultPlan) -> Admit:
        """The full check of a new array result against its spec."""
        spec, device, name = plan.spec, self._device, form.row.name
        assert spec is not None

        kind, dtype, shape, strides = self._array_type, spec.dtype, spec.shape, spec.strides
        table, buffers = self._handles.table, self._handles.buffers
        operands = [slot.offset for slot in form.slots if slot.kind == SLOT_HANDLE]
        no_values = all(slot.kind != SLOT_VALUE for slot in form.slots)

        def admit(result: Any, words: list[int], i: int) -> Any:
            if (
                no_values
                and type(result) is kind
                and result.dtype is dtype
                and result.shape == shape
                and result.strides == strides
                and result.base is None
                and id(result) not in buffers
            ):
                for offset in operands:
                    if table[words[i + offset]] is result:
                        return device.copy(result, spec)
                return result
            array = self._as_array(result, name)
            if array.dtype != spec.dtype or array.shape != spec.shape:
                raise _disagreement(name, array, spec)
            if array.strides != spec.strides:
                array = device.conform(array, spec)
            if self._lives_elsewhere(array, form, words, i):
                array = device.copy(array, spec)
            return array

        return admit

    def _as_array(self, result: Any, name: str) -> Any:
        if type(result) is self._array_type:
            return result
        try:
            return self._device.as_array(result)
        except TypeError:
            raise ContractViolation(
                f"{name} gave a {type(result).__name__} where an array was promised.", _REPORT
            ) from None

    def _lives_elsewhere(self, array: Any, form: Form, words: list[int], i: int) -> bool:
        """Whether a result that must be new shares memory with something the session has, or hides in a larger piece of memory."""
        handles = self._handles
        root = array if array.base is None else handles.root_of(array)
        if id(root) in handles.buffers or (array is not root and root.nbytes != array.nbytes):
            return True
        table = handles.table
        return any(table.get(handle) is root for handle in self._named(form, words, i))

    def _named(self, form: Form, words: list[int], i: int) -> list[int]:
        """Every handle that a command names as an argument."""
        named = [words[i + s.offset] for s in form.slots if s.kind == SLOT_HANDLE]
        for slot in form.slots:
            if slot.kind == SLOT_VALUE:
                named += handles_in(self._executor.values, words[i + slot.offset])
        return named

    # -- all other steps ------------------------------------------------------------------------------------------------

    def _caller(self, form: Form, impl: Callable[..., Any]) -> Reader:
        """(words, i) -> the implementation's result."""
        if all(isinstance(item, Constant) for item in form.kwargs.values()):
            kwargs = {name: item.value for name, item in form.kwargs.items() if isinstance(item, Constant)}
            return _positional_caller([reader(a) for a in form.args], kwargs, impl)
        args = [reader(a) for a in form.args]
        named = [(name, reader(item)) for name, item in form.kwargs.items()]

        def call(words: list[int], i: int) -> Any:
            return impl(*[read(words, i) for read in args], **{name: read(words, i) for name, read in named})

        return call

    def _general(self, form: Form, impl: Callable[..., Any]) -> Step:
        """Views, replies, unknown results, objects, and mixtures of them."""
        if any(plan.kind == UNKNOWN for plan in form.results):
            impl = self._foreseen(form, impl)
        call = self._caller(form, impl)
        n, store = len(form.results), self._store
        handles = self._handles

        def step(words: list[int], i: int) -> None:
            handles.named = self._named(form, words, i)
            result = call(words, i)
            if n == 1:
                plan = form.results[0]
                store(form, plan, words[i + 1], result if plan.kind == REPLY else _only(result), words, i)
            elif n:
                for k, one in enumerate(_exactly(result, n, form)):
                    store(form, form.results[k], words[i + 1 + k], one, words, i)

        return step

    def _foreseen(self, form: Form, impl: Callable[..., Any]) -> Callable[..., Any]:
        """`impl`, asking for room first where the row's rule can tell the size from the operands that are here now."""
        rule, account = form.row.infer, self._executor.accounting
        if not callable(rule):
            return impl

        def foreseen(*args: Any, **kwargs: Any) -> Any:
            size = _foretold(rule, self._array_type, args, kwargs)
            if size and account.used + size > account.ceiling:
                account.grow(size)
            return impl(*args, **kwargs)

        return foreseen

    def _store(self, form: Form, plan: ResultPlan, handle: int, result: Any, words: list[int], i: int) -> None:
        if plan.kind == REPLY:
            self.answer(handle, result)
            return
        if plan.kind == OBJECT:
            if isinstance(result, self._array_type):
                raise ContractViolation(f"{form.row.name} gave an array where an object was promised.", _REPORT)
            self._handles.put_object(handle, result)
            if form.row.name.startswith("@kernel_"):
                self._executor.accounting.modules += 1
            return
        array = self._as_array(result, form.row.name)
        spec = plan.spec
        if spec is not None:
            self._store_known(form, spec, handle, array, words, i)
            return
        if form.row.view_of is None and self._lives_elsewhere(array, form, words, i):
            array = self._device.copy(array, None)
        self.put_or_share(handle, array)
        self._executor.reply(session_pb2.Result(id=handle, spec=spec_to_wire(array)).SerializeToString())

    def _store_known(self, form: Form, spec: Spec, handle: int, array: Any, words: list[int], i: int) -> None:
        if array.dtype != spec.dtype or array.shape != spec.shape:
            raise _disagreement(form.row.name, array, spec)
        if array.strides != spec.strides:
            array = self._device.conform(array, spec)
        if form.row.view_of is None and self._lives_elsewhere(array, form, words, i):
            array = self._device.copy(array, spec)
        self.put_or_share(handle, array)

    def put_or_share(self, handle: int, array: Any) -> None:
        """Store an array that may lie in an operand's buffer. Charged when it does not."""
        handles = self._handles
        root = array if array.base is None else handles.root_of(array)
        if id(root) not in handles.buffers:
            for owner in handles.named:
                if handles.table.get(owner) is root:
                    handles.put_view(handle, array, owner)
                    return
            if array is root:
                handles.refuse_known(handle)
                handles.accounting.charge(array.nbytes)
                handles.put_own(handle, array)
                return
        handles.put_shared(handle, array, charge=True)

    def answer(self, reply_id: int, value: Any) -> None:
        """Reply a host value. Raises ValueError when it is too large for a frame."""
        if type(value) is np.ndarray and not value.dtype.hasobject:
            data = result_of_array(reply_id, value) if value.nbytes <= self._executor.limits.frame_bytes else b""
            size = len(data) or value.nbytes
        else:
            device = self._device
            data = session_pb2.Result(
                id=reply_id, value=encode(value, lambda v: device.host_value(v))
            ).SerializeToString()
            size = len(data)
        if size > self._executor.limits.frame_bytes - 4096:
            raise ValueError(f"A reply of {size} bytes is over the frame limit; fetch it by @export and Get.")
        self._executor.reply(data)

    def _watched(self, name: str, impl: Callable[..., Any]) -> Callable[..., Any]:
        """A kernel call that says in the status file what runs."""
        status = self._executor.status
        watch = getattr(getattr(impl, "__self__", None), "watch", None)
        if watch is not None:
            watch(status)  # compiling is not running: the engine stops the clock for it
        if self._executor.is_inner:
            return impl  # watched is the function that calls it

        def watched(kernel: Any, *args: Any, **kwargs: Any) -> Any:
            status.running(str(getattr(kernel, "name", name)))
            try:
                return impl(kernel, *args, **kwargs)
            finally:
                status.running("")

        return watched


def _disagreement(name: str, array: Any, spec: Spec) -> ContractViolation:
    return ContractViolation(
        f"{name} gave {array.dtype} {array.shape}, the client expected {spec.dtype} {spec.shape}.",
        _REPORT,
    )


def _foretold(rule: Callable[..., Any], array_type: type[Any], args: Any, kwargs: Any) -> int:
    """Bytes of the results by the op's rule; 0 when it cannot tell. Its errors are the implementation's to raise."""
    try:
        specs = rule(*_specs(list(args), array_type), **_specs(kwargs, array_type))
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, NotImplementedError, ArithmeticError):
        return 0
    found = specs if isinstance(specs, tuple | list) else (specs,)
    return sum(rounded(spec.nbytes) for spec in found if isinstance(spec, Spec))


def _specs(value: Any, array_type: type) -> Any:
    """Arrays inside a value replaced by their specs."""
    if isinstance(value, array_type):
        return spec_like(value)
    if isinstance(value, tuple | list):
        return type(value)([_specs(item, array_type) for item in value])
    if isinstance(value, dict):
        return {name: _specs(item, array_type) for name, item in value.items()}
    return value


def spec_to_wire(array: Any) -> Any:
    """An array's spec as a `cupool.v1.ResultSpec`."""
    return session_pb2.ResultSpec(dtype=dtype_to_wire(array.dtype), shape=array.shape, strides=array.strides)


def _only(result: Any) -> Any:
    """The one result of an op that wraps it in a tuple, as `nonzero` does."""
    return result[0] if isinstance(result, tuple | list) and len(result) == 1 else result


def _exactly(result: Any, n: int, form: Form) -> Any:
    if not isinstance(result, tuple | list) or len(result) != n:
        got = len(result) if isinstance(result, tuple | list) else 1
        raise ContractViolation(f"{form.row.name} gave {got} results, the client expected {n}.", _REPORT)
    return result


def _positional_caller(args: list[Reader], kwargs: dict[str, Any], impl: Callable[..., Any]) -> Reader:
    if len(args) == 1 and not kwargs:
        only = args[0]
        return lambda words, i: impl(only(words, i))
    if len(args) == 1:
        first = args[0]
        return lambda words, i: impl(first(words, i), **kwargs)
    return lambda words, i: impl(*[read(words, i) for read in args], **kwargs)


# -- short steps ----------------------------------------------------------------------------------------------------------
# Each takes what it needs into local names. `direct` is NumPy's own ufunc once it is known to do for these operand types what the
# device's implementation does; its results are new arrays, so that only type, dtype, shape and strides need comparing.


def _no_direct(operands: tuple[Any, ...]) -> None:
    return None


def _chooser(impl: Any) -> Callable[[tuple[Any, ...]], Any]:
    """operands -> a ufunc that may be called in place of `impl` for operands of these types, or None."""
    if isinstance(impl, np.ufunc):
        return lambda operands: impl
    found: Callable[[tuple[Any, ...]], Any] = getattr(impl, "direct_for", _no_direct)
    return found


def _two_handles(impl: Any, spec: Spec, handles: Any, executor: Executor, admit: Admit) -> Step:
    table, dtype, shape, strides, kind = handles.table, spec.dtype, spec.shape, spec.strides, handles.array_type
    refuse, put, choose = handles.refuse_known, handles.put_admitted, _chooser(impl)
    direct = dtype_a = dtype_b = None

    def step(words: list[int], i: int) -> None:
        nonlocal direct, dtype_a, dtype_b
        handle = words[i + 1]
        if handle in table:
            refuse(handle)
        a, b = table[words[i + 2]], table[words[i + 3]]
        if a.dtype is dtype_a and b.dtype is dtype_b:
            r = direct(a, b)  # type: ignore[misc]
            if type(r) is kind and r.dtype is dtype and r.shape == shape and r.strides == strides:
                table[handle] = r
                return
        else:
            r = impl(a, b)
            direct = choose((a, b))
            dtype_a, dtype_b = (a.dtype, b.dtype) if direct is not None else (None, None)
        put(handle, admit(r, words, i))

    return step


def _one_handle(impl: Any, spec: Spec, handles: Any, executor: Executor, admit: Admit) -> Step:
    table, dtype, shape, strides, kind = handles.table, spec.dtype, spec.shape, spec.strides, handles.array_type
    refuse, put, choose = handles.refuse_known, handles.put_admitted, _chooser(impl)
    direct = dtype_a = None

    def step(words: list[int], i: int) -> None:
        nonlocal direct, dtype_a
        handle = words[i + 1]
        if handle in table:
            refuse(handle)
        a = table[words[i + 2]]
        if a.dtype is dtype_a:
            r = direct(a)  # type: ignore[misc]
            if type(r) is kind and r.dtype is dtype and r.shape == shape and r.strides == strides:
                table[handle] = r
                return
        else:
            r = impl(a)
            direct = choose((a,))
            dtype_a = a.dtype if direct is not None else None
        put(handle, admit(r, words, i))

    return step


def _handle_and_scalar(real: bool, first: bool) -> Callable[..., Step]:
    """(handle, scalar) when `first`, else (scalar, handle)."""

    def make(impl: Any, spec: Spec, handles: Any, executor: Executor, admit: Admit) -> Step:
        table, dtype, shape, strides, kind = handles.table, spec.dtype, spec.shape, spec.strides, handles.array_type
        refuse, put, choose = handles.refuse_known, handles.put_admitted, _chooser(impl)
        at, scalar_at = (2, 3) if first else (3, 2)
        direct = dtype_a = None
        bits = 0

        def step(words: list[int], i: int) -> None:
            nonlocal direct, dtype_a, bits
            handle = words[i + 1]
            if handle in table:
                refuse(handle)
            a = table[words[i + at]]
            scalar: Any = executor.reals[i + scalar_at] if real else words[i + scalar_at]
            operands = (a, scalar) if first else (scalar, a)
            if a.dtype is dtype_a and (real or scalar.bit_length() == bits):
                r = direct(*operands)  # type: ignore[misc]
                if type(r) is kind and r.dtype is dtype and r.shape == shape and r.strides == strides:
                    table[handle] = r
                    return
            else:
                r = impl(*operands)
                direct = choose(operands)
                dtype_a = a.dtype if direct is not None else None
                bits = 0 if real else scalar.bit_length()
            put(handle, admit(r, words, i))

        return step

    return make


_SHORT: dict[tuple[int, ...], Callable[..., Step]] = {
    (SLOT_HANDLE, SLOT_HANDLE): _two_handles,
    (SLOT_HANDLE,): _one_handle,
    (SLOT_HANDLE, SLOT_INTEGER): _handle_and_scalar(real=False, first=True),
    (SLOT_INTEGER, SLOT_HANDLE): _handle_and_scalar(real=False, first=False),
    (SLOT_HANDLE, SLOT_REAL): _handle_and_scalar(real=True, first=True),
    (SLOT_REAL, SLOT_HANDLE): _handle_and_scalar(real=True, first=False),
}
