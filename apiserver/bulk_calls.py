"""`SessionService.Put` and `Get` as calls: on grpcio's core where it is as known (docs/decisions/023), and on its public API.

Boundary: whose call it is, its messages and its status. What the messages mean is `bulk.py`'s; who may is `service.py`'s.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from . import bulk
from .core_stream import CoreCall
from .frames import Refused
from .session import Session

log = logging.getLogger(__name__)

PUT = "/cupool.v1.SessionService/Put"
GET = "/cupool.v1.SessionService/Get"


class BulkCalls:
    """The bulk calls of one server.

    Args:
        authenticate: the session that a call's metadata names and proves. Raises Refused.
    """

    def __init__(self, authenticate: Callable[[Any], Session]) -> None:
        self._authenticate = authenticate

    # -- on the public API ------------------------------------------------------------------------------------------------

    def put(self, frames: Iterator[bytes], context: Any) -> Iterator[bytes]:
        """SessionService.Put."""
        return self._answered(context, lambda: self._acks(frames, context))

    def get(self, request: bytes, context: Any) -> Iterator[bytes]:
        """SessionService.Get."""
        return self._answered(context, lambda: self._chunks(request, context))

    def _answered(self, context: Any, answers: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
        try:
            yield from answers()
        except Refused as refusal:
            context.abort(grpc.StatusCode[refusal.status], refusal.sentence)
        except bulk.FAILURES as error:
            status, sentence, trailing = bulk.status_of(error)
            context.set_trailing_metadata(trailing)
            context.abort(status, sentence)

    # -- on the core ------------------------------------------------------------------------------------------------------

    def put_on_core(self, call: CoreCall) -> None:
        """SessionService.Put."""
        self._serve(call, lambda: self._acks(call, call))

    def get_on_core(self, call: CoreCall) -> None:
        """SessionService.Get."""

        def chunks() -> Iterator[bytes]:
            request = next(call, None)
            return iter(()) if request is None else self._chunks(request, call)

        self._serve(call, chunks)

    def _serve(self, call: CoreCall, answers: Callable[[], Iterator[bytes]]) -> None:
        status, sentence = "OK", ""
        trailing: tuple[tuple[str, bytes], ...] = ()
        try:
            for answer in answers():
                if not call.send(answer):
                    return  # the client is gone
            # The last chunk may take long on its way, and the status waits for it.
            call.wait_sent()
        except Refused as refusal:
            status, sentence = refusal.status, refusal.sentence
        except grpc.RpcError:
            log.debug("event=bulk-call-lost")
        except bulk.FAILURES as error:
            code, sentence, trailing = bulk.status_of(error)
            status = code.name
        except Exception:
            log.exception("event=bulk-call-failed")
            status, sentence = "INTERNAL", "The server failed. Its log has the traceback."
        finally:
            call.close(status, sentence, trailing)

    # -- both -------------------------------------------------------------------------------------------------------------

    def _acks(self, frames: Iterator[bytes], context: Any) -> Iterator[bytes]:
        session = self._session(context)
        return bulk.put(
            session.executor.transfers, session.epoch, frames, lambda: not context.is_active(), session.arrive
        )

    def _chunks(self, request: bytes, context: Any) -> Iterator[bytes]:
        session = self._session(context)
        return bulk.get(
            session.executor.transfers, session.epoch, request, lambda: not context.is_active(), session.chunk_bytes
        )

    def _session(self, context: Any) -> Session:
        session = self._authenticate(context)
        if session.moved is not None:
            raise session.elsewhere()
        return session
