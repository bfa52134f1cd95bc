"""An open session, from its lease to its release: what is asked and waited for, its ticker, its connection for bulk bytes, its end.

Boundary: one session. Whose it is, when it is opened, and what forks and exits do to it is `session.py`'s.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from _thread import get_ident
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import cupool
from cupool.contract.errors import CupoolError, ForeignArray, OpMissing, SessionCloned, VersionMismatch
from cupool.contract.limits import OUR_LIMITS, Limits
from cupool.contract.records import NamedTuple
from cupool.contract.values import decode

from . import sites, trace
from .config import Config, wants_lane
from .lease import Fate, Lease, Place, PoolClient
from .light_stream import LightTransport
from .link import Link
from .outbox import GATE_WORDS, Outbox
from .pending import COMMANDS, GATE
from .redo import Base, Redo
from .transport import GrpcTransport, Trust, connect_ahead, is_near, open_channel

if TYPE_CHECKING:
    from .transport import Transport


def _core_transport(trust: Trust) -> Transport:
    from .core_stream import CoreTransport

    return CoreTransport(trust)


#: `CUPOOL_TRANSPORT` -> how frames travel.
TRANSPORTS: dict[str, Callable[[Trust], Transport]] = {
    "auto": LightTransport,
    "light": partial(LightTransport, is_always=True),
    "core": _core_transport,
    "grpc": GrpcTransport,
}
#: How long the goodbye may take.
GOODBYE_S = 2.0
#: `durability` that only the server's hello says whether it can be had.
NEEDS_HELLO = frozenset({"node", "file"})
#: The ticker's shortest and longest sleep.
TICK_S = 0.001
IDLE_TICK_S = 0.05


class LinkTarget(NamedTuple):
    """Where bulk transfers go. `metadata` authenticates every call; `lane` is empty where there is none; `features`: as
    ServerHello.features."""

    endpoint: str
    metadata: tuple[tuple[str, str], ...]
    epoch: int
    lane: str
    limits: Limits
    features: tuple[str, ...] = ()


def _digest() -> bytes:
    from cupool.contract.ops import DIGEST

    return DIGEST


def _missing(name: str, server: str) -> Exception:
    return OpMissing(f"The server ({server}) has no op {name!r}.", "Upgrade cupool on the server.")


def _differing(name: str, server: str) -> Exception:
    return VersionMismatch(
        f"The server ({server}) has another definition of {name!r}.", "Use the same release of cupool on both sides."
    )


def trust_of(settings: Config) -> Trust:
    return Trust(settings.ca, settings.cert, settings.key)


class OpenSession:
    """One session from lease to release. Whose it is, and what surrounds it, its subclass knows."""

    #: What brings arrays' bytes up and down where the server is this very process; None: bulk transfers do.
    direct: Any = None

    def __init__(self, settings: Config, transport: Transport | None = None, pool: Any = None) -> None:
        """Acquires and attaches. Raises PoolUnreachable, LeaseRefused, VersionMismatch, SessionLost."""
        self.settings = settings
        trace.start(settings.log, settings.log_format)
        self._bulk: tuple[Any, Any] | None = None
        self._bulk_lock = threading.RLock()
        self._closers: list[threading.Thread] = []
        self._stop = threading.Event()
        self.refused: dict[str, Callable[[], Exception]] = {}
        self._ticker = threading.Thread(target=self._tick, name="cupool-ticker", daemon=True)
        self.waits = 0
        self.waits_by_tag: dict[int, int] = {}
        #: Replies that hold what kernels print, in order; shown at the next wait.
        self.printing: deque[int] = deque()
        self._is_embedded = pool is None and self._embeds()
        self._pool = pool or self._new_pool()
        if isinstance(self._pool, PoolClient):
            self._pool.begin(settings)  # what does not need the lease is made while the pool answers
        try:
            self._make(settings, transport or TRANSPORTS[settings.transport](trust_of(settings)))
        except BaseException:
            if isinstance(self._pool, PoolClient):
                self._pool.abandon()
            raise
        lease: Lease = self._pool.acquire(settings)
        try:
            if "grpc" in sys.modules:
                self.link.lease = lease
                self.connect_bulk()
            is_early = settings.early and settings.durability not in NEEDS_HELLO
            self.link.start(lease, settings.reconnect_s, self._ticker.start, is_early)
        except BaseException:
            self._stop.set()
            if self._ticker.is_alive():
                self._ticker.join(1.0)
            self.link.close("", 0.2)
            self._pool.release(lease, "the client could not attach")
            self._pool.close()
            raise

    def _make(self, settings: Config, transport: Transport) -> None:
        """What is the same for every lease."""
        keeps = settings.durability != "none"
        redo = Redo(
            settings.redo_bytes,
            "" if keeps else "it was opened with durability='none', which keeps nothing for that",
            "client" if settings.durability == "replay" else settings.durability,
        )
        self.outbox = Outbox(received=lambda: self.link.inbox.received, redo=redo)
        self.link = Link(
            transport,
            self.outbox,
            settings.reconnect_s,
            self._fate,
            _digest(),
            self._on_hello,
            self._on_lost,
            f"cupool-python {cupool.__version__}",
            self._another,
            self._put_again,
            self._fetch,
            self._restore,
        )
        self.inbox = self.link.inbox
        # What broke the command stream breaks transfers too, which would notice after 13 s.
        self.link.on_broken = self._drop_bulk

    # -- what its subclass knows ----------------------------------------------------------------------------------------
    def _embeds(self) -> bool:
        """Whether the pool is this process's own."""
        raise NotImplementedError

    def _new_pool(self) -> Any:
        """A client of the pool that the settings name."""
        raise NotImplementedError

    def _told(self, error: BaseException) -> None:
        """The program is being told that the session is lost."""
        raise NotImplementedError

    def _lift(self) -> None:
        """The program has the error of a kernel that did not run."""
        raise NotImplementedError

    def _is_ending(self) -> bool:
        """Whether the interpreter's end has begun."""
        raise NotImplementedError

    # -- what its link asks ---------------------------------------------------------------------------------------------
    def _on_hello(self, hello: Any) -> None:
        theirs = dict(hello.row_hashes)
        if theirs:
            from cupool.contract.ops import row_hashes

            for name, own in row_hashes().items():
                if theirs.get(name) != own:
                    self.refused[name] = partial(_missing if name not in theirs else _differing, name, hello.server)

    def _on_lost(self, error: BaseException) -> None:
        self._stop.set()

    def _fate(self, lease: Lease) -> Fate | Place | None:
        """Why the session is gone, or where it has moved; None while neither. An embedded pool that was killed says nothing, but its
        end does."""
        if self._has_ended():
            return Fate("This program's own pool was ended.", True)
        fate: Fate | Place | None = self._pool.fate(lease)
        return fate

    def _has_ended(self) -> bool:
        """Whether the program's own pool is the session's, and gone."""
        if not self._is_embedded:
            return False
        from . import embedded

        return embedded.has_ended()

    def _another(self, old: Lease, error: CupoolError, base: Base | None) -> Lease:
        """A lease in place of one whose server is lost, or that is a clone's now; it goes on from `base`. In the link's thread."""
        if self._has_ended():
            self._pool.close()
            self._pool = self._new_pool()
            own: Lease = self._pool.acquire(self.settings, base)
            return own
        if getattr(error, "is_unserved", False):
            # First: the old one may be all that its tenant may have.
            self._pool.release(old, "its server did not know it")
        lease: Lease = self._pool.acquire(self.settings, base)
        if not isinstance(error, SessionCloned):
            self._pool.release(old, "its server was lost")
        return lease

    def _fetch(self, transfer: int, nbytes: int) -> Any:
        from . import bulk_again

        return bulk_again.fetch(self, transfer, nbytes)

    def _restore(self, lease: Lease, data: Any) -> Any:
        from . import bulk_again

        return bulk_again.restore(self, lease, data)

    def _put_again(self) -> None:
        uploads = self.outbox.redo.uploads()
        if uploads:
            from . import bulk_again

            bulk_again.put_again(self, uploads)

    # -- asking and waiting -------------------------------------------------------------------------------------------
    def count_wait(self, tag: int | None = None) -> None:
        """The program waits for the server, at its current line; `tag`: that line's, where the caller knows it."""
        if tag is None:
            tag = sites.site()
        self.waits += 1
        self.waits_by_tag[tag] = self.waits_by_tag.get(tag, 0) + 1

    def wait(self, number: int, waiter: Any, is_counted: bool = False) -> Any:
        """Flush, wait for the result `number`, account for it. Returns its `cupool.v1.Result`, errors raised."""
        if not is_counted:
            # Also where the answer happens to be here already: a program's count does not depend on timing.
            self.count_wait()
        try:
            self.outbox.flush()
            if self.outbox.queued:
                self.outbox.push()
            result = self.inbox.wait(number, waiter)
        except CupoolError as lost:
            self._told(lost)
            raise
        deferred = self.inbox.deferred
        error = None
        if result.HasField("error"):
            error = deferred.exception_for(result.error)
        elif deferred.arrived or deferred:
            error = deferred.take(get_ident())
        if error is not None:
            if deferred.lifts:
                deferred.lifts = False
                self._lift()
            raise error
        if self.printing:
            self._show_printed()
        return result

    def _show_printed(self) -> None:
        """Write what has come of what kernels print."""
        while self.printing:
            result = self.inbox.take(self.printing[0])
            if result is None:
                return
            self.printing.popleft()
            if result.HasField("value"):
                sys.stdout.write(decode(result.value))

    # -- the ticker ---------------------------------------------------------------------------------------------------
    def _tick(self) -> None:
        """Sends what nothing else sends (frees while all is quiet), and looks after a silent link."""
        delay, seen, acknowledged = TICK_S, 0, 0
        while not self._stop.wait(delay):
            self.outbox.flush_nowait()
            self.outbox.push()
            GATE.is_behind = len(COMMANDS) > GATE_WORDS
            seq = self.outbox.seq
            # Only where nothing came since the last look: a program that waits again and again reads its answers itself, and a
            # second reader would only be in its way.
            if self.outbox.window and self.inbox.executed_seq == acknowledged:
                self.link.ring()
            acknowledged = self.inbox.executed_seq
            delay = TICK_S if seq != seen else min(delay * 2, IDLE_TICK_S)
            seen = seq
            self.link.look(time.monotonic())

    def hello(self) -> Any:
        """The last `cupool.v1.ServerHello`; waits for the first. Raises what the session was lost of."""
        hello = self.link.server_hello
        if hello is None:
            self.link.wait_attached(self.settings.reconnect_s + 1)
            hello = self.link.server_hello
        return hello

    # -- bulk ---------------------------------------------------------------------------------------------------------
    def target(self) -> LinkTarget:
        lease = self.link.lease
        self.hello()
        session, hello = self.link.greeting
        # Until the new server has said hello, after a move (another epoch) and after a loss (another session, whose epochs begin again),
        # there is no lane: the old one is another server's.
        lane = hello.lane if (session, hello.epoch) == (lease.session, lease.epoch) else ""
        return LinkTarget(lease.endpoint, lease.metadata, lease.epoch, lane, self.outbox.limits, tuple(hello.features))

    @property
    def inline_bytes(self) -> int:
        """Arrays up to this size travel with the commands. More of them where a transfer beside the stream would go over the network: its
        call, and for the first one its connection, take round trips of their own. Waits for the server's hello."""
        if self.direct is not None or (self.hello().lane and wants_lane()):
            return 0
        limits = self.outbox.limits
        return int(min(limits.inline_bytes, OUR_LIMITS.inline_bytes, limits.frame_bytes // 4) // 2)

    def connect_bulk(self) -> None:
        """Have the connection for bulk transfers made, for a server that has no lane to us by its endpoint, before one is needed: while the
        command stream connects and says hello. Loads grpcio."""
        if self.direct is None and not (wants_lane() and is_near(self.link.lease.endpoint)):
            connect_ahead(self.bulk_channel())

    def bulk_channel(self, lease: Lease | None = None) -> Any:
        """The channel of bulk transfers; with `lease`: to its server, also while that has no session yet."""
        lease = self.link.bulk_lease() if lease is None else lease
        key = (lease.endpoint, self.link.reconnects)
        with self._bulk_lock:
            if self._bulk is None or self._bulk[0] != key:
                self._drop_bulk()
                where = (key[0], trust_of(self.settings), lease.tls_name)
                core = self.bulk_core()
                if core is None:
                    self._bulk = (key, open_channel(*where))
                else:
                    from .core_stream import open_core_channel

                    self._bulk = (key, open_core_channel(core, *where))
            return self._bulk[1]

    def bulk_core(self) -> Any:
        """grpcio's core, where bulk calls may use it; else None: its public API."""
        if self.settings.transport == "grpc":
            return None
        from .core_stream import usable

        return usable()

    def _drop_bulk(self) -> None:
        """Break the transfers under way. Closing a channel waits for its calls to end, seconds at times: not in the link's thread."""
        with self._bulk_lock:
            dropped, self._bulk = self._bulk, None
            if dropped is not None:
                self._closers = [thread for thread in self._closers if thread.is_alive()]
                closer = threading.Thread(target=dropped[1].close, name="cupool-close", daemon=True)
                closer.start()
                self._closers.append(closer)

    def _join_closers(self, timeout_s: float) -> None:
        for closer in self._closers:
            closer.join(timeout_s)

    @contextlib.contextmanager
    def transferring(self) -> Iterator[None]:
        """Around a bulk transfer: the link looks after the connection meanwhile."""
        link = self.link
        with self._bulk_lock:
            link.transfers += 1
        try:
            yield
        finally:
            with self._bulk_lock:
                link.transfers -= 1

    def pause(self, timeout_s: float) -> None:
        """Drop every connection, for a fork. Calls of bulk transfers that are under way break, and are taken up again."""
        self._drop_bulk()
        self._join_closers(timeout_s)
        self.link.pause(timeout_s)

    # -- the end ------------------------------------------------------------------------------------------------------
    def close(self, reason: str, drain_s: float) -> list[str]:
        """End the session; returns the texts of errors that were never reported."""
        if self.outbox.lost is None:
            self._drain(drain_s)
        self._show_printed()
        self._stop.set()
        self.link.wait_started()
        if self._ticker.is_alive() and threading.current_thread() is not self._ticker:
            self._ticker.join(1.0)
        self.link.close(reason, GOODBYE_S)
        if self._ticker.is_alive() and threading.current_thread() is not self._ticker:
            self._ticker.join(1.0)  # it was started meanwhile
        trace.say("session-closed", session=self.link.lease.session, reason=reason)
        if self._bulk is not None:
            self._bulk[1].close()  # at once: no thread can be started while the interpreter ends
        self._join_closers(GOODBYE_S)
        self._pool.release(self.link.lease, reason)
        self._pool.close()
        if not self._is_ending() and self.outbox.lost is None:
            closed = ForeignArray("The session was closed.", "Make the array again.")
            self.outbox.fail(closed)
            self.inbox.fail(closed)
        return self.inbox.deferred.unreported()

    def _drain(self, drain_s: float) -> None:
        """Flush, and wait until what the program has issued by now has been executed, for at most `drain_s`."""
        deadline = time.monotonic() + drain_s
        target = None
        while self.outbox.lost is None and time.monotonic() < deadline:
            if target is None:
                # Other threads may go on issuing for ever: what they add is not waited for. A batch that another thread is just
                # making has no number yet.
                target = self.outbox.flush_within(0.05)
            elif self.inbox.executed_seq >= target and not self.inbox.is_owed:
                return
            self.link.ring()
            time.sleep(0.0005)
