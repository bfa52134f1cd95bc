"""One bulk call on grpcio's core (`grpc._cython.cygrpc`), driven by the one thread that sends or receives its bytes.

grpcio's public API has a thread that takes every event of a channel's calls and another that takes what a call is to send: each chunk
passes two or three of them, and each must get the interpreter first. Here the thread that packs or stores a chunk hands it to the core, or
takes it from there, itself: docs/decisions/023.

Boundary: messages and the status of one call; private of grpcio as `core_stream.py` says, which decides whether this grpcio is as known.
What the messages mean is `bulk.py`'s.

Note [Owed]. As in `core_stream.py`: a queue may not be asked once all that it owes has come. `_is_sure` is False while the books are
being written: a signal handler that raises there leaves them unknown, and then nothing is asked any more.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from .core_stream import start_call, text_of

_PLAIN = 0  # no flags
_START, _SENT, _MESSAGE, _STATUS = "start", "sent", "message", "status"


class CallFailed(Exception):
    """A call ended with another status than OK. `code` is its name, `trailing` the trailing metadata as (key, value)."""

    def __init__(self, code: str, details: str, trailing: tuple[tuple[str, str | bytes], ...] = ()) -> None:
        super().__init__(f"{code}: {details}")
        self.code = code
        self.details = details
        self.trailing = trailing


class CoreCall:
    """A call, to be used by one thread, in a `with`: its end cancels what is not over, and takes what is owed.

    Args:
        core: as `core_stream.usable` gave it.
        channel: a `grpc.Channel`.
        request: the only message of this side; None: `send` and `finish` follow.
    """

    def __init__(
        self, core: Any, channel: Any, method: str, metadata: tuple[tuple[str, str], ...], request: bytes | None = None
    ) -> None:
        self._core = core
        #: What came, and was not asked for yet.
        self.messages: deque[bytes] = deque()
        self._has_all = False
        #: How it ended, once everything of it has come.
        self._end: CallFailed | None = None
        self._is_over = False
        self._owed = {_START, _STATUS, _MESSAGE}
        self._is_sure = True
        beginning = [core.SendInitialMetadataOperation(metadata, _PLAIN)]
        if request is not None:
            beginning += [
                core.SendMessageOperation(request, _PLAIN), core.SendCloseFromClientOperation(_PLAIN)
            ]  # fmt: skip
        self._call = start_call(
            core, channel, method, metadata,
            ((*beginning, core.ReceiveInitialMetadataOperation(_PLAIN)), _START),
            ((core.ReceiveStatusOnClientOperation(_PLAIN),), _STATUS),
            ((core.ReceiveMessageOperation(_PLAIN),), _MESSAGE),
        )  # fmt: skip

    def send(self, message: bytes, is_last: bool = False) -> None:
        """Hand a message to the core, when it has taken the one before.

        Raises:
            CallFailed: the call is over.
        """
        while _SENT in self._owed and not self._is_over:
            self._take()
        operations = [self._core.SendMessageOperation(message, _PLAIN)]
        if is_last:
            operations.append(self._core.SendCloseFromClientOperation(_PLAIN))
        if self._is_over or not self._give(_SENT, *operations):
            self._raise_end()

    def receive(self) -> bytes | None:
        """The next message; None: the other side has ended the call well.

        Raises:
            CallFailed: it ended otherwise.
        """
        while not self.messages:
            if self._is_over and self._has_all:
                if self._end is not None:
                    raise self._end
                return None
            self._take()
        return self.messages.popleft()

    def _raise_end(self) -> None:
        while not self._is_over:
            self._take()
        raise self._end or CallFailed("CANCELLED", "The other side ended the call before it had everything.")

    def _give(self, tag: str, *operations: Any) -> bool:
        """False: the call is over, and nothing is owed for it."""
        self._is_sure = False
        was_given = bool(self._call.operate(operations, tag))
        if was_given:
            self._owed.add(tag)
        self._is_sure = True
        return was_given

    def _take(self) -> None:
        """Deal with the next event."""
        self._is_sure = False
        event = self._call.next_event()
        tag = event.tag
        self._owed.discard(tag)
        self._is_sure = True
        if tag is _MESSAGE:
            data = event.batch_operations[0].message()
            if data is None:
                self._has_all = True
            else:
                # Asked for ahead, so that the core puts it together while this one is being stored.
                if not self._give(_MESSAGE, self._core.ReceiveMessageOperation(_PLAIN)):
                    self._has_all = True
                self.messages.append(data)
        elif tag is _STATUS:
            operation = event.batch_operations[0]
            self._is_over = True
            code = operation.code()
            if code != self._core.StatusCode.ok:
                self._end = CallFailed(*text_of(self._core, operation), tuple(operation.trailing_metadata() or ()))

    def __enter__(self) -> CoreCall:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if not self._is_over:
            self._call.cancel(self._core.StatusCode.cancelled, "The client ended the call.")
        # Otherwise what the core still holds for the call is leaked: some kilobytes and a chunk, once for each such exception.
        while self._is_sure and self._owed:
            self._take()
