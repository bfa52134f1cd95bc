"""PoolService: what clients call. Boundary: metadata, statuses, waiting; what is decided is the controller's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from cupool.v1 import pool_pb2, pool_pb2_grpc

from .access import Access, refusals
from .auditing import Auditor
from .controller import Controller, Waiting
from .refusals import Code, Refused
from .states import FINAL

#: States of one session that a slow watcher may be behind; a session has few.
_BEHIND = 64


class PoolServicer(pool_pb2_grpc.PoolServiceServicer):
    """Runs in the event loop of `services.Serving`; the controller's calls do not wait."""

    def __init__(self, controller: Controller, access: Access, auditor: Auditor) -> None:
        self._controller = controller
        self._access = access
        self._auditor = auditor

    async def Acquire(self, request: pool_pb2.AcquireRequest, context: Any) -> pool_pb2.Lease:
        async with refusals(context):
            tenant = self._tenant(context, is_lease=True)
            if request.deadline_ms > _LONGEST_MS:
                raise Refused(
                    Code.INVALID_ARGUMENT,
                    f"deadline_ms is {request.deadline_ms}; the longest is {_LONGEST_MS}.",
                    "Ask again after each refusal instead.",
                )
            if len(request.request_id) > _REQUEST_ID or not request.request_id.isprintable():
                long = len(request.request_id) > _REQUEST_ID
                found = f"has {len(request.request_id)}" if long else "has others"
                raise Refused(
                    Code.INVALID_ARGUMENT,
                    f"request_id is up to {_REQUEST_ID} printable characters; this one {found}.",
                    "Send another, such as a UUID, or none.",
                )
            answer = self._controller.acquire(request, tenant)
            lease = await self._waited(answer) if isinstance(answer, Waiting) else answer
            try:
                self._auditor.lease(lease, request.function)
            except Refused:
                self._controller.unwanted(lease)
                raise
        context.add_done_callback(lambda _: self._controller.unwanted(lease) if context.cancelled() else None)
        return lease

    async def _waited(self, waiting: Waiting) -> pool_pb2.Lease:
        loop = asyncio.get_running_loop()
        timer = loop.call_later(waiting.request.deadline_ms / 1000, self._controller.expire, waiting)
        answer = asyncio.wrap_future(waiting.future)
        try:
            # Shielded: whether it has been answered is the controller's to say, under its lock.
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            # Nobody waits for the refusal that this makes: it is looked at, so that it is not logged as one that was forgotten.
            answer.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._controller.cancel(waiting)
            raise
        finally:
            timer.cancel()

    async def Renew(self, request: pool_pb2.RenewRequest, context: Any) -> pool_pb2.Lease:
        async with refusals(context):
            return self._controller.renew(request.session, request.session_token, self._tenant(context))

    async def Release(self, request: pool_pb2.ReleaseRequest, context: Any) -> pool_pb2.ReleaseReply:
        async with refusals(context):
            self._controller.release(request.session, request.session_token, request.reason, self._tenant(context))
            return pool_pb2.ReleaseReply()

    async def ListSessions(self, request: Any, context: Any) -> pool_pb2.ListSessionsReply:
        async with refusals(context):
            return pool_pb2.ListSessionsReply(sessions=self._controller.sessions(self._tenant(context)))

    async def WatchSession(
        self, request: pool_pb2.WatchSessionRequest, context: Any
    ) -> AsyncIterator[pool_pb2.SessionStatus]:
        async with refusals(context):
            loop = asyncio.get_running_loop()
            changes: asyncio.Queue[pool_pb2.SessionStatus] = asyncio.Queue(_BEHIND)

            def put(status: pool_pb2.SessionStatus) -> None:
                if changes.full():
                    changes.get_nowait()  # the newest count
                changes.put_nowait(status)

            status, stop = self._controller.watch(
                request.session,
                request.session_token,
                lambda s: loop.call_soon_threadsafe(put, s),
                self._tenant(context),
            )
            try:
                yield status
                while status.state not in FINAL:
                    status = await changes.get()
                    yield status
            finally:
                stop()

    def _tenant(self, context: Any, is_lease: bool = False) -> str:
        try:
            return self._access.client(context)
        except Refused as refused:
            if is_lease:
                self._controller.meter.refused(refused.word)
            raise


#: A day: nobody waits for longer in one call.
_LONGEST_MS = 86_400_000
#: Characters of a request's id: it goes through every log, and a retry is known by the whole of it.
_REQUEST_ID = 64
