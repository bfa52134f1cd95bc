"""The shared-memory lane, both ends in one process: bytes, failures, and what a hostile peer can do (nothing)."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from cupool.apiserver.lane import LaneServer
from cupool.apiserver.transfers import Transfers
from cupool.shim.lane import Connection, Lane, TransferFailed

from cupool.contract.errors import OutOfMemoryError
from cupool.contract.lane import (
    BEGIN,
    DOWN,
    FILLED,
    FREED,
    HELLO,
    LAYOUT,
    MAGIC,
    READ,
    UP,
    LaneBroken,
    Message,
    Wire,
    address,
)

MIB = 1 << 20
LIMIT = 64 * MIB


class Memory:
    """Staging memory with a limit, as a device gives it."""

    def __init__(self) -> None:
        self.used = 0

    def staging(self, nbytes: int) -> memoryview:
        if self.used + nbytes > LIMIT:
            raise OutOfMemoryError(nbytes, self.used, LIMIT)
        self.used += nbytes
        return memoryview(np.empty(nbytes, np.uint8))


class Server:
    def __init__(self) -> None:
        self.memory = Memory()
        self.executed = 0
        self.transfers = Transfers(self.memory, lambda: self.executed)
        self.lane = LaneServer()
        self.lane.open(self.transfers, lambda session, token: (session, token) == ("s", "t"))

    def take(self, transfer: int, nbytes: int) -> Any:
        """As "@upload" does."""
        return self.transfers.take(transfer, nbytes, lambda: False)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.transfers.close()
    server.lane.close()


def connect(server: Server, direction: int, token: str = "t") -> Connection:
    return Connection(server.lane.where, direction, "s", token, lambda: None)


def reader(data: Any) -> Callable[[int, int], Any]:
    return lambda at, size: data[at : at + size]


@pytest.mark.parametrize("size", [1, 4096, 100_003, 3 * MIB + 7, 20 * MIB])
def test_bytes_arrive_up_and_down(server: Server, size: int) -> None:
    data = np.random.default_rng(size).integers(0, 255, size, np.uint8)
    lane = Lane(server.lane.where, "s", "t", lambda: None)
    try:
        for transfer in (1, 2):  # the second finds the ring where the first left it
            lane.put(transfer, size, reader(data), 0)
            assert np.array_equal(np.frombuffer(server.take(transfer, size), np.uint8), data)
            server.transfers.export(transfer + 10, memoryview(data))
            back = np.zeros(size, np.uint8)
            seen: list[int] = []
            lane.get(transfer + 10, back, seen.append)
            assert np.array_equal(back, data)
            assert seen[-1] == size
    finally:
        lane.close()
    assert server.lane.statistics().up_bytes == server.lane.statistics().down_bytes == 2 * size


def test_a_get_waits_for_its_export(server: Server) -> None:
    data = np.arange(5000, dtype=np.uint8)
    down = connect(server, DOWN)
    back = np.zeros_like(data)
    thread = threading.Thread(target=down.get, args=(7, back, lambda have: None))
    thread.start()
    server.transfers.export(7, memoryview(data))
    thread.join()
    down.close()
    assert np.array_equal(back, data)


def test_out_of_memory_reaches_the_caller_and_the_op(server: Server) -> None:
    lane = Lane(server.lane.where, "s", "t", lambda: None)
    data = np.zeros(LIMIT + 1, np.uint8)
    with pytest.raises(TransferFailed) as caught:
        lane.put(3, data.size, reader(data), 0)
    assert isinstance(caught.value.error, OutOfMemoryError)
    with pytest.raises(OutOfMemoryError):
        server.take(3, LIMIT + 1)
    small = np.ones(10, np.uint8)
    lane.put(4, small.size, reader(small), 0)  # the lane goes on, on a fresh connection
    assert bytes(server.take(4, 10)) == bytes(small)
    lane.close()


def test_memory_is_called_short_only_when_earlier_batches_have_run(server: Server) -> None:
    first = np.zeros(LIMIT - 1000, np.uint8)
    up = connect(server, UP)
    up.put(1, first.size, reader(first), 0)
    done = threading.Event()

    def second() -> None:
        up.put(2, first.size, reader(first), 5)
        done.set()

    thread = threading.Thread(target=second)
    thread.start()
    assert not done.wait(0.05)
    server.memory.used = 0  # what batch 5 does
    server.executed = 5
    thread.join()
    assert done.is_set()
    up.close()


def test_a_failed_export_ends_the_get(server: Server) -> None:
    down = connect(server, DOWN)
    server.transfers.fail(9, ValueError("poisoned"))
    with pytest.raises(TransferFailed) as caught:
        down.get(9, np.zeros(10, np.uint8), lambda have: None)
    assert "poisoned" in str(caught.value)
    down.close()


def test_another_token_is_refused(server: Server) -> None:
    with pytest.raises(LaneBroken, match="not known"):
        connect(server, UP, token="wrong")


def test_nobody_is_let_in_before_the_session_is_open() -> None:
    lane = LaneServer()
    with pytest.raises(LaneBroken, match="not known"):
        Connection(lane.where, UP, "s", "t", lambda: None)
    lane.close()


def test_no_server_turns_the_lane_off_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    lane = Lane("@cupool-nobody-listens-here", "s", "t", lambda: None)
    with pytest.raises(LaneBroken):
        lane.put(1, 1, reader(np.zeros(1, np.uint8)), 0)
    assert not lane.is_usable
    lane.tell()
    lane.tell()
    assert len(caplog.records) == 1


def test_no_segment_is_a_refusal(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(slots: int, slot_bytes: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cupool.apiserver.lane.create_segment", full)
    with pytest.raises(LaneBroken, match="No space left"):
        connect(server, UP)


def raw(server: Server, direction: int) -> tuple[Wire, int]:
    """A peer that says what it likes: the wire after a proper hello, and the segment."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(address(server.lane.where))
    wire = Wire(sock)
    wire.send(Message(HELLO, direction, MAGIC, LAYOUT, extra=3), b"s\0t")
    _, fds, _, _ = socket.recv_fds(sock, 1024, 1)
    return wire, fds[0]


HOSTILE_UP = [
    Message(FILLED, slot=1, transfer=1, offset=0, length=10),  # not its turn
    Message(FILLED, slot=4_000_000_000, transfer=1, offset=0, length=10),
    Message(FILLED, slot=0, transfer=1, offset=0, length=2 * MIB),  # longer than a slot
    Message(FILLED, slot=0, transfer=1, offset=1 << 63, length=10),
    Message(FILLED, slot=0, transfer=1, offset=0, length=1 << 63),
    Message(FILLED, slot=0, transfer=1, offset=10, length=10),  # a hole
    Message(FILLED, slot=0, transfer=1, offset=0, length=101),  # beyond the end
    Message(FILLED, slot=0, transfer=2, offset=0, length=10),
    Message(FREED, slot=0, transfer=1),
    Message(BEGIN, transfer=1, length=100),
]


@pytest.mark.parametrize("message", HOSTILE_UP, ids=lambda m: f"{m.kind}-{m.slot}-{m.offset}-{m.length}")
def test_a_hostile_uploader_is_hung_up_on(server: Server, message: Message) -> None:
    wire, fd = raw(server, UP)
    os.close(fd)
    wire.send(Message(BEGIN, transfer=1, length=100))
    wire.send(message)
    with pytest.raises(LaneBroken):
        wire.receive()
    wire.close()
    assert server.memory.used == 100


@pytest.mark.parametrize("message", [
    Message(BEGIN, transfer=1, length=1 << 63),
    Message(BEGIN, transfer=0, length=10),
    Message(BEGIN, transfer=1, length=0),
    Message(99),
    Message(HELLO, transfer=MAGIC),
])  # fmt: skip
def test_nonsense_is_refused_before_memory_is_taken(server: Server, message: Message) -> None:
    wire, fd = raw(server, UP)
    os.close(fd)
    wire.send(message)
    with pytest.raises(LaneBroken):
        while True:  # a refusal may come first
            wire.receive_tail(wire.receive())
            wire.sock.shutdown(socket.SHUT_WR)
    wire.close()
    assert server.memory.used == 0


def test_a_hostile_downloader_is_hung_up_on(server: Server) -> None:
    server.transfers.export(5, memoryview(bytes(64 * MIB)))
    for bad in (Message(FREED, slot=3, transfer=5), Message(READ, transfer=5, length=1)):
        wire, fd = raw(server, DOWN)
        os.close(fd)
        wire.send(Message(READ, transfer=5, length=64 * MIB))
        wire.send(bad)
        with pytest.raises(LaneBroken):
            while True:
                wire.receive()
        wire.close()


def test_the_segment_cannot_be_shrunk(server: Server) -> None:
    wire, fd = raw(server, UP)
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 0)
    os.close(fd)
    wire.close()


def test_a_server_that_lies_about_the_segment_is_refused() -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    where = f"@cupool-test-{os.urandom(8).hex()}"
    listener.bind(address(where))
    listener.listen()

    def lie() -> None:
        sock, _ = listener.accept()
        fd = os.memfd_create("small")
        os.ftruncate(fd, 100)
        socket.send_fds(sock, [Message(2, slot=8, length=MIB).pack()], [fd])
        os.close(fd)
        sock.recv(100)
        sock.close()

    thread = threading.Thread(target=lie)
    thread.start()
    with pytest.raises(LaneBroken, match="100 bytes"):
        Connection(where, UP, "s", "t", lambda: None)
    thread.join()
    listener.close()


def test_the_listener_survives_its_guests(server: Server) -> None:
    for _ in range(10):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(address(server.lane.where))
        sock.send(b"x" * 1000)
        sock.close()
    up = connect(server, UP)
    up.put(1, 5, reader(np.arange(5, dtype=np.uint8)), 0)
    up.close()
    assert bytes(server.take(1, 5)) == bytes(range(5))
