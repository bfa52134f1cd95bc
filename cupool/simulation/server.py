"""An API server with its session: what its agent orders, what its client sends, and what it says to both.

Frames of a client: ("hello", session, token, epoch, nonce before, nonce next, received), ("batch", Batch, received), ("probe",),
("goodbye",). Frames of a server: ("hello", epoch, executed), ("ack", executed), ("result", seq, value, executed), ("probe",),
("refused", status, sentence), ("moved", endpoint, epoch, executed). Real frames say the same and more.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from cupool.v1 import server_pb2

from .clock import Clock, Timer
from .network import End
from .processor import Job, Processor
from .session import Batch, Content

#: Between an agent and its server, one way.
PIPE_S = 0.0001
#: How long a hello that came before its session waits for it.
EARLY_S = 2.0
#: From the decision to end to the end of the process.
EXIT_S = 0.01

Change = server_pb2.SessionChange


class Surroundings(Protocol):
    """What a server needs of the world."""

    clock: Clock

    def owns(self, server: Server, session: str) -> None:
        """From now on this server would execute the session's batches."""

    def disowns(self, server: Server, session: str) -> None:
        """It would not any more."""

    def executed(self, server: Server) -> None:
        """It has executed a batch."""


class Server:
    """One process. `report` and `exited` are its agent's; calls to them are what its pipe carries.

    Attributes:
        content: its session; None while nobody has come for it.
        assignment: as it was ordered.
    """

    def __init__(
        self,
        world: Surroundings,
        name: str,
        node: str,
        device: str,
        processor: Processor,
        report: Callable[[Server, server_pb2.ServerReport], object],
        exited: Callable[[Server, int], object],
    ) -> None:
        self.world = world
        self.clock = world.clock
        self.id = name
        self.node = node
        self.device = device
        self.endpoint = f"{node}:{name}"
        self.is_alive = True
        self.is_ready = False
        self.assignment: server_pb2.AssignRequest | None = None
        self.content: Content | None = None
        self.over = ""
        self.is_expired = False
        self.epoch = 0
        self.stream: End | None = None
        self.queue: deque[tuple[Any, End]] = deque()
        self.job: Job | None = None
        self._processor = processor
        self._report = report
        self._exited = exited
        self._early: list[tuple[End, Any]] = []
        self._patience: Timer | None = None
        self._told = 0
        self._orders = dict(ORDERS)
        self._frames = dict(FRAMES)
        self.idle_since_s = self.clock.now

    # ---- the process

    def ready(self) -> None:
        if self.is_alive:
            self.is_ready = True
            self.tell(ready=server_pb2.ServerReady(endpoint=self.endpoint, fingerprint="virtual"))

    def tell(self, **report: Any) -> None:
        """A report to the agent."""
        if self.is_alive:
            self.clock.after(PIPE_S, self._report, self, server_pb2.ServerReport(**report))

    def die(self, status: int) -> None:
        """The process ends, with what it held."""
        if not self.is_alive:
            return
        self.is_alive = False
        self._disown()
        if self.job is not None:
            self._processor.stop(self.job)
            self.job = None
        if self._patience is not None:
            self._patience.cancel()
        for end in [self.stream, *(e for e, _ in self._early)]:
            if end is not None:
                end.close()
        self.stream = None
        self.clock.after(PIPE_S, self._exited, self, status)

    def end(self, reason: str) -> None:
        """End by wish: the client is told, then the agent, and the process ends."""
        if self.over or not self.is_alive:
            return
        self.over = reason
        if self.stream is not None:
            self.stream.send(("refused", "NOT_FOUND", f"The session is over: {reason}"))
        if self.assignment is not None:
            self._change(Change.ENDED, reason)
            self._disown()
        if self.job is not None:
            self._processor.stop(self.job)
            self.job = None
        self.clock.after(EXIT_S, self.die, 0)

    def usage(self) -> server_pb2.SessionUsage:
        content = self.content
        if content is None:
            return server_pb2.SessionUsage()
        kernel_s = content.kernel_s + (self.clock.now - self.job.began_s if self.job is not None else 0.0)
        return server_pb2.SessionUsage(
            used_bytes=content.used_bytes,
            peak_bytes=content.used_bytes,
            kernel_s=kernel_s,
            executed_commands=content.executed_seq,
            idle_s=self.clock.now - self.idle_since_s,
            attached=self.stream is not None,
        )

    # ---- orders

    def order(self, command: server_pb2.ServerCommand) -> None:
        """From the agent; it arrives when the pipe has carried it."""
        self.clock.after(PIPE_S, self._obey, command)

    def _obey(self, command: server_pb2.ServerCommand) -> None:
        if self.is_alive and not self.over:
            kind = command.WhichOneof("kind")
            self._orders[kind](self, getattr(command, kind))

    def assign(self, request: server_pb2.AssignRequest) -> None:
        if self.assignment is not None:
            if self.assignment.session != request.session:
                change = Change(session=request.session, kind=Change.ENDED, reason="This server has its session.")
                self.tell(session=change)
            return
        self.assignment, self.epoch = request, request.epoch
        self._own()
        self._change(Change.ASSIGNED)
        self._wait_for_client()
        early, self._early = self._early, []
        for end, hello in early:
            self._hello(end, hello)

    def unassign(self, request: server_pb2.UnassignRequest) -> None:
        if self.assignment is None or self.assignment.session != request.session:
            return
        if self.content is not None:
            refused = server_pb2.UnassignRefused(session=request.session, reason="A client has attached.")
            self.tell(unassign_refused=refused)
            return
        self._change(Change.UNASSIGNED)
        self._disown()
        self.assignment = None
        if self._patience is not None:
            self._patience.cancel()

    def end_order(self, request: server_pb2.EndRequest) -> None:
        self.end(request.reason or "the pool ended it")

    def _change(self, kind: Any, reason: str = "") -> None:
        assert self.assignment is not None
        self._told = kind
        change = Change(session=self.assignment.session, kind=kind, reason=reason, usage=self.usage())
        change.expired = kind == Change.ENDED and self.is_expired
        self.tell(session=change)

    def _own(self) -> None:
        assert self.assignment is not None
        self.world.owns(self, self.assignment.session)

    def _disown(self) -> None:
        if self.assignment is not None:
            self.world.disowns(self, self.assignment.session)

    # ---- parking

    def _wait_for_client(self) -> None:
        """No client now: for the grace time, and then no session."""
        assert self.assignment is not None
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self.clock.after(self.assignment.park_grace_ms / 1000, self._no_client)

    def _no_client(self) -> None:
        if self.stream is None and self.is_alive:
            self.is_expired = True
            self.end("no client came in time")

    # ---- clients

    def accept(self, end: End) -> bool:
        """A connection to this server."""
        if not self.is_alive or not self.is_ready:
            return False
        end.on_message = lambda frame: self._frame(end, frame)
        end.on_closed = lambda: self._detached(end)
        return True

    def _frame(self, end: End, frame: Any) -> None:
        if self.is_alive:
            self._frames[frame[0]](self, end, frame)

    def refuse(self, end: End, status: str, sentence: str) -> None:
        end.send(("refused", status, sentence))
        end.close()

    def _hello(self, end: End, frame: Any) -> None:
        _, session, token, epoch, nonce, next_nonce, received = frame
        if not end.is_open:
            return
        if self.over:
            self.refuse(end, "NOT_FOUND", f"The session is over: {self.over}")
            return
        assignment = self.assignment
        if assignment is None or assignment.session != session:
            if assignment is not None:
                self.refuse(end, "NOT_FOUND", "This server has no such session.")
            elif not any(e is end for e, _ in self._early):
                self._early.append((end, frame))
                self.clock.after(EARLY_S, self._too_early, end)
            return
        if hashlib.sha256(token.encode()).digest() != assignment.token_sha256:
            self.refuse(end, "UNAUTHENTICATED", "The session token is wrong.")
            return
        if not self.admits(end, frame):
            return
        if epoch != self.epoch:
            self.refuse(end, "FAILED_PRECONDITION", f"The session is at epoch {self.epoch}, the client's is {epoch}.")
            return
        if self.content is None:
            self.content = Content()
        content = self.content
        if content.nonce not in (nonce, next_nonce):
            self.refuse(end, "FAILED_PRECONDITION", "stale nonce")
            return
        content.nonce = next_nonce
        content.forget(received)
        old, self.stream = self.stream, end
        if old is not None:
            old.send(("refused", "ABORTED", "A newer stream of the same session took over."))
            old.close()
        self.queue.clear()
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self.idle_since_s = self.clock.now
        if not self.arrives():
            return
        end.send(("hello", self.epoch, content.executed_seq))
        for seq in sorted(content.results or ()):
            end.send(("result", seq, content.results[seq], content.executed_seq))  # type: ignore[index]
        self._presence()

    def admits(self, end: End, frame: Any) -> bool:
        """Whether a client may attach now; else it has been answered, or waits."""
        return True

    def arrives(self) -> bool:
        """A client is about to be answered; False: not by this server any more."""
        return True

    def _too_early(self, end: End) -> None:
        waiting = [e for e, _ in self._early if e is end]
        self._early = [(e, h) for e, h in self._early if e is not end]
        if waiting and self.is_alive:
            self.refuse(end, "NOT_FOUND", "This server has no such session.")

    def _detached(self, end: End) -> None:
        self._early = [(e, h) for e, h in self._early if e is not end]
        if self.stream is end:
            self.stream = None
            self.queue.clear()
            self.idle_since_s = self.clock.now
            if not self.over and self.is_alive:
                self._wait_for_client()
                self._presence()

    def _presence(self) -> None:
        kind = Change.ATTACHED if self.stream is not None else Change.PARKED
        if kind != self._told:
            self._change(kind)

    def _queued(self, end: End, frame: Any) -> None:
        if end is self.stream:
            self.queue.append((frame, end))
            self.turn()

    def _goodbye(self, end: End, frame: Any) -> None:
        if end is self.stream:
            self.end("the client said goodbye")

    # ---- executing

    @property
    def may_execute(self) -> bool:
        """Whether batches run now."""
        return self.is_alive and not self.over

    def turn(self) -> None:
        """Take what is next in the queue, unless a batch runs."""
        while self.queue and self.job is None and self.may_execute:
            frame, end = self.queue.popleft()
            if end is not self.stream:
                continue
            if frame[0] == "probe":
                end.send(frame)
                continue
            self._batch(end, frame[1], frame[2])

    def _batch(self, end: End, batch: Batch, received: int) -> None:
        content = self.content
        assert content is not None
        content.forget(received)
        if batch.seq <= content.executed_seq:
            end.send(("ack", content.executed_seq))
        elif batch.seq != content.executed_seq + 1:
            self.refuse(end, "INVALID_ARGUMENT", f"Batch {batch.seq} came after batch {content.executed_seq}.")
            self._detached(end)
        else:
            self.job = self._processor.begin(batch.work_s, lambda: self._done(batch))

    def _done(self, batch: Batch) -> None:
        content, job = self.content, self.job
        assert content is not None and job is not None
        self.job = None
        content.kernel_s += self.clock.now - job.began_s
        self.executed(batch)
        self.idle_since_s = self.clock.now
        if self.stream is not None:
            if batch.waits:
                self.stream.send(("result", batch.seq, content.state, content.executed_seq))
            else:
                self.stream.send(("ack", content.executed_seq))
        self.at_boundary()
        self.turn()

    def executed(self, batch: Batch) -> None:
        assert self.content is not None
        self.content.execute(batch)
        self.world.executed(self)

    def at_boundary(self) -> None:
        """A batch has ended, and none runs."""


#: Kind of an order -> what follows it.
ORDERS: dict[str, Callable[[Server, Any], None]] = {
    "assign": lambda server, request: server.assign(request),
    "unassign": lambda server, request: server.unassign(request),
    "end": lambda server, request: server.end_order(request),
}
#: Kind of a client's frame -> what answers it.
FRAMES: dict[str, Callable[[Server, End, Any], None]] = {
    "hello": Server._hello,
    "batch": Server._queued,
    "probe": Server._queued,
    "goodbye": Server._goodbye,
}
