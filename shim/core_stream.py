"""An Attach stream on grpcio's core (`grpc._cython.cygrpc`), without grpcio's Python threads: docs/decisions/006.

The thread that has something to send hands it to the core, and the thread that waits takes the core's events. grpcio's public API
has a thread between on either way, and one more for the channel, each of which must get the interpreter first.

Boundary: the same interface as `transport.GrpcStream`. All that is private of grpcio is used here; `usable` says
whether this grpcio has it as known, and callers fall back to the public API where it does not.

Events of the call come from one completion queue. Each operation that the core took owes one event; `_owed` has their tags, one
operation of a kind at a time. The core takes one message at a time: `_sending` is held from handing one over until its event.

Note [Owed]. The core frees the queue with the last event that it owes, and does not look whether a queue that it is asked for an event has
been freed: that reads and corrupts memory. So `_owed` is exact: what was taken and what has come are written under one lock with
the taking and before the next asking. (`_early`: a signal handler may read the event of what the frame below it has just given.)
"""

from __future__ import annotations

import _thread
import threading
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any

from cupool.contract.errors import CupoolError

from . import bundles
from .transport import ATTACH, NO_TLS, GrpcStream, Trust, import_grpc, open_channel
from .turns import TORN, Disconnected, Turns, unreadable

if TYPE_CHECKING:
    from .transport import Stream

#: What this module uses of `grpc._cython.cygrpc`.
_NEEDED = (
    "ReceiveInitialMetadataOperation",
    "ReceiveMessageOperation",
    "ReceiveStatusOnClientOperation",
    "SendCloseFromClientOperation",
    "SendInitialMetadataOperation",
    "SendMessageOperation",
    "SegregatedCall",
    "StatusCode",
    "PropagationConstants",
    "threading",
)
_PLAIN = 0  # no flags
_START, _SENT, _CLOSED, _MESSAGE, _STATUS = "start", "sent", "closed", "message", "status"
_FINISH = b""


def usable() -> Any:
    """grpcio's core module, or None when it has not all that is used here."""
    grpc = import_grpc()
    core = getattr(getattr(grpc, "_cython", None), "cygrpc", None)
    if core is None or not all(hasattr(core, name) for name in _NEEDED):
        return None
    return core if hasattr(core.Channel, "segregated_call") and hasattr(core.SegregatedCall, "next_event") else None


class _Condition(_thread.RLock):  # type: ignore[misc]  # it is no final class
    """A `threading.Condition` whose `with` is C functions only.

    The core's Python half takes one in every call. A signal handler that raises inside `threading.Condition.__enter__`, which is
    Python, leaves it locked for ever; here it cannot run until the lock is either held by a `with` or not held.
    """

    def __init__(self) -> None:
        self._waiting = threading.Condition(self)

    def wait(self, timeout: float | None = None) -> bool:
        return self._waiting.wait(timeout)

    def notify_all(self) -> None:
        self._waiting.notify_all()


class _Threads:
    """The module `threading`, as the core sees it while it makes a channel of ours."""

    Condition = _Condition

    def __getattr__(self, name: str) -> Any:
        return getattr(threading, name)


_opening = Lock()


def open_core_channel(core: Any, endpoint: str, trust: Trust, tls_name: str) -> Any:
    """A channel whose lock no signal handler can leave locked."""
    with _opening:
        before = core.threading
        core.threading = _Threads()
        try:
            return open_channel(endpoint, trust, tls_name)
        finally:
            core.threading = before


def start_call(core: Any, channel: Any, method: str, metadata: tuple[tuple[str, str], ...], *operations: Any) -> Any:
    """A call on a `grpc.Channel`, with its first (operations, tag) pairs handed to the core."""
    return channel._channel.segregated_call(
        core.PropagationConstants.GRPC_PROPAGATE_DEFAULTS,
        method.encode(),
        None,
        None,
        metadata,
        None,
        operations,
        None,
        None,
    )


def status_of(core: Any, operation: Any) -> Disconnected:
    """What a finished ReceiveStatusOnClientOperation says."""
    trailers = {k: v for k, v in operation.trailing_metadata() or () if isinstance(v, str)}
    return Disconnected(*text_of(core, operation), trailers)


def text_of(core: Any, operation: Any) -> tuple[str, str]:
    """The name of its status, and its sentence."""
    details = operation.details()
    text = details.decode("utf-8", "replace") if isinstance(details, bytes) else str(details or "")
    return _names(core).get(operation.code(), "UNKNOWN"), text


def _names(core: Any) -> dict[int, str]:
    return {getattr(core.StatusCode, name): name.upper() for name in vars(core.StatusCode) if not name.startswith("_")}


class CoreStream(Turns):
    """One Attach stream."""

    def __init__(
        self, core: Any, channel: Any, metadata: tuple[tuple[str, str], ...], on_frame: Callable[[bytes], None]
    ) -> None:
        super().__init__()
        self._core = core
        self._channel = channel
        self._on_frame = on_frame
        self._frames: deque[bytes] = deque()
        self.put: Callable[[bytes], Any] = self._frames.append
        self._sending = Lock()
        self._failure: BaseException | None = None
        #: See Note [Owed].
        self._books = threading.RLock()
        self._owed = {_START, _STATUS, _MESSAGE}
        self._early: set[str] = set()
        self._call: Any = start_call(
            core, channel, ATTACH, metadata,
            ((core.SendInitialMetadataOperation(metadata, _PLAIN), core.ReceiveInitialMetadataOperation(_PLAIN)), _START),
            ((core.ReceiveStatusOnClientOperation(_PLAIN),), _STATUS),
            ((core.ReceiveMessageOperation(_PLAIN),), _MESSAGE),
        )  # fmt: skip

    # -- out ------------------------------------------------------------------------------------------------------------

    def push(self) -> None:
        frames = self._frames
        # A failed `acquire` is no loss: whoever takes the event of the frame that is under way pushes again.
        while frames and not self._is_over and self._sending.acquire(blocking=False):
            try:
                frame = bundles.taken(frames, _FINISH) if self.may_bundle else frames.popleft()
                if frame is _FINISH:
                    operation, tag = self._core.SendCloseFromClientOperation(_PLAIN), _CLOSED
                else:
                    operation, tag = self._core.SendMessageOperation(frame, _PLAIN), _SENT
                if not self._give(operation, tag):
                    return  # the call is over; its events say why
            except IndexError:
                self._sending.release()  # another thread took it
            except BaseException:
                # Whether the core has the frame is not known. A new stream starts from what is known.
                self._tear()
                raise

    def _give(self, operation: Any, tag: str) -> bool:
        """Hand an operation to the core; False: the call is over, and nothing is owed for it."""
        with self._books:
            call = self._call
            if call is None or not call.operate((operation,), tag):
                return False
            if tag in self._early:
                self._early.discard(tag)
            else:
                self._owed.add(tag)
            return True

    # -- in -------------------------------------------------------------------------------------------------------------

    def _next(self) -> Disconnected | None:
        if self._is_torn:
            return self._end or TORN
        if self._is_drained():
            return self._end
        event = self._call.next_event()
        tag = event.tag
        with self._books:
            if tag in self._owed:
                self._owed.discard(tag)
            else:
                self._early.add(tag)
        if tag is _MESSAGE:
            self._message(event.batch_operations[0].message())
        elif tag is _SENT:
            self._sending.release()
            self.push()
        elif tag is _STATUS:
            end = status_of(self._core, event.batch_operations[0])
            if self._failure is not None:
                end = unreadable(self._failure)
            self._end = end
            self._is_over = True
        return self._end if self._is_torn or self._is_drained() else None

    def _is_drained(self) -> bool:
        """Whether every event has been taken: the queue is gone."""
        with self._books:
            return self._end is not None and not self._owed

    def _message(self, data: bytes | None) -> None:
        """One frame; None: there will be no more, and the status says why."""
        if data is None or self._is_over:
            return
        self._give(self._core.ReceiveMessageOperation(_PLAIN), _MESSAGE)
        try:
            self._on_frame(data)
        except CupoolError as error:
            self._failure = error
            self.cancel()

    # -- the end --------------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        self._frames.append(_FINISH)
        self.push()

    def _tear(self) -> None:
        # An event may be lost, so none may be waited for. What the core still holds for the call is leaked; it is a few kilobytes, once
        # for each such exception.
        super()._tear()

    def cancel(self) -> None:
        self._is_over = True
        call = self._call
        if call is not None and self._end is None:
            call.cancel(self._core.StatusCode.cancelled, "The client ended the stream.")
        self.ring()

    def close(self) -> None:
        # `read` has returned: every event has been taken, or must not be waited for.
        self.cancel()
        self._call = None
        self._channel.close()


class CoreTransport:
    """grpcio's core, or its public API where this grpcio's core is another than is known."""

    def __init__(self, trust: Trust = NO_TLS) -> None:
        self._trust = trust

    def attach(
        self,
        endpoint: str,
        metadata: tuple[tuple[str, str], ...],
        on_frame: Callable[[bytes], None],
        tls_name: str = "",
    ) -> Stream:
        core = usable()
        if core is None:
            return GrpcStream(open_channel(endpoint, self._trust, tls_name), metadata, on_frame)
        return CoreStream(core, open_core_channel(core, endpoint, self._trust, tls_name), metadata, on_frame)
