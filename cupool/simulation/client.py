"""A program with a session: it asks for a lease, attaches, sends batches, waits for results, and survives as `shim/link.py` does.

Cases when its connection ends: it is done; the server refused; the connection broke: again, with longer and longer pauses, asking the
pool what became of the session; the pool says that the server was lost by no fault of the session: another lease, and everything
again from the first batch; silence while it waits: a probe, and then another connection.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from cupool.balancer.workload import Job
from cupool.pool import states
from cupool.v1 import pool_pb2

from .clock import Clock, Timer
from .network import End, Network
from .session import Batch, folded

#: As in `shim/link.py`, `shim/endings.py` and `shim/lease.py`.
SILENCE_S, PROBE_S, HELLO_S, MAX_PATIENCE, MAX_DAMAGED, MAX_FUTILE = 1.0, 1.0, 5.0, 16.0, 5, 2
AWAY_S, MAX_AWAY_S = 0.05, 1.0
RETRIED = frozenset({"CANCELLED", "UNAVAILABLE", "ABORTED", "INVALID_ARGUMENT"})
DAMAGED = frozenset({"INVALID_ARGUMENT", "ABORTED"})
#: Batches that may be unacknowledged.
WINDOW = 8
_TICK_S = 0.5


@dataclass(frozen=True, slots=True)
class Program:
    """What a client does.

    Attributes:
        patience_s: how long it queues for a lease.
        reconnect_s: how long it tries to reach its server.
        is_whole: it keeps all that it sent, so that it can do everything again.
    """

    name: str
    job: Job
    batches: tuple[Batch, ...]
    patience_s: float = 60.0
    reconnect_s: float = 30.0
    is_whole: bool = True
    lifetime_s: int = 0


def program(name: str, job: Job, rng: random.Random, step_s: float, most: int, **fields: Any) -> Program:
    """The batches of a job: at most `most` steps of about `step_s` of the device, each of one to three batches, the last of which waits."""
    steps = max(1, min(most, round(job.work_s / step_s)))
    work_s, salt = job.work_s / steps, rng.getrandbits(32)
    batches: list[Batch] = []
    for step in range(steps):
        count = rng.randint(1, 3)
        think_s = work_s * (1.0 - job.demand) / job.demand
        for part in range(count):
            batches.append(
                Batch(
                    len(batches) + 1, work_s / count, think_s if part == 0 else 0.0, part == count - 1, salt,
                    job.used_bytes if not batches else 0, int(job.dirty_bytes_a_s * work_s / count),
                )
            )  # fmt: skip
    return Program(name, job, tuple(batches), **fields)


class ClientWorld(Protocol):
    """What a client needs of the world."""

    clock: Clock
    network: Network
    rng: random.Random

    def pool(self, end: End) -> bool:
        """A client connects to the controller's PoolService."""
        ...

    def server_at(self, endpoint: str) -> tuple[str, Callable[[End], bool]]:
        """The place of an endpoint, and what accepts a connection there."""
        ...

    def delivered(self, client: Client, epoch: int, seq: int, value: int, expected: int) -> None:
        """A result has come to a program."""

    def over(self, client: Client) -> None:
        """A program has ended; `outcome` says how."""


class Client:
    """One program.

    Attributes:
        outcome: "" while it runs; "done", "refused", "lost", "killed".
        given_s: when its first lease came.
    """

    def __init__(self, world: ClientWorld, plan: Program) -> None:
        self.world = world
        self.clock = world.clock
        self.program = plan
        self.place = plan.name
        self.outcome = ""
        self.reason = ""
        self.asked_s = self.given_s = self.over_s = 0.0
        self.session = ""
        self.endpoint = ""
        self.epoch = 0
        self.reconnects = 0
        self.recoveries = 0
        self.moves = 0
        self.refusals = 0
        self._token = ""
        self._pool: End | None = None
        self._stream: End | None = None
        self._is_attached = False
        self._round = 0
        self._sent = 0  #: batches that were sent on this stream
        self._next = 0  #: batches that the program has issued
        self._acked = 0
        self._awaited = 0  #: the batch whose result the program waits for; 0: none
        self._state = 0
        self._expected: dict[int, int] = {}
        self._received = 0
        self._nonces = (0, 1)
        self._attempt = 0
        self._asking = 0
        self._give_up_s = 0.0
        self._broken_s = 0.0
        self._started_s = 0.0
        self._heard_s = 0.0
        self._probe_s: float | None = None
        self._patience = 1.0
        self._damaged = 0
        self._futile = 0
        self._reached = 0
        self._is_replay = False
        self._is_served = self._has_begun = False
        self._unserved_s = 0.0
        self._tick: Timer | None = None

    # ---- the lease

    def start(self) -> None:
        self.asked_s = self.clock.now
        self._ask(self.program.patience_s)

    def _ask(self, for_s: float) -> None:
        self._give_up_s, self._asking = self.clock.now + for_s, 0
        self._acquire()

    def _acquire(self) -> None:
        if self.outcome:
            return
        end = self._pool = self.world.network.connect(self.place, "controller", self.world.pool)
        end.on_message = lambda answer: self._answered(end, answer)
        end.on_closed = lambda: self._answered(end, ("refused", "UNAVAILABLE", "The pool does not answer.", 0))
        job = self.program.job
        left_s = max(self._give_up_s - self.clock.now, 0.0)
        request = pool_pb2.AcquireRequest(
            function=job.name, memory_bytes=job.memory_bytes, deadline_ms=int(left_s * 1000), priority=job.priority,
            lifetime_s=self.program.lifetime_s,
        )  # fmt: skip
        end.send(("acquire", request, job.tenant))

    def _answered(self, end: End, answer: Any) -> None:
        if end is not self._pool or self.outcome:
            return
        self._pool = None
        end.close()
        if answer[0] == "lease":
            self._leased(answer[1])
            return
        _, code, sentence, retry_ms = answer
        self.refusals += 1
        if code == "UNAVAILABLE" or (code == "RESOURCE_EXHAUSTED" and retry_ms):
            pause_s = retry_ms / 1000 or min(AWAY_S * 2**self._asking, MAX_AWAY_S)
            if self.clock.now + pause_s <= self._give_up_s:
                self._asking += 1
                self.clock.after(pause_s * self.world.rng.uniform(1.0, 1.3), self._acquire)
                return
        self._end("lost" if self._is_replay else "refused", f"{code}: {sentence}")

    def _leased(self, lease: pool_pb2.Lease) -> None:
        if not self._is_replay:
            self.given_s = self.clock.now
        self.session, self._token = lease.session, lease.session_token
        self.endpoint, self.epoch = lease.endpoint, lease.epoch
        self._nonces = (0, self.world.rng.getrandbits(48) | 1)
        self._broken_s, self._attempt = self.clock.now, 0
        self._connect()
        if self._tick is None:
            self._tick = self.clock.after(_TICK_S, self._look)

    # ---- the stream

    def _connect(self) -> None:
        if self.outcome or not self.session:
            return
        self._round += 1
        self._is_attached, self._probe_s = False, None
        self._started_s = self.clock.now
        place, accept = self.world.server_at(self.endpoint)
        end = self._stream = self.world.network.connect(self.place, place, accept)
        end.on_message = lambda frame: self._frame(end, frame)
        end.on_closed = lambda: self._broken(end, "UNAVAILABLE", "the connection is lost")
        end.send(("hello", self.session, self._token, self.epoch, *self._nonces, self._received))

    def _frame(self, end: End, frame: Any) -> None:
        if end is self._stream:
            self._heard_s, self._probe_s = self.clock.now, None
            FRAMES[frame[0]](self, end, frame)

    def _hello(self, end: End, frame: Any) -> None:
        executed = frame[2]
        if executed > self._next or executed < self._acked:
            self._end("lost", f"The server says it executed batch {executed} of {self._acked} to {self._next}.")
            return
        self._nonces = (self._nonces[1], self.world.rng.getrandbits(48) | 1)
        self._is_attached = self._is_served = True
        self._is_replay = False
        self._broken_s, self._attempt = self.clock.now, 0
        self._acknowledge(executed)
        self._sent = executed
        self._send()
        if not self._has_begun:
            self._has_begun = True
            self._issue()

    def _ack(self, end: End, frame: Any) -> None:
        self._acknowledge(frame[1])
        self._send()

    def _result(self, end: End, frame: Any) -> None:
        _, seq, value, executed = frame
        self._acknowledge(executed)
        if seq <= self._received:
            self._send()
            return  # it came on an earlier stream
        self._received = seq
        self.world.delivered(self, self.epoch, seq, value, self._expected.pop(seq))
        if seq == self._awaited:
            self._awaited = 0
            self._issue()
        self._send()

    def _acknowledge(self, executed: int) -> None:
        if executed > self._acked:
            self._acked = executed
            self._patience, self._damaged = 1.0, 0

    def _moved(self, end: End, frame: Any) -> None:
        _, endpoint, epoch, _ = frame
        if epoch > self.epoch:
            self.endpoint, self.epoch = endpoint, epoch
            self.moves += 1
            self._again(end)

    def _refused(self, end: End, frame: Any) -> None:
        self._broken(end, frame[1], frame[2])

    def _probe(self, end: End, frame: Any) -> None:
        """The server is there."""

    # ---- the program

    def _issue(self) -> None:
        """The program goes on until it waits, or is done."""
        if self.outcome:
            return
        batches = self.program.batches
        if self._next >= len(batches):
            self._finish()
            return
        if batches[self._next].think_s > 0.0:
            self.clock.after(batches[self._next].think_s, self._issue_now)
        else:
            self._issue_now()

    def _issue_now(self) -> None:
        batches = self.program.batches
        while not self.outcome:
            batch = batches[self._next]
            self._next += 1
            self._state = folded(self._state, batch.salt, batch.seq)
            if batch.waits:
                self._awaited, self._expected[batch.seq] = batch.seq, self._state
            if batch.waits or self._next >= len(batches) or batches[self._next].think_s > 0.0:
                break
        self._send()
        if not self._awaited:
            self._issue()

    def _send(self) -> None:
        """What the window has room for."""
        stream = self._stream
        if stream is None or not self._is_attached:
            return
        while self._sent < min(self._next, self._acked + WINDOW):
            stream.send(("batch", self.program.batches[self._sent], self._received))
            self._sent += 1

    def _finish(self) -> None:
        stream, self._stream = self._stream, None
        session, token = self.session, self._token
        if stream is not None:
            stream.send(("goodbye",))
            stream.close()
        self._end("done", "")
        self._release(session, token)

    def _release(self, session: str, token: str) -> None:
        end = self.world.network.connect(self.place, "controller", self.world.pool)
        end.on_message = lambda answer: end.close()
        end.send(("release", session, token, self.program.job.tenant))

    def kill(self) -> None:
        """Its process dies: nobody says goodbye."""
        if not self.outcome:
            for end in (self._stream, self._pool):
                if end is not None:
                    end.close()
            self._end("killed", "")

    def _end(self, outcome: str, reason: str) -> None:
        if self.outcome:
            return
        self.outcome, self.reason, self.over_s = outcome, reason, self.clock.now
        if self._tick is not None:
            self._tick.cancel()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        if outcome == "lost" and self.session:
            self._release(self.session, self._token)
        self.world.over(self)

    # ---- what goes wrong

    def _broken(self, end: End, code: str, sentence: str) -> None:
        """A stream is over."""
        if end is not self._stream or self.outcome:
            return
        self._stream = None
        end.close()
        self._is_attached = False
        if sentence == "stale nonce" or code not in RETRIED:
            is_unserved = code == "NOT_FOUND" and not self._is_served
            self._fate(lambda fate: self._lost_of(fate, f"{code}: {sentence}", is_unserved))
            return
        self._damaged += code in DAMAGED
        if self._damaged > MAX_DAMAGED:
            self._end("lost", f"{code}: {sentence}")
        elif self._attempt and code == "UNAVAILABLE":
            self._fate(lambda fate: self._judged(fate, sentence))
        else:
            self._judged(None, sentence)

    def _judged(self, fate: pool_pb2.SessionStatus | None, sentence: str) -> None:
        if self.outcome or self._stream is not None:
            return
        if fate is not None and fate.state in states.FINAL:
            self._gone(fate.replayable, fate.reason)
            return
        if fate is not None:
            self._follow(fate)
        if self.clock.now - self._broken_s > self.program.reconnect_s:
            self._gone(True, f"The server could not be reached for {self.program.reconnect_s:g} s: {sentence}")
            return
        pause_s = min(0.01 * 2**self._attempt, 1.0) if self._attempt else 0.0
        self._attempt += 1
        self.reconnects += 1
        self.clock.after(pause_s, self._connect)

    def _follow(self, status: pool_pb2.SessionStatus) -> None:
        """Where the pool says that the session is; never to a lower epoch."""
        if status.epoch > self.epoch and status.endpoint:
            self.endpoint, self.epoch = status.endpoint, status.epoch
            self.moves += 1

    def _lost_of(self, fate: pool_pb2.SessionStatus | None, sentence: str, is_unserved: bool) -> None:
        """The server does not have the session; the pool knows better why."""
        if self.outcome or self._stream is not None:
            return
        if fate is not None and fate.state in states.FINAL:
            self._gone(fate.replayable, fate.reason)
        elif fate is not None and fate.epoch > self.epoch and fate.endpoint:
            self._judged(fate, sentence)
        elif is_unserved:
            self._gone(True, sentence, is_unserved=True)
        else:
            self._gone(False, sentence)

    def _gone(self, is_replayable: bool, reason: str, is_unserved: bool = False) -> None:
        """Begin again on another server, if that may be."""
        if not is_replayable or not self.program.is_whole:
            self._end("lost", reason)
            return
        now = self.clock.now
        if not is_unserved:
            self._futile = self._futile + 1 if self.recoveries and self._acked <= self._reached else 0
            self._unserved_s = 0.0
        elif now - (self._unserved_s or now) > self.program.reconnect_s:
            self._end("lost", reason)
            return
        else:
            self._unserved_s = self._unserved_s or now
            self._release(self.session, self._token)
        self._reached = max(self._reached, self._acked)
        if self._futile >= MAX_FUTILE:
            self._end("lost", f"{reason} On another server it ended at the same place.")
            return
        self.recoveries += 1
        self._is_replay, self._is_served = True, False
        self.session = ""
        self._acked = self._sent = 0
        self._ask(self.program.patience_s)

    def _fate(self, then: Callable[[pool_pb2.SessionStatus | None], object]) -> None:
        """What the pool says of the session; None where it does not answer."""
        end = self.world.network.connect(self.place, "controller", self.world.pool)
        is_answered = False

        def answered(status: pool_pb2.SessionStatus | None) -> None:
            nonlocal is_answered
            if not is_answered:
                is_answered = True
                end.close()
                then(status)

        end.on_message = answered
        end.on_closed = lambda: answered(None)
        self.clock.after(PROBE_S, answered, None)
        end.send(("fate", self.session, self._token, self.program.job.tenant))

    def _again(self, end: End) -> None:
        """Another connection in place of this one."""
        if end is self._stream:
            self._stream = None
            end.close()
            self.reconnects += 1
            self.clock.after(0.0, self._connect)

    def _look(self) -> None:
        """Silence while something is awaited."""
        self._tick = self.clock.after(_TICK_S, self._look)
        stream, now = self._stream, self.clock.now
        if stream is None:
            return
        if not self._is_attached:
            if now - self._started_s > HELLO_S * self._patience:
                self._patience = min(self._patience * 2, MAX_PATIENCE)
                self._broken(stream, "CANCELLED", "no hello")
            return
        if not self._awaited and self._acked >= self._next:
            return
        if self._probe_s is None:
            if now - max(self._heard_s, self._started_s) > SILENCE_S * self._patience:
                self._probe_s = now
                stream.send(("probe",))
        elif now - self._probe_s > PROBE_S * self._patience:
            self._patience = min(self._patience * 2, MAX_PATIENCE)
            self._broken(stream, "CANCELLED", "no answer")


#: Kind of a server's frame -> what follows it.
FRAMES: dict[str, Callable[[Client, End, Any], None]] = {
    "hello": Client._hello,
    "ack": Client._ack,
    "result": Client._result,
    "moved": Client._moved,
    "refused": Client._refused,
    "probe": Client._probe,
}
