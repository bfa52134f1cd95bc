"""For every test: a time limit, and a check that it leaks no process, thread, socket or file descriptor. For unit and contract tests
also that they open no session.

Processes that a test starts are recognised by a variable in their environment, so that grandchildren and orphans count too.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

RUN_VARIABLE = "CUPOOL_TEST_RUN"
#: One value per pytest process (a worker of xdist is one of its own).
RUN_ID = uuid.uuid4().hex
TIMEOUT_S = 120
#: How long closing threads, sockets and processes may take until they count as leaked.
GRACE_S = 5.0
#: Folders of tests that need no server.
WITHOUT_SESSION = frozenset(("unit", "contract"))


def pytest_configure(config: pytest.Config) -> None:
    os.environ[RUN_VARIABLE] = RUN_ID
    with contextlib.suppress(ImportError):  # the GPU machine has plain pytest
        import hypothesis

        # A time limit for one example says how busy the machine is; each test has its own.
        hypothesis.settings.register_profile("cupool", deadline=None)
        hypothesis.settings.load_profile("cupool")
    # On a machine that has much to do, the embedded pool of a program's first server takes more than the client's ten seconds.
    os.environ.setdefault("CUPOOL_DEADLINE_S", "60")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.pluginmanager.hasplugin("timeout"):
        return  # the GPU machine has plain pytest
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


def processes() -> set[int]:
    """Every process of this machine. Of one that a test started, whatever it runs meanwhile, the number is new since the test began."""
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


def started_processes(since: set[int]) -> dict[int, str]:
    """Living processes, other than this one and those of `since`, that came from this run: pid -> command line."""
    mark = f"{RUN_VARIABLE}={RUN_ID}".encode()
    found = {}
    for pid in processes() - since - {os.getpid()}:
        folder = Path(f"/proc/{pid}")
        try:
            if mark not in (folder / "environ").read_bytes().split(b"\0"):
                continue
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended while we looked
        if state not in "ZX":
            found[pid] = command.strip()
    return found


def open_descriptors() -> dict[int, str]:
    """Descriptors that a test answers for: sockets, pipes, memory files and files; not the event machinery of grpc."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if not target.startswith(("anon_inode:", "/dev/")):
            found[int(name)] = target
    return found


def running_threads() -> set[threading.Thread]:
    return {
        t for t in threading.enumerate() if t.is_alive() and not t.name.startswith(("pytest_timeout", "ThreadPoolE"))
    }


def peer_of(descriptor: int) -> str:
    """Whom a socket is connected to, for the message."""
    try:
        other = socket.socket(fileno=descriptor)
    except OSError:
        return ""
    try:
        return f" from {other.getsockname()} to {other.getpeername()}"
    except OSError:
        return " to nobody"
    finally:
        other.detach()


def leaks(known: set[int], descriptors: dict[int, str], threads: set[threading.Thread]) -> list[str]:
    """What is there now and was not in the three snapshots, each as a line."""
    found = [f"process {pid}: {text}" for pid, text in started_processes(known).items()]
    found += [
        f"descriptor {fd}: {to}{peer_of(fd)}" for fd, to in open_descriptors().items() if descriptors.get(fd) != to
    ]
    found += [f"thread {thread.name}" for thread in running_threads() - threads]
    return found


def open_session() -> object | None:
    """This process's session, which lives as long as the fixture that opened it, or None."""
    module = sys.modules.get("cupool.shim.session")
    return None if module is None else module._process.session


def settle(session: Any) -> None:
    """A session of a wider fixture has its connection and its threads some milliseconds after it was opened: wait for them."""
    deadline = time.monotonic() + GRACE_S
    link = getattr(session, "link", None)
    while link is not None and session.outbox.lost is None and time.monotonic() < deadline:
        if link.server_hello is not None and link._thread.is_alive() and session._ticker.is_alive():
            return
        time.sleep(0.002)


def drop_kept() -> None:
    """Close the channel to a pool that is kept for the next session."""
    module = sys.modules.get("cupool.shim.lease")
    if module is not None:
        module.drop_kept()


def lane_connections() -> set[object]:
    """The session's connections of the shared-memory lane. They open at the first large transfer and are closed with the session."""
    bulk = sys.modules.get("cupool.shim.bulk")
    lane = None if bulk is None else bulk._state.lane
    return set() if lane is None else set(lane._connections.values())


def without_lane(found: list[str], connections: int) -> list[str]:
    """`found` without the descriptors of so many connections of the lane: a socket and a memory file each."""
    for kind in ("socket:", "/memfd:"):
        mine = [line for line in found if line.startswith("descriptor") and line.partition(": ")[2].startswith(kind)]
        found = [line for line in found if line not in mine[:connections]]
    return found


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a process, descriptor or thread behind. `@pytest.mark.keeps("why")` is the way out."""
    if request.node.get_closest_marker("keeps"):
        yield
        return
    settle(open_session())
    before = processes(), open_descriptors(), running_threads()
    session, lane = open_session(), lane_connections()
    yield
    drop_kept()
    deadline = time.monotonic() + GRACE_S
    # What the session of a wider fixture opened in this test is that fixture's to close.
    opened = len(lane_connections() - lane) if session is not None and open_session() is session else 0
    while found := without_lane(leaks(*before), opened):
        if time.monotonic() > deadline:
            pytest.fail("left behind:\n  " + "\n  ".join(found), pytrace=False)
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def no_session(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a unit or contract test that opens a session, also when it swallows the error: an array made by accident starts a pool."""
    folder = request.path.relative_to(Path(__file__).parent).parts[0]
    if folder not in WITHOUT_SESSION:
        yield
        return
    from cupool.shim import embedded

    opened: list[str] = []

    def refuse(_: embedded.EmbeddedPool) -> None:
        opened.append("it started an embedded pool")
        raise RuntimeError("Unit and contract tests open no session. Move this test to tests/system.")

    monkeypatch.setattr(embedded.EmbeddedPool, "__init__", refuse)
    yield
    session = sys.modules.get("cupool.shim.session")
    if session is not None and session._process.session is not None:
        opened.append("it left a session open")
    if opened:
        pytest.fail(f"a test in tests/{folder} opens no session, but {', '.join(opened)}", pytrace=False)
