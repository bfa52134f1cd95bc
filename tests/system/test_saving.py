"""A session that is saved to a file and brought back: its program, which was away meanwhile, goes on with it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from cupool.v1 import admin_pb2, admin_pb2_grpc

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
import cupy as cp
from cupool.shim import session
x = cp.arange(5.0); g = cp.random.default_rng(3); r = g.random(3); x += 1; v = x[::2]; x.get()
link = session.current().link
print(link.lease.session, flush=True)
for line in sys.stdin:
    if line == "away\\n": link.pause(10)
    if line == "back\\n": link.resume(); v *= 10
    if line == "look\\n": print(x.get().tolist(), r.get().tolist() + g.random(2).get().tolist())
    print("done", flush=True)
"""


class Pool:
    """A pool with a folder for saved sessions, and an operator of it."""

    def __init__(self, stack: contextlib.ExitStack, folder: Path) -> None:
        self.folder = folder
        words = [
            sys.executable,
            "-P",
            "-m",
            "cupool.pool",
            "--devices",
            "cpu:2:1GiB",
            "--checkpoints-folder",
            str(folder),
        ]
        process = stack.enter_context(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        stack.callback(process.terminate)
        assert process.stdout is not None
        self.said: dict[str, str] = json.loads(process.stdout.readline())
        self.admin = admin_pb2_grpc.AdminServiceStub(stack.enter_context(grpc.insecure_channel(self.said["admin"])))
        self.rights = (("authorization", f"Bearer {self.said['admin_token']}"),)

    def environment(self) -> dict[str, str]:
        return {**os.environ, "CUPOOL_ADDR": self.said["addr"], "CUPOOL_TOKEN": self.said["token"],
                "CUPOOL_ADMIN_ADDR": self.said["admin"], "CUPOOL_ADMIN_TOKEN": self.said["admin_token"]}  # fmt: skip

    def save(self, session: str, name: str, end: bool) -> Any:
        request = admin_pb2.SaveSessionRequest(session=session, name=name, end=end)
        return self.admin.SaveSession(request, metadata=self.rights, timeout=60)

    def restore(self, name: str, device: str = "") -> Any:
        request = admin_pb2.RestoreSessionRequest(checkpoint=name, device=device)
        return self.admin.RestoreSession(request, metadata=self.rights, timeout=60)

    def refusal(self, name: str, device: str = "") -> tuple[str, str]:
        with pytest.raises(grpc.RpcError) as refused:
            self.restore(name, device)
        return refused.value.code().name, refused.value.details()


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    with contextlib.ExitStack() as stack:
        yield Pool(stack, tmp_path)


class Program:
    def __init__(self, stack: contextlib.ExitStack, pool: Pool, stderr: int | None = None) -> None:
        self._process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "cupool", "run", "-c", PROGRAM],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=ROOT, env=pool.environment(),
            )
        )  # fmt: skip
        stack.callback(self._process.terminate)
        assert self._process.stdout is not None
        self.session = self._process.stdout.readline().strip()

    def last_words(self, word: str) -> str:
        """What it says on standard error when it ends of this."""
        _, said = self._process.communicate(word + "\n", timeout=60)
        return str(said)

    def tell(self, word: str) -> list[str]:
        """What it printed in answer."""
        process, lines = self._process, []
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(word + "\n")
        process.stdin.flush()
        while (line := process.stdout.readline()) != "done\n":
            assert line, "the program ended"
            lines.append(line)
        return lines


def test_a_program_that_was_away_goes_on_with_its_restored_session(pool: Pool) -> None:
    with contextlib.ExitStack() as stack:
        undisturbed = Program(stack, pool)
        undisturbed.tell("away")
        undisturbed.tell("back")
        wanted = undisturbed.tell("look")
    with contextlib.ExitStack() as stack:
        program = Program(stack, pool)
        program.tell("away")
        saved = pool.save(program.session, "nightly", end=True)
        assert saved.checkpoint == "nightly" and Path(saved.path).stat().st_size == saved.nbytes
        back = _when_it_may(lambda: pool.restore("nightly"))
        assert back.session == program.session and back.epoch == 2
        program.tell("back")
        assert program.tell("look") == wanted


def test_a_session_goes_on_when_it_was_saved_and_what_cannot_be_restored_is_refused(pool: Pool) -> None:
    with contextlib.ExitStack() as stack:
        program = Program(stack, pool)
        before = program.tell("look")
        saved = Path(pool.save(program.session, "one", end=False).path)
        assert program.tell("look")[0].split("]")[0] == before[0].split("]")[0]
        code, text = pool.refusal("one")
        assert code == "FAILED_PRECONDITION" and "is running" in text and "cupool kill" in text
        with pytest.raises(grpc.RpcError) as refused:
            pool.save(program.session, "one", end=False)
        assert refused.value.code().name == "ALREADY_EXISTS"
        for name in ("../one", "", ".hidden", "a" * 65):
            if name:
                with pytest.raises(grpc.RpcError) as refused:
                    pool.save(program.session, name, end=False)
                assert refused.value.code().name == "INVALID_ARGUMENT"
            assert pool.refusal(name)[0] == "NOT_FOUND"
        pool.admin.KillSession(admin_pb2.KillSessionRequest(session=program.session), metadata=pool.rights)
    about = json.loads(saved.with_suffix(".json").read_text())
    saved.with_name("gpu.json").write_text(json.dumps(about | {"kind": "cuda"}))
    code, text = _when_it_may(lambda: pool.refusal("gpu", "cpu:0"), lambda answer: "cuda" in answer[1])
    assert code == "FAILED_PRECONDITION" and "same kind" in text
    saved.with_name("no.json").write_text("{")
    assert pool.refusal("no")[0] == "DATA_LOSS"


def test_who_was_attached_is_told_what_is_so(pool: Pool) -> None:
    with contextlib.ExitStack() as stack:
        program = Program(stack, pool, stderr=subprocess.PIPE)
        pool.save(program.session, "nightly", end=True)
        said = program.last_words("look")
    assert "it was saved as nightly and ended" in said and "cupool session restore nightly" in said
    assert "That serves a program that was away while it was saved." in said and "run it again" in said


def test_the_command_line(pool: Pool) -> None:
    def cupool(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cupool", *words], capture_output=True, text=True, check=False, cwd=ROOT,
            env=pool.environment(), timeout=60,
        )  # fmt: skip

    with contextlib.ExitStack() as stack:
        program = Program(stack, pool)
        done = cupool("session", "save", program.session, "--name", "first", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["checkpoint"] == "first"
        assert cupool("session", "restore", "first").returncode == 1
        (pool.folder / "saved" / "alone.session").write_bytes(b"")
        listed = cupool("session", "list", "--json")
        alone, first = json.loads(listed.stdout)["saved"]
        assert first["checkpoint"] == "first" and first["session"] == program.session and first["kind"] == "cpu"
        assert (
            first["nbytes"] == Path(json.loads(done.stdout)["path"]).stat().st_size
            and 0 <= first["age_s"] < 60
            and not first["reason"]
        )
        assert alone["checkpoint"] == "alone" and "alone.json, which says whose it is" in alone["reason"]
        server = json.loads(cupool("servers", "--json").stdout)["servers"][0]
        assert server["device_id"] in ("cpu:0", "cpu:1") and Path(f"/proc/{server['pid']}").exists()
        absent = cupool("session", "restore", "second")
        assert absent.returncode == 6 and absent.stderr.splitlines() == [
            "cupool: There is no checkpoint 'second'.",
            "  try: `cupool session list` shows those that there are.",
        ]
        assert cupool("session", "save", "nobody").returncode in (2, 6)


def _when_it_may(ask: Any, is_so: Any = lambda answer: True) -> Any:
    """Ask again while the pool says that it is busy: the end of a session, and a warm server, take a moment."""
    import time

    limit = time.monotonic() + 60
    while True:
        try:
            answer = ask()
            if is_so(answer):
                return answer
        except grpc.RpcError as error:
            if error.code().name not in ("RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"):
                raise
            if time.monotonic() > limit:
                raise
        assert time.monotonic() < limit
        time.sleep(0.05)
