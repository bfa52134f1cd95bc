"""The pool's pure parts: which servers to start, states, reasons, configuration."""

from __future__ import annotations

import signal

import pytest
from cupool.pool import config, plan, reasons, states
from hypothesis import given
from hypothesis import strategies as st

from cupool.contract.statusfile import Status
from cupool.v1 import pool_pb2, server_pb2

CPU = [config.DeviceConfig("cpu", i, 1 << 30) for i in range(3)]


def starts(servers=(), waiting=(), devices=CPU, spare=1, per_device=1, embedded=False, blocked=()):
    chosen = plan.starts(
        devices,
        [plan.ServerView(*s) for s in servers],
        waiting,
        spare=spare,
        sessions_per_device=per_device,
        keep_spare_while_leased=not embedded,
        blocked=frozenset(blocked),
    )
    return [d.id for d in chosen]


def test_a_fresh_pool_starts_its_spare():
    assert starts() == ["cpu:0"]
    assert starts(spare=2) == ["cpu:0", "cpu:1"]
    assert starts(spare=0) == []


def test_a_lease_is_followed_by_a_new_spare_but_not_in_an_embedded_pool():
    leased = [("cpu:0", states.LEASED, True)]
    assert starts(leased) == ["cpu:1"]
    assert starts(leased, embedded=True) == []
    assert starts([], embedded=True) == ["cpu:0"]


def test_waiting_clients_get_servers_where_there_is_room():
    leased = [("cpu:0", states.LEASED, True)]
    assert starts(leased, [""], embedded=True, per_device=8, devices=CPU[:1]) == ["cpu:0"]
    assert starts(leased, [""], embedded=True, per_device=1, devices=CPU[:1]) == []
    assert starts([("cpu:0", states.STARTING, False)], [""], embedded=True) == []  # one is coming


def test_a_kind_that_nobody_has_starts_nothing():
    assert starts(waiting=["cuda"], spare=0) == []
    both = [*CPU[:1], config.DeviceConfig("cuda", 0, 0)]
    assert starts([("cpu:0", states.WARM, False)], ["cuda"], devices=both, spare=0) == ["cuda:0"]


def test_a_device_that_just_failed_is_left_alone():
    assert starts(blocked=["cpu:0"]) == ["cpu:1"]
    assert starts(blocked=["cpu:0", "cpu:1", "cpu:2"], waiting=[""]) == []


_SERVER = st.tuples(
    st.sampled_from([d.id for d in CPU]),
    st.sampled_from([states.STARTING, states.WARM, states.LEASED, states.ENDING]),
    st.booleans(),
)


@given(
    st.lists(_SERVER, max_size=8),
    st.lists(st.sampled_from(["", "cpu", "cuda"]), max_size=5),
    st.integers(0, 3),
    st.booleans(),
)
def test_decisions_settle_and_respect_room(servers, waiting, spare, embedded):
    servers = [(d, s, had or s == states.LEASED) for d, s, had in servers]
    chosen = starts(servers, waiting, spare=spare, embedded=embedded)
    assert len(chosen) <= len(waiting) + spare
    after = servers + [(device, states.STARTING, False) for device in chosen]
    assert starts(after, waiting, spare=spare, embedded=embedded) == [], "a second look starts more"


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
    for wrong in ("gpu:1", "cpu:x", "cpu:1:2:3", "cpu:0", "cpu:1:-1", "cpu:1:0", "cuda@x", ""):
        with pytest.raises(ValueError, match=r"Write|host has|positive|no size"):
            config.parse_devices(wrong)
