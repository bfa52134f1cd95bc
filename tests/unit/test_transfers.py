"""What is on its way, where calls come in an order that is rare: two of one id, no memory for a copy, a clock that is set."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from cupool.apiserver import bulk, core_stream
from cupool.apiserver.transfers import Transfers

from cupool.contract.errors import OutOfMemoryError, ProtocolError


class Host:
    """Gives staging memory as it is told: each entry of `answers` is called for one piece."""

    def __init__(self) -> None:
        self.answers: list[Any] = []

    def staging(self, total: int) -> Any:
        if self.answers:
            self.answers.pop(0)()
        return np.zeros(total, np.uint8).data


def transfers(host: Host) -> Transfers:
    return Transfers(host, lambda: 9)  # type: ignore[arg-type]


def no_memory() -> None:
    raise OutOfMemoryError(8, 0, 4)


def test_of_two_calls_of_one_put_what_the_first_was_told_stays() -> None:
    """The second has memory, the first had none: "@upload" must not wait for bytes that have no place."""
    host = Host()
    made = transfers(host)

    def first() -> None:  # while the second call asks for memory
        host.answers.insert(0, no_memory)
        with pytest.raises(OutOfMemoryError):
            made.begin(7, 8, 0, lambda: False)

    host.answers = [first]
    with pytest.raises(OutOfMemoryError):
        made.begin(7, 8, 0, lambda: False)
    with pytest.raises(OutOfMemoryError):
        made.take(7, 8, lambda: True)


def test_of_two_calls_of_one_put_one_without_memory_takes_none_from_the_other() -> None:
    host = Host()
    made = transfers(host)
    given: list[Any] = []

    def first() -> None:
        given.append(made.begin(7, 8, 0, lambda: False))
        no_memory()

    host.answers = [first]
    inbound, ticket = made.begin(7, 8, 0, lambda: False)
    assert inbound is given[0][0] and ticket > given[0][1]
    inbound.write(ticket, 0, np.arange(8, dtype=np.uint8))
    assert bytes(made.take(7, 8, lambda: True)) == bytes(range(8))


def test_a_put_that_was_taken_meanwhile_does_not_begin_again() -> None:
    host = Host()
    made = transfers(host)

    def first() -> None:
        inbound, ticket = made.begin(7, 8, 0, lambda: False)
        inbound.write(ticket, 0, np.zeros(8, np.uint8))
        made.take(7, 8, lambda: True)

    host.answers = [first]
    inbound, _ = made.begin(7, 8, 0, lambda: False)
    assert inbound.received == 8 and made.memory() == ([], [])


def test_an_export_for_whose_copy_there_was_no_memory_is_still_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that wanted to write has failed. The next one must not write under the client's eyes."""
    host = Host()
    made = transfers(host)
    array = np.arange(8, dtype=np.uint8)
    made.export(7, array.data, pinned=True)

    def empty(*args: Any) -> Any:
        raise MemoryError

    host.answers = [no_memory]
    with monkeypatch.context() as patched:
        patched.setattr(np, "empty", empty)
        with pytest.raises(MemoryError):
            made.unpin()
    assert made.pinned == 1
    made.unpin()
    array[:] = 99
    assert made.pinned == 0 and bytes(made.outbound(7, lambda: True).data) == bytes(range(8))


def test_a_get_that_is_none_is_refused() -> None:
    with pytest.raises(ProtocolError):
        next(iter(bulk.get(transfers(Host()), 1, b"\xff\xff\xff", lambda: True)))


class Silent:
    """A completion queue on which nothing happens; a wait of more than a minute is one that a set clock has made."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def poll(self, deadline: float) -> Any:
        self.waits.append(deadline - time.time())
        assert self.waits[-1] < 60

        class Event:
            tag = None

        return Event()


def test_a_clock_that_is_set_back_holds_no_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    call = object.__new__(core_stream.CoreCall)
    call._queue, call._turn, call._is_over = Silent(), threading.Lock(), False
    real, now = time.time, [0.0]
    monkeypatch.setattr(core_stream.time, "time", lambda: real() + now[0])
    until = time.monotonic() + 0.05

    def is_done() -> bool:
        now[0] -= 3600.0
        return False

    assert not call._wait_for(is_done, until)
    assert call._queue.waits
