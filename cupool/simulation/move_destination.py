"""A session that comes to a server: the machine of `apiserver/moving/roles.py`, with a driver over a virtual link. It follows
`apiserver/moving/destination.py`; steps have their names (`apiserver/moving/steps.py`).

Its words to the source: ("pull", session, move, token, epoch), ("planned",), ("ack", round), ("ready",), ("failed", reason).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cupool.apiserver.moving import roles
from cupool.v1 import server_pb2

from .network import End
from .session import Content

if TYPE_CHECKING:
    from .moving import MovingServer

Report = server_pb2.MoveReport
#: As in `apiserver/moving`: how long a destination waits for a silent source.
SILENT_S = 30.0
#: What a destination needs to put a session together.
RESTORE_S = 0.003


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
