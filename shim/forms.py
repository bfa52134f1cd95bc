"""The process-wide register of forms: what kinds of calls this program makes, numbered.

Boundary: knows keys, numbers and bytes. Dispatch makes keys and builds forms; `outbox.py` sends the definitions that a session
has not had. A new session (after a fork, or after one was lost) gets all of them again with its first batches.

Cases:
  - known key: a dict hit.
  - new key: the op is checked against what the server said about its rows, the form is built under the next number.
  - too many forms: `@forms_reset`, all caches are dropped, numbers go on rising. A command that still carries a number from
    before (another thread had it in hand) is renumbered when it is packed (`renumber`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from cupool.contract import codec
from cupool.contract.errors import CupoolError
from cupool.contract.limits import DEFAULT_LIMITS, MAX_WORDS
from cupool.contract.spec import forget_all

from . import wire
from .pending import LOCK, extend

#: Forms defined at once. Below the protocol's default limit, so that renumbered ones still fit.
MAX_FORMS = DEFAULT_LIMITS.forms - 4096

#: The same by what the server takes, see `take_limit`.
most = MAX_FORMS
#: key -> form id.
_ids: dict[Hashable, int] = {}
#: form id -> serialised Form; only ids above `base`.
encoded: dict[int, bytes] = {}
#: form id -> words per command, header included. Ids of the last generation stay until the next reset.
arity: dict[int, int] = {codec.FREE: 2}
#: form id -> how to build it under another number, for renumbering.
_builders: dict[int, Callable[[int], Any]] = {}
#: Numbers up to this were forgotten by a reset.
base = 0
#: Highest number given.
last = 0
#: Ids of `@forms_reset` commands; the outbox sends each in a batch of its own.
resets: set[int] = set()
#: Called before a form is built, so that a session exists and `refused` is known. Set by `session.py`; `bool` does nothing.
ensure_session: Callable[[], Any] = bool
#: Called before a reset: everything pending is put into batches, with all definitions. Set by `session.py`.
flush_all: Callable[[], Any] = bool
#: op name -> the error to raise when it is called: rows that this server lacks or has otherwise.
refused: dict[str, Callable[[], Exception]] = {}
#: Called after a reset: drop every cached form id.
on_reset: list[Callable[[], None]] = [forget_all]


def form(key: Hashable, build: Callable[[int], Any]) -> int:
    """The number of the form with this key.

    Args:
        key: identifies the form: op, layout, literals, result specs. Equal keys must mean equal forms.
        build: called with the number for a new key; returns the `cupool.v1.Form`, as a message or serialised.

    Raises:
        VersionMismatch, OpMissing: the server has another row, or none, for the op.
        PoolUnreachable, LeaseRefused: no session could be opened.
    """
    number = _ids.get(key)
    return _new_form(key, build) if number is None else number


def _new_form(key: Hashable, build: Callable[[int], Any]) -> int:
    ensure_session()
    with LOCK:
        number = _ids.get(key)
        if number is None:
            if len(_ids) >= most:
                reset()
            number = _ids[key] = _define(build)
        return number


def _define(build: Callable[[int], Any]) -> int:
    global last
    number = last + 1
    if number > codec.FORM_MASK:
        raise CupoolError(
            "This process has made more than 16 million different kinds of calls.",
            "Use arrays of fewer different shapes, or restart the process.",
        )
    message = build(number)
    if isinstance(message, bytes):
        message = wire.kinds().Form.FromString(message)
    error = refused.get(message.op)
    if error is not None:
        raise error()
    words = words_of(message)
    if words > MAX_WORDS:
        raise ValueError(
            f"{message.op} with {words - 1 - len(message.results)} arrays and scalars in one call: at most {MAX_WORDS} travel in one "
            "command. Join the arrays first, or call it for parts of them."
        )
    # In this order: whoever sees the number in `last` finds it complete.
    arity[number] = words
    encoded[number] = message.SerializeToString()
    _builders[number] = build
    last = number
    return number


def take_limit(limit: int) -> None:
    """The server takes so many forms at once."""
    global most
    most = min(MAX_FORMS, max(1, limit - max(8, limit // 64)))


def words_of(message: Any) -> int:
    """Words per command of a Form, header included."""
    slots = sum(map(_slots, message.args)) + sum(_slots(item.value) for item in message.kwargs)
    return 1 + len(message.results) + slots


def _slots(value: Any) -> int:
    kind = value.WhichOneof("kind")
    if kind == "slot":
        return 1
    if kind in ("tuple", "list"):
        return sum(map(_slots, getattr(value, kind).items))
    if kind == "mapping":
        return sum(_slots(item.value) for item in value.mapping.items)
    if kind == "slice":
        return _slots(value.slice.start) + _slots(value.slice.stop) + _slots(value.slice.step)
    return 0


def reset() -> None:
    """Forget all forms here and, by a command, on the server; drop every cache that holds form ids."""
    global base
    with LOCK:
        flush_all()
        for number in [n for n in arity if 0 < n <= base]:
            del arity[number], _builders[number]
        base = last
        _ids.clear()
        number = _define(lambda n: wire.kinds().Form(id=n, op="@forms_reset"))
        resets.add(number)
        for old in [n for n in encoded if n <= base]:
            del encoded[old]
        extend((number,))
        for forget in on_reset:
            forget()


def forget_unrepeatable() -> None:
    """Before another session, which gets all definitions again: a form of an op that cannot be repeated is none of its until it calls it,
    for its redo window is over with the definition (`Redo.defined`)."""
    from cupool.contract.ops._homes import UNREPEATABLE

    names = [op.encode() for op in UNREPEATABLE]
    # The name lies in the form as it is; one that has it elsewhere is forgotten for nothing, and made again.
    if any(name in data for data in list(encoded.values()) for name in names):
        reset()


def renumber(number: int) -> int:
    """A form with the contents of a forgotten one, under a fresh number. Raises KeyError when even its contents are gone."""
    with LOCK:
        return form(("renumbered", number), _builders[number])


def definitions(above: int, upto: int) -> list[tuple[int, bytes]]:
    """(number, serialised Form) of the forms in (above, upto] that are still defined, rising."""
    get = encoded.get
    return [(n, data) for n in range(max(above, base) + 1, upto + 1) if (data := get(n)) is not None]


def refuse(ops: dict[str, Callable[[], Exception]]) -> None:
    """Say which ops the server cannot run as this client means them. Known forms are dropped when that changes."""
    changed = refused.keys() ^ ops.keys()
    refused.clear()
    refused.update(ops)
    if changed and _ids:
        reset()
