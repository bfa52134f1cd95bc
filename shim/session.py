"""The session of this process: opened at the first need, found by everyone through the functions of this module.

Boundary: callers append commands to `pending.COMMANDS` and come here to flush, to ask, and to wait. Nothing here runs at import.
"""

from __future__ import annotations

import atexit
import importlib
import os
import sys
import threading
from _thread import get_ident
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cupool.contract import ids
from cupool.contract.errors import CupoolError, ForeignArray, SessionCloned, SessionLost
from cupool.contract.limits import Limits
from cupool.contract.records import Record
from cupool.contract.spec import spec_of
from cupool.contract.values import SLOT_HANDLE, decode

from . import forms, scopes, sites, syncdetect, trace, wire
from .config import Config, address_of, config, durability_of, token_of
from .lease import PoolClient, drop_kept, forget_kept
from .open_session import LinkTarget, OpenSession, trust_of
from .pending import COMMANDS, GATE, LOCK, extend
from .transport import has_fork_support

if TYPE_CHECKING:
    from .embedded import Address
    from .transport import Transport

#: How often the interpreter changes threads while a session is open: an acknowledgement is not kept waiting for 5 ms.
SWITCH_S = 1e-4
#: At exit: how long commands in flight may take.
EXIT_DRAIN_S = 10.0
#: Before a fork: how long dropping the connection may take.
FORK_PAUSE_S = 2.0


class Statistics(Record):
    """What the sessions of this process did so far. Bytes are of the command streams; bulk counts its own."""

    commands: int = 0
    batches: int = 0
    waits: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    reconnects: int = 0
    recoveries: int = 0
    moves: int = 0
    waits_by_site: Mapping[str, int] = MappingProxyType({})


class Session(OpenSession):
    """The session of this process. `current()` gives it."""

    def _embeds(self) -> bool:
        return not self.settings.addr and _process.inherited is None

    def _new_pool(self) -> Any:
        return _pool_client(self.settings)

    def _told(self, error: BaseException) -> None:
        _bury_told(self, error)

    def _lift(self) -> None:
        _lift()

    def _is_ending(self) -> bool:
        return _process.is_ending


# -- opening ---------------------------------------------------------------------------------------------------------
class _Process:
    """What this process has: its session, what earlier ones did, and how it was told to connect."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.session: Session | None = None
        self.opener = 0
        #: see `begin`: the configuration and the pool's client
        self.begun: tuple[Config, PoolClient] | None = None
        self.override: Config | None = None
        self.inherited: Address | None = None
        self.first_handle = 0
        self.before = Statistics()
        self.switch_s = 0.0
        self.has_atexit = False
        self.is_fork = False
        self.is_ending = False
        #: `cupool.session()` blocks that are open, and whether the session is theirs and ends with the last of them
        self.scopes = 0
        self.is_scoped = False


_process = _Process()
#: Threads of the shim itself say so here: the program has not been told what one of them is told.
_thread = threading.local()
#: Called when the session is another one: caches that let arrays through unchecked are dropped, so arrays of the old one are noticed.
on_change: list[Callable[[], None]] = []
#: Called when a session has been opened, in the thread that opened it.
on_open: list[Callable[[], None]] = []
#: Never emptied: a forked child must not run the destructors of its parent's grpc objects.
_graveyard: list[Any] = []


def _pool_client(settings: Config) -> PoolClient:
    if _process.is_fork and not has_fork_support():
        raise CupoolError(
            "This process was forked from one that had imported grpc before cupool, without support for forks.",
            "Set GRPC_ENABLE_FORK_SUPPORT=1 in the environment, or start processes by spawn.",
        )
    if settings.addr:
        return PoolClient(settings.addr, settings.token, trust_of(settings), transport=settings.transport)
    address = _process.inherited
    if address is None:
        from . import embedded

        address = embedded.start().address(settings.start_s)
    return PoolClient(address.addr, address.token, is_patient=False, transport=settings.transport)


def _stop_embedded() -> None:
    """End the program's own pool, where it has one."""
    embedded = sys.modules.get(f"{__package__}.embedded")
    if embedded is not None:
        embedded.stop()


def is_background() -> None:
    """This thread is the shim's: it opens no session, and the loss of one stays for the program to be told of."""
    _thread.is_background = True


def current() -> Session:
    """The open session; opens it (lease, channel, attach) at the first call. Raises PoolUnreachable, LeaseRefused, ..."""
    session = _process.session
    if session is not None and session.outbox.lost is None:
        return session
    return _open()


def _open(make: Callable[[], Session] | None = None) -> Session:
    process = _process
    if process.is_ending:
        if threading.current_thread() is not threading.main_thread():
            threading.Event().wait()
        raise CupoolError(
            "The program is ending: its session is closed.", "Use arrays before the interpreter's exit handlers run."
        )
    with process.lock:
        old = process.session
        if getattr(_thread, "is_background", False):
            if old is None:
                raise SessionLost("The session was closed while bytes were on their way.", "Open a new one.")
            if old.outbox.lost is not None:
                raise old.outbox.lost.with_traceback(None)
        if old is not None:
            if old.outbox.lost is None:
                return old
            was_idle = not old.inbox.is_awaited and old.outbox.has_only_frees()
            _bury(old)
            # A clone that was idle when it was copied has lost nothing but its arrays, which say so themselves.
            if not (isinstance(old.outbox.lost, SessionCloned) and was_idle):
                raise old.outbox.lost.with_traceback(None)
        if process.opener:
            raise RuntimeError("A session is being opened; a signal handler cannot use arrays meanwhile.")
        process.opener = get_ident()
        try:
            session = make() if make is not None else _made()
        finally:
            process.opener = 0
        forms.refuse(session.refused)
        process.session = session
        process.is_scoped = scopes.is_inside()
        if not process.switch_s:
            process.switch_s = sys.getswitchinterval()
            sys.setswitchinterval(min(SWITCH_S, process.switch_s))
        _register_exit()
        _register_pause()
        _register_snapshot()
        for prepare in on_open:
            prepare()
        return session


def _made() -> Session:
    """A session as the configuration says, at what was begun where that is for it."""
    settings = scopes.settings(_patient(_process.override or config()))
    begun, _process.begun = _process.begun, None
    if begun is not None and begun[0] == settings:
        return Session(settings, pool=begun[1])
    if begun is not None:
        begun[1].abandon()
    return Session(settings)


def _patient(settings: Config) -> Config:
    """`settings`, where a pool of this program's own begins: its first server is waited for as long as the pool may take to start. That
    is no wait for a place, which `deadline_s` bounds."""
    if settings.addr or _process.inherited is not None:
        return settings
    from . import embedded

    if embedded.has_started():
        return settings
    return settings.replaced(deadline_s=max(settings.deadline_s, settings.start_s))


def begin() -> None:
    """Ask the pool for a session, and do not wait: for whoever will need one in a moment and has something else to do meanwhile. What
    cannot be asked now is asked, and refused, when it is needed."""
    process = _process
    if process.session is not None or process.begun is not None or process.opener or process.is_ending:
        return
    settings = process.override or config()
    if not settings.addr or process.is_fork or scopes.is_inside() or getattr(_thread, "is_background", False):
        return
    with process.lock:
        if process.session is None and process.begun is None and not process.opener:
            process.opener = get_ident()
            try:
                trace.start(settings.log, settings.log_format)
                _register_exit()
                _register_snapshot()
                pool = _pool_client(settings)
                process.begun = settings, pool
                pool.begin(settings)
            finally:
                process.opener = 0


def _abandon() -> None:
    begun, _process.begun = _process.begun, None
    if begun is not None:
        begun[1].abandon()


def open_at(
    pool: Any, settings: Config, transport: Transport | None = None, kind: type[Session] | None = None
) -> Session:
    """Open the process's session, of class `kind`, at a pool of the caller's making: anything with acquire, release, fate and close."""
    return _open(lambda: (kind or Session)(settings, transport, pool))


def next_handle() -> int:
    """A fresh handle."""
    return ids.minter()()


def _bury(session: Session) -> None:
    """Take a lost session away, so that the next need opens another. Its unsent commands go with it."""
    process = _process
    with LOCK:
        COMMANDS.clear()
        GATE.reset()
    process.session = None
    process.before = _sum(process.before, session)
    process.first_handle = next_handle()
    for forget in on_change:
        forget()
    for text in session.close("lost", 0.0):
        print(f"cupool: an error that was never looked at: {text}", file=sys.stderr)


def _bury_told(session: Session, error: BaseException) -> None:
    """The program is being told that its session is lost: what it makes from here on is the next session's."""
    if error is session.outbox.lost:
        with _process.lock:
            if _process.session is session:
                _bury(session)


def _register_exit() -> None:
    if not _process.has_atexit:
        _process.has_atexit = True
        atexit.register(_at_exit)
        # Children of multiprocessing leave through os._exit, past atexit, but run these.
        util = sys.modules.get("multiprocessing.util")
        if (
            util is not None
            and getattr(sys.modules.get("multiprocessing.process"), "parent_process", lambda: None)() is not None
        ):
            util.Finalize(None, _at_exit, exitpriority=0)


def connect(addr: str | None = None, token: str | None = None, durability: str | None = None) -> None:
    """Open the session now, at this pool instead of the environment's. Raises CupoolError when a session is open."""
    if is_open():
        raise CupoolError("This process has a session already.", "Connect before the first array is made.")
    settings = config()
    if addr is not None:
        settings = settings.replaced(addr=address_of(addr, "addr"), token=token_of(token or "", "token"))
    elif token is not None:
        settings = settings.replaced(token=token_of(token, "token"))
    if durability is not None:
        settings = settings.replaced(durability=durability_of(durability, "durability"))
    _process.override = settings
    current().hello()


# -- what everybody calls ----------------------------------------------------------------------------------------------
def is_open() -> bool:
    """Whether a session is open; never opens one."""
    session = _process.session
    return session is not None and session.outbox.lost is None


def lost() -> BaseException | None:
    """What the session is lost of; None while it is not, or where there is none."""
    session = _process.session
    return None if session is None else session.outbox.lost


def flush() -> None:
    """Send what is pending. May block for flow control. Never call it from `__del__`."""
    session = current()
    try:
        session.outbox.flush()
    except CupoolError as error:
        _bury_told(session, error)
        raise
    session.link.ring()


def flush_if_full() -> None:
    """Send what is pending when it is time to."""
    if len(COMMANDS) > GATE.words:
        flush()


def lose(what: str) -> None:
    """Give the open session up: every wait of it raises SessionLost with this sentence."""
    session = _process.session
    if session is not None and session.outbox.lost is None:
        session.link.lose(
            SessionLost(f"The session is given up: {what}.", "Run the program again; its arrays are gone.")
        )


def sent_seq() -> int:
    """The sequence number of the last batch that was sent; 0 before the first."""
    session = _process.session
    return 0 if session is None else session.outbox.seq


def ask(words: tuple[Any, ...], reply_id: int) -> Any:
    """Append the command `words`, send, wait for the reply minted as `reply_id`; returns its value (see `values.decode`).

    Raises the reply's own error, or a deferred error of this thread.
    """
    syncdetect.declare()
    session = current()
    waiter = session.inbox.expect(reply_id)
    extend(words)
    return decode(session.wait(reply_id, waiter).value)


def wait_reply(reply_id: int, is_counted: bool = False) -> Any:
    """As `ask`, for a command that was appended before. `is_counted`: the caller has counted this wait."""
    syncdetect.declare()
    session = _asked(reply_id)
    return decode(session.wait(reply_id, session.inbox.expect(reply_id), is_counted).value)


def _asked(number: int) -> Session:
    """The session in which `number` was asked for. Raises SessionLost when that one is gone: another would never answer."""
    session = current()
    if number < _process.first_handle:
        raise SessionLost("The session that was asked is gone.", "Make its arrays again; a new session is open.")
    return session


def count_wait() -> None:
    """Count a wait at the program's current line: for transfers, which wait for bytes and not for a reply."""
    syncdetect.declare()
    current().count_wait()


def wait_spec(handle: int) -> Any:
    """The `Spec` of an array that was promised as `unknown`. Flushes and waits. Raises the array's error."""
    from cupool.contract.values import dtype_from_wire

    syncdetect.declare()
    session = _asked(handle)
    if handle <= session.inbox.dropped_to and not session.inbox.has(handle):
        dtype, shape, strides = _ask_op("@spec", handle)
        return spec_of(tuple(shape), dtype, tuple(strides))
    spec = session.wait(handle, session.inbox.expect(handle)).spec
    return spec_of(tuple(spec.shape), dtype_from_wire(spec.dtype), tuple(spec.strides))


def _ask_op(op: str, *handles: int) -> Any:
    """Ask an op of ours whose arguments are handles."""

    def build(number: int) -> Any:
        messages = wire.kinds()
        slots = [messages.Value(slot=SLOT_HANDLE)] * len(handles)
        return messages.Form(id=number, op=op, args=slots, results=[messages.ResultSpec(reply=True)])

    form = forms.form(("session", op), build)
    reply = next_handle()
    return ask((form | sites.hot_bits(), reply, *handles), reply)


def _lift() -> None:
    """The program has the error of a kernel that did not run: see Note [Before the launch] in `apiserver/faults.py`.

    A server from before that has the arrays stay failed.
    """
    if "@lift" not in forms.refused:
        number = forms.form(("session", "@lift"), lambda n: wire.kinds().Form(id=n, op="@lift"))
        extend((number | sites.hot_bits(),))


def wait_all() -> None:
    """A barrier: returns when everything sent before has completed on the device. Raises deferred errors of this thread."""
    _ask_op("@barrier")


def after_call() -> None:
    """With CUPOOL_SYNC=1 dispatch calls this after every call: a barrier, so that an error surfaces at its call."""
    if (_process.override or config()).sync:
        wait_all()


def device() -> Any:
    """The `cupool.v1.DeviceInfo` of the session's device, as told at hello. Opens the session."""
    return current().hello().device


def limits() -> Limits:
    """The server's limits. Opens the session."""
    session = current()
    session.hello()
    return session.outbox.limits


def check_handle(handle: int) -> None:
    """Raises ForeignArray when `handle` was minted before a fork, or in a session that is gone."""
    if _process.is_ending and threading.current_thread() is not threading.main_thread():
        threading.Event().wait()  # a daemon thread: it is about to be frozen, and an error would only be noise
    if ids.range_of(handle) != ids.current_range:
        raise ForeignArray(
            "The array belongs to another process: it was made before a fork.",
            "Make it in this process, or hand its values over as a NumPy array.",
        )
    if handle < _process.first_handle:
        raise ForeignArray("The array or object belongs to a session that is gone.", "Make it again.")


def inline_bytes() -> int:
    """See `Session.inline_bytes`. Opens the session."""
    return current().inline_bytes


def link_target() -> LinkTarget:
    """Where bulk transfers go: a frozen record (endpoint, metadata, epoch, lane, limits). Opens the session."""
    return current().target()


def bulk_channel() -> Any:
    """A grpc.Channel to the session's server apart from the command stream's; made at the first call, new after a reconnect."""
    return current().bulk_channel()


def bulk_core() -> Any:
    """grpcio's core, to drive calls on that channel with; None: its public API."""
    return current().bulk_core()


def statistics() -> Statistics:
    """What the sessions of this process did so far."""
    session = _process.session
    return _process.before if session is None else _sum(_process.before, session)


def _sum(before: Statistics, session: Session) -> Statistics:
    by_site = dict(before.waits_by_site)
    for tag, count in session.waits_by_tag.copy().items():
        place = sites.where(tag) or "unknown"
        by_site[place] = by_site.get(place, 0) + count
    return Statistics(
        commands=before.commands + session.outbox.commands,
        batches=before.batches + session.outbox.seq,
        waits=before.waits + session.waits,
        bytes_up=before.bytes_up + session.outbox.sent_bytes,
        bytes_down=before.bytes_down + session.inbox.bytes,
        reconnects=before.reconnects + session.link.reconnects,
        recoveries=before.recoveries + session.link.recoveries,
        moves=before.moves + session.link.moves,
        waits_by_site=by_site,
    )


def enter_scope() -> None:
    """A block begins that wants a session of its own."""
    with _process.lock:
        _process.scopes += 1


def leave_scope(drain_s: float) -> None:
    """It ends; with the last one the session that was opened in them. `drain_s`: how long what is in flight may take."""
    with _process.lock:
        _process.scopes -= 1
        if not _process.scopes and _process.is_scoped:
            _process.is_scoped = False
            _close("the request is over", drain_s)


def close() -> None:
    """Flush, wait for what is in flight, end the session, release the lease. Arrays of it become foreign."""
    _close("the program closed the session", EXIT_DRAIN_S)
    _abandon()
    _stop_embedded()


def _close(reason: str, drain_s: float) -> None:
    process = _process
    session = process.session
    if session is not None:
        bulk = sys.modules.get(f"{__package__}.bulk")
        if bulk is not None and session.outbox.lost is None:
            bulk.close()
        texts = session.close(reason, drain_s)
        process.before = _sum(process.before, session)
        process.session = None
        process.first_handle = next_handle()
        for forget in on_change:
            forget()
        with LOCK:
            COMMANDS.clear()
            GATE.reset()
        if process.switch_s:
            sys.setswitchinterval(process.switch_s)
            process.switch_s = 0.0
        if texts:
            print(f"cupool: {len(texts)} error(s) that the program never looked at:", file=sys.stderr)
            for text in texts[:20]:
                print(text, file=sys.stderr)


def _at_exit() -> None:
    # Daemon threads may still use arrays. They are about to be frozen where they are; an error now would only be noise.
    _process.is_ending = True
    # Whoever interrupts a program does not want to wait for what it had asked for.
    is_interrupted = getattr(sys, "last_type", None) is KeyboardInterrupt
    _close("the program ended", 0.0 if is_interrupted else EXIT_DRAIN_S)
    _abandon()
    drop_kept()
    _stop_embedded()


# -- fork ----------------------------------------------------------------------------------------------------------------
def _before_fork() -> None:
    # So that the child never inherits them held by a thread that it does not have.
    _process.lock.acquire()
    LOCK.acquire()


def _after_fork_in_parent() -> None:
    LOCK.release()
    _process.lock.release()


def _pause_for_fork() -> None:
    """grpcio's own fork handlers give up when they cannot stop its threads, and then the child's first call hangs. So there are none:
    the connection is dropped before, and resumed in the parent without loss. The child makes its own."""
    drop_kept()
    session = _process.session
    if session is not None and session.outbox.lost is None:
        session.pause(FORK_PAUSE_S)


def _resume_after_fork() -> None:
    session = _process.session
    if session is not None:
        session.link.resume()


def _register_pause() -> None:
    """Handlers run before a fork in the reverse order of registration, and grpcio registers its own with the first channel: ours, which
    needs grpcio running, must be younger."""
    global _has_pause
    if not _has_pause:
        _has_pause = True
        os.register_at_fork(before=_pause_for_fork, after_in_parent=_resume_after_fork)


_has_pause = False


def _register_snapshot() -> None:
    """A process that is about to be copied (AWS Lambda's SnapStart says so) gives its session up first: each copy opens its own."""
    global _has_snapshot
    if not _has_snapshot and os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        _has_snapshot = True
        hooks = importlib.import_module("snapshot_restore_py")  # the platform's, which is there where the variable is

        hooks.register_before_snapshot(_before_snapshot)


def _before_snapshot() -> None:
    _close("the process becomes a snapshot", EXIT_DRAIN_S)
    _abandon()
    drop_kept()
    _stop_embedded()


_has_snapshot = False


def _after_fork_in_child() -> None:
    global _process
    LOCK.release()
    old = _process
    if old.begun is not None:
        old.begun[1].forget()
    _graveyard.append(old)
    _graveyard.extend(forget_kept())
    COMMANDS.clear()
    GATE.reset()
    ids.enter_child_range()
    sites.reset_lock()
    _process = _Process()
    _process.is_fork = True
    _process.override = old.override
    _process.switch_s = old.switch_s
    embedded = sys.modules.get(f"{__package__}.embedded")
    _process.inherited = (embedded.after_fork_in_child() if embedded is not None else None) or old.inherited
    _process.has_atexit = old.has_atexit and old.session is None


def _flush_all() -> None:
    session = _process.session
    if session is not None and session.outbox.lost is None:
        session.outbox.flush_over()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
forms.ensure_session = current
forms.flush_all = _flush_all
