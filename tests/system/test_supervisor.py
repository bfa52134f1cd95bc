"""The supervisor and `up`/`down` around it, with fakes in place of controller and agent."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from cupool.pool import belongings, supervisor
from cupool.pool.cli import app, place

FAKES = Path(__file__).resolve().parents[1] / "support" / "fake_processes.py"


@pytest.fixture
def folder(monkeypatch):
    """A pool's folder, with everything that a pool makes outside of it below the same parent."""
    for name in [n for n in os.environ if n.startswith("CUPOOL_") and n != "CUPOOL_TEST_RUN"]:
        monkeypatch.delenv(name)
    with tempfile.TemporaryDirectory(prefix="sv-") as made:
        base = Path(made)
        (base / "run").mkdir(mode=0o700)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(base / "run"))
        monkeypatch.setenv("XDG_STATE_HOME", str(base / "state"))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(base / "config"))
        monkeypatch.setenv("HOME", made)
        yield base / "state" / "cupool"


@pytest.fixture
def supervised(folder):
    """Start a supervisor of fakes; returns (process, what it said)."""
    started: list[subprocess.Popen[str]] = []

    def start() -> tuple[subprocess.Popen[str], dict]:
        env = os.environ | {"PYTHONPATH": f"{FAKES.parent}:{os.environ.get('PYTHONPATH', '')}"}
        process = subprocess.Popen(
            [sys.executable, "-P", str(FAKES), "supervise", str(folder)], stdout=subprocess.PIPE, text=True, env=env
        )
        started.append(process)
        return process, json.loads(process.stdout.readline())

    yield start
    for process in started:
        process.stdout.close()
        if process.poll() is None:
            process.terminate()
        process.wait(30)


def until(condition):
    """Wait for something that another process does; the test's time limit ends it."""
    while not (found := condition()):
        time.sleep(0.02)
    return found


def assert_nothing_left(folder: Path, running: place.Running) -> None:
    assert belongings.marked(running.mark) == []
    assert not Path(running.run_folder).exists()
    left = {p.name for p in folder.iterdir()} - {"up.lock", "logs", "agent"}
    assert not {n for n in left if not n.startswith(("starts-", "stubborn-", "refuse-", "silent-", "shutdowns"))}


def test_up_and_down(folder, supervised, capsys):
    process, said = supervised()
    running = place.read(folder)
    assert said == {"ready": running.controller_pid}
    assert stat.S_IMODE((folder / place.NAME).stat().st_mode) == 0o600
    for file in (running.token_file, running.admin_token_file):
        assert stat.S_IMODE(Path(file).stat().st_mode) == 0o600
        assert Path(file).read_text().strip() not in (folder / place.NAME).read_text()
    assert running.balancer_pid
    assert len(belongings.marked(running.mark)) == 4  # with the agent's server
    # The pool is found without any variable, and a second one is refused.
    assert app.main(["ps", "--json"]) == 0
    assert app.main(["up", "--devices", "cpu:1:1GiB"]) == 1
    out, err = capsys.readouterr()
    assert "session-3f01" in out and f"A pool runs already in {folder} at {running.addr}" in err
    assert app.main(["down", "--now"]) == 0
    assert "3 sessions were ended" in capsys.readouterr().err
    assert process.wait(30) == 0
    assert_nothing_left(folder, running)
    assert app.main(["down"]) == 3
    assert app.main(["down", "--purge", "--yes"]) == 0
    assert not folder.exists()
    capsys.readouterr()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_and_leave_nothing(folder, supervised, number):
    process, _ = supervised()
    running = place.read(folder)
    process.send_signal(number)
    assert process.wait(60) == 0
    assert_nothing_left(folder, running)
    shutdowns = folder / "shutdowns"
    assert shutdowns.exists() == (number == signal.SIGTERM), "only SIGTERM lets sessions end first"
    shutdowns.unlink(missing_ok=True)


@pytest.mark.parametrize("name", ["controller", "agent", "balancer"])
def test_what_died_is_started_again(folder, supervised, name):
    _, _ = supervised()
    running = place.read(folder)
    first = getattr(running, f"{name}_pid")
    until(lambda: (folder / f"starts-{name}").exists() and (folder / f"starts-{name}").read_text())
    for starts in (2, 3):
        before = getattr(place.read(folder), f"{name}_pid")
        os.kill(before, signal.SIGKILL)
        until(lambda before=before: getattr(place.read(folder), f"{name}_pid") != before)
        until(lambda starts=starts: len((folder / f"starts-{name}").read_text().split()) == starts)
    now = place.read(folder)
    assert getattr(now, f"{name}_pid") != first
    assert (now.addr, now.admin_addr, now.mark) == (running.addr, running.admin_addr, running.mark)
    for other in {"controller", "agent", "balancer"} - {name}:
        assert getattr(now, f"{other}_pid") == getattr(running, f"{other}_pid"), "another one was not left alone"
    until(lambda: app.main(["status", "--json"]) == 0)


def test_a_killed_supervisor_ends_nothing_and_down_cleans_up(folder, supervised, capsys):
    process, _ = supervised()
    running = place.read(folder)
    process.kill()
    process.wait()
    assert app.main(["status"]) == 0
    assert app.main(["up", "--devices", "cpu:1:1GiB"]) == 1
    assert "whose supervisor is gone" in capsys.readouterr().err
    assert app.main(["down", "--now"]) == 0
    assert_nothing_left(folder, running)
    # And after a death of all, `up` finds only files.
    process, _ = supervised()
    running = place.read(folder)
    process.kill()
    process.wait()
    for pid in belongings.marked(running.mark):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not belongings.marked(running.mark))
    process, said = supervised()
    assert "ready" in said
    capsys.readouterr()


def test_one_that_does_not_end_is_killed(folder, supervised, capsys, monkeypatch):
    folder.mkdir(parents=True)
    (folder / "stubborn-controller").touch()
    (folder / "stubborn-agent").touch()
    process, _ = supervised()
    running = place.read(folder)
    process.kill()  # and nobody to end them in order
    process.wait()
    monkeypatch.setattr(belongings, "END_S", 0.3)
    assert app.main(["down", "--now"]) == 0
    assert "had to be killed" in capsys.readouterr().err
    assert_nothing_left(folder, running)


@pytest.mark.parametrize("name", ["controller", "agent"])
def test_one_that_cannot_start(folder, supervised, name):
    folder.mkdir(parents=True)
    (folder / f"refuse-{name}").touch()
    process, said = supervised()
    assert said == {"error": "It does not like this host.", "cure": "Take another."}
    assert process.wait(30) == 1
    (folder / f"refuse-{name}").rename(folder / f"silent-{name}")
    process, said = supervised()
    assert said["error"] == f"The {name} ended with status 3 before it was ready: its last words."
    assert process.wait(30) == 1
    assert not (folder / place.NAME).exists() and not (folder / "admin-token").exists()
    assert list((folder.parent.parent / "run").iterdir()) == []


def test_a_balancer_that_cannot_start_keeps_nobody_from_serving(folder, supervised):
    folder.mkdir(parents=True)
    (folder / "refuse-balancer").touch()
    _, said = supervised()
    assert "ready" in said and app.main(["status", "--json"]) == 0
    until(lambda: (folder / "starts-balancer").exists())
    until(lambda: len((folder / "starts-balancer").read_text().split()) >= 3)
    (folder / "refuse-balancer").unlink()
    starts = until(lambda: (folder / "starts-balancer").read_text().split())
    until(lambda: str(place.read(folder).balancer_pid) in starts + (folder / "starts-balancer").read_text().split())


def test_one_that_cannot_start_again_is_tried_with_growing_pauses(folder, supervised):
    _, _ = supervised()
    (folder / "refuse-controller").touch()
    os.kill(place.read(folder).controller_pid, signal.SIGKILL)
    until(lambda: len((folder / "starts-controller").read_text().split()) >= 4)
    (folder / "refuse-controller").unlink()
    until(lambda: app.main(["status", "--json"]) == 0)


def test_notify(folder, monkeypatch):
    for where in (str(folder.parent.parent / "n.sock"), f"@cupool-{os.getpid()}"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind("\0" + where[1:] if where.startswith("@") else where)
            monkeypatch.setenv("NOTIFY_SOCKET", where)
            supervisor.notify("READY=1")
            assert systemd.recv(100) == b"READY=1"
    monkeypatch.delenv("NOTIFY_SOCKET")
    supervisor.notify("READY=1")


def test_run_folder_of_another(folder, monkeypatch):
    path = belongings.run_folder(folder)
    assert belongings.run_folder(folder) == path and len(str(path)) < 80
    path.chmod(0o755)
    with pytest.raises(PermissionError):
        belongings.run_folder(folder)
    path.rmdir()
    path.symlink_to(folder.parent.parent)
    with pytest.raises(OSError):
        belongings.run_folder(folder)


def test_pool_json_is_refused(folder, capsys):
    folder.mkdir(parents=True)
    for text, words in {
        "": "cannot be read",
        "[]": "no record of a pool",
        '{"version": 2}': "of a newer cupool",
        '{"version": 1}': "no record of a pool",
    }.items():
        (folder / place.NAME).write_text(text)
        for command in (["status"], ["down"]):
            assert app.main(command) == 1
            out, err = capsys.readouterr()
            assert words in err and "  try: " in err and not out
        assert (folder / place.NAME).read_text() == text


def test_a_folder_that_cannot_be_used(folder, capsys):
    folder.parent.mkdir(parents=True)
    folder.write_text("a file")
    assert app.main(["up", "--devices", "cpu:1:1GiB"]) == 1
    assert "cannot be used: File exists" in capsys.readouterr().err
    assert app.main(["up", "--devices", "cpu:1:1GiB", "--folder", "/proc/nowhere"]) == 1
    assert app.main(["up", "--devices", "tpu"]) == 2
    assert app.main(["up", "--warm", "-1"]) == 2
    assert "flag --warm: pool.warm" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["join", "nowhere"], 2, "is no address"),
        (["join", "127.0.0.1:0"], 2, "is no address"),
        (["join", "127.0.0.1:7072"], 4, "token of the role agent"),
        (["join", "127.0.0.1:7072", "--token-file", "/none"], 4, "cannot be read"),
        (["join"], 2, "Missing argument"),
    ],
)
def test_join_says_what_it_needs(folder, capsys, arguments, code, words):
    assert app.main(arguments) == code
    assert words in capsys.readouterr().err
