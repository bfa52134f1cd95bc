"""A move away from a server: the machine of `apiserver/moving/roles.py`, with a driver over a virtual link. It follows
`apiserver/moving/source.py`; steps have their names (`apiserver/moving/steps.py`).

Its words to the destination: ("plan", bytes), ("bytes", n), ("sent", round), ("stop", executed), ("document", Content), ("released",),
("failed", reason).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cupool.apiserver.moving import roles
from cupool.v1 import server_pb2

from .clock import Timer
from .network import End

if TYPE_CHECKING:
    from .moving import MovingServer

Report = server_pb2.MoveReport
#: Bytes go in pieces of so many seconds.
PIECE_S = 0.25
#: Every session has something that changed.
DOCUMENT_BYTES = 20_000


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
