"""An Attach stream on grpcio's core (`grpc._cython.cygrpc`), without grpcio's Python threads: docs/decisions/005.

The thread that has something to send hands it to the core, and the thread that waits takes the core's events. grpcio's public API
has a thread between on either way, and one more for the channel, each of which must get the interpreter first.

Boundary: the same interface as `transport.GrpcStream`. All that is private of grpcio is used here and in `bulk_core.py`; `usable` says
whether this grpcio has it as known, and callers fall back to the public API where it does not.

Events of the call come from one completion queue. Each operation given to the core owes one event; `_owed` has their tags, because the
queue is gone once nothing is owed. (A set, one operation of a kind at a time: its changes are atomic.) The core takes one message at
a time: `_sending` is held from handing one over until its event.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Any

from .transport import ATTACH, GrpcStream, Stream, import_grpc, open_channel
from .turns import Disconnected, Turns

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
    code, details = operation.code(), operation.details()
    text = details.decode("utf-8", "replace") if isinstance(details, bytes) else str(details or "")
    trailers = {k: v for k, v in operation.trailing_metadata() or () if isinstance(v, str)}
    return Disconnected(_names(core).get(code, "UNKNOWN"), text, trailers)


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
        self._end: Disconnected | None = None
        self._owed = {_START, _STATUS, _MESSAGE}
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
                frame = frames.popleft()
                if frame is _FINISH:
                    operation, tag = self._core.SendCloseFromClientOperation(_PLAIN), _CLOSED
                else:
                    operation, tag = self._core.SendMessageOperation(frame, _PLAIN), _SENT
                self._owed.add(tag)
                if not self._call.operate((operation,), tag):
                    self._owed.discard(tag)  # the call is over; its events say why
                    return
            except IndexError:
                self._sending.release()  # another thread took it
            except BaseException:
                # Interrupted in the middle: whether the core has the frame is not known. A new stream starts from what is known.
                self.cancel()
                raise

    # -- in -------------------------------------------------------------------------------------------------------------

    def _next(self) -> Disconnected | None:
        if self._end is not None and not self._owed:
            return self._end
        event = self._call.next_event()
        tag = event.tag
        self._owed.discard(tag)
        if tag is _MESSAGE:
            self._message(event.batch_operations[0].message())
        elif tag is _SENT:
            self._sending.release()
            self.push()
        elif tag is _STATUS:
            end = status_of(self._core, event.batch_operations[0])
            if self._failure is not None:
                end = Disconnected("DATA_LOSS", f"A frame could not be read: {self._failure}")
            self._end = end
            self._is_over = True
        return self._end if self._end is not None and not self._owed else None

    def _message(self, data: bytes | None) -> None:
        """One frame; None: there will be no more, and the status says why."""
        if data is None or self._is_over:
            return
        self._owed.add(_MESSAGE)
        if not self._call.operate((self._core.ReceiveMessageOperation(_PLAIN),), _MESSAGE):
            self._owed.discard(_MESSAGE)
        try:
            self._on_frame(data)
        except Exception as error:
            self._failure = error
            self.cancel()

    # -- the end --------------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        self._frames.append(_FINISH)
        self.push()

    def cancel(self) -> None:
        self._is_over = True
        call = self._call
        if call is not None and self._end is None:
            call.cancel(self._core.StatusCode.cancelled, "The client ended the stream.")
        self.ring()

    def close(self) -> None:
        self.cancel()
        while self._owed and self._take_turn_now():
            try:
                self._next()
            finally:
                self._turn.release()
        self._call = None
        self._channel.close()

    def _take_turn_now(self) -> bool:
        return self._turn.acquire(timeout=1.0)


class CoreTransport:
    """grpcio's core, or its public API where this grpcio's core is another than is known."""

    def __init__(self, ca: str = "") -> None:
        self._ca = ca

    def attach(self, endpoint: str, metadata: tuple[tuple[str, str], ...], on_frame: Callable[[bytes], None]) -> Stream:
        channel = open_channel(endpoint, self._ca)
        core = usable()
        if core is None:
            return GrpcStream(channel, metadata, on_frame)
        return CoreStream(core, channel, metadata, on_frame)
