"""Bulk bytes between this process and the server: arrays too large to travel in a batch.

    handle = upload(array, spec)                a command "@upload" that waits, on the server, for the bytes
    array = download(handle, spec, out=None)    one round trip: the command "@export" and the bytes it makes ready

Cases of `upload`:
  - lane: the caller copies into the ring and returns when the server has everything. No copy is kept.
  - gRPC, fits in what is left of the retained budget: copied, sent by a thread of ours, the caller goes on at once.
  - gRPC, larger: the caller waits until the server has everything. No copy is kept, so an upload needs no memory beside it.
  - larger than the redo window, of a session with checkpoints on its host or in a folder: the caller waits until one has it.

In every case the caller may change its array after return. A cut connection resumes at the byte that the server names (up) or that we
have (down). Uploads are sent in the order of their calls, one after another: the server may need an older one to run the command that
frees memory for a newer one.

Boundary: commands by `dispatch.py`, connections by `open_session.py`.
"""

from __future__ import annotations

import atexit
import os
import queue
import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from cupool.contract.blocks import BlockCache
from cupool.contract.errors import SessionLost
from cupool.contract.lane import LaneBroken
from cupool.contract.limits import MIB
from cupool.contract.malloc import tune_allocator
from cupool.contract.prefault import Ahead
from cupool.contract.spec import Spec

from . import dispatch, session
from .bulk_calls import GetCall, Job, PutCall, reader_of
from .bulk_tries import patience, retry, told
from .config import wants_lane
from .lane import Lane, Reader, TransferFailed
from .mint import mint
from .pending import extend
from .redo import Redo, Upload
from .transit import wishes

#: Bytes of copies that may wait to be sent, all uploads together.
RETAINED_BYTES = 64 * MIB
#: How long a checkpoint waits for a download to leave the lane, before it comes by gRPC.
LANE_WAIT_S = 0.5
#: What copies are made in.
_blocks = BlockCache(RETAINED_BYTES)


@dataclass(frozen=True, slots=True)
class BulkStatistics:
    """Since the process started. `retained_bytes` is what waits now."""

    uploads: int
    downloads: int
    up_bytes: int
    down_bytes: int
    lane_bytes: int
    resumed: int
    retained_bytes: int


class _State:
    """Everything of this process; made anew in a forked child."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        #: Held while an upload is being sent; uploads go one after another.
        self.sending = threading.Lock()
        #: Held while a download uses the lane.
        self.receiving = threading.Lock()
        self.jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        #: Uploads handed in and not finished.
        self.outstanding = 0
        self.retained = 0
        self.worker: threading.Thread | None = None
        self.lane: Lane | None = None
        self.counts = {"uploads": 0, "downloads": 0, "up_bytes": 0, "down_bytes": 0, "lane_bytes": 0, "resumed": 0}

    def count(self, **changes: int) -> None:
        with self.lock:
            for name, change in changes.items():
                self.counts[name] += change


_state = _State()


def _after_fork() -> None:
    global _state
    lane = _state.lane
    _state = _State()
    if lane is not None:
        lane.close()


os.register_at_fork(after_in_child=_after_fork)


def count_again() -> None:
    """A transfer whose call broke is taken up again."""
    _state.count(resumed=1)


def statistics() -> BulkStatistics:
    with _state.lock:
        return BulkStatistics(**_state.counts, retained_bytes=_state.retained)


# -- up ---------------------------------------------------------------------------------------------------------------
def upload(array: np.ndarray[Any, Any], spec: Spec) -> int:
    """Make an array on the server from host bytes.

    Args:
        array: host array of any layout; its elements in C order are sent. Not kept, may be changed after return.
        spec: of the array to make: same shape and dtype, packed in C order.

    Returns:
        the new array's handle.

    Raises:
        OutOfMemoryError: at once when this call waits for the server, else with the array's next use.
        SessionLost: the session is gone.
    """
    direct = session.current().direct
    if direct is not None:
        handle: int = direct.upload(np.asarray(array), spec)
        return handle
    tune_allocator()
    array = np.asarray(array)
    total = array.nbytes
    if total != spec.nbytes or total == 0:
        raise ValueError(f"cannot upload {total} bytes as {spec}")
    state = _state
    transfer = mint()
    session.current().connect_bulk()
    lane = _lane()
    retained = 0
    if lane is None:
        with state.lock:
            if state.retained + total <= RETAINED_BYTES:
                retained = total
                state.retained += total
    redo = session.current().outbox.redo
    kept = _reserved(array.nbytes, redo)
    is_bare = kept is None and redo.is_durable
    if is_bare and retained:
        with state.lock:
            state.retained -= retained
        retained = 0
    if retained:
        if kept is not None:
            np.ndarray(array.shape, array.dtype, kept.data)[...] = array
        read = reader_of(kept if kept is not None else _copied(array))
    else:
        read = reader_of(array) if kept is None else _keeping(reader_of(array), kept)
    job = Job(transfer, total, read, _flushed_seq(), retained, redo=redo, copy=array if is_bare else kept)
    job.is_bare = is_bare
    job.compression = wishes().compression
    state.count(uploads=1, up_bytes=total)
    try:
        _submit(state, job)
        if not retained:
            _wait_job(job)
            if job.error is not None:
                raise job.error
    except BaseException:
        extend((0, transfer))
        raise
    try:
        (handle,) = dispatch.send("@upload", (dispatch.INTEGER,), (transfer,), (spec,))
    finally:
        if retained:
            _let_go(state, job)
        else:
            extend((0, transfer))
    if is_bare:
        _wait_kept(transfer, redo)
    return handle


def _wait_kept(transfer: int, redo: Redo) -> None:
    """Return when a checkpoint has these bytes, which are the caller's, or when there will be none."""
    session.flush()
    while redo.is_durable and redo.has_upload(transfer):
        patience()
        time.sleep(0.001)
    redo.discard(transfer)


def _copied(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array's elements in C order in memory of ours."""
    copy = np.ndarray(array.shape, array.dtype, _blocks.take(array.nbytes))
    copy[...] = array
    return copy


def _reserved(nbytes: int, redo: Redo) -> np.ndarray[Any, Any] | None:
    """Memory for a copy of bytes for the session's window, where that has room."""
    if not redo.reserve(nbytes):
        return None
    try:
        return redo.blocks.take(nbytes)
    except MemoryError:
        redo.end("there was no memory for a copy of what went up")
        return None


def _keeping(read: Reader, kept: np.ndarray[Any, Any]) -> Reader:
    """As `read`, and each piece is put into `kept` on its way: read once, while it is in the processor's cache."""

    def piece(at: int, size: int) -> Any:
        part = kept[at : at + size]
        part[...] = read(at, size)
        return part

    return piece


def _flushed_seq() -> int:
    """Send what is pending and say the last batch's number: frees before this upload count before memory is called short."""
    session.flush()
    return int(session.sent_seq())


def _submit(state: _State, job: Job) -> None:
    """Send now, in this thread, when nothing is before it and the caller waits anyway; else queue."""
    with state.lock:
        inline = not job.retained and state.outstanding == 0
        state.outstanding += 1
        if inline:
            state.sending.acquire()
        else:
            if state.worker is None:
                state.worker = threading.Thread(target=_work, args=(state,), name="cupool-put", daemon=True)
                state.worker.start()
                atexit.register(_drain, state)
            state.jobs.put(job)
    if inline:
        try:
            _run(job)
        finally:
            state.sending.release()
            _finish(state, job)


def _work(state: _State) -> None:
    session.is_background()
    while (job := state.jobs.get()) is not None:
        with state.sending:
            _run(job)
        _finish(state, job)
        if job.retained:
            if job.error is not None and not getattr(job.error, "is_told", False):
                # The caller has gone on, and the server would wait for ever for bytes that do not come.
                session.lose(f"an upload in the background failed: {job.error}")
            _let_go(state, job)
        del job  # or its copy would live until the next one comes


def _let_go(state: _State, job: Job) -> None:
    """Free the id of an upload in the background, by the second of its users: bytes that are freed before the command that names them is
    sent are gone, and the command waits for them for ever."""
    with state.lock:
        job.users -= 1
        is_last = not job.users
    if is_last:
        extend((0, job.transfer))


def _run(job: Job) -> None:
    try:
        _send(job)
    except (
        Exception
    ) as error:  # the caller raises it, or the server does when "@upload" runs, or the session is lost of it
        job.error = error


def _finish(state: _State, job: Job) -> None:
    if job.copy is not None:
        if job.error is None:
            job.redo.uploaded(Upload(job.transfer, job.copy, job.after_seq))
        elif not job.is_bare:
            job.redo.unreserve(job.total)
    job.read = _spent
    job.copy = None
    with state.lock:
        state.outstanding -= 1
        state.retained -= job.retained
    job.done.set()


def _spent(at: int, size: int) -> Any:
    raise AssertionError("an upload that is done reads nothing")


def _wait_job(job: Job) -> None:
    while not job.done.wait(1.0):
        patience()


def _drain(state: _State) -> None:
    """At exit: what the caller believes sent is sent, unless the session is gone."""
    worker = state.worker
    if worker is not None and worker.is_alive():
        state.jobs.put(None)
        while worker.is_alive() and session.is_open():
            worker.join(0.2)
        state.worker = None


def close() -> None:
    """The session ends: finish what is queued while it is open, end the thread, close the lane."""
    _drain(_state)
    atexit.unregister(_drain)
    if _state.lane is not None:
        _state.lane.close()
        _state.lane = None


def _send(job: Job) -> None:
    lane = _lane()
    resume = False
    if lane is not None:
        try:
            lane.put(job.transfer, job.total, job.read, job.after_seq)
        except LaneBroken:
            resume = True
            _state.count(resumed=1)
        except TransferFailed as failed:
            raise told(failed.error) from None
        else:
            _state.count(lane_bytes=job.total)
            return
    job.resume = resume
    retry(lambda: PutCall(job).run(), lambda: job.received, count_again)
    _tell_of(lane)


# -- down -------------------------------------------------------------------------------------------------------------
def download(handle: int, spec: Spec, out: np.ndarray[Any, Any] | None = None) -> np.ndarray[Any, Any]:
    """Fetch an array's elements in C order.

    Args:
        handle: of the array on the server.
        spec: its spec, as the client knows it.
        out: where to put them; same shape and dtype. None: a new array in C order.

    Returns:
        `out`, or the new array, which the caller owns.

    Raises:
        the array's own deferred error, with the user's line; SessionLost.
    """
    near = session.current().direct
    if near is not None:
        found: np.ndarray[Any, Any] = near.download(handle, spec, out)
        return found
    tune_allocator()
    direct = out is not None and out.flags.c_contiguous and out.flags.writeable
    try:
        result = out if out is not None and direct else np.empty(spec.shape, spec.dtype)
    except MemoryError:
        dispatch.ask("@spec", (dispatch.HANDLE,), (handle,))  # an array that the device could not hold says so itself
        raise
    pages = Ahead()
    if result is not out:
        pages.add(result, result.nbytes // 4)
    transfer = mint()
    (reply,) = dispatch.send("@export", (dispatch.HANDLE, dispatch.INTEGER), (handle, transfer), ("reply",))
    try:
        session.flush()
        session.count_wait()
        try:
            _receive(transfer, result.reshape(-1).view(np.uint8))
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, SessionLost):
                session.wait_reply(reply, is_counted=True)  # the command's own error says more
            raise
        session.wait_reply(reply, is_counted=True)
    finally:
        extend((0, transfer))
        pages.stop()
    _state.count(downloads=1, down_bytes=spec.nbytes)
    if out is not None and not direct:
        np.copyto(out, result)
        return out
    return result


def _receive(transfer: int, target: np.ndarray[Any, Any]) -> None:
    state = _state
    fetch = GetCall(transfer, target)
    lane = _lane()
    if lane is not None:
        try:
            with state.receiving:
                lane.get(transfer, target, fetch.reached)
        except LaneBroken:
            state.count(resumed=1, lane_bytes=fetch.have)
        except TransferFailed as failed:
            raise failed.error from None
        else:
            state.count(lane_bytes=target.shape[0])
            return
    retry(fetch.run, lambda: fetch.have, count_again)
    _tell_of(lane)


# -- both -------------------------------------------------------------------------------------------------------------
def _tell_of(lane: Lane | None) -> None:
    """A transfer went over gRPC: because its lane broke, and not its server?"""
    if lane is not None and lane.where == session.link_target().lane:
        lane.tell()


def came_by_lane(kept: Any, transfer: int, data: np.ndarray[Any, Any]) -> bool:
    """Whether the bytes of a session's transfer have come through the lane into `data`: then no channel is made for them, and no thread
    of grpcio's keeps memory of their size. Raises what the server says in their place."""
    lane, state = _lane() if session.current() is kept else None, _state
    if lane is None or not state.receiving.acquire(timeout=LANE_WAIT_S):
        return False
    try:
        lane.get(transfer, data, lambda have: None)
    except LaneBroken:
        return False
    except TransferFailed as failed:
        raise failed.error from None
    finally:
        state.receiving.release()
    return True


def _lane() -> Lane | None:
    """The lane of the session's server, or None where it has none or it failed."""
    where = session.link_target().lane
    state = _state
    if not where or not wants_lane():
        return None
    with state.lock:
        lane = state.lane
        if lane is None or lane.where != where:
            if lane is not None:
                lane.close()
            metadata = dict(session.link_target().metadata)
            token = metadata.get("authorization", "").removeprefix("Bearer ")
            lane = state.lane = Lane(where, metadata.get("cupool-session", ""), token, patience)
    return lane if lane.is_usable else None
