"""Asking for checkpoints: when the redo window is half full the server is asked for one, and the window restarts there.

Boundary: when, and what the answer means. What the window holds is `redo.py`'s, bytes are `bulk.py`'s, frames go by the link.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cupool.contract import ids, messages
from cupool.contract.limits import MIB

from . import trace
from .pending import extend
from .redo import Base, Mark

if TYPE_CHECKING:
    from .link import Link
    from .outbox import Outbox

#: A session whose checkpoint would be larger is not kept in its client.
CLIENT_BYTES = 16 * MIB
#: After a checkpoint that could not be made: when the next one is asked for, at first and at last.
PAUSE_S = 0.25
MAX_PAUSE_S = 30.0


class Checkpoints:
    """Those of one session."""

    def __init__(
        self, link: Link, outbox: Outbox, fetch: Callable[[int, int], np.ndarray[Any, Any]] | None = None
    ) -> None:
        """`fetch`: brings the bytes of a transfer of that size, once; None: none can be brought."""
        self._link = link
        self._outbox = outbox
        self._redo = outbox.redo
        self._fetch = fetch
        self._pause_s = PAUSE_S
        self._not_before_s = 0.0
        self._transfer = 0
        self._is_first_hello = True
        self._is_told = False
        if self._redo.where == "client" and fetch is None:
            self._redo.where = ""

    def look(self, now: float, send: Callable[[bytes], None]) -> None:
        """Ask for one, if it is time. Called by the ticker while a server is attached."""
        if self._redo.wants_checkpoint and now >= self._not_before_s:
            mark = self._redo.wished()
            if self._redo.where == "client":
                self._transfer = ids.minter()()
            send(self._frame(mark))

    def _frame(self, mark: Mark) -> bytes:
        wish = messages.CheckpointWish(id=mark.checkpoint, where=self._redo.where)
        if self._redo.where == "client":
            wish.limit_bytes, wish.transfer = CLIENT_BYTES, self._transfer
        frame: bytes = messages.ClientFrame(checkpoint=wish).SerializeToString()
        return frame

    def attached(self, hello: Any, send: Callable[[bytes], None]) -> str:
        """A server has said hello: what was asked on the last connection is asked again. Returns why the session cannot be as its program
        wants it, a sentence; else ""."""
        is_first, self._is_first_hello = self._is_first_hello, False
        where = self._redo.where
        if where and where not in hello.checkpoints:
            if is_first and where != "client":
                return f"The server ({hello.server}) keeps no checkpoints with durability={where!r}."
            self._redo.where = ""
            self._redo.failed("the server keeps none")
        elif self._redo.wish is not None:
            send(self._frame(self._redo.wish))
        return ""

    def answered(self, told: Any, now: float) -> None:
        """Take a `cupool.v1.Checkpointed`. From the thread that reads."""
        redo, mark = self._redo, self._redo.wish
        if mark is None or told.id != mark.checkpoint:
            return
        if told.error:
            self._failed(told.error, now, told.is_final)
            return
        batch = redo.last_of(told.executed_seq, self._outbox.window)
        if batch is None or told.ordinal > self._link.inbox.received:
            self._failed("the server's answer does not fit what it sent", now)
            return
        lease, server = self._link.lease, self._link.server_hello.server
        base = Base(lease.session, lease.token, server, redo.where, told.id, batch, told.ordinal)
        if redo.where == "client":
            arguments = (base, self._transfer, told.nbytes, now)
            threading.Thread(target=self._bring, args=arguments, name="cupool-checkpoint", daemon=True).start()
        else:
            self._restarted(base, told.nbytes)

    def _bring(self, base: Base, transfer: int, nbytes: int, now: float) -> None:

        assert self._fetch is not None
        try:
            data = self._fetch(transfer, nbytes)
        except Exception as error:  # the connection broke, or the server is lost: the window is as it was
            if self._redo.wish is not None and self._redo.wish.checkpoint == base.checkpoint:
                self._failed(f"it could not be fetched ({error})", now)
            return
        finally:
            extend((0, transfer))
        self._restarted(base._replace(data=data), nbytes)

    def _restarted(self, base: Base, nbytes: int) -> None:
        self._redo.restarted(base)
        self._pause_s, self._not_before_s = PAUSE_S, 0.0
        trace.say("session-checkpointed", session=base.session, seq=base.batch.seq, nbytes=nbytes, where=base.where)

    def _failed(self, reason: str, now: float, is_final: bool = False) -> None:
        where = self._redo.where
        if is_final:
            self._redo.where = ""
        self._not_before_s = now + self._pause_s
        self._pause_s = min(self._pause_s * 2, MAX_PAUSE_S)
        self._redo.failed(reason)
        trace.say("session-not-checkpointed", session=self._link.lease.session, reason=reason)
        if where in ("node", "file") and not self._is_told and (is_final or self._redo.why):
            # The program asked for more than it gets.
            self._is_told = True
            print(f"cupool: no checkpoint of this session can be made: {reason}", file=sys.stderr)
