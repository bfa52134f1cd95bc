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

Boundary: commands by `dispatch.py`, connections by `session.py`.
"""

from __future__ import annotations

import atexit
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from cupool.contract.blocks import BlockCache
from cupool.contract.codec import put_chunk, read_chunk
from cupool.contract.deflate import Packer, unpacked
from cupool.contract.errors import CupoolError, ProtocolError, SessionLost, error_from_wire
from cupool.contract.lane import LaneBroken
from cupool.contract.limits import DEFAULT_LIMITS, MIB, OUR_LIMITS
from cupool.contract.malloc import tune_allocator
from cupool.contract.prefault import Ahead
from cupool.contract.spec import Spec
from cupool.v1 import session_pb2

from . import dispatch, session
from .config import wants_lane
from .core_call import CallFailed, CoreCall
from .lane import Lane, Reader, TransferFailed
from .mint import mint
from .pending import extend
from .redo import Redo, Upload
from .transit import wishes
from .transport import disconnected, import_grpc
from .turns import Disconnected

#: Bytes of copies that may wait to be sent, all uploads together.
RETAINED_BYTES = 64 * MIB
#: A connection that makes no progress for so long, while the session believes that it has one, is given up.
STALLED_S = 60.0

#: What copies are made in.
_blocks = BlockCache(RETAINED_BYTES)

_PUT = "/cupool.v1.SessionService/Put"
_GET = "/cupool.v1.SessionService/Get"
_RESTORE = "/cupool.v1.SessionService/Restore"
_ERROR_KEY = "cupool-error-bin"
_TOTAL, _OFFSET, _UNPACKED = 3, 1, 4

#: Names of the statuses after which another try can help: the connection broke, or the session changed its server or epoch.
_RETRY = frozenset({"UNAVAILABLE", "CANCELLED", "ABORTED", "FAILED_PRECONDITION", "UNKNOWN", "INTERNAL"})


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


@dataclass(slots=True)
class _Job:
    """One upload. `read` reads the caller's array, or our copy when `retained` is not 0."""

    transfer: int
    total: int
    read: Reader
    after_seq: int
    retained: int = 0
    #: What chunks may be packed with; empty: nothing.
    compression: str = ""
    #: Bytes that the server has acknowledged; whether a call has been made, so that the next one asks where to go on.
    received: int = 0
    resume: bool = False
    error: BaseException | None = None
    #: The session's window, and the bytes for it, where there was room.
    redo: Redo = field(default_factory=Redo)
    copy: np.ndarray[Any, Any] | None = None
    #: `copy` is the caller's array.
    is_bare: bool = False
    #: Who still needs the transfer's id when it goes up in the background: the call that sends it, and the command that names it.
    users: int = 2
    done: threading.Event = field(default_factory=threading.Event)


class _State:
    """Everything of this process; made anew in a forked child."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        #: Held while an upload is being sent; uploads go one after another.
        self.sending = threading.Lock()
        #: Held while a download uses the lane.
        self.receiving = threading.Lock()
        self.jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
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
        read = _reader(kept if kept is not None else _copied(array))
    else:
        read = _reader(array) if kept is None else _keeping(_reader(array), kept)
    job = _Job(transfer, total, read, _flushed_seq(), retained, redo=redo, copy=array if is_bare else kept)
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
        _patience()
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


def _reader(array: np.ndarray[Any, Any]) -> Reader:
    """Reads pieces of the array's bytes in C order, without a copy of the whole."""
    if array.flags.c_contiguous:
        flat = array.reshape(-1).view(np.uint8)
        return lambda at, size: flat[at : at + size]
    # flatiter copies what a slice of it names, in C order whatever the layout.
    elements, itemsize = array.flat, array.itemsize

    def gather(at: int, size: int) -> np.ndarray[Any, Any]:
        first, last = at // itemsize, -(-(at + size) // itemsize)
        piece = elements[first:last].view(np.uint8)
        return piece[at - first * itemsize : at - first * itemsize + size]

    return gather


def _submit(state: _State, job: _Job) -> None:
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


def _let_go(state: _State, job: _Job) -> None:
    """Free the id of an upload in the background, by the second of its users: bytes that are freed before the command that names them is
    sent are gone, and the command waits for them for ever."""
    with state.lock:
        job.users -= 1
        is_last = not job.users
    if is_last:
        extend((0, job.transfer))


def _run(job: _Job) -> None:
    try:
        _send(job)
    except (
        Exception
    ) as error:  # the caller raises it, or the server does when "@upload" runs, or the session is lost of it
        job.error = error


def _finish(state: _State, job: _Job) -> None:
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


def _wait_job(job: _Job) -> None:
    while not job.done.wait(1.0):
        _patience()


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


def _send(job: _Job) -> None:
    lane = _lane()
    resume = False
    if lane is not None:
        try:
            lane.put(job.transfer, job.total, job.read, job.after_seq)
        except LaneBroken:
            resume = True
            _state.count(resumed=1)
        except TransferFailed as failed:
            raise _told(failed.error) from None
        else:
            _state.count(lane_bytes=job.total)
            return
    job.resume = resume
    _retry(lambda: _Put(job).run(), lambda: job.received)
    _tell_of(lane)


class _Put:
    """One Put call: chunks out, acknowledgements in."""

    def __init__(self, job: _Job) -> None:
        self._job = job
        #: An earlier call was cut: the server says first where to go on.
        self._resume = job.resume
        job.resume = True
        self._target = session.link_target()

    def run(self) -> None:
        """Raises CallFailed, or grpc.RpcError, when the call broke."""
        core = session.bulk_core()
        channel = session.bulk_channel()
        if core is not None:
            self._run_on_core(core, channel)
        else:
            self._run(channel)
        job = self._job
        if job.received != job.total:
            raise ProtocolError(f"The server ended a Put of {job.total} bytes after {job.received}.")

    def _run_on_core(self, core: Any, channel: Any) -> None:
        with CoreCall(core, channel, _PUT, self._target.metadata) as call:
            start = 0
            if self._resume:
                call.send(self._opening())
                data = call.receive()
                if data is not None:
                    self._acknowledged(data)
                start = self._job.received
            for chunk, is_last in self._chunks(start):
                call.send(chunk, is_last)
                while call.messages:
                    self._acknowledged(call.messages.popleft())
            while self._job.received < self._job.total and (data := call.receive()) is not None:
                self._acknowledged(data)

    def _run(self, channel: Any) -> None:
        """By the public API: chunks from a generator in a thread of grpcio's, acknowledgements here."""
        started = threading.Event()
        is_over = False
        if not self._resume:
            started.set()

        def requests() -> Iterator[bytes]:
            if self._resume:
                yield self._opening()
                started.wait()
            for chunk, _ in self._chunks(self._job.received if self._resume else 0):
                if is_over:
                    return
                yield chunk

        call = channel.stream_stream(_PUT, None, None)(requests(), metadata=self._target.metadata)
        try:
            for data in call:
                self._acknowledged(data)
                started.set()
        finally:
            is_over = True
            started.set()
            call.cancel()

    def _acknowledged(self, data: bytes) -> None:
        self._job.received = session_pb2.PutAck.FromString(data).received_bytes

    def _first(self) -> dict[str, int]:
        """What the first chunk of a call says beside its bytes."""
        return {"total_bytes": self._job.total, "epoch": self._target.epoch, "after_seq": self._job.after_seq}

    def _opening(self) -> bytes:
        return put_chunk(self._job.transfer, 0, b"", **self._first())

    def _chunks(self, start: int) -> Iterator[tuple[bytes, bool]]:
        """Messages from byte `start` on, and whether it is the last."""
        job, target = self._job, self._target
        size = min(target.limits.chunk_bytes, OUR_LIMITS.chunk_bytes)
        first = {} if self._resume else self._first()
        packer = Packer() if job.compression in target.features else None
        for at in range(start, job.total, size):
            data = job.read(at, min(size, job.total - at)).data
            is_last = at + size >= job.total
            packed = packer.pack(data) if packer is not None else None
            if packed is not None:
                yield put_chunk(job.transfer, at, packed, unpacked_bytes=len(data), **first), is_last
            else:
                yield put_chunk(job.transfer, at, data, **first), is_last
            first = {}


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


class _Fetch:
    """Bytes of one transfer, as far as they have come."""

    def __init__(self, transfer: int, target: np.ndarray[Any, Any]) -> None:
        self.transfer = transfer
        self.target = target
        #: Bytes in place, contiguous from 0.
        self.have = 0

    def reached(self, have: int) -> None:
        self.have = have

    def run(self) -> None:
        """One Get call, for what has not come yet. Raises CallFailed, or grpc.RpcError, when it broke."""
        link = session.link_target()
        request = session_pb2.GetRequest(
            transfer=self.transfer, offset=self.have, epoch=link.epoch, compression=wishes().compression
        ).SerializeToString()
        core = session.bulk_core()
        channel = session.bulk_channel()
        if core is not None:
            with CoreCall(core, channel, _GET, link.metadata, request) as on_core:
                while (frame := on_core.receive()) is not None:
                    self._store(frame)
        else:
            call = channel.unary_stream(_GET, None, None)(request, metadata=link.metadata)
            try:
                for frame in call:
                    self._store(frame)
            finally:
                call.cancel()
        total = self.target.shape[0]
        if self.have != total:
            raise ProtocolError(f"The server ended a Get of {total} bytes after {self.have}.")

    def _store(self, frame: bytes) -> None:
        total = self.target.shape[0]
        fields, data = read_chunk(frame)
        if _UNPACKED in fields:
            most = min(OUR_LIMITS.chunk_bytes, total - self.have)
            data = memoryview(unpacked(data, fields[_UNPACKED], most))
        at, size = fields.get(_OFFSET, 0), len(data)
        if at != self.have or size > total - at or fields.get(_TOTAL, total) != total:
            raise ProtocolError(f"The server sent {size} bytes at {at}; expected at {self.have}, of {total} in all.")
        self.target[at : at + size] = np.frombuffer(data, np.uint8)
        self.have = at + size


def _receive(transfer: int, target: np.ndarray[Any, Any]) -> None:
    state = _state
    fetch = _Fetch(transfer, target)
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
    _retry(fetch.run, lambda: fetch.have)
    _tell_of(lane)


# -- again --------------------------------------------------------------------------------------------------------------
class _Overtaken(Exception):
    """That server is lost too, and its successor has a thread of its own."""


def put_again(lost: Any, uploads: list[Upload]) -> None:
    """Send uploads to the server that took a lost one's place, in a thread: it is waited for by the commands that name them.

    Args:
        lost: the session.
    """

    which = lost.link.recoveries
    # What a checkpoint has need not go up again, and what it has used must not.
    resume = lost.outbox.redo.base is not None

    def attempt(job: _Job) -> None:
        if lost.link.recoveries != which:
            raise _Overtaken
        _Put(job).run()

    def work() -> None:
        session.is_background()
        try:
            for upload in uploads:
                job = _Job(upload.transfer, upload.data.nbytes, _reader(upload.data), upload.after_seq, resume=resume)
                _retry(partial(attempt, job), partial(getattr, job, "received"))
            if lost.link.recoveries == which:
                lost.outbox.redo.put_again()
        except _Overtaken:
            return
        except Exception as error:
            lost.link.lose(
                SessionLost(
                    f"The server was lost, and what had gone up could not go up again: {error}.",
                    "Run the program again.",
                )
            )

    threading.Thread(target=work, name="cupool-put-again", daemon=True).start()


# -- checkpoints that are kept here ---------------------------------------------------------------------------------------
def fetch(kept: Any, transfer: int, nbytes: int) -> np.ndarray[Any, Any]:
    """The bytes of a transfer of that size, in one try. Raises what came between."""
    grpc = import_grpc()
    target = kept.target()
    data = kept.outbox.redo.blocks.take(nbytes)
    have = 0
    request = session_pb2.GetRequest(transfer=transfer, offset=0, epoch=target.epoch).SerializeToString()
    call = kept.bulk_channel().unary_stream(_GET, None, None)(request, metadata=target.metadata)
    try:
        for frame in call:
            fields, piece = read_chunk(frame)
            at, size = fields.get(_OFFSET, 0), len(piece)
            if at != have or size > nbytes - at:
                raise ProtocolError(f"The server sent {size} bytes at {at} of a checkpoint of {nbytes}.")
            data[at : at + size] = np.frombuffer(piece, np.uint8)
            have += size
    except grpc.RpcError as error:
        raise CupoolError(f"{error.code().name}: {error.details()}") from None
    finally:
        call.cancel()
    if have != nbytes:
        raise ProtocolError(f"The server ended a checkpoint of {nbytes} bytes after {have}.")
    return data


def restore(lost: Any, lease: Any, data: np.ndarray[Any, Any]) -> Disconnected | None:
    """Begin a lease's session with a checkpoint; returns why it could not be begun."""
    grpc = import_grpc()
    size = DEFAULT_LIMITS.chunk_bytes  # this server has stated nothing yet

    def chunks() -> Iterator[bytes]:
        first = {"total_bytes": data.nbytes, "epoch": lease.epoch}
        for at in range(0, data.nbytes, size):
            yield put_chunk(1, at, data[at : at + size].data, **first)
            first = {}

    call = lost.bulk_channel().stream_unary(_RESTORE, None, None)
    try:
        call(chunks(), metadata=lease.metadata, timeout=STALLED_S)
    except grpc.RpcError as error:
        return disconnected(error)
    return None


# -- both -------------------------------------------------------------------------------------------------------------
def _retry(attempt: Callable[[], None], headway: Callable[[], int]) -> None:
    """Run `attempt` until it succeeds; the session finds the way to the server again, or raises SessionLost."""
    with session.current().transferring():
        _attempts(attempt, headway)


def _attempts(attempt: Callable[[], None], headway: Callable[[], int]) -> None:
    grpc = import_grpc()
    pause_s = 0.0
    had = headway()
    deadline = time.monotonic() + STALLED_S
    while True:
        try:
            attempt()
            return
        except CallFailed as error:
            _raise_final(error.code, error.details, error.trailing)
            last: BaseException = error
        except grpc.RpcError as error:
            _raise_final(error.code().name, error.details(), error.trailing_metadata())
            last = error
        except ValueError as error:  # the channel was closed under us by a reconnect
            # "Cannot invoke RPC on closed channel!", "Cannot invoke RPC: Channel closed!"
            if not {"channel", "closed"} <= set(re.findall(r"\w+", str(error).lower())):
                raise
            last = error
        _patience()
        if headway() > had:
            had, pause_s, deadline = headway(), 0.0, time.monotonic() + STALLED_S
        elif time.monotonic() > deadline:
            raise SessionLost(
                f"A bulk transfer made no headway for {STALLED_S:.0f} s: {last}.", "Check the link to the server."
            ) from last
        time.sleep(pause_s)
        pause_s = min(pause_s * 2 + 0.01, 1.0)
        _state.count(resumed=1)


def _told(error: BaseException) -> BaseException:
    """Mark an error that the server sent: it raises the same where the transfer is used."""
    error.is_told = True  # type: ignore[attr-defined]
    return error


def _raise_final(code: str, details: str, trailing: Any) -> None:
    """Raise what the status means when another try cannot help."""
    for key, value in trailing or ():
        if key == _ERROR_KEY:
            raise _told(error_from_wire(session_pb2.Error.FromString(value))) from None
    if code not in _RETRY:
        raise CupoolError(f"A bulk transfer failed: {code}: {details}", "See the server's log.") from None


def _patience() -> None:
    """Asked while nothing comes: raises when there is nothing more to wait for."""
    lost = session.lost()
    if lost is not None:
        raise lost
    if not session.is_open():
        raise SessionLost("The session was closed while bytes were on their way.", "Open a new one.")


def _tell_of(lane: Lane | None) -> None:
    """A transfer went over gRPC: because its lane broke, and not its server?"""
    if lane is not None and lane.where == session.link_target().lane:
        lane.tell()


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
            lane = state.lane = Lane(where, metadata.get("cupool-session", ""), token, _patience)
    return lane if lane.is_usable else None
