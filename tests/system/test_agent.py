"""The agent as a process, with a controller that a test plays: servers, sessions, their ends, and what survives the controller."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cupool.apiserver import selftest
from fakecontroller import (
    DEAD,
    LEASED,
    PARKED,
    WARM,
    AgentProcess,
    FakeController,
    agent,
    is_alive,
    wait_until,
)
from wire import REPLY, Attached, H, V, Writer, form, hello, spec, value

from cupool.contract.hosts import host_id
from cupool.v1 import server_pb2
from tools.prove import campaign

FORMS = (form(1, "@array", [V], [spec((4,))]), form(3, "@fetch", [H], [REPLY]))


def work(endpoint: str, session: str) -> Attached:
    """Attach and do something; the stream stays open."""
    stream = Attached(endpoint, session=session, first=hello())
    stream.next()
    stream.send(Writer().batch([1, 1, value(np.arange(4.0).tobytes()), 3, 3, 1], 2, *FORMS))
    stream.until(1)
    return stream


@pytest.mark.parametrize("options", [(), ("--cold",)], ids=["forked", "cold"])
def test_a_server_lives_through_a_session_and_its_end_is_told_with_what_it_used(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    with agent(tmp_path, *options) as (controller, process):
        hi = controller.hellos[0]
        assert hi.node == process.ready["node"] and hi.boot_id == host_id() and hi.version
        assert [(d.device, d.kind, d.memory_bytes) for d in hi.devices] == [
            ("cpu:0", "cpu", 1 << 30),
            ("cpu:1", "cpu", 1 << 30),
        ]
        news = controller.warm("s1", "cpu:1")
        assert news.device == "cpu:1" and news.endpoint and news.fingerprint
        for k in range(20):
            controller.assign("s1", f"unused-{k}")
            controller.order("s1", unassign=server_pb2.UnassignRequest(session=f"unused-{k}"))
        controller.assign("s1", "s")
        with work(news.endpoint, "s"):
            attached = controller.wait(lambda: (n := controller.servers["s1"]).attached_before and n, "attached")
            assert attached.state == LEASED and attached.assignment.session == "s" and attached.usage.attached
            use = controller.wait(lambda: (u := controller.use.get("s1")) and u.executed_commands == 2 and u, "numbers")
            assert use.used_bytes == 512 and use.kernel_s > 0
            controller.wait(lambda: controller.devices["cpu:1"].used_bytes == 512, "the device's books")
            assert controller.devices["cpu:1"].sessions == 1 and controller.devices["cpu:0"].sessions == 0
            assert controller.host.memory_bytes > 0
        assert controller.state("s1", PARKED).usage.used_bytes == 512
        controller.order("s1", end=server_pb2.EndRequest(reason="Released."))
        end = controller.end_of("s")
        assert (end.reason, end.lost, end.tenant, end.device, end.server) == ("Released.", False, "t", "cpu:1", "s1")
        assert end.usage.executed_commands == 2 and end.usage.peak_bytes == 512 and end.usage.kernel_s > 0
        dead = controller.state("s1", DEAD)
        assert dead.exit_status == 0 and not dead.start_failed
        assert not controller.ended.keys() - {"s"}


def test_servers_live_on_while_the_controller_is_away_and_no_end_is_lost(tmp_path: Path) -> None:
    with agent(tmp_path) as (controller, process):
        kept, gone = controller.warm("kept"), controller.warm("gone")
        controller.assign("kept", "a")
        controller.assign("gone", "b")
        with work(kept.endpoint, "a") as first:
            second = work(gone.endpoint, "b")
            controller.wait(lambda: controller.servers["gone"].attached_before, "attached")
            controller.stop()
            living = len(process.children())
            second.send(b"\x2a\x00")  # goodbye
            second.refusal()
            second.close()
            wait_until(lambda: len(process.children()) < living, "the end of its server")
            writer = Writer(seq=1, position=2)
            first.send(writer.batch([3, 4, 1], 1))
            first.until(2)
            controller.is_deaf = True
            controller.start()
            controller.wait(lambda: len(controller.hellos) == 2, "the agent again")
            again = controller.hellos[1]
            assert [s.server for s in again.servers] == ["kept"] and again.node == process.ready["node"]
            assert again.servers[0].assignment.session == "a" and again.servers[0].usage.executed_commands >= 2
            assert again.command_seq == 4
            end = controller.end_of("b")
            assert "goodbye" in end.reason and not end.lost and end.usage.executed_commands == 2
            # Nobody said that it is in the directory: it is told again.
            controller.stop()
            controller.is_deaf = False
            controller.start()
            controller.wait(lambda: controller.ends_heard == 2, "the end again")
            (kept_ends,) = tmp_path.rglob("ends")
            controller.wait(lambda: kept_ends.stat().st_size == 0, "that the agent was told that it is kept")
            controller.stop()
            controller.start()
            controller.wait(lambda: len(controller.hellos) == 4, "the agent again")
            controller.warm("new")
            assert controller.ends_heard == 2


def test_a_killed_server_is_a_lost_session_and_a_dead_client_ends_its_own(tmp_path: Path) -> None:
    with agent(tmp_path) as (controller, process):
        pids = set(process.children())
        news = controller.warm("s1")
        (pid,) = set(process.children()) - pids
        controller.assign("s1", "a")
        with work(news.endpoint, "a"):
            os.kill(pid, signal.SIGKILL)
            end = controller.end_of("a")
            assert end.lost and "SIGKILL" in end.reason and end.usage.executed_commands == 2
        news = controller.warm("s2")
        client = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        controller.assign("s2", "b", client_pid=client.pid, client_host=host_id())
        with work(news.endpoint, "b"):
            client.kill()
            client.communicate()
            end = controller.end_of("b")
            assert end.client_gone and not end.lost and "client's process" in end.reason
        controller.warm("s3")
        controller.assign("s3", "c", client_pid=client.pid, client_host=host_id())
        assert controller.end_of("c").client_gone
        # One of another host says nothing about a process of ours.
        controller.warm("s4")
        # Nor does one in a container here, whose process ids are others.
        for k, stranger in enumerate(("another", host_id().partition(":")[0] + ":1")):
            controller.assign("s4", f"d{k}", client_pid=client.pid, client_host=stranger)
            controller.order("s4", unassign=server_pb2.UnassignRequest(session=f"d{k}"))
        controller.assign("s4", "d")
        controller.order("s4", unassign=server_pb2.UnassignRequest(session="d"))
        controller.state("s4", WARM)


def test_orders_that_come_too_late_are_answered(tmp_path: Path) -> None:
    with agent(tmp_path) as (controller, _):
        controller.assign("nobody", "a")
        assert controller.end_of("a").lost
        controller.start_server("s1", "cpu:7")
        assert "no device 'cpu:7'" in controller.state("s1", DEAD).reason
        news = controller.warm("s2")
        controller.assign("s2", "b")
        with work(news.endpoint, "b"):
            controller.order("s2", unassign=server_pb2.UnassignRequest(session="b"))
            assert "given back" in controller.end_of("b").reason
        controller.warm("s3")
        controller.assign("s3", "c")
        controller.assign("s3", "d")
        assert "one session" in controller.end_of("d").reason
        assert controller.servers["s3"].state != DEAD


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_everything_goes_with_the_agent_however_it_ends(tmp_path: Path, how: signal.Signals) -> None:
    nodes = set()
    for k in range(2):  # the second one has the same folder, and what the first one left there
        controller = FakeController(f"unix:{tmp_path}/c{k}.sock", token="secret")
        (tmp_path / "token").write_text("secret\n")
        process = AgentProcess(controller.address, tmp_path / "agent", "--token-file", str(tmp_path / "token"))
        try:
            controller.wait(lambda heard=controller.hellos: heard, "the agent's hello")  # type: ignore[misc]
            news = controller.warm("s1")
            nodes.add(controller.hellos[0].node)
            controller.assign("s1", "a")
            with work(news.endpoint, "a"):
                pids = process.children()
                assert len(pids) >= 2
                process.process.send_signal(how)
                process.process.wait(30)
                if how == signal.SIGTERM:
                    assert controller.end_of("a").reason == "The agent ends."
            wait_until(lambda pids=pids: not any(is_alive(p) for p in pids), "its servers and zygote ended")  # type: ignore[misc]
        finally:
            process.close()
            controller.stop()
    assert len(nodes) == 1


def test_two_agents_do_not_share_a_folder_and_bad_words_are_one_line(tmp_path: Path) -> None:
    with agent(tmp_path) as (controller, process):
        second = AgentProcess(controller.address, tmp_path / "agent")
        assert "Another agent" in second.ready["error"] and second.process.wait(60) == 2
        second.close()
        assert process.ready["node"]
    for words, what in (
        ([], "address of its controller"),
        (["--controller", "unix:/x", "--tls-cert", "x"], "go together"),
    ):
        run = subprocess.run(
            [sys.executable, "-P", "-m", "cupool.pool", "agent", *words], capture_output=True, text=True
        )
        assert run.returncode == 2 and what in run.stdout and "Traceback" not in run.stderr


def test_a_device_on_which_no_server_starts_is_left_alone_after_some_tries(tmp_path: Path) -> None:
    with agent(tmp_path, "--devices", "cpu:1:1GiB,cuda:1:1GiB", "--cold") as (controller, _):
        for k in range(6):
            controller.start_server(f"bad-{k}", "cuda:0")
            dead = controller.state(f"bad-{k}", DEAD)
            assert dead.start_failed and dead.exit_status == 1
        controller.start_server("last", "cuda:0")
        assert "6 times in a row" in controller.state("last", DEAD).reason
        controller.warm("good", "cpu:0")


def test_killed_clients_leave_nothing_in_the_books() -> None:
    """The sample of `make prove PART=dead_clients`."""
    result = campaign("dead_clients", full=False)
    assert result["complete"] and not result["failed"]


def test_a_forked_server_is_as_a_cold_one(tmp_path: Path) -> None:
    """What the kernel knows of both is the same, but for what a process is: ids, memory, times."""
    seen = []
    for options in ((), ("--cold",)):
        folder = tmp_path / f"of{len(options)}"
        folder.mkdir()
        with agent(folder, *options) as (controller, process):
            news, pid = started(controller, process, is_forked=not options)
            proc = Path(f"/proc/{pid}")
            # A thread that starts another one blocks signals for that moment.
            wait_until(
                lambda proc=proc: "SigBlk:\t0000000000000000" in (proc / "status").read_text(), "no signal blocked"
            )  # type: ignore[misc]
            others = {process.process.pid, *process.children()} - {pid}
            assert options or len(others) >= 2, "no zygote beside the agent"
            status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines() if ":\t" in line)
            seen.append(
                {
                    "fingerprint": news.fingerprint,
                    "parent": int(status["PPid"]) == process.process.pid,
                    "group": os.getpgid(pid) == pid,
                    "signals": [status[k].strip() for k in ("SigBlk", "SigIgn", "SigCgt")],
                    "rights": [status[k].strip() for k in ("NoNewPrivs", "Seccomp", "CapEff")],
                    "streams": [
                        os.readlink(proc / "fd" / str(n)).partition(":")[0].partition("/s")[0] for n in (0, 1, 2)
                    ],
                    # By number, those of others: how many it has is no matter of inheritance, its own rehearsal's may be closing.
                    "shared sockets": sockets(pid) & set().union(*map(sockets, others)),
                    "limits": [line for line in (proc / "limits").read_text().splitlines() if "data size" not in line],
                    "niceness": os.getpriority(os.PRIO_PROCESS, pid),
                }
            )
    forked, cold = seen
    forked["streams"] = [s.replace(str(tmp_path / "of0"), "") for s in forked["streams"]]
    assert forked["parent"] and forked["group"]
    assert not forked["shared sockets"]
    assert {k: v for k, v in forked.items() if k != "streams"} == {k: v for k, v in cold.items() if k != "streams"}
    assert forked["streams"][0] == cold["streams"][0] == "/dev/null"


def sockets(pid: int) -> set[str]:
    """The sockets that a process has open, by their kernel's number."""
    folder, found = f"/proc/{pid}/fd", set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):  # closed while we look
                found.add(os.readlink(f"{folder}/{name}"))
    return {target for target in found if target.startswith("socket:")}


def started(controller: FakeController, process: AgentProcess, is_forked: bool) -> tuple[Any, int]:
    """A warm server `s<n>` and its pid, forked by the zygote or cold. Until the zygote is ready servers start cold: they are ended."""
    for k in range(1000):
        before = set(process.children())
        news = controller.warm(f"s{k}")
        (pid,) = set(process.children()) - before
        if (b"cupool.pool.child" not in Path(f"/proc/{pid}/cmdline").read_bytes()) == is_forked:
            return news, pid
        assert is_forked, "a zygote has forked a server that was to start cold"
        controller.order(f"s{k}", end=server_pb2.EndRequest(reason="not forked"))
        controller.state(f"s{k}", DEAD)
    raise AssertionError("no server was forked")


def test_a_device_is_tested_in_a_process_of_its_own() -> None:
    for device, status, words in (
        ("cpu:0", 0, ""),
        ("cuda:63", 1, "cuda:63 failed its test"),
        ("x:0", 1, "no device kind"),
    ):
        run = subprocess.run(
            [sys.executable, "-P", "-m", "cupool.apiserver.selftest", "--device", device],
            capture_output=True,
            text=True,
        )
        assert run.returncode == status and words in run.stdout and run.stdout.count("\n") <= 1


def test_a_device_that_computes_wrongly_or_forgets_fails_its_test() -> None:
    class Forgets:
        """An array library whose memory loses a bit, or whose products are wrong."""

        def __init__(self, **others: Any) -> None:
            self.__dict__.update(others)

        def __getattr__(self, name: str) -> Any:
            return getattr(np, name)

    memory = SimpleNamespace(runtime=SimpleNamespace(memGetInfo=lambda: (1 << 20, 1 << 30)))

    def full(*words: Any) -> Any:
        made = np.full(*words)
        made[7] ^= 1
        return made

    with pytest.raises(RuntimeError, match="1 of 65536 words of memory do not keep"):
        selftest.check(Forgets(cuda=memory, full=full))
    with pytest.raises(RuntimeError, match="wrong result"):
        selftest.check(Forgets(cuda=memory, sqrt=np.cos))
    selftest.check(Forgets(cuda=memory))
