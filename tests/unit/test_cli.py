"""The operator's command line against a fake AdminService: JSON by golden files, exit codes, ids, tables, completion, bad input."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import fake_admin
import grpc
import pytest
from cupool.pool.cli import app, balance, devices, exits, ids, join, link, move, show, status
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).with_name("golden_cli.json")


@pytest.fixture
def folder(tmp_path_factory):
    """A short folder: the address of a unix socket has 107 bytes."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="cli-") as made:
        yield Path(made)


@pytest.fixture
def fake(folder, monkeypatch):
    """A fake pool that the environment names, for an admin."""
    for name in [n for n in os.environ if n.startswith("CUPOOL_") and n != "CUPOOL_TEST_RUN"]:
        monkeypatch.delenv(name)
    with fake_admin.serving(folder) as (served, addr):
        monkeypatch.setenv("CUPOOL_ADMIN_ADDR", addr)
        monkeypatch.setenv("CUPOOL_ADMIN_TOKEN", fake_admin.TOKENS["admin"])
        monkeypatch.setenv("HOME", str(folder))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
        monkeypatch.setenv("COLUMNS", "160")
        yield served


@pytest.fixture
def run(capsys):
    """Run a command line; returns (exit code, standard output, standard error)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = app.main(list(arguments))
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


# ---- JSON

READING = {
    "status": ["status", "--json"],
    "ps": ["ps", "--json"],
    "gpus": ["gpus", "--json"],
    "nodes": ["nodes", "--json"],
    "servers": ["servers", "--json"],
    "session list": ["session", "list", "--json"],
    "top": ["top", "--once", "--json"],
    "quota show": ["quota", "show", "--json"],
    "token list": ["token", "list", "--all", "--json"],
    "balance status": ["balance", "status", "--json"],
    "balance explain": ["balance", "explain", "--json"],
    "balance explain session": ["balance", "explain", "3f01", "--json"],
    "balance set": ["balance", "set", "pack", "--dry-run", "--json"],
    "logs": ["logs", "--json"],
    "logs --events": ["logs", "--events", "--json"],
    "config show": ["config", "show", "--json"],
    "move": ["move", "3f01", "--to", "gpu-b/cuda:0", "--json"],
    "move status": ["move", "--status", "--json"],
    "move cancel": ["move", "3f01", "--cancel", "--json"],
    "drain": ["drain", "gpu-a", "--reason", "fans", "--json"],
    "token create": ["token", "create", "--tenant", "images", "--json"],
    "quota set": ["quota", "set", "images", "--sessions", "3", "--json"],
}


@pytest.mark.parametrize("name", READING)
def test_golden_json(fake, run, name):
    """The documents are those of golden_cli.json. A change of one that scripts could notice raises the number in its `schema`;
    a new field does not. To accept: GOLDEN=write pytest tests/unit/test_cli.py"""
    code, out, _ = run(*READING[name])
    assert code == 0
    seen = [json.loads(line) for line in out.splitlines()] if name.startswith("logs") else json.loads(out)
    seen = json.loads(json.dumps(seen).replace(os.environ["CUPOOL_ADMIN_ADDR"], "unix:/run/admin.sock"))
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text(json.dumps(golden | {name: seen}, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        return
    assert seen == golden[name]
    for document in seen if isinstance(seen, list) else [seen]:
        command, _, number = document["schema"].partition("/")
        assert command.startswith("cupool.") and number.isdigit()


def test_every_reading_command_has_a_golden_document():
    assert set(json.loads(GOLDEN.read_text())) == set(READING)


def test_no_secret_is_in_a_listing(fake, run):
    for name, arguments in READING.items():
        if name != "token create":
            _, out, err = run(*arguments)
            assert "secret" not in out + err, name


# ---- tables


def test_tables(fake, run):
    code, out, err = run("ps")
    assert code == 0 and err == ""
    lines = out.splitlines()
    assert lines[0].split()[:3] == ["session", "state", "tenant"]
    assert len(lines) == 4 and "15.0 GiB" in lines[1] and "matmul" in lines[1]
    for command, words in {
        "gpus": ["gpu-b/cuda:1", "cordoned", "XID 48", "double-bit ECC error", "thermal"],
        "nodes": ["gpu-a", "away", "has not been heard of"],
        "servers": ["server-03", "warm", "4711", "gpu-b/cuda:1"],
        "session list": ["nightly", "cuda", "2.0 GiB", "3 h", "broken", "which says whose it is"],
        "status": [
            "1,234 given, 7 refused (quota 7)",
            "within 1 ms",
            "99% within 10 ms",
            "warning: gpu-b/cuda:1 has ECC errors",
        ],
        "top --once": ["sessions 3 (1 parked)", "█████░░░░░", "waiting tenant", "images"],
        "quota show": ["2 of 8", "60.0 GiB of 80.0 GiB", "2.0 min of 10 h"],
        "token list": ["t01", "never", "made with the pool"],
        "balance status": ["cost-aware: Moves a session when", "balancer-01, asked", "1 decided, 1 of them failed"],
        "balance explain": [
            "because a move would not pay (2)",
            "12.50 s",
            "is shared by 2 sessions",
            "moved",
            "failed: session-3f01: The link is slow.",
        ],
        "balance explain 3f77": ["session-3f77: It stays: it loses too little to others"],
    }.items():
        code, out, err = run(*command.split())
        assert code == 0 and err == "", command
        for word in words:
            assert word in out or word == "2.0 min of 10 h", (command, word, out)


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 120])
def test_tables_shrink(fake, run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    for command in ("ps", "gpus", "nodes", "servers", "session list", "quota show", "token list", "config show"):
        code, out, _ = run(*command.split())
        assert code == 0
        table = [line for line in out.splitlines() if not line.startswith("gpu-b/cuda:1:")]
        assert max(map(len, table)) <= columns, (command, out)
        assert out.splitlines()[0].strip()


def test_a_pipe_gets_whole_values(fake, run, monkeypatch):
    monkeypatch.delenv("COLUMNS")
    _, out, _ = run("gpus")
    assert "Hardware error (XID 48); by the pool." in out and "GPU-cccc" in out


def test_what_clients_say_cannot_steer_the_terminal(fake, run):
    _, out, _ = run("ps")
    assert "\x1b" not in out and "train\\x1b[31m" in out


def test_no_color(fake):
    """On a terminal there are colours, unless NO_COLOR is set."""
    seen = {}
    for no_color in ("", "1"):
        master, slave = os.openpty()
        env = os.environ | {"NO_COLOR": no_color, "TERM": "xterm-256color"}
        done = subprocess.run(
            [sys.executable, "-P", "-m", "cupool", "ps"],
            stdout=slave,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=env,
        )
        os.close(slave)
        text = b""
        while True:
            try:
                text += os.read(master, 65536)
            except OSError:
                break
        os.close(master)
        assert done.returncode == 0, done.stderr
        seen[no_color] = text.decode()
    assert "\x1b[" in seen[""] and "\x1b" not in seen["1"]


def test_watch(fake, run, monkeypatch):
    """Again and again; a pool that is away for a moment does not end it."""
    naps = []

    def nap(seconds):
        naps.append(seconds)
        fake.refuse = (grpc.StatusCode.UNAVAILABLE, "gone") if len(naps) == 2 else None
        if len(naps) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(show.time, "sleep", nap)
    code, out, err = run("ps", "--json", "--watch", "0.5")
    assert code == 0 and naps == [0.5] * 4
    assert [json.loads(line)["schema"] for line in out.splitlines()] == ["cupool.ps/1"] * 4
    assert err.count("Cannot reach the pool") == 1
    naps.clear()
    code, out, _ = run("nodes", "-w")
    assert code == 0 and naps == [2.0] * 4 and out.count("gpu-a") == 4


# ---- exit codes and errors


def check_two_lines(err: str) -> None:
    """One line of cause and one of cure."""
    lines = err.splitlines()
    assert lines and lines[0].startswith("cupool: ") and len(lines) <= 2, err
    assert len(lines) == 1 or lines[1].startswith("  try: "), err


CODES = {
    "ok": (["ps"], {}, 0),
    "usage": (["ps", "--frob"], {}, 2),
    "no command": (["frob"], {}, 2),
    "no session": (["kill", "session-zz", "--yes"], {}, 6),
    "no device": (["cordon", "cuda:9", "--reason", "x"], {}, 6),
    "no tenant": (["quota", "show", "nobody"], {}, 6),
    "no token": (["token", "revoke", "t99"], {}, 6),
    "ambiguous": (["kill", "session-3f", "--yes"], {}, 2),
    "choice missing": (["balance", "dry-run"], {}, 2),
    "reason missing": (["drain", "gpu-a"], {}, 2),
    "unreachable": (["status", "--admin", "unix:/nonexistent/admin.sock"], {}, 3),
    "unreachable port": (["status", "--admin", "127.0.0.1:1"], {}, 3),
    "no pool here": (["status"], {"CUPOOL_ADMIN_ADDR": ""}, 3),
    "no credential": (["ps"], {"CUPOOL_ADMIN_TOKEN": ""}, 4),
    "wrong credential": (["ps"], {"CUPOOL_ADMIN_TOKEN": "cupool_viewer_x_y"}, 4),
    "role": (["kill", "3f01", "--yes"], {"CUPOOL_ADMIN_TOKEN": fake_admin.TOKENS["viewer"]}, 4),
    "role of tokens": (["token", "list"], {"CUPOOL_ADMIN_TOKEN": fake_admin.TOKENS["operator"]}, 4),
    "token file": (["ps", "--token-file", "/nonexistent"], {}, 4),
    "ca file": (["ps", "--ca", "/nonexistent", "--admin", "127.0.0.1:1"], {}, 2),
    "config": (["config", "show"], {"CUPOOL_POOL_WARM": "many"}, 2),
    "no config": (["config", "check"], {}, 6),
    "nothing to set": (["quota", "set", "images"], {}, 2),
    "size": (["quota", "set", "images", "--memory", "4 gigs"], {}, 2),
    "duration": (["token", "create", "--tenant", "images", "--valid", "soon"], {}, 2),
    "tenant missing": (["token", "create"], {}, 2),
    "tenant of an operator": (["token", "create", "--role", "viewer", "--tenant", "images"], {}, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", CODES)
def test_exit_codes(fake, run, monkeypatch, name):
    arguments, environment, wanted = CODES[name]
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    code, out, err = run(*arguments)
    assert code == wanted, err
    if wanted:
        assert out == ""
        check_two_lines(err)
        assert "secret" not in err


def test_config_check_names_every_mistake(run, tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text('[pool]\nwarm = "x"\n[foo]\nx = 1\n')
    code, out, err = run("config", "check", str(file))
    lines = err.splitlines()
    assert (code, out, len(lines)) == (2, "", 4), err
    assert "line 3: there is no section 'foo'" in lines[0] and "line 2: pool.warm" in lines[2]
    check_two_lines("\n".join(lines[:2]))
    check_two_lines("\n".join(lines[2:]))


STATUSES = {
    "ALREADY_EXISTS": 1, "DEADLINE_EXCEEDED": 7, "FAILED_PRECONDITION": 1, "INTERNAL": 1, "INVALID_ARGUMENT": 2, "NOT_FOUND": 6,
    "PERMISSION_DENIED": 4, "RESOURCE_EXHAUSTED": 8, "UNAUTHENTICATED": 4, "UNAVAILABLE": 3, "UNIMPLEMENTED": 1, "UNKNOWN": 1,
    "ABORTED": 1, "OUT_OF_RANGE": 1, "DATA_LOSS": 1, "CANCELLED": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", STATUSES)
def test_every_status_has_its_exit_code(fake, run, name):
    fake.refuse = (grpc.StatusCode[name], "The pool says why.\nIn two lines.")
    for arguments in (["ps"], ["logs"], ["drain", "gpu-a", "--reason", "x"]):
        code, out, err = run(*arguments)
        assert code == STATUSES[name] and out == "", err
        check_two_lines(err)
    with pytest.raises(ValueError):
        exits.Exit(9)


def test_a_pool_that_does_not_answer(fake, run, folder):
    """A socket that nobody serves, and a server that takes its time."""

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "mute.sock"))
        listener.listen()
        code, _, err = run("ps", "--admin", f"unix:{folder / 'mute.sock'}", "--timeout", "0.3")
    assert code == 3 and "no answer in time" in err
    fake.refuse = (grpc.StatusCode.DEADLINE_EXCEEDED, "queued too long")
    assert run("ps")[0] == 7


def test_json_output_into_a_closed_pipe(fake):
    done = subprocess.run(f"{sys.executable} -P -m cupool ps --json | true", shell=True, capture_output=True, text=True)
    assert done.stderr == ""


def test_an_unexpected_error_is_one_line(fake, run, monkeypatch):
    from cupool.pool.cli import sessions

    def broken(*_):
        raise KeyError("x")

    monkeypatch.setattr(sessions.show, "plain", broken)
    code, _, err = run("ps")
    assert code == 1 and "unexpected KeyError" in err and "CUPOOL_DEBUG=1" in err
    check_two_lines(err)


#: Said of what no part of the command line expected.
BUG = "CUPOOL_DEBUG=1"

_WORDS = sorted(
    {*app.COMMANDS, "--json", "--watch", "--help", "-h", "--reason", "--yes", "--admin", "--timeout", "--deadline", "--token-file", "list", "show", "set",
     "create", "revoke", "check", "reference", "bash", "zsh", "--once", "--tenant", "-n", "--lines", "--role", "--valid", "--config", "-", "--", "0", "-1",
     "3f01", "gpu-a", "cuda:0", "1e999", "\x00", "é", "{}", "%s", "[bold]", "a" * 3000}
    - {"up", "join", "bench", "down", "certs", "doctor"}
)  # fmt: skip


@pytest.mark.parametrize("seed", range(2))
def test_fuzz_argv(fake, run, seed):
    """Whatever the words, there is a documented exit code and no traceback."""
    import random

    rng = random.Random(seed)
    fake.refuse = None
    for _ in range(120):
        words = [rng.choice(_WORDS) for _ in range(rng.randrange(6))]
        if (
            "--watch" in words
            or "-f" in words
            or (words[:1] == ["top"] and "--once" not in words and "--json" in words)
        ):
            continue
        if words[:1] == ["doctor"] and not {"--help", "-h"} & set(words):
            continue  # looks at this host; has tests of its own
        code, _, err = run(*words)
        assert code in {int(e) for e in exits.Exit}, words
        assert BUG not in err, (words, err)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(words=st.lists(st.text(max_size=12), max_size=5))
def test_fuzz_text(fake, capsys, words):
    code = app.main(words)
    assert code in {int(e) for e in exits.Exit}
    assert BUG not in capsys.readouterr().err


# ---- what changes something


def test_kill(fake, run, monkeypatch):
    code, out, err = run("kill", "3f01", "9a00", "--yes", "--reason", "too long")
    assert code == 0 and out.split() == ["session-3f01", "session-9a00"]
    assert [(r.session, r.reason) for r in fake.said] == [("session-3f01", "too long"), ("session-9a00", "too long")]
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115
    code, _, err = run("kill", "3f77")
    assert code == 2 and len(fake.said) == 2 and "resize of images" in err and "--yes" in err
    sys.stdin.close()


@pytest.mark.parametrize("answer, code, kills", [("y\n", 0, 1), ("n\n", 1, 0), ("\n", 1, 0)])
def test_kill_asks(fake, run, monkeypatch, answer, code, kills):
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    assert run("kill", "3f77")[0] == code
    assert len(fake.said) == kills


def test_cordon_and_uncordon(fake, run):
    assert run("cordon", "gpu-b", "--reason", "fans")[:2] == (0, "gpu-b/cuda:0\ngpu-b/cuda:1\n")
    assert [(r.device, r.reason) for r in fake.said] == [("gpu-b/cuda:0", "fans"), ("gpu-b/cuda:1", "fans")]
    assert run("uncordon", "gpu-a/")[:2] == (0, "gpu-a/cuda:0\n")
    assert run("uncordon", "cuda:1")[:2] == (0, "gpu-b/cuda:1\n")
    code, _, err = run("uncordon", "gpu-")
    assert code == 2 and "gpu-a/cuda:0, gpu-b/cuda:0" in err


def test_drain(fake, run):
    code, out, err = run("drain", "gpu-a/cuda:0", "--reason", "upgrade", "--deadline", "90s")
    assert code == 0 and out == "gpu-a/cuda:0\n"
    assert "0 of 1 devices are empty, 2 sessions left" in err and "1 of 1 devices are empty, 0 sessions left" in err
    assert fake.said[0].deadline_ms == 90_000 and fake.said[0].reason == "upgrade"


def test_a_drain_that_cannot_empty_is_partly_done(fake, run):
    fake.drain_steps, fake.is_drain_done = [(2, []), (1, [])], False
    code, out, err = run("drain", "gpu-a", "--reason", "upgrade")
    assert code == 5 and out == "" and "gpu-a/cuda:0: 1 sessions are still there." in err


def test_a_move(fake, run):
    code, out, err = run(
        "move", "3f01", "--to", "gpu-b/cuda:0", "--max-pause", "500ms", "--give-up", "5s", "--reason", "new fan"
    )
    asked = fake.said[-1]
    assert (
        (code, out) == (0, "gpu-b/cuda:0\n") and "stood still for 42 ms" in err and "copying, 1.0 GiB of 3.0 GiB" in err
    )
    assert (asked.session, asked.device, asked.max_pause_ms, asked.timeout_ms) == (
        "session-3f01",
        "gpu-b/cuda:0",
        500,
        5000,
    )
    assert run("move", "3f01")[0] == 0 and fake.said[-1].device == "", "the pool chooses"


def test_a_move_that_is_given_up_says_why_and_that_the_session_goes_on(fake, run):
    fake.move_steps = [
        fake_admin.a_move("given-up", done=True, error="The session writes faster than it can be copied.")
    ]
    code, out, err = run("move", "3f01", "--to", "gpu-b/cuda:0")
    assert (code, out) == (1, "") and "faster than" in err and "try: It goes on on gpu-a/cuda:0." in err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["move"], 2, "No session was named"),
        (["move", "session-none"], 6, "no session"),
        (["move", "session-3f", "--to", "gpu-b/cuda:0"], 2, "not one session but 2"),
        (["move", "3f01", "--to", "gpu-x"], 6, "no device"),
        (["move", "3f01", "--to", "gpu-b"], 2, "not one device but 2"),
        (["move", "3f01", "--engine", "magic"], 2, "magic"),
        (["move", "3f01", "--max-pause", "soon"], 2, "--max-pause"),
        (["move", "3f01", "--status"], 2, "lists all moves"),
        (["move", "3f01", "--watch"], 2, "goes with --status"),
    ],
)
def test_a_move_that_makes_no_sense(fake, run, arguments, code, says):
    found, _, err = run(*arguments)
    assert found == code and says in err and not fake.said


def test_moves_under_way_are_shown(fake, run):
    _, out, _ = run("top", "--once")
    assert "copying" in out and "move-1" not in out
    _, out, _ = run("move", "--status")
    assert "session-3f77" in out and "session-3f01" in out and "balancer" in out


def test_an_interrupted_drain_goes_on(fake, folder):
    """Ctrl-C ends the command with a note; the pool is not told to stop."""
    fake.drain_goes_on = threading.Event()
    command = [sys.executable, "-P", "-m", "cupool", "drain", "gpu-a", "--reason", "upgrade"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert fake.drain_began.wait(30)
        assert "sessions left" in process.stderr.readline()
        process.send_signal(2)
        out, err = process.communicate(timeout=30)
    fake.drain_goes_on.set()
    assert process.returncode == 130 and out == ""
    assert "The pool goes on draining gpu-a/cuda:0" in err and "Traceback" not in err
    assert [type(r).__name__ for r in fake.said] == ["DrainRequest"]


def test_quota_set_names_what_it_sets(fake, run):
    code, out, _ = run(
        "quota",
        "set",
        "images",
        "--memory",
        "4GiB",
        "--lifetime",
        "1h",
        "--offload",
        "--park-grace",
        "250ms",
        "--weight",
        "2.5",
    )
    assert code == 0 and "4.0 GiB" in out
    said = fake.said[0]
    assert list(said.fields) == ["allow_offload", "lifetime_s", "memory_bytes", "park_grace_ms", "weight"]
    assert (said.memory_bytes, said.lifetime_s, said.allow_offload, said.park_grace_ms, said.weight) == (
        4 << 30,
        3600,
        True,
        250,
        2.5,
    )
    run("quota", "set", "images", "--memory", "none", "--no-offload")
    assert list(fake.said[1].fields) == ["allow_offload", "memory_bytes"] and fake.said[1].memory_bytes == 0


def test_tokens(fake, run, tmp_path):
    code, out, err = run("token", "create", "--tenant", "images", "--valid", "30d", "--note", "ci")
    assert code == 0 and out == "cupool_client_t04_freshsecret\n" and "freshsecret" not in err
    assert (fake.said[0].role, fake.said[0].tenant, fake.said[0].valid_s, fake.said[0].note) == (
        "client",
        "images",
        30 * 86400,
        "ci",
    )
    file = tmp_path / "token"
    code, out, err = run("token", "create", "--role", "viewer", "--out", str(file))
    assert code == 0 and out == "t04\n" and file.read_text() == "cupool_viewer_t04_freshsecret\n"
    assert file.stat().st_mode & 0o777 == 0o600
    code, out, err = run("token", "create", "--role", "viewer", "--out", str(tmp_path / "none" / "token"))
    assert code == 1 and "revoked again" in err and fake.said[-1].id == "t04"
    assert run("token", "revoke", "t02", "--reason", "lost")[:2] == (0, "t02\n")
    _, out, _ = run("token", "list")
    assert "t03" not in out


def test_logs_of_a_session_that_nobody_knows(fake, run):
    code, out, err = run("logs", "--session", "nobody")
    assert code == 6 and out == "" and err.count("\n") == 2
    assert "The log of the controller has no line of a session 'nobody'." in err and "cupool ps" in err


def test_what_grpc_calls_a_status_is_not_shown():
    assert link.short("FAILED_PRECONDITION: unix:/x.sock: connect failed.") == "unix:/x.sock: connect failed"
    assert link.short("a; last error: UNKNOWN: ipv4:127.0.0.1:9: refused") == "ipv4:127.0.0.1:9: refused"


def test_logs(fake, run):
    assert run("logs", "gpu-a", "-n", "5", "--session", "session-3f01")[1].splitlines()[0] == "line 0 of 5 session-3f01"
    assert run("logs", "nowhere")[0] == 6
    assert "session-ended session-3f01" in run("logs", "--events")[1]


# ---- ids, completion, help


def test_ids():
    known = ["session-aa11", "session-aa22", "session-bb", "gpu-a/cuda:0", "gpu-a/cuda:00"]
    assert ids.resolve("session-aa11", known, "session", "ps") == "session-aa11"
    assert ids.resolve("bb", known, "session", "ps") == "session-bb"
    assert ids.resolve("aa1", known, "session", "ps") == "session-aa11"
    assert ids.resolve("cuda:0", known, "device", "gpus") == "gpu-a/cuda:0"
    for typed, code in {"aa": 2, "": 6, "zz": 6, "session": 2}.items():
        with pytest.raises(exits.CliError) as caught:
            ids.resolve(typed, known, "session", "ps")
        assert caught.value.code == code, typed


def complete(shell: str, *words: str) -> list[str]:
    """What the shell would be told for these words, by the command as it is installed."""
    env = os.environ | {
        "_CUPOOL_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    if shell == "fish":
        env["COMP_CWORD"] = words[-1]
    done = subprocess.run([sys.executable, "-P", "-m", "cupool"], capture_output=True, text=True, env=env, timeout=60)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_completion(fake):
    assert complete("bash", "cupool", "kill", "session-3") == ["plain,session-3f01", "plain,session-3f77"]
    assert complete("bash", "cupool", "kill", "9a") == ["plain,session-9a00"]
    assert complete("bash", "cupool", "drain", "gpu-b") == ["plain,gpu-b/cuda:0", "plain,gpu-b/cuda:1", "plain,gpu-b"]
    assert complete("bash", "cupool", "un") == ["plain,uncordon"]
    assert "session-9a00" in complete("zsh", "cupool", "kill", "session-9")
    assert "session-9a00" in " ".join(complete("fish", "cupool", "kill", "session-9"))
    fake.refuse = (grpc.StatusCode.PERMISSION_DENIED, "no")
    assert complete("bash", "cupool", "kill", "session-3") == [""]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(fake, run, shell):
    code, out, _ = run("completion", shell)
    assert code == 0 and f"_CUPOOL_COMPLETE={shell}_complete" in out
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=out, text=True).returncode == 0


def test_bash_completes_ids_with_colons(fake, run, tmp_path):
    """In a real bash, with `cupool` as a command."""
    _, script, _ = run("completion", "bash")
    command = tmp_path / "cupool"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m cupool "$@"\n')
    command.chmod(0o755)
    probe = (
        f'{script}\nCOMP_LINE="cupool cordon gpu-b/cuda:"; COMP_POINT=${{#COMP_LINE}}; COMP_WORDBREAKS=$\' \\t\\n"><=;|&(:\'\n'
        f'compopt() {{ :; }}\n_cupool_completion {command}\nprintf "%s\\n" "${{COMPREPLY[@]}}"\n'
    )
    done = subprocess.run(["bash", "-c", probe], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["0", "1"], done.stderr


@pytest.mark.parametrize("name", app.COMMANDS)
def test_help(fake, run, name):
    code, out, err = run(name, "--help")
    assert code == 0 and out.startswith("Usage: cupool ") and err == ""


def test_the_extra_is_named_where_it_is_missing():
    code = "import sys; sys.modules['click'] = None; sys.argv = ['cupool', 'ps']; from cupool.__main__ import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and "needs the extra `server`" in done.stderr


def test_what_is_moved_and_what_would_be_are_told_apart():
    told = {"at_s": 5.0, "policy": "pack", "reasons": [], "took_ms": 0.1, "failed": []}
    move = {"session": "s", "source": "a", "destination": "b", "gain_s": 0, "cost_s": 0, "reason": "why"}
    decisions = [told | {"dry_run": dry, "moves": [move]} for dry in (True, False)]
    screen = show.console()
    with screen.capture() as captured:
        for part in balance.render_explanation({"decisions": decisions}, 200):
            screen.print(part)
    lines = captured.get().splitlines()
    assert ["would move" in line for line in lines[-2:]] == [False, True] and "moved" in lines[-2]


def test_bytes_that_are_copied_again_are_told_as_such():
    row = {"phase": "copying", "copied_bytes": 1 << 20, "total_bytes": 3 << 20}
    assert move._line(row) == "copying, 1.0 MiB of 3.0 MiB"
    assert move._line(row | {"copied_bytes": 8 << 20}) == "copying, all 3.0 MiB, and 5.0 MiB that changed"
    assert move._line(row | {"copied_bytes": 0}) == "copying"


def test_a_device_without_servers_is_not_ok():
    row = {"draining": False, "cordoned": False, "errors": [], "ecc_uncorrected": 0, "reason": ""}
    assert devices.state(row) == "ok" and devices.state(row | {"reason": "No driver."}) == "failing"
    assert devices.state(row | {"reason": "why", "cordoned": True}) == "cordoned"


def test_join_says_whether_anything_answers(tmp_path):
    assert join.unreachable("127.0.0.1:1") == "Connection refused"
    assert join.unreachable(f"unix:{tmp_path}/none.sock") == "No such file or directory"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert join.unreachable(f"127.0.0.1:{listener.getsockname()[1]}") == ""


def test_a_drain_says_what_it_waits_for():
    row = {"remaining_sessions": 0, "done": False, "error": ""}
    assert devices._drain_line([row]) == "0 of 1 devices are empty, 0 sessions left: their servers are ending"
    assert devices._drain_line([row | {"done": True}]) == "1 of 1 devices are empty, 0 sessions left"
    two = [row | {"done": True, "remaining_sessions": 1}, row | {"remaining_sessions": 2}]
    assert devices._drain_line(two) == "0 of 2 devices are empty, 3 sessions left"


def test_saved_sessions_are_not_purged_unless_told(run, monkeypatch, tmp_path):
    folder = tmp_path / "pool"
    saved = folder / "checkpoints" / "saved"
    saved.mkdir(parents=True)
    (saved / "mine.session").write_bytes(b"x")
    words = ("down", "--purge", "--yes", "--folder", str(folder))
    code, _, err = run(*words)
    assert code == 1 and "1 saved sessions are in" in err and "mine" in err and (saved / "mine.session").exists()
    check_two_lines(err)
    assert run("down", "--purge-saved", "--folder", str(folder))[0] == 2
    assert run(*words, "--purge-saved")[0] == 0 and not folder.exists()


def test_quantiles():
    histogram = {"bounds_s": [0.1, 1.0], "counts": [5, 4, 1]}
    assert status.quantile_s(histogram, 0.5) == 0.1
    assert status.quantile_s(histogram, 0.9) == 1.0
    assert status.quantile_s(histogram, 0.99) is None
    assert status.quantile_s({"bounds_s": [], "counts": []}, 0.5) is None


def test_times_and_sizes():
    assert [show.size(n) for n in (0, 5, 1536, 5 << 30, 3 << 40)] == ["", "5 B", "1.5 KiB", "5.0 GiB", "3.0 TiB"]
    assert [show.duration(s) for s in (0.25, 12, 300, 7200, 400000)] == ["0.2 s", "12 s", "5 min", "2 h", "5 d"]
    assert time.strptime(show.moment(1_700_000_000), "%Y-%m-%d %H:%M")


def test_the_entry_point_knows_every_command():
    from cupool import __main__ as entry

    assert frozenset(app.COMMANDS) == entry.OPERATOR | {"doctor"}
    assert set(app.BASE) | {"doctor"} == {n for n in entry.BASE if not n.startswith("-") and n != "help"}
    for name in app.COMMANDS:
        assert name in entry.USAGE
