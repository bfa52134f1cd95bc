"""`SessionService.Attach` as calls: on grpcio's core where it is as known, and in the two ways of its public API.

Boundary: whose stream it is, its end and its status. What a frame means is `session.py`'s; who may is `service.py`'s.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from .core_stream import CoreCall
from .frames import Refused, parse_frame
from .session import Session
from .streams import CallbackStream, QueueStream

log = logging.getLogger(__name__)

ATTACH = "/cupool.v1.SessionService/Attach"
#: One way of answering an Attach call.
AttachStream = CallbackStream | QueueStream | CoreCall


class AttachCalls:
    """The Attach calls of one server.

    Args:
        authenticate: the session that a call's metadata names and proves. Raises Refused.
        calm: set when a stream's first batch is answered.
    """

    def __init__(self, authenticate: Callable[[Any], Session], calm: threading.Event) -> None:
        self._authenticate = authenticate
        self._calm = calm

    def attach(self, frames: Iterator[bytes], context: Any, send: Callable[[bytes | None], None] | None = None) -> Any:
        """SessionService.Attach. With `send` it answers from the threads that have something to say, else through a generator."""
        if send is not None:
            self._serve(frames, context, CallbackStream(context, send))
            return None
        stream = QueueStream(context)
        threading.Thread(target=self._serve, args=(frames, context, stream), name="cupool-attach", daemon=True).start()
        return stream.frames()

    #: Asks grpcio for the send callback; a grpcio that does not know it calls with two arguments.
    attach.experimental_non_blocking = True  # type: ignore[attr-defined]

    def attach_on_core(self, call: CoreCall) -> None:
        """SessionService.Attach."""
        self._serve(call, call, call)

    def _serve(self, frames: Iterator[bytes], context: Any, stream: AttachStream) -> None:
        session: Session | None = None
        status, sentence = "OK", ""
        try:
            session = self._authenticate(context)
            # The reading thread may be busy for long when the connection breaks: parking begins then, not when it looks again.
            lost = functools.partial(session.detached, stream)
            if not context.add_callback(lost):
                lost()
            self._read(session, frames, stream)
        except Refused as refusal:
            status, sentence = refusal.status, refusal.sentence
            # One that names no session is our own rehearsal, or a stranger.
            is_named = any(key == "cupool-session" for key, _ in context.invocation_metadata())
            level = logging.INFO if is_named else logging.DEBUG
            log.log(level, "event=stream-refused status=%s sentence=%r", status, sentence)
        except grpc.RpcError:
            log.debug("event=stream-lost")  # the connection broke: the session is parked
        except Exception:
            log.exception("event=stream-failed")
            status, sentence = "INTERNAL", "The server failed. Its log has the traceback."
            if session is not None:
                session.end("the server failed; its log has the traceback")
        finally:
            if session is not None:
                session.detached(stream)
            stream.close(status, sentence)

    def _read(self, session: Session, frames: Iterator[bytes], stream: AttachStream) -> None:
        """Read a stream to its end."""
        first = next(frames, None)
        if first is None:
            return
        hello = parse_frame(first, session.limits)
        if hello.WhichOneof("kind") != "hello":
            raise Refused("INVALID_ARGUMENT", "The first frame of a stream is a hello.")
        with stream.order:
            session.attach(stream, hello.hello)
        receive = session.receive
        early = next(frames, None)
        if early is None or not receive(stream, early):
            return
        self._calm.set()
        for data in frames:
            if not receive(stream, data):
                return
