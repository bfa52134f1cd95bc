"""The pool's pure parts: which servers to start, states, reasons, configuration."""

from __future__ import annotations

import dataclasses
import signal

import pytest
from cupool.pool import config, plan, reasons, states
from cupool.pool.placement import DeviceView, Wish
from hypothesis import given
from hypothesis import strategies as st

from cupool.contract.statusfile import Status
from cupool.v1 import pool_pb2, server_pb2


def supply(device="cpu:0", warm=0, starting=0, leased=0, most=1, kind="cpu", is_open=True, settling=0):
    view = DeviceView(device, kind, 1 << 30, 0, 0, leased, most, warm, is_open=is_open)
    return plan.Supply(view, starting, leased, settling)


def starts(*supplies, waiting=(), warm=1, embedded=False, blocked=()):
    wishes = [Wish(kind, 0) for kind in waiting]
    return plan.starts(supplies, wishes, warm=warm, keep_warm_while_leased=not embedded, blocked=blocked)


def test_each_device_gets_its_reserve():
    assert starts(supply("cpu:0"), supply("cpu:1")) == ["cpu:0", "cpu:1"]
    assert starts(supply(warm=1), warm=2) == ["cpu:0"]
    assert starts(supply(starting=1)) == []
    assert starts(supply(), warm=0) == []


def test_a_lease_is_followed_by_a_new_reserve_but_not_in_an_embedded_pool():
    assert starts(supply(leased=1)) == ["cpu:0"]
    assert starts(supply(leased=1), embedded=True) == []
    assert starts(supply(), embedded=True) == ["cpu:0"]


def test_a_server_that_may_come_back_is_not_replaced_at_once():
    assert starts(supply(leased=1, settling=1)) == []
    assert starts(supply(leased=1, settling=1, most=4), warm=2) == ["cpu:0"]


def test_waiting_clients_get_servers_where_there_is_room():
    assert starts(supply(leased=1, most=8), waiting=[""], embedded=True) == ["cpu:0"]
    assert starts(supply(leased=1, most=1), waiting=[""], embedded=True) == []
    assert starts(supply(starting=1), waiting=[""], embedded=True) == []  # one is coming
    assert starts(supply(leased=1, most=4), supply("cpu:1", most=4), waiting=[""], embedded=True) == ["cpu:1"]


def test_a_kind_that_nobody_has_starts_nothing():
    assert starts(supply(), waiting=["cuda"], warm=0) == []
    assert starts(supply(warm=1), supply("cuda:0", kind="cuda"), waiting=["cuda"], warm=0) == ["cuda:0"]


def test_a_device_that_just_failed_or_is_cordoned_is_left_alone():
    assert starts(supply(), supply("cpu:1"), blocked=["cpu:0"]) == ["cpu:1"]
    assert starts(supply(is_open=False), waiting=[""]) == []


@st.composite
def supplies(draw):
    count = draw(st.integers(1, 4))
    small = st.integers(0, 4)
    return [
        supply(f"cpu:{i}", draw(small), draw(small), leased := draw(small), draw(st.integers(1, 6)), "cpu", draw(st.booleans()),
               draw(st.integers(0, leased)))
        for i in range(count)
    ]  # fmt: skip


@given(supplies(), st.lists(st.sampled_from(["", "cpu", "cuda"]), max_size=5), st.integers(0, 3), st.booleans())
def test_decisions_settle_and_respect_room(before, waiting, warm, embedded):
    after = before
    for look in range(4):
        chosen = starts(*after, waiting=waiting, warm=warm, embedded=embedded)
        assert look == 0 or len(chosen) <= len(waiting), "a second look finds no reserve lacking"
        after = [dataclasses.replace(s, starting=s.starting + chosen.count(s.view.id)) for s in after]
        for old, new in zip(before, after, strict=True):
            assert new.leased + new.coming <= max(old.leased + old.coming, old.view.max_sessions + warm)
            assert old.view.is_open or new == old
    assert starts(*after, waiting=waiting, warm=warm, embedded=embedded) == [], "every look starts more"


def test_states_have_a_sentence_and_end():
    assert set(states.SERVER_STATES) == {s for pair in states.SERVER_CHANGES for s in pair}
    assert set(states.SESSION_STATES) == {s for pair in states.SESSION_CHANGES for s in pair}
    for final in (states.SESSION_ENDED, states.SESSION_LOST):
        assert not any(old == final for old, _ in states.SESSION_CHANGES)
    assert not any(old == states.DEAD for old, _ in states.SERVER_CHANGES)
    with pytest.raises(RuntimeError, match="SERVER_STATE_DEAD to SERVER_STATE_WARM"):
        states.server_change(server_pb2.SERVER_STATE_DEAD, server_pb2.SERVER_STATE_WARM)
    with pytest.raises(RuntimeError, match="SESSION_STATE_LOST"):
        states.session_change(pool_pb2.SESSION_STATE_LOST, pool_pb2.SESSION_STATE_LEASED)


@pytest.mark.parametrize(
    ("code", "status", "begins"),
    [
        (-signal.SIGSEGV, Status(3, "foo", 0.1, ""), "The server was ended by SIGSEGV while it ran the kernel 'foo'. "),
        (
            -signal.SIGSEGV,
            Status(3, "@fault crash", 0.1, ""),
            "The server was ended by SIGSEGV while it ran the op '@fault crash'. ",
        ),
        (
            -signal.SIGFPE,
            Status(3, "div", 0.1, ""),
            "The server was ended by SIGFPE while it ran the kernel 'div'. It divided",
        ),
        (-signal.SIGKILL, Status(0, "", None, ""), "The server was ended by SIGKILL. The machine ran out of memory"),
        (-signal.SIGKILL, None, "The server was ended by SIGKILL. "),
        (3, Status(1, "k", 0.0, "kernel 'k' ran longer than 2 s"), "The server ended: kernel 'k' ran longer than 2 s."),
        (3, Status(1, "k", 0.0, ""), "The server ended with exit status 3 while it ran the kernel 'k'."),
        (0, Status(1, "", None, ""), "The server ended by itself."),
    ],
)
def test_the_reason_of_a_death_is_one_sentence_with_its_op(code, status, begins):
    assert reasons.death_sentence(code, status).startswith(begins)


def test_a_server_that_cannot_start_shows_its_last_words():
    text = reasons.start_sentence(1, None, "Traceback\n  ...\nImportError: no such thing\n")
    assert "exit status 1" in text and text.endswith("ImportError: no such thing")


def test_devices_are_read_from_text():
    assert [d.id for d in config.parse_devices("cpu:2:1GiB,cuda@3,cpu")] == ["cpu:0", "cpu:1", "cuda:3", "cpu:2"]
    assert config.parse_devices("cpu:2:1GiB")[1].memory_bytes == 1 << 30
    for wrong in ("cpu:1:100", "gpu:1", "cpu:x", "cpu:1:2:3", "cpu:0", "cpu:1:-1", "cpu:1:0", "cuda@x", ""):
        with pytest.raises(ValueError, match=r"Write|host has|positive|no size"):
            config.parse_devices(wrong)
