"""From a public name's arguments to a command. `call` is what generated functions call.

Note [Plans]. A call is decided by its *key*: the specs of its arrays and the types and values of the rest, except values that travel
in slots. Key -> plan (form, result specs) is a dict hit; a miss runs the rule, which raises CuPy's errors at the user's line. Keys
never mix what compares equal but is different: 1, True, 1.0, -0.0.

Boundary: rules decide shapes and dtypes, `forms.py` numbers the forms, `pending.py` holds the commands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract import ids
from cupool.contract.codec import TAG_SHIFT
from cupool.contract.ops._row import NDIM, REQUIRED, UNKNOWN, Row, Same, Vector, call_arguments, is_default, parameters
from cupool.contract.spec import Spec
from cupool.contract.values import (
    SLOT_HANDLE,
    SLOT_INTEGER,
    SLOT_REAL,
    SLOT_VALUE,
    SlotRef,
    decode,
    dtype_to_wire,
    encode,
    named,
)

from . import births, captures, coerce, forms, notices, operators, session, sites, streams, syncdetect, wire
from .config import config
from .keys import DEFAULT, LONG_SEQUENCE, NO_KEY, WALK, WALK_VARYING, walk_other
from .objects import RemoteObject
from .pending import COMMANDS, GATE, extend
from .probe import Probe, lengths_probe, probed
from .rows import LazyRow
from .session import flush

HANDLE, INTEGER, REAL, VALUE = (SlotRef(kind) for kind in (SLOT_HANDLE, SLOT_INTEGER, SLOT_REAL, SLOT_VALUE))

#: Plans kept per row before they are dropped.
MAX_PLANS = 8192

_new: Any = object.__new__

# Set by `array.py`: it imports this module.
ndarray: Any = None
new_array: Any = None
#: Mints the next handle. Fetched again after a fork.
mint: Callable[[], int] = ids.minter()
#: CUPOOL_SYNC=1.
_sync = False


class Plan:
    """What a key leads to. `results`: per result a Spec, a Probe, UNKNOWN, or a marker string of `_MARKERS`."""

    __slots__ = ("head", "is_tuple", "out", "results", "single")

    def __init__(self, head: int, results: tuple[Any, ...], is_tuple: bool, out: Any) -> None:
        self.head = head
        self.results = results
        self.is_tuple = is_tuple
        #: Name of the parameter whose argument is the result (`out=`, or what the rule calls Same); or None.
        self.out = out
        self.single = (
            results[0] if out is None and len(results) == 1 and not is_tuple and isinstance(results[0], Spec) else None
        )


#: Functions that merely call the method of their argument: given a NumPy array they give NumPy's result.
DUCK = frozenset(
    (
        "all", "amax", "amin", "any", "argmax", "argmin", "argpartition", "argsort", "choose", "clip",
        "diagonal", "dot", "max", "mean", "min", "nonzero", "partition", "prod", "ptp", "ravel", "repeat", "reshape",
        "sort", "squeeze", "std", "sum", "swapaxes", "take", "trace", "transpose", "var",
    )
)  # fmt: skip


def _raises(mode: Any) -> bool:
    return isinstance(mode, str) and mode == "raise"


def _on_device(value: Any) -> bool:
    return isinstance(value, ndarray)


def _always(value: Any) -> bool:
    return True


#: Functions that look at the data before they return and raise, as CuPy's do, beside rows that say so themselves: name -> (parameter or
#: parameters, whether they look for such an argument). The call waits.
CHECKED: dict[str, tuple[str | tuple[str, ...], Callable[[Any], bool]]] = {
    "bincount": ("x", _on_device),
    "choose": ("mode", _raises),
    "cupyx.scipy.special.multigammaln": ("a", lambda a: True),
    "histogram": ("bins", _on_device),
    "place": ("vals", lambda vals: bool(vals.size == 0)),
    "put": ("mode", _raises),
    "random.RandomState.choice": ("p", _on_device),
    **{f"random.RandomState.{name}": (given, _on_device) for name, given in notices.PARAMETERS_LOOKED_AT.items()},
    "ravel_multi_index": ("mode", _raises),
    "repeat": ("repeats", _on_device),
    "unravel_index": ("indices", _on_device),
    "cupyx.scipy.linalg.solve_triangular": ("check_finite", bool),
    **{
        f"cupyx.scipy.ndimage.{name}_filter": ("footprint", _on_device)
        for name in ("maximum", "median", "minimum", "percentile", "rank")
    },
}


#: Functions of one array whose calls may be decided by its spec and the other arguments (Note [Hot tables] of `operators.py`). None
#: fails on the device: what could go wrong has been found by the rule.
HOT = frozenset(
    (
        "all", "amax", "amin", "any", "argmax", "argmin", "cumprod", "cumsum", "max", "mean", "min", "nanmax", "nanmean", "nanmin",
        "nansum", "ndarray.astype", "ndarray.copy", "prod", "ptp", "std", "sum", "trace", "var",
    )
)  # fmt: skip
#: The same of two arrays.
HOT_PAIRS = frozenset(("dot", "inner", "matmul", "outer", "vdot"))
#: The same of a sequence of arrays.
HOT_SEQUENCES = frozenset(("concat", "concatenate", "hstack", "stack", "vstack"))
#: Types of the other arguments of a hot call: what a form holds as it is. Dtypes too.
_HOT_TYPES = frozenset((type(None), bool, int, str, type))
_SEQUENCES = frozenset((tuple, list))
#: {ndarray}, set by `array.py`
ARRAYS: set[Any] = set()


class Op:
    """What `call` needs of a row, prepared once."""

    __slots__ = (
        "converts", "defaults", "duck", "hot", "looks", "name", "narrays", "notice", "order", "plans", "row", "varying", "viewer",
        "walkers", "walks",
    )  # fmt: skip

    def __init__(self, row: Any) -> None:
        from cupool.contract.ops.rules.views import MAYBE_VIEW, VIEW_FUNCTIONS

        row = row.resolve() if isinstance(row, LazyRow) else row
        self.row = row
        self.name = row.name
        self.plans: dict[Any, Plan] = {}
        self.duck = row.name in DUCK
        #: (first) array's spec -> {other arguments: (form, result's spec, their types)}: 1, 1.0 and True are one key; or None
        self.hot = operators.new_table() if row.name in HOT | HOT_PAIRS | HOT_SEQUENCES else None
        #: how many arrays a hot call has; 0: its first argument is a sequence of them
        self.narrays = 0 if row.name in HOT_SEQUENCES else 1 + (row.name in HOT_PAIRS)
        self.converts = coerce.places(row)
        self.notice = notices.NOTICES.get(row.name)
        looks = CHECKED.get(row.name)
        given_names = () if looks is None else (looks[0],) if isinstance(looks[0], str) else looks[0]
        self.looks = None if looks is None else (tuple(map(row.params.index, given_names)), looks[1])
        if row.looks:
            self.looks = ((0,), _always)
        self.viewer = VIEW_FUNCTIONS.get(row.name) or MAYBE_VIEW.get(row.name)
        varying = set(row.varying)
        if row.family == "ufunc":
            varying.update(row.arrays)
        given = parameters(row.sig)
        self.walkers = tuple(WALK_VARYING if p.name in varying else WALK for p in given)
        #: per parameter: its numbers travel in slots
        self.varying = tuple(w is WALK_VARYING for w in self.walkers)
        # Defaults of varying parameters: an argument equal to it is left out of the form, so it must not claim a slot.
        self.defaults = tuple(p.default if p.name in varying else REQUIRED for p in given)
        # Forms hold required parameters and *args first, whatever the signature's order.
        first = [
            i for i, p in enumerate(given) if p.kind == "args" or (p.default is REQUIRED and p.kind == "positional")
        ]
        rest = [i for i in range(len(given)) if i not in first]
        self.order = tuple(first + rest) if first + rest != list(range(len(given))) else None
        #: (walkers, default) per parameter, in the form's order. A default that is given needs no key of its own where it cannot be a slot.
        self.walks = tuple((self.walkers[i], given[i].default) for i in first + rest)


_OPS: dict[str, Op] = {}


def op_of(row: Row) -> Op:
    """The prepared row."""
    known = _OPS.get(row.name)
    if known is None:
        session.begin()  # the rows are made while the pool answers
        known = _OPS.setdefault(row.name, Op(row))
    return known


def clear() -> None:
    """Forget every plan: forms were dropped, or a session ended."""
    for known in _OPS.values():
        known.plans.clear()


# -- the call ----------------------------------------------------------------------------------------------------------


def call(row: Row, args: tuple[Any, ...]) -> Any:
    """Run `row` with `args` in the order of `row.params` (`*args` as a tuple, `**kwargs` as a dict); returns the function's result.

    Results are arrays (or a tuple of them), a host value for `host` rows, or the caller's `out`.
    """
    try:
        op = _OPS.get(row.name) or op_of(row)
        if op.hot is not None and type(args[0]) is ndarray:
            try:
                rest = args[1:]
                if op.narrays == 2:
                    rest = (args[1]._spec, *args[2:])
                entry = op.hot[args[0]._spec][rest]
            except (AttributeError, KeyError, TypeError):  # a number beside the array; a list, which has no hash
                entry = None
            if entry is not None and entry[2] == tuple(map(type, rest)):
                result = operators.blank()
                result._spec = entry[1]
                result._handle = handle = next(operators.counter)
                if op.narrays == 1:
                    extend((entry[0], handle, args[0]._handle))
                else:
                    extend((entry[0], handle, args[0]._handle, args[1]._handle))
                if len(COMMANDS) > GATE.words:
                    flush()
                return result
        elif op.narrays == 0 and type(args[0]) in _SEQUENCES:
            joined = _hot_sequence(op, args)
            if joined is not None:
                return joined
        if op.converts:
            args = coerce.converted(op.converts, args)
        again = op.notice is not None and op.notice(args)
        if op.duck and not isinstance(args[0], ndarray):
            return _duck(row, args)
        if op.name in coerce.LIKE and isinstance(args[0], np.ndarray):
            args = (coerce.stand_in(args[0]), *args[1:])
        if op.viewer is not None:
            from . import views

            view = views.of_function(op.viewer, row, args)
            if view is not None:
                return view
        plan, slots = prepare(op, args)
        if captures.CAPTURING:
            captures.check_op(row.name)
        result = finish(plan, row, args, slots) if plan.single is None else finish_single(plan, slots)
        if op.looks is not None and any(op.looks[1](args[i]) for i in op.looks[0]):
            captures.check_wait()
            session.wait_all()
        if op.hot is not None and plan.single is not None and not again:
            _remember_call(op, plan, args, slots)
        return result
    except TracedOperand as operand:  # costs nothing where none is raised
        return operand.trace.record(row, args)


def _hot_sequence(op: Op, args: tuple[Any, ...]) -> Any:
    """The result of a call of a sequence of arrays that was decided before; None: it was not."""
    arrays = args[0]
    if set(map(type, arrays)) != ARRAYS:
        return None
    try:
        specs = [a._spec for a in arrays]
        rest = (*specs[1:], *args[1:])
        entry = op.hot[specs[0]][rest]  # type: ignore[index]
    except (KeyError, TypeError):
        return None
    if entry[2] != tuple(map(type, rest)):
        return None
    result = operators.blank()
    result._spec = entry[1]
    result._handle = handle = next(operators.counter)
    extend((entry[0], handle, *[a._handle for a in arrays]))
    if len(COMMANDS) > GATE.words:
        flush()
    return result


def _remember_call(op: Op, plan: Plan, args: tuple[Any, ...], slots: list[Any]) -> None:
    if op.narrays:
        arrays, others = args[: op.narrays], args[op.narrays :]
    elif type(args[0]) in _SEQUENCES and 0 < len(args[0]) <= LONG_SEQUENCE:
        arrays, others = tuple(args[0]), args[1:]
    else:
        return
    if not all(type(a) is ndarray and a._spec is not None for a in arrays) or slots != [a._handle for a in arrays]:
        return
    if not all(type(v) in _HOT_TYPES or isinstance(v, np.dtype) for v in others):
        return
    assert plan.single is not None and op.hot is not None
    if max(plan.single.nbytes, *(a._spec.nbytes for a in arrays)) < operators.TAGGED_BYTES:
        rest = (*(a._spec for a in arrays[1:]), *others)
        operators.remember(op.hot, arrays[0]._spec, rest, (plan.head, plan.single, tuple(map(type, rest))))


class TracedOperand(BaseException):
    """An operand is a stand-in of a function that `cupy.fuse` traces: the call is written down and not sent."""

    def __init__(self, trace: Any) -> None:
        super().__init__()
        self.trace = trace


def foresee(row: Row, args: list[Any]) -> tuple[tuple[Any, ...], bool, Any]:
    """What a call would give, by the rule alone; nothing is sent.

    Returns:
        the results (Spec, Probe, UNKNOWN), whether they are a tuple, and the name of the parameter that is the result instead, or None.
    """
    results, is_tuple, out = _results(row, args, [])
    if results and isinstance(results[0], Same):
        return (), False, results[0].parameter
    return results, is_tuple, out


def finish_single(plan: Plan, slots: list[Any]) -> Any:
    """Queue the command of a plan with one array of known spec as its result."""
    result = operators.blank()
    result._spec = plan.single
    result._handle = handle = next(operators.counter)
    # The three frames above this one are ours, whoever called.
    extend((plan.head | sites.site(3) << TAG_SHIFT | streams.bits(), handle, *slots))
    if len(COMMANDS) > GATE.words:
        flush()
    if _sync:
        session.after_call()
    if births.watched:
        births.born(result)
    return result


def _duck(row: Row, args: tuple[Any, ...]) -> Any:
    first = args[0]
    positional, keywords = call_arguments(row, args)
    if not isinstance(first, np.ndarray):
        convert = getattr(first, "__cupy_get_ndarray__", None)
        if convert is not None:
            return call(row, (convert(), *args[1:]))
        name = {"amax": "max", "amin": "min", "around": "round"}.get(row.name, row.name)
        if not hasattr(first, name):
            raise AttributeError(f"{type(first).__name__!r} object has no attribute {name!r}")
    return getattr(np, row.name)(*positional, **keywords)


def construct(row: Row, args: tuple[Any, ...], cls: type[RemoteObject] = RemoteObject) -> RemoteObject:
    """Run a constructor row (`row.object`); the result is an instance of `cls` that owns the handle."""
    plan, slots = prepare(op_of(row), args)
    result: RemoteObject = finish(plan, row, args, slots, cls)
    return result


def call_local(row: Row, args: tuple[Any, ...]) -> Any:
    """Answer a LOCAL row from specs and values; nothing is sent.

    Where NumPy's function of the same name says the same about shapes and dtypes, it is asked about the specs' shadows.
    """
    from . import local

    return local.answer(row, args)


def send(name: str, args: tuple[Any, ...], slots: tuple[Any, ...], results: tuple[Any, ...] = ()) -> tuple[int, ...]:
    """Queue one of our own commands ("@view").

    Args:
        name: op name.
        args: form arguments, with SlotRef leaves.
        slots: their words.
        results: per result a Spec or marker.

    Returns:
        the handles or reply ids minted for the results.
    """
    ids = _queue(name, args, slots, results)
    if len(COMMANDS) > GATE.words:
        flush()
    return ids


def ask(name: str, args: tuple[Any, ...], slots: tuple[Any, ...]) -> Any:
    """Queue one of our own commands that has a reply, and wait for it."""
    # No flush here: the wait flushes, and reads the answer itself. A flush would wake the link's thread to read it.
    (reply,) = _queue(name, args, slots, ("reply",))
    return session.wait_reply(reply)


def fetch(handle: int, spec: Spec) -> Any:
    """The value of a small array of known spec: `ask("@fetch", …)` without what that looks up each time. The caller is `convert.fetch`."""
    syncdetect.declare()
    current = session.current()
    head = _heads.get(_FETCH)
    if head is None:
        head = _heads[_FETCH] = define("@fetch", (HANDLE,), {}, ("reply",))
    tag = sites.site(3)
    reply = mint()
    waiter = current.inbox.expect(reply)
    extend((head | tag << TAG_SHIFT | streams.bits(), reply, handle))
    current.count_wait(tag)
    value = current.wait(reply, waiter, True).value
    data = value.array.data
    if len(data) == spec.nbytes and spec.dtype.kind in "biufc":
        return np.ndarray(spec.shape, spec.dtype, bytearray(data))
    return np.asarray(decode(value))


def _queue(name: str, args: tuple[Any, ...], slots: tuple[Any, ...], results: tuple[Any, ...]) -> tuple[int, ...]:
    session.current()  # so that no handle is older than the session that it is for
    if all(type(a) is SlotRef for a in args):
        key = (name, args, results)
        head = _heads.get(key)
        if head is None:
            head = _heads[key] = define(name, args, {}, results)
    else:
        head = define(name, args, {}, results)
    ids = tuple(mint() for _ in results)
    extend((head | header_bits(), *ids, *slots))
    return ids


#: (op, argument slots, results) -> form number, for commands of ours without literals.
_heads: dict[Any, int] = {}
_FETCH = ("@fetch", (HANDLE,), ("reply",))


def header_bits() -> int:
    """Tag and stream of a command that this thread issues now."""
    return sites.site() << TAG_SHIFT | streams.bits()


def define(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], results: tuple[Any, ...]) -> int:
    """The number of the form: op, argument trees with SlotRef leaves, results as in `Plan`."""
    global _sync
    session.current()  # so that no handle is older than the session that it is for
    messages = wire.kinds()
    message = messages.Form(
        op=name,
        args=[encode(a, _literal, 0, messages) for a in args],
        kwargs=named(kwargs, _literal, 0, messages),
        results=[_result(r, messages) for r in results],
    )
    contents: bytes = message.SerializeToString(deterministic=True)
    #: For the first number; others are hardly ever asked for.
    made = [message]

    def build(number: int) -> Any:
        form = made.pop() if made else wire.kinds().Form.FromString(contents)
        form.id = number
        return form

    number = forms.form(contents, build)
    if config().sync and not _sync:
        _sync = True
        operators.leave_hot()
    return number


_RESULTS: dict[str, Any] = {"reply": {"reply": True}, "object": {"object": True}, UNKNOWN: {"unknown": True}}


def _result(result: Any, messages: Any) -> Any:
    if isinstance(result, Spec):
        dtype = dtype_to_wire(result.dtype, 0, messages)
        return messages.ResultSpec(dtype=dtype, shape=result.shape, strides=result.strides)
    return messages.ResultSpec(**_RESULTS[UNKNOWN if isinstance(result, Probe) else result])


def _literal(value: Any) -> Any:
    """Literals beyond `values.encode`: Python's types as dtypes, ranges as tuples."""
    if value in (bool, int, float, complex):
        return np.dtype(value)
    if isinstance(value, range):
        return tuple(value)
    raise TypeError(f"Unsupported type {type(value)}")


def is_sync() -> bool:
    """Whether CUPOOL_SYNC=1 asks for a wait after every call."""
    return _sync


def prepare(op: Op, args: tuple[Any, ...]) -> tuple[Plan, list[Any]]:
    """The plan for these arguments and the words of their slots. Runs the rule when there is none yet."""
    slots: list[Any] = []
    parts: list[Any] = []
    append = parts.append
    for arg, (walk, default) in zip(args if op.order is None else [args[i] for i in op.order], op.walks, strict=True):
        kind = type(arg)
        if kind is ndarray:
            slots.append(arg._handle)
            append(arg._spec or arg._probe or UNKNOWN)
        elif arg is None:
            # Claims no slot, as a default or not.
            append(None)
        elif arg is default or (default is not REQUIRED and is_default(arg, default)):
            append(DEFAULT)
        else:
            append(walk.get(kind, walk_other)(arg, slots))
    key = tuple(parts)
    plan = op.plans.get(key)
    if plan is None:
        plan, is_keyed = _plan(op, args)
        if is_keyed and not _has_no_key(key):
            if len(op.plans) >= MAX_PLANS:
                op.plans.clear()
            op.plans[key] = plan
    return plan, slots


def _has_no_key(key: Any) -> bool:
    return any(part is NO_KEY or (type(part) is tuple and _has_no_key(part)) for part in key)


# -- a miss ------------------------------------------------------------------------------------------------------------


class _Tree:
    """Turns arguments into what the rule sees and what the form holds, in the slot order of the walkers."""

    def __init__(self) -> None:
        self.pending: list[Any] = []

    def split(self, value: Any, varying: bool) -> tuple[Any, Any]:
        """(for the rule, for the form)"""
        if isinstance(value, ndarray):
            session.check_handle(value._handle)
            if value._spec is None:
                self.pending.append(value)
            return value, HANDLE
        if isinstance(value, RemoteObject):
            return value, HANDLE
        kind = type(value)
        if kind is tuple or kind is list:
            if len(value) > LONG_SEQUENCE and all(isinstance(item, ndarray) for item in value):
                self.pending.extend(a for a in value if a._spec is None)
                return value, VALUE
            pairs = [self.split(item, varying) for item in value]
            return kind(p[0] for p in pairs), kind(p[1] for p in pairs)
        if kind is dict:
            pairs = [self.split(item, False) for item in value.values()]
            return dict(zip(value, (p[0] for p in pairs), strict=True)), dict(
                zip(value, (p[1] for p in pairs), strict=True)
            )
        if kind is slice:
            pairs = [self.split(item, False) for item in (value.start, value.stop, value.step)]
            return slice(*(p[0] for p in pairs)), slice(*(p[1] for p in pairs))
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            return value, VALUE
        if varying:
            return value, _varying_slot(value)
        return value, value


def _varying_slot(value: Any) -> Any:
    kind = type(value)
    if kind is int:
        return INTEGER if -(1 << 63) <= value < 1 << 63 else VALUE
    if kind is float:
        return REAL
    if kind is bool or kind is complex or (isinstance(value, np.generic) and kind in WALK_VARYING):
        return VALUE
    return value


def _plan(op: Op, args: tuple[Any, ...]) -> tuple[Plan, bool]:
    """A new plan, and whether the key decides it: not when the rule had to wait for the spec of an argument pending till then."""
    row = op.row
    tree = _Tree()
    for_rule, for_form = [], []
    indices = op.order or range(len(args))
    pairs: dict[int, tuple[Any, Any]] = {}
    for i in indices:
        skip = op.defaults[i] is not REQUIRED and is_default(args[i], op.defaults[i])
        pairs[i] = (args[i], args[i]) if skip else tree.split(args[i], op.walkers[i] is WALK_VARYING)
    for i in range(len(args)):
        for_rule.append(pairs[i][0])
        for_form.append(pairs[i][1])
    results, is_tuple, out = _results(row, for_rule, tree.pending)
    if results and isinstance(results[0], Same):
        # The argument itself is the result; the command is sent only when it changes that argument.
        if results[0].parameter not in row.writes:
            return Plan(0, results, False, results[0].parameter), not _is_resolved(tree.pending)
        out, results = results[0].parameter, ()
    positional, keywords = call_arguments(row, tuple(for_form))
    try:
        head = define(row.name, positional, keywords, () if out is not None else results)
    except TypeError as error:
        raise TypeError(f"Unsupported type in the arguments of {row.name}: {error}") from None
    return Plan(head, results, is_tuple, out), not _is_resolved(tree.pending)


def _is_resolved(pending: list[Any]) -> bool:
    return any(a._spec is not None for a in pending)


def _results(row: Row, args: list[Any], pending: list[Any]) -> tuple[tuple[Any, ...], bool, Any]:
    """(results, whether the function returns a tuple, the `out` arguments or None)."""
    if row.host:
        return ("reply",), False, None
    if row.object:
        return ("object",), False, None
    inferred = UNKNOWN if row.infer is None else _infer(row, args, pending)
    out = _given_out(row, args)
    if inferred is None:
        return (), False, None
    if isinstance(inferred, str) and inferred == UNKNOWN:
        count = row.outs
        if count == NDIM:
            count = next(a for a in args if isinstance(a, ndarray)).ndim
        assert isinstance(count, int)
        return (UNKNOWN,) * count, count != 1 or row.outs == NDIM, out
    if isinstance(inferred, (tuple, list)):
        return tuple([_of_some_length(r) if type(r) is Vector else r for r in inferred]), True, out
    return (_of_some_length(inferred) if type(inferred) is Vector else inferred,), False, out


def _of_some_length(vector: Vector) -> Probe:
    return lengths_probe(lambda n: (n,), vector.dtype)


def _given_out(row: Row, args: list[Any]) -> Any:
    if "out" not in row.params:
        return None
    value = args[row.params.index("out")]
    if value is None or (isinstance(value, tuple) and all(v is None for v in value)):
        return None
    return "out"


def _spec_leaf(value: Any, index: int | None) -> Any:
    """Arrays -> specs, recursively. `index` chooses a pending array's stand-in; None: it must be known."""
    if isinstance(value, ndarray):
        spec = value._spec
        if spec is None:
            spec = value._probe.pick(index) if index is not None else value._resolve()
        return spec
    kind = type(value)
    if kind is tuple or kind is list:
        return kind(_spec_leaf(item, index) for item in value)
    if kind is dict:
        return {name: _spec_leaf(item, index) for name, item in value.items()}
    if kind is slice:
        return slice(*(_spec_leaf(v, index) for v in (value.start, value.stop, value.step)))
    return value


def _infer(row: Row, args: list[Any], pending: list[Any]) -> Any:
    """The rule's answer. With pending operands the rule runs on stand-ins; see `probe.py`."""

    if row.unseen:
        # Sent as they are; the rule sees that they are not known yet.
        unseen = [
            p in row.unseen and isinstance(a, ndarray) and a._spec is None
            for p, a in zip(row.params, args, strict=True)
        ]
        args = [UNKNOWN if skip else a for a, skip in zip(args, unseen, strict=True)]
        pending = [a for a in pending if any(a is b for b in args)]

    def run(index: int | None) -> Any:
        positional, keywords = call_arguments(row, tuple(_spec_leaf(a, index) for a in args))
        return row.infer(*positional, **keywords)

    if pending and all(a._probe is not None for a in pending):
        answer = probed(run)
        if answer is not None:
            return answer
    try:
        return run(None)
    except (
        TypeError,
        ValueError,
        IndexError,
        KeyError,
        NotImplementedError,
        OverflowError,
        ArithmeticError,
        RuntimeError,
    ) as error:
        # The rule's own frames say nothing to the user, nor does what it has in place of an array.
        if error.args and isinstance(error.args[0], str):
            error.args = (error.args[0].replace("'Spec' object", "'ndarray' object"), *error.args[1:])
        raise error.with_traceback(None) from None


# -- results -----------------------------------------------------------------------------------------------------------


def finish(plan: Plan, row: Row, args: tuple[Any, ...], slots: list[Any], cls: Any = None) -> Any:
    """Queue the command of a plan and make its results."""
    if plan.results and isinstance(plan.results[0], Same):
        return args[row.params.index(plan.out)]
    results = plan.results if plan.out is None else ()
    if captures.CAPTURING and (row.host or any(r == UNKNOWN or isinstance(r, Probe) for r in results)):
        captures.check_wait()  # the size of a result that only the data can tell is not in a graph
    ids = [mint() for _ in results]
    made = [_wrap(i, r, cls) for i, r in zip(ids, results, strict=True)]
    extend((plan.head | header_bits(), *ids, *slots))
    if row.host:
        return session.wait_reply(ids[0])  # which flushes
    if len(COMMANDS) > GATE.words:
        flush()
    if _sync:
        session.after_call()
    if births.watched:
        for each in made:
            if isinstance(each, ndarray):
                births.born(each)
    if plan.out is not None:
        out = args[row.params.index(plan.out)]
        return out[0] if isinstance(out, tuple) and not plan.is_tuple else out
    if plan.is_tuple:
        return tuple(made)
    return made[0] if made else None


def _wrap(handle: int, result: Any, cls: Any) -> Any:
    if isinstance(result, Spec):
        return new_array(handle, result)
    if isinstance(result, Probe):
        return new_array(handle, None, probe=result)
    if result == UNKNOWN:
        return new_array(handle, None)
    if result == "object":
        return cls.from_handle(handle)
    return None


forms.on_reset.append(clear)
forms.on_reset.append(_heads.clear)
forms.on_reset.append(operators.clear)
