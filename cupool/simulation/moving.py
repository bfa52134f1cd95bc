"""Servers that are a move's source or destination: the machines of `apiserver/moving/roles.py`, with drivers over virtual links.

The drivers follow `apiserver/moving/source.py` and `destination.py`; steps have their names (`apiserver/moving/steps.py`). Between them:
("pull", session, move, token, epoch), ("planned",), ("ack", round), ("ready",), ("failed", reason) from the destination; ("plan", bytes),
("bytes", n), ("sent", round), ("stop", executed), ("document", Content), ("released",), ("failed", reason) from the source.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Protocol

from cupool.apiserver.moving import roles
from cupool.v1 import server_pb2

from .clock import Timer
from .network import End, Network
from .processor import Processor
from .server import Server, Surroundings
from .session import Content

Report = server_pb2.MoveReport
#: As in `apiserver/moving`: how long a pull that came before its order waits, and a destination for a silent source.
EARLY_S, SILENT_S = 5.0, 30.0
#: Bytes go in pieces of so many seconds.
PIECE_S = 0.25
#: What a destination needs to put a session together.
RESTORE_S = 0.003
#: Every session has something that changed.
DOCUMENT_BYTES = 20_000


class MoveWorld(Surroundings, Protocol):
    """What moves need of the world."""

    network: Network
    link_bytes_a_s: float

    def server_at(self, endpoint: str) -> tuple[str, Callable[[End], bool]]: ...

    def step(self, name: str, server: MovingServer) -> None:
        """A named step of a move is reached; the server may be dead after it."""

    def paused(self, seconds: float) -> None:
        """A move has stopped its session for so long."""


class SourceMove:
    """One move away from a server."""

    def __init__(self, server: MovingServer, order: server_pb2.MoveOut) -> None:
        self.order = order
        self.machine = roles.Source(order.max_pause_ms / 1000, order.is_cold)
        self.stream: End | None = None
        self.is_stopped = False
        self.pause_s = 0.0
        self._server = server
        self._world = server.moves_world
        self._clock = server.clock
        self._timeout_s = order.timeout_ms / 1000
        self._timer: Timer | None = None
        self._stopped_s = 0.0
        self._dirty = self._copied = self._total = 0
        self._round_s = 0.0
        self._round_bytes = 0
        self._after_planned: Callable[[], object] | None = None
        self._extend(self._timeout_s, f"the destination did not come within {self._timeout_s:g} s")
        self.reach("source.ordered")

    def reach(self, step: str) -> bool:
        """Whether the server still lives after a step."""
        self._world.step(step, self._server)
        return self._server.is_alive

    def on(self, event: Any) -> None:
        if self._server.is_alive:
            for instruction in self.machine.on(event):
                ACTS[type(instruction)](self, instruction)

    def _extend(self, seconds: float, late: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.after(seconds, self.on, roles.Lost(late))

    def _still_copying(self) -> None:
        self._extend(self._timeout_s, f"the copy made no progress for {self._timeout_s:g} s")

    def _send(self, *frame: Any) -> None:
        if self.stream is not None:
            self.stream.send(frame)

    # ---- the destination's words

    def pulled(self, end: End, epoch: int) -> None:
        if self.stream is not None or self.machine.state != "EXPECTING":
            end.close()
            return
        self.stream = end
        end.on_message = lambda frame: WORDS[frame[0]](self, *frame[1:])
        end.on_closed = lambda: self.on(roles.Lost("the destination broke off"))
        self.on(roles.Came("" if epoch == self.order.epoch else "the destination came at another epoch"))

    def _planned(self) -> None:
        then, self._after_planned = self._after_planned, None
        if then is not None and not self.machine.is_over and self.reach("source.planned"):
            then()

    def _acked(self, number: int) -> None:
        if self.machine.state == "COPYING" and self.reach("source.copied"):
            took_s = self._clock.now - self._round_s
            self._server.when_calm(self, lambda: self._looked(took_s))

    def _looked(self, took_s: float) -> None:
        nbytes = self._round_bytes
        self._look()
        self.on(roles.Copied(nbytes, took_s, self._dirty))

    def _ready(self) -> None:
        if self.reach("source.ready"):
            self.on(roles.Ready())

    def _failed(self, reason: str) -> None:
        self.on(roles.Lost(f"the destination cannot take it: {reason}"))

    # ---- instructions

    def copy(self, instruction: roles.Copy) -> None:
        if instruction.number > 1:
            self._send_round(instruction.number, self._round_over)
        elif self.reach("source.came"):
            self._still_copying()
            self._server.when_calm(self, self._first_look)

    def _first_look(self) -> None:
        self._look(is_first=True)
        self._plan(lambda: self._send_round(1, self._round_over))

    def _look(self, is_first: bool = False) -> None:
        server = self._server
        content = server.content
        assert content is not None
        written, server.written_bytes = server.written_bytes, 0
        self._total = content.used_bytes
        self._dirty = content.used_bytes if is_first else min(written, content.used_bytes)

    def _plan(self, then: Callable[[], object]) -> None:
        self._after_planned = then
        self._send("plan", self._total)

    def _send_round(self, number: int, then: Callable[[int], object]) -> None:
        self._round_s, self._round_bytes = self._clock.now, self._dirty
        self._send_piece(number, self._dirty, then)

    def _send_piece(self, number: int, left: int, then: Callable[[int], object]) -> None:
        if self.machine.is_over or not self._server.is_alive:
            return
        if left <= 0:
            then(number)
            return
        rate = self._world.link_bytes_a_s
        nbytes = min(left, int(rate * PIECE_S))
        if not self.is_stopped:
            self._still_copying()
            if not self.reach("source.copying"):
                return
            self.tell(Report.COPYING)
        self._copied += nbytes
        self._clock.after(nbytes / rate, self._piece_sent, number, nbytes, left - nbytes, then)

    def _piece_sent(self, number: int, nbytes: int, left: int, then: Callable[[int], object]) -> None:
        self._send("bytes", nbytes)
        self._send_piece(number, left, then)

    def _round_over(self, number: int) -> None:
        self._send("sent", number)

    def stop(self, instruction: roles.Stop) -> None:
        self._still_copying()
        if self.reach("source.stopping"):
            self._server.when_calm(self, self._stopped)

    def _stopped(self) -> None:
        self.is_stopped, self._stopped_s = True, self._clock.now
        pause_s = self.order.max_pause_ms / 1000
        if self.order.is_cold:
            pause_s = 3600.0
        self._extend(pause_s, f"the session would have stood still for more than {pause_s:g} s")
        self._look(is_first=self.order.is_cold)
        if self.reach("source.stopped"):
            self.tell(Report.STOPPED)
            self.on(roles.Boundary(self._dirty))

    def send_rest(self, instruction: roles.SendRest) -> None:
        if self.order.is_cold:
            self._plan(self._rest)
        else:
            self._rest()

    def _rest(self) -> None:
        content = self._server.content
        assert content is not None
        self._send("stop", content.executed_seq)
        self._dirty += DOCUMENT_BYTES
        self._send_round(self.machine.rounds + 1, self._document)

    def _document(self, number: int) -> None:
        content = self._server.content
        assert content is not None
        if self.reach("source.rest"):
            self._send("document", content.copy())
            if self.reach("source.sent"):
                self.machine.on(roles.Sent())

    def release(self, instruction: roles.Release) -> None:
        server = self._server
        client = server.depart(self.order)
        if not self.reach("source.released"):
            return
        self._settle()
        self.tell(Report.RELEASED)
        if not self.reach("source.reported"):
            return
        self._send("released")
        if not self.reach("source.told"):
            return
        if client is not None:
            server.say_moved(client)
        self.reach("source.done")

    def keep(self, instruction: roles.Keep) -> None:
        was_stopped = self.is_stopped
        self._settle()
        self.tell(Report.FAILED, instruction.reason)
        self._send("failed", instruction.reason)
        if was_stopped:
            self._server.go_on()

    def take_back(self, instruction: roles.GoOn) -> None:
        self._server.come_back(instruction.epoch)
        self.tell(Report.TAKEN_BACK)

    def refuse(self, instruction: roles.Refuse) -> None:
        self.tell(Report.FAILED, instruction.reason)

    def _settle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.is_stopped:
            self.is_stopped = False
            self.pause_s = self._clock.now - self._stopped_s
            self._world.paused(self.pause_s)

    def tell(self, phase: Any, reason: str = "") -> None:
        content = self._server.content
        self._server.tell(
            move=Report(
                session=self.order.session, move=self.order.move, phase=phase, reason=reason, total_bytes=self._total,
                copied_bytes=self._copied, dirty_bytes=self._dirty, rounds=self.machine.rounds, pause_ms=self.pause_s * 1000,
                epoch=self._server.epoch, executed_seq=content.executed_seq if content is not None else 0, is_source=True,
            )
        )  # fmt: skip


ACTS: dict[type, Callable[[SourceMove, Any], None]] = {
    roles.Copy: SourceMove.copy,
    roles.Stop: SourceMove.stop,
    roles.SendRest: SourceMove.send_rest,
    roles.Release: SourceMove.release,
    roles.Keep: SourceMove.keep,
    roles.GoOn: SourceMove.take_back,
    roles.Refuse: SourceMove.refuse,
}
WORDS: dict[str, Callable[..., None]] = {
    "planned": SourceMove._planned,
    "ack": SourceMove._acked,
    "ready": SourceMove._ready,
    "failed": SourceMove._failed,
}


class DestinationMove:
    """One session that comes to a server."""

    def __init__(self, server: MovingServer, request: server_pb2.AssignRequest) -> None:
        self.arrival = request.incoming
        self.machine = roles.Destination()
        self.is_stalled = False
        self.stream: End | None = None
        self._request = request
        self._server = server
        self._world = server.moves_world
        self._heard_s = server.clock.now
        self._document: Content | None = None
        self._copied = self._total = 0

    def start(self) -> None:
        if not self.reach("destination.ordered"):
            return
        arrival, server = self.arrival, self._server
        place, accept = self._world.server_at(arrival.endpoint)
        end = self.stream = self._world.network.connect(server.node, place, accept)
        end.on_message = self._frame
        end.on_closed = self._closed
        end.send(("pull", self._request.session, arrival.move, arrival.token, self._request.epoch))
        self.reach("destination.connected")
        server.clock.after(SILENT_S, self._look)

    def reach(self, step: str) -> bool:
        self._world.step(step, self._server)
        return self._server.is_alive

    def on(self, event: Any) -> None:
        if self._server.is_alive:
            for instruction in self.machine.on(event):
                ANSWERS[type(instruction)](self, instruction)

    def cancel(self, reason: str) -> None:
        if not self.machine.is_open:
            self.on(roles.Refused(reason))
            self._hang_up()
        elif self.stream is None:
            self.on(roles.Refused(reason))

    def _hang_up(self) -> None:
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.send(("failed", self.machine.reason))
            stream.close()

    def _closed(self) -> None:
        self.stream = None
        if not self.machine.is_open and self.machine.state != "ENDED":
            self.on(roles.Broken("the link to the source is lost"))

    def _look(self) -> None:
        silent_s = self._server.clock.now - self._heard_s
        if not self._server.is_alive or self.machine.is_open or self.machine.state == "ENDED":
            return
        if silent_s >= SILENT_S:
            self.on(roles.Broken(f"the source has said nothing for {SILENT_S:g} s"))
            self._hang_up()
        else:
            self._server.clock.after(SILENT_S - silent_s, self._look)

    def _frame(self, frame: Any) -> None:
        if self._server.is_alive and not self.is_stalled:
            self._heard_s = self._server.clock.now
            FRAMES[frame[0]](self, *frame[1:])

    # ---- the source's words

    def _plan(self, nbytes: int) -> None:
        self._total = nbytes
        self.on(roles.Planned())
        self._say("planned")
        self.reach("destination.planned")

    def _bytes(self, nbytes: int) -> None:
        self._copied += nbytes
        if self.reach("destination.copying"):
            self.tell(Report.COPYING)

    def _sent(self, number: int) -> None:
        self._say("ack", number)

    def _stop(self, executed: int) -> None:
        self.reach("destination.stopped")

    def _documented(self, content: Content) -> None:
        self._document = content
        self.on(roles.Complete())

    def _released(self) -> None:
        if self.reach("destination.released"):
            self.on(roles.Released())
            self._hang_up_quietly()

    def _failed(self, reason: str) -> None:
        self.on(roles.Refused(f"the source goes on: {reason}"))
        self._hang_up_quietly()

    def _hang_up_quietly(self) -> None:
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.close()

    def _say(self, *word: Any) -> None:
        if self.stream is not None:
            self.stream.send(word)

    # ---- instructions

    def restore(self, instruction: roles.Restore) -> None:
        if self.reach("destination.restoring"):
            self._server.clock.after(RESTORE_S, self._restored)

    def _restored(self) -> None:
        if self.machine.state == "RESTORING" and self._server.is_alive:
            self._server.admit(self._document)
            if self.reach("destination.ready"):
                self.on(roles.Restored())

    def say_ready(self, instruction: roles.SayReady) -> None:
        self._say("ready")
        self.tell(Report.READY)
        self.reach("destination.said")

    def claimed(self) -> bool:
        """A client is about to be answered. False: not by this server any more."""
        if self.machine.state == "OWNER":
            return True
        if not self.reach("destination.claimed"):
            return False
        self.on(roles.Claimed())
        return self.reach("destination.owned")

    def own(self, instruction: roles.Own) -> None:
        self._server.own_now()
        self.tell(Report.OWNER)

    def end(self, instruction: roles.End) -> None:
        self.tell(Report.FAILED, instruction.reason)
        self._server.end(f"the move to this server failed: {instruction.reason}")

    def tell(self, phase: Any, reason: str = "") -> None:
        self._server.tell(
            move=Report(
                session=self._request.session, move=self.arrival.move, phase=phase, reason=reason, total_bytes=self._total,
                copied_bytes=self._copied, epoch=self._request.epoch,
            )
        )  # fmt: skip


ANSWERS: dict[type, Callable[[DestinationMove, Any], None]] = {
    roles.Restore: DestinationMove.restore,
    roles.SayReady: DestinationMove.say_ready,
    roles.Own: DestinationMove.own,
    roles.End: DestinationMove.end,
}
FRAMES: dict[str, Callable[..., None]] = {
    "plan": DestinationMove._plan,
    "bytes": DestinationMove._bytes,
    "sent": DestinationMove._sent,
    "stop": DestinationMove._stop,
    "document": DestinationMove._documented,
    "released": DestinationMove._released,
    "failed": DestinationMove._failed,
}


class MovingServer(Server):
    """A server that moves. `moved`: where its session went, in a client's words."""

    def __init__(
        self,
        world: MoveWorld,
        name: str,
        node: str,
        device: str,
        processor: Processor,
        report: Callable[[Server, server_pb2.ServerReport], object],
        exited: Callable[[Server, int], object],
    ) -> None:
        super().__init__(world, name, node, device, processor, report, exited)
        self.moves_world = world
        self.source: SourceMove | None = None
        self.destination: DestinationMove | None = None
        self.moved: tuple[Any, ...] | None = None
        self.written_bytes = 0
        self._orders.update(ORDERS)
        self._frames.update(PULLS)
        self._calm: list[tuple[SourceMove, Callable[[], object]]] = []
        self._held: list[tuple[End, Any]] = []
        self._pulls: list[tuple[End, Any]] = []

    def _no_client(self) -> None:
        if self.source is not None and self.source.is_stopped:
            self._wait_for_client()  # whoever comes waits for the move's end
        else:
            super()._no_client()

    # ---- orders

    def assign(self, request: server_pb2.AssignRequest) -> None:
        known, destination = self.assignment, self.destination
        here = (known.session, known.epoch) if known is not None else ("", 0)
        if destination is not None and not request.incoming.move and here == (request.session, request.epoch):
            destination.on(roles.Released())
            return
        is_new = known is None
        super().assign(request)
        if is_new and request.incoming.move and self.is_alive:
            self.destination = DestinationMove(self, request)
            self.destination.start()

    def _own(self) -> None:
        assert self.assignment is not None
        if not self.assignment.incoming.move:
            super()._own()

    def own_now(self) -> None:
        """A client has come to a session that came here by a move."""
        super()._own()

    def _wait_for_client(self) -> None:
        assert self.assignment is not None
        if not self.assignment.incoming.move or self.content is not None:
            super()._wait_for_client()

    def unassign(self, request: server_pb2.UnassignRequest) -> None:
        if self.destination is not None:
            refused = server_pb2.UnassignRefused(session=request.session, reason="The session comes here by a move.")
            self.tell(unassign_refused=refused)
            return
        super().unassign(request)

    def move_out(self, order: server_pb2.MoveOut) -> None:
        if self.source is not None and self.source.order.move == order.move:
            return
        refused = self._why_not(order)
        if refused:
            self.tell(
                move=Report(session=order.session, move=order.move, phase=Report.FAILED, reason=refused, is_source=True)
            )
            return
        self.source = SourceMove(self, order)
        pulls, self._pulls = self._pulls, []
        for end, frame in pulls:
            self._pull(end, frame)

    def _why_not(self, order: server_pb2.MoveOut) -> str:
        destination, source = self.destination, self.source
        if destination is not None and destination.machine.state != "OWNER":
            return "the session has not arrived here itself"
        if self.assignment is None or self.assignment.session != order.session:
            return "this server does not have the session"
        if self.content is None:
            return "no client has come to the session yet"
        if self.moved is not None:
            return "the session has moved away already"
        if source is not None and not source.machine.is_over:
            return "it is moving already"
        return "" if order.epoch > self.epoch else "the epoch is not above the session's"

    def cancel_move(self, order: server_pb2.CancelMove) -> None:
        source, destination = self.source, self.destination
        if source is not None and source.order.move == order.move:
            source.on(roles.Lost(order.reason or "it was cancelled"))
        elif destination is not None and destination.arrival.move == order.move:
            destination.cancel(order.reason)
        else:  # its agent answers for it
            reason = order.reason or "the order to begin it was lost"
            self.tell(
                move=Report(session=order.session, move=order.move, phase=Report.FAILED, reason=reason, is_source=True)
            )

    def take_back(self, order: server_pb2.TakeBack) -> None:
        source = self.source
        if source is not None and source.order.move == order.move:
            source.on(roles.TakenBack(order.epoch))
            return
        reason = f"there is no move {order.move} here"
        self.tell(
            move=Report(session=order.session, move=order.move, phase=Report.FAILED, reason=reason, is_source=True)
        )

    def end(self, reason: str) -> None:
        source = self.source
        if not self.over and source is not None and not source.machine.is_over:
            self.over = ""  # the move hears of it first, while reports still go out
            source.on(roles.Lost(f"the session is over: {reason}"))
        super().end(reason)

    def die(self, status: int) -> None:
        was_alive = self.is_alive
        super().die(status)
        if was_alive:
            ends = [e for e, _ in (*self._held, *self._pulls)]
            ends += [m.stream for m in (self.source, self.destination) if m is not None and m.stream is not None]
            for end in ends:
                end.close()

    # ---- the source's session

    def when_calm(self, move: SourceMove, then: Callable[[], object]) -> None:
        """Call when no batch runs; not if the move is over by then."""
        if self.job is None:
            then()
        else:
            self._calm.append((move, then))

    def at_boundary(self) -> None:
        calm, self._calm = self._calm, []
        for move, then in calm:
            if not move.machine.is_over and self.is_alive:
                then()

    @property
    def may_execute(self) -> bool:
        if not self.is_alive or self.over or self.moved is not None:
            return False
        if self.destination is not None and self.destination.machine.state != "OWNER":
            return False
        return self.source is None or not self.source.is_stopped

    def depart(self, order: server_pb2.MoveOut) -> End | None:
        """The session is elsewhere. Returns the client's stream, which is to be told."""
        assert self.content is not None
        self.moved = ("moved", order.endpoint, order.epoch, self.content.executed_seq)
        self._disown()
        client, self.stream = self.stream, None
        self.queue.clear()
        held, self._held = self._held, []
        for end, _ in held:
            self.say_moved(end)
        self._wait_for_client()
        return client

    def say_moved(self, end: End) -> None:
        assert self.moved is not None
        end.send(self.moved)
        end.close()

    def go_on(self) -> None:
        """No move after all."""
        held, self._held = self._held, []
        for end, frame in held:
            self._hello(end, frame)
        self.turn()

    def come_back(self, epoch: int) -> None:
        """The session is this server's again."""
        self.moved, self.epoch = None, epoch
        super()._own()
        self._wait_for_client()

    # ---- the destination's session

    def admit(self, content: Content | None) -> None:
        self.content = content
        self._wait_for_client()

    # ---- clients

    def admits(self, end: End, frame: Any) -> bool:
        if self.destination is not None and not self.destination.machine.is_open:
            self.refuse(end, "UNAVAILABLE", "The session is on its way to this server, and not all of it is here yet.")
            return False
        if self.source is not None and self.source.is_stopped:
            self._held.append((end, frame))
            return False
        if self.moved is not None:
            self.say_moved(end)
            return False
        return True

    def arrives(self) -> bool:
        return self.destination is None or self.destination.claimed()

    def _detached(self, end: End) -> None:
        self._held = [(e, f) for e, f in self._held if e is not end]
        self._pulls = [(e, f) for e, f in self._pulls if e is not end]
        super()._detached(end)

    def _presence(self) -> None:
        if self.moved is None:
            super()._presence()

    def executed(self, batch: Any) -> None:
        super().executed(batch)
        self.written_bytes += batch.dirty_bytes

    # ---- destinations

    def _pull(self, end: End, frame: Any) -> None:
        _, session, move, token, epoch = frame
        source = self.source
        if source is not None and source.order.move == move:
            if hashlib.sha256(token.encode()).digest() == source.order.token_sha256:
                source.pulled(end, epoch)
            else:
                end.close()
        elif self.assignment is None or self.assignment.session != session:
            end.close()
        else:
            self._pulls.append((end, frame))
            self.clock.after(EARLY_S, self._too_early_pull, end)

    def _too_early_pull(self, end: End) -> None:
        if any(e is end for e, _ in self._pulls):
            self._pulls = [(e, f) for e, f in self._pulls if e is not end]
            end.close()


ORDERS: dict[str, Callable[[Any, Any], None]] = {
    "move_out": MovingServer.move_out,
    "cancel_move": MovingServer.cancel_move,
    "take_back": MovingServer.take_back,
}
PULLS: dict[str, Callable[[Any, End, Any], None]] = {"pull": MovingServer._pull}
