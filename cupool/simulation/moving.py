"""Servers that are a move's source or destination: what `apiserver/service.py` and `apiserver/moving/moves.py` do, on a virtual clock."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Protocol

from cupool.apiserver.moving import roles
from cupool.v1 import server_pb2

from .move_destination import DestinationMove
from .move_source import SourceMove
from .network import End, Network
from .processor import Processor
from .server import Server, Surroundings
from .session import Content

Report = server_pb2.MoveReport
#: As in `apiserver/moving`: how long a pull that came before its order waits.
EARLY_S = 5.0


class MoveWorld(Surroundings, Protocol):
    """What moves need of the world."""

    network: Network
    link_bytes_a_s: float

    def server_at(self, endpoint: str) -> tuple[str, Callable[[End], bool]]: ...

    def step(self, name: str, server: MovingServer) -> None:
        """A named step of a move is reached; the server may be dead after it."""

    def paused(self, seconds: float) -> None:
        """A move has stopped its session for so long."""


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
