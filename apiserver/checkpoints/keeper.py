"""Makes checkpoints of a session that goes on: rounds of copying, then a short stop for the rest and the document.

Cases of a wish:
  - "node", "file": into a folder; only what has changed since the last one is written again.
  - "client": small by its limit; one stop, and the bytes wait for a Get.
  - it cannot be: the session cannot be written down, is being moved, is too large, there is no room. The client is told.

Note [Who tracks]: there is one tracker, and a move begins it anew for itself. Whoever sees another generation than its own knows that
what it copied says nothing any more: a checkpoint that was being made fails, and the next one begins from nothing.

Boundary: when and what. Which buffers changed is `tracking.py`'s, files are `store.py`'s, what a session is `document/`'s.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cupool.contract.errors import SAVED_AS
from cupool.v1 import server_pb2, session_pb2

from ..document import DocumentError, capture, file, fixed
from ..tracking import Look, Piece, Tracker
from ..transfers import TransferEnded
from .layout import PART_BYTES, CheckpointError, parts_of
from .packing import copied, packed
from .store import Store, Writing

if TYPE_CHECKING:
    from ..session import Session

log = logging.getLogger(__name__)

#: Rounds at most, before the stop.
MAX_ROUNDS = 5
#: The stop begins when so little is left; about 5 ms of copying.
SMALL_REST_BYTES = 16 << 20
#: A round that leaves more than this part of what it wrote has not helped.
SHRINKS = 0.8
#: What is copied into memory during the stop, to be written after it; more is written during it.
IN_MEMORY_BYTES = 512 << 20


class _Moving(Exception):
    """The session is being moved: a checkpoint of it would be of what it was."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server may keep checkpoints. `allowance`: a file with the bytes that it may take; see `pool/node/checkpoints.py`."""

    folder: Path
    is_synced: bool

    def allowed(self) -> int:
        try:
            return int((self.folder / "allowance").read_text() or -1)
        except (OSError, ValueError):
            return -1


class Keeper:
    """The checkpoints of one session. `wish` returns at once; a thread of ours makes them, one at a time."""

    def __init__(
        self, session: Session, places: dict[str, Place], report: Callable[[str, int, int, str], None] | None = None
    ) -> None:
        """
        Args:
            places: "node" and "file", those that there are.
            report: called with (where, bytes, executed_seq, error) when one is there, or could not be made.
        """
        self._session = session
        self._executor = session.executor
        self._places = places
        self._report = report or (lambda where, nbytes, seq, error: None)
        self._stores = {where: Store(p.folder, p.allowed, p.is_synced) for where, p in places.items()}
        self._generation = 0
        self._tracked = ""
        self._pieces: dict[int, Piece] = {}
        self._lock = threading.Condition()
        self._wish: Any = None
        self._last: Any = None
        self._thread: threading.Thread | None = None

    @property
    def wheres(self) -> list[str]:
        return [*self._places, "client"]

    def wish(self, wish: Any) -> None:
        """Take a `cupool.v1.CheckpointWish`."""
        last = self._last
        if last is not None and last.id == wish.id:
            self._tell(last)  # the connection broke before the answer was received
            return
        with self._lock:
            self._wish = wish
            self._lock.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="cupool-checkpoint", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            with self._lock:
                while self._wish is None:
                    self._lock.wait(1.0)
                    if self._session.over:
                        return
                wish, self._wish = self._wish, None
            answer = self._made(wish)
            if self._session.over:
                return
            self._last = answer
            self._tell(answer)

    def _made(self, wish: Any) -> Any:
        """The `cupool.v1.Checkpointed` that answers a wish."""
        answer = session_pb2.Checkpointed(id=wish.id)
        started = time.monotonic()
        try:
            why = fixed(self._session)
            if why:
                answer.error, answer.is_final = why, True
                return answer
            if wish.where == "client":
                self._pack(wish, answer)
            elif wish.where in self._stores:
                self._keep(wish, answer)
            else:
                answer.error, answer.is_final = f"This server keeps no checkpoints in {wish.where[:20]!r}.", True
        except (_Moving, TransferEnded):
            answer.error = "The session is being moved."
        except (CheckpointError, DocumentError, LookupError) as error:
            answer.error = str(error)
        except OSError as error:
            answer.error = f"Its checkpoint could not be written: {error.strerror or error}."
        except MemoryError:
            answer.error = "There is no memory for its checkpoint."
        except Exception as error:
            if self._session.over:
                return answer
            log.exception("event=checkpoint-failed")
            answer.error = f"Its checkpoint failed ({type(error).__name__}); the server's log has the traceback."
        if wish.where != "client":
            self._report(wish.where, answer.nbytes, answer.executed_seq, answer.error)
        took_ms = 1000 * (time.monotonic() - started)
        log.info(
            "event=checkpoint where=%s seq=%d nbytes=%d took_ms=%.1f error=%r",
            wish.where, answer.executed_seq, answer.nbytes, took_ms, answer.error,
        )  # fmt: skip
        return answer

    def _tell(self, answer: Any) -> None:
        frame = session_pb2.ServerFrame(executed_seq=answer.executed_seq, checkpointed=answer)
        self._session.tell(frame)

    # -- the boundary -------------------------------------------------------------------------------------------------
    @contextmanager
    def _boundary(self) -> Iterator[None]:
        """No batch runs within it. Raises CheckpointError when the session is over."""
        session = self._session
        if not session.reach_boundary(lambda: bool(session.over)):
            raise CheckpointError("The session is over.")
        try:
            if session.moved is not None:
                raise _Moving
            yield
        finally:
            session.leave_boundary()

    def _look(self, where: str) -> tuple[Look, bool]:
        """What has changed since the last checkpoint there, at a boundary; and whether that is everything."""
        tracker = self._executor.tracking()
        self._check_tracker()
        is_fresh = not (tracker.is_on and self._tracked == where)
        if is_fresh:
            tracker.start()
            self._generation, self._tracked = tracker.generation, where
            self._pieces.clear()
        look = tracker.look()
        for buffer in look.gone:
            self._pieces.pop(buffer, None)
        for piece in look.new:
            self._pieces[piece.buffer] = piece
        return look, is_fresh

    def _forget(self) -> None:
        """What was copied is not where the next checkpoint would look for it."""
        self._tracked = ""

    # -- into a folder ------------------------------------------------------------------------------------------------
    def _keep(self, wish: Any, answer: Any) -> None:
        store, session, executor = self._stores[wish.where], self._session, self._executor
        with self._boundary():
            look, is_fresh = self._look(wish.where)
        if not store.latest and not is_fresh:
            raise CheckpointError("The last checkpoint is not there.")
        writing = store.begin(is_fresh)
        try:
            dirty = self._dirty(writing, look)
            for _ in range(MAX_ROUNDS):
                before = writing.nbytes
                self._copy(writing, dirty)
                copied = writing.nbytes - before
                with self._boundary():
                    if not executor.tracking().is_on:
                        raise _Moving
                    self._check_tracker()
                    look = executor.tracking().look()
                    self._note(look)
                    rest = self._dirty(writing, look)
                    left = PART_BYTES * sum(map(len, rest.values()))
                    if left <= SMALL_REST_BYTES or left > SHRINKS * copied or _ == MAX_ROUNDS - 1:
                        parts = self._rest(writing, rest)
                        document = capture(session, executor.tracking())
                        seq, ordinal = executor.executed_seq, session.ordinal
                        break
                dirty = rest
            for buffer, part, data in parts:
                writing.put(buffer, part, data)
            info = executor.device.describe()
            answer.nbytes = writing.commit(wish.id, session.assignment.session, document, seq, ordinal, info)
            answer.executed_seq, answer.ordinal = seq, ordinal
        except BaseException:
            self._forget()
            raise
        finally:
            writing.close()

    def _check_tracker(self) -> None:
        """See Note [Who tracks]. Raises _Moving while a move uses it."""
        tracker = self._executor.tracking()
        if tracker.is_on and tracker.generation != self._generation:
            raise _Moving

    @contextmanager
    def _whole_look(self) -> Iterator[tuple[Tracker, Look]]:
        """The tracker, and a look that has every piece, as of a session that nobody has looked at. Raises _Moving."""
        tracker = self._executor.tracking()
        self._check_tracker()
        tracker.start()
        self._generation, self._tracked = tracker.generation, ""
        try:
            yield tracker, tracker.look()
        finally:
            tracker.stop()

    def _note(self, look: Look) -> None:
        for buffer in look.gone:
            self._pieces.pop(buffer, None)
        for piece in look.new:
            self._pieces[piece.buffer] = piece

    @staticmethod
    def _dirty(writing: Writing, look: Look) -> dict[int, set[int]]:
        """Buffer -> its parts that are to be written."""
        for buffer in look.gone:
            writing.gone(buffer)
        dirty: dict[int, set[int]] = {}
        for piece in look.new:
            writing.new(piece.buffer, piece.nbytes, piece.address)
            dirty[piece.buffer] = set(range(parts_of(piece.nbytes)))
        for buffer, offset, nbytes in look.written:
            dirty.setdefault(buffer, set()).update(range(offset // PART_BYTES, parts_of(offset + nbytes)))
        return dirty

    def _copies(self, dirty: dict[int, set[int]]) -> Iterator[tuple[int, int, Any]]:
        """(buffer, part, a copy of its bytes) of what is there yet."""
        for buffer, parts in dirty.items():
            piece = self._pieces.get(buffer)
            memory = piece.memory() if piece is not None else None
            if piece is None or memory is None:
                continue  # gone: the next look says so
            wants = self._executor.tracking().wants_hashes and piece.address
            for part in sorted(parts):
                data = np.array(memory[part * PART_BYTES : (part + 1) * PART_BYTES])
                if wants:
                    piece.copied(part * PART_BYTES, data)
                yield buffer, part, data

    def _copy(self, writing: Writing, dirty: dict[int, set[int]]) -> None:
        for buffer, part, data in self._copies(dirty):
            if self._session.over:
                raise CheckpointError("The session is over.")
            writing.put(buffer, part, data)

    def _rest(self, writing: Writing, rest: dict[int, set[int]]) -> list[tuple[int, int, Any]]:
        """Copy what is left, in the stop; returns what is to be written after it."""
        held: list[tuple[int, int, Any]] = []
        room = IN_MEMORY_BYTES
        for buffer, part, data in self._copies(rest):
            room -= data.nbytes
            if room < 0:
                writing.put(buffer, part, data)
            else:
                held.append((buffer, part, data))
        return held

    # -- to a file of its own -----------------------------------------------------------------------------------------
    def save(self, order: Any, report: Callable[[Any], None]) -> None:
        """Write the whole session to a file, in one stop. What becomes of it is reported before the session ends, where it is to.

        Args:
            order: a `cupool.v1.Checkpoint`.
            report: takes a `cupool.v1.CheckpointReport`.
        """
        session, executor = self._session, self._executor
        told = server_pb2.CheckpointReport(session=order.session, checkpoint=order.checkpoint, path=order.path)
        try:
            if not order.path:
                raise CheckpointError("Its host has no folder for it (checkpoints.folder).")
            with self._boundary():
                with self._whole_look() as (tracker, look):
                    told.nbytes = file.write(order.path, capture(session, tracker), look.new)
                    told.executed_seq = executor.executed_seq
                if order.end:
                    report(told)
                    session.end(
                        f"{SAVED_AS}{order.checkpoint} and ended; `cupool session restore {order.checkpoint}` brings it back",
                        farewell=True,
                    )
                    return
        except _Moving:
            told.error = "The session is being moved."
        except (CheckpointError, DocumentError) as error:
            told.error = str(error)
        except Exception as error:
            log.exception("event=save-failed")
            told.error = f"It failed ({type(error).__name__}); the server's log has the traceback."
        report(told)

    # -- to the client ------------------------------------------------------------------------------------------------
    def _pack(self, wish: Any, answer: Any) -> None:
        executor, session = self._executor, self._session
        used = executor.accounting.used
        if wish.limit_bytes and used > wish.limit_bytes:
            raise CheckpointError(
                f"The session holds {used:,} bytes, more than the {wish.limit_bytes:,} that are kept in the client; "
                "durability='node' keeps any number."
            )
        with self._boundary(), self._whole_look() as (tracker, look):
            buffers = [(p.buffer, p.nbytes, p.address, copied(p.memory())) for p in look.new]
            document = capture(session, tracker)
            seq, ordinal = executor.executed_seq, session.ordinal
        data = packed(session.assignment.session, wish.id, document, buffers, seq, ordinal, executor.device.describe())
        if wish.limit_bytes and len(data) > 2 * wish.limit_bytes:
            raise CheckpointError(f"Its checkpoint takes {len(data):,} bytes, more than are kept in the client.")
        executor.transfers.export(wish.transfer, data)
        answer.executed_seq, answer.ordinal, answer.nbytes = seq, ordinal, len(data)


__all__ = ["Keeper", "Place"]
