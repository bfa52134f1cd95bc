"""The zygote where its agent, or a program's pool, ends while it is at work: it says nothing, for the program's error stream is its own."""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Iterator

import pytest
from cupool.apiserver import title, zygote


class Ended(BaseException):
    """What `os._exit` does here."""


@pytest.fixture
def channel() -> Iterator[socket.socket]:
    """The zygote's end; the agent's is closed."""
    agents, zygotes = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    agents.close()
    with zygotes:
        yield zygotes


def test_what_forks_a_server_for_an_agent_that_is_gone_just_ends(
    channel: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(status: int) -> None:
        raise Ended(status)

    monkeypatch.setattr(os, "fork", lambda: 12345)
    monkeypatch.setattr(os, "_exit", ended)
    with pytest.raises(Ended) as info:
        zygote._between(channel, [], [], os.getpid())
    assert info.value.args == (0,)


def test_a_zygote_whose_agent_has_ended_meanwhile_just_ends(
    channel: socket.socket, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(zygote, "load", lambda kinds: None)
    monkeypatch.setattr(title, "show", lambda words: None)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(sys, "argv", ["zygote", "--socket", str(os.dup(channel.fileno()))])
    assert zygote.main() == 0
    assert capfd.readouterr() == ("", "")
