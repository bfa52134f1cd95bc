"""The rehearsal before a client's first call: it changes nothing, and a listener that does not answer holds nobody up."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
from cupool.apiserver import rehearsal
from cupool.apiserver.config import parse
from cupool.apiserver.devices import make_device
from cupool.apiserver.service import ApiServer

from cupool.contract.statusfile import StatusWriter


class _Device:
    described = 0

    def describe(self) -> Any:
        self.described += 1


@pytest.mark.keeps("the thread of the listener's executor lives as long as its process")
def test_it_is_refused_and_leaves_a_warm_server(caplog: pytest.LogCaptureFixture) -> None:
    config = parse(["--device", "cpu:0", "--memory-limit", "16MiB", "--listen", "127.0.0.1:0"])
    server = ApiServer(config, make_device("cpu", 0, 16 << 20, 0), StatusWriter(None))
    listener, endpoint = server.serve()
    device = _Device()
    try:
        rehearsal.rehearse(device, endpoint)  # type: ignore[arg-type]
    finally:
        listener.stop(0).wait()
        server.close()
        server.status.close()
    assert device.described == 1
    assert server.session is None and server.assignment is None and not server.done.is_set()
    assert "rehearsal-answered" not in caplog.text


def test_a_session_of_nobodys_leaves_a_warm_server() -> None:
    config = parse(["--device", "cpu:0", "--memory-limit", "16MiB", "--listen", "127.0.0.1:0"])
    server = ApiServer(config, make_device("cpu", 0, 16 << 20, 0), StatusWriter(None))
    told: list[Any] = []
    server.report = told.append
    before = server.usage()
    server.rehearse()
    try:
        assert server.session is None and server.assignment is None and not server.done.is_set() and not told
        assert server.usage() == before
    finally:
        server.close()
        server.status.close()


def test_a_session_that_fails_keeps_a_server_from_starting() -> None:
    config = parse(["--device", "cpu:0", "--memory-limit", "16MiB", "--listen", "127.0.0.1:0"])
    server = ApiServer(config, make_device("cpu", 0, 16 << 20, 0), StatusWriter(None))

    def arange(*values: Any) -> Any:
        raise ValueError("not today")

    server._impls = {**server._impls, "arange": arange}
    try:
        with pytest.raises(RuntimeError, match="tried by itself failed"):
            server.rehearse()
    finally:
        server.close()
        server.status.close()


def test_a_listener_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "LIMIT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        thread = threading.Thread(target=rehearsal.rehearse, args=(_Device(), f"127.0.0.1:{port}"))
        thread.start()
        thread.join(30)
        assert not thread.is_alive()
