"""The example functions as their platforms run them: invocations, frozen in between, several at once, over time; deadlines."""

from __future__ import annotations

import base64
import contextlib
import http.client
import importlib.util
import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cupool.shim.finder import DROPIN

from cupool.v1 import pool_pb2

from .test_pool import Pool, running, wait_until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "functions"


def _local_runtime() -> Any:
    spec = importlib.util.spec_from_file_location("local_runtime", EXAMPLES / "aws_lambda" / "local_runtime.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LocalRuntime = _local_runtime().LocalRuntime


@pytest.fixture
def pool() -> Iterator[Pool]:
    with running("--listen", "127.0.0.1:0", "--devices", "cpu:2:512MiB", "--sessions-per-device", "4") as started:
        yield started


@pytest.fixture
def small_pool() -> Iterator[Pool]:
    """One session at a time."""
    with running("--listen", "127.0.0.1:0", "--devices", "cpu:1:512MiB", "--spare", "1") as started:
        yield started


def env_of(pool: Pool, **more: str) -> dict[str, str]:
    """What a function's configuration sets: where the pool is, and the drop-in path."""
    path = os.pathsep.join([str(DROPIN), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        "CUPOOL_ADDR": pool.ready["addr"],
        "CUPOOL_TOKEN": pool.ready["token"],
        "PYTHONPATH": path,
        "PYTHONSAFEPATH": "",
        **more,
    }


def sessions(pool: Pool) -> list[str]:
    return [s.session for s in pool.call("ListSessions", pool_pb2.ListSessionsRequest()).sessions]


def freeze(pid: int, seconds: float, kill: Callable[[int, int], None] = os.kill) -> None:
    kill(pid, signal.SIGSTOP)
    time.sleep(seconds)  # being frozen is what is tested
    kill(pid, signal.SIGCONT)


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def checkerboard(height: int, width: int) -> Any:
    y, x = np.mgrid[:height, :width]
    return ((x // 8 + y // 8) % 2 * 200 + 20).astype(np.uint8)


def test_examples_never_mention_cupool() -> None:
    for path in EXAMPLES.rglob("*.py"):
        if path.name != "local_runtime.py":
            assert "cupool" not in path.read_text(), path


# -- AWS Lambda -----------------------------------------------------------------------------------------------------------


def image_event(height: int = 64, width: int = 96) -> dict[str, Any]:
    return {"image": base64.b64encode(npy(checkerboard(height, width))).decode(), "sigma": 1.0}


def check_edges(answer: Any, height: int = 64, width: int = 96) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    grey = checkerboard(height, width).astype(np.float32)
    assert answer["shape"] == [height, width]
    assert answer["sharpness"] == pytest.approx(float(ndimage.laplace(grey).var()), rel=1e-4)
    edges = np.load(io.BytesIO(base64.b64decode(answer["edges"])))
    assert edges.shape == (height, width) and edges.max() == 255


@pytest.fixture
def lambda_dir() -> Path:
    pytest.importorskip("awslambdaric", reason="awslambdaric is not installed: pip install 'cupool[dev]'")
    return EXAMPLES / "aws_lambda"


def test_lambda_invocations_with_freezes_in_between(pool: Pool, lambda_dir: Path) -> None:
    before = set(sessions(pool))
    with LocalRuntime("app.handler", env_of(pool), lambda_dir) as runtime:
        held = set()
        for k in range(4):
            answer, error = runtime.invoke(image_event(64 + 8 * k))
            assert error is None
            check_edges(answer, 64 + 8 * k)
            held |= set(sessions(pool)) - before
            freeze(runtime.process.pid, 0.3 * k)
        assert len(held) == 1, "one session, kept from one invocation to the next"
        # Larger than what travels in a batch.
        answer, error = runtime.invoke(image_event(480, 640))
        assert error is None
        check_edges(answer, 480, 640)
        answer, error = runtime.invoke({"nothing": 1})
        assert error["errorType"] == "KeyError"
        check_edges(runtime.invoke(image_event())[0])
    wait_until(lambda: set(sessions(pool)) <= before, "the environment's session is given back")


def test_lambda_environments_at_once(pool: Pool, lambda_dir: Path) -> None:
    with contextlib.ExitStack() as stack:
        runtimes = [stack.enter_context(LocalRuntime("app.handler", env_of(pool), lambda_dir)) for _ in range(3)]
        started = [runtime.start(image_event()) for runtime in runtimes]
        for runtime, invocation in zip(runtimes, started, strict=True):
            answer, error = runtime.result(invocation)
            assert error is None
            check_edges(answer)
        assert len(sessions(pool)) >= 3


HANDLERS = """
import time
import cupy as cp

def total(event, context):
    return float(cp.arange(event["n"]).sum())

def sleep(event, context):
    cp.zeros(3).get()
    time.sleep(600)
"""


@pytest.fixture
def handlers(tmp_path: Path) -> Path:
    pytest.importorskip("awslambdaric", reason="awslambdaric is not installed: pip install 'cupool[dev]'")
    (tmp_path / "app.py").write_text(HANDLERS)
    return tmp_path


def wrapped(pool: Pool, handler: str, **more: str) -> dict[str, str]:
    env = env_of(pool, CUPOOL_HANDLER=handler, **more)
    env["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")  # the wrapper needs no drop-in path
    return env


ENTRY = "cupool.functions.lambda_handler"


def test_lambda_timeout_gives_the_session_back(small_pool: Pool, handlers: Path) -> None:
    with LocalRuntime(ENTRY, wrapped(small_pool, "app.sleep"), handlers) as runtime:
        invocation = runtime.start({}, timeout_s=60)
        wait_until(lambda: bool(sessions(small_pool)), "the function has its session", 60)
        invocation.timeout_s = 0.1
        with pytest.raises(TimeoutError, match="Task timed out"):
            runtime.result(invocation)
        wait_until(lambda: not sessions(small_pool), "the killed function's session is gone")
    with LocalRuntime(ENTRY, wrapped(small_pool, "app.total"), handlers) as runtime:
        assert runtime.invoke({"n": 5}) == (10.0, None)


def test_lambda_without_a_session_says_so(small_pool: Pool, handlers: Path) -> None:
    lease = small_pool.acquire()  # all that there is
    with LocalRuntime(ENTRY, wrapped(small_pool, "app.total", CUPOOL_DEADLINE_S="1"), handlers) as runtime:
        # The function says why it failed, before the platform would have killed it.
        _, error = runtime.invoke({"n": 5}, timeout_s=60)
        assert error["errorType"] == "LeaseRefused"
        assert runtime.process.poll() is None
        small_pool.release(lease)
        assert runtime.invoke({"n": 5}, timeout_s=60) == (10.0, None)


def test_lambda_deadline_bounds_the_wait_for_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    from cupool.shim import scopes
    from cupool.shim.config import Config

    from cupool import functions

    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 1500

    wished: list[Config] = []

    def handler(event: Any, context: Any) -> str:
        wished.append(scopes.settings(Config(deadline_s=600)))
        return "answer"

    monkeypatch.setattr(functions, "_handler", handler)
    assert functions.lambda_handler({}, Context()) == "answer"
    monkeypatch.setenv("CUPOOL_SESSION", "request")
    assert functions.lambda_handler({}, Context()) == "answer"
    assert all(0 < config.deadline_s <= 1.0 for config in wished)
    assert [config.lifetime_s for config in wished] == [0, 7]
    monkeypatch.setenv("CUPOOL_SESSION", "both")
    with pytest.raises(ValueError, match="CUPOOL_SESSION='both'"):
        functions.lambda_handler({}, Context())


@pytest.mark.parametrize(("mode", "left"), [("process", 1), ("request", 0)])
def test_lambda_session_per_process_or_per_request(small_pool: Pool, handlers: Path, mode: str, left: int) -> None:
    with LocalRuntime(ENTRY, wrapped(small_pool, "app.total", CUPOOL_SESSION=mode), handlers) as runtime:
        for n in (3, 4):
            assert runtime.invoke({"n": n}) == (n * (n - 1) / 2, None)
            wait_until(lambda: len(sessions(small_pool)) == left, f"{left} sessions after an invocation")


SNAPSHOT = """
import cupy as cp

warm = cp.arange(4.0)
assert float(warm.sum()) == 6  # the session is open while the function initialises

def handler(event, context):
    try:
        warm.get()
    except ValueError as error:
        return type(error).__name__, float(cp.ones(event["n"]).sum())
"""


def test_lambda_snapshot_holds_no_session(small_pool: Pool, handlers: Path) -> None:
    """The pool has one session at a time: without it given up before the snapshot, the restored function would get none."""
    (handlers / "app.py").write_text(SNAPSHOT)
    env = env_of(small_pool, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start")
    with LocalRuntime("app.handler", env, handlers) as runtime:
        wait_until(lambda: runtime.restores == 1, "the runtime asks to be restored", 60)
        wait_until(lambda: not sessions(small_pool), "no session is in the snapshot")
        assert runtime.invoke({"n": 5}, timeout_s=60) == (["ForeignArray", 5.0], None)


def test_lambda_handler_that_is_none(small_pool: Pool, handlers: Path) -> None:
    with LocalRuntime(ENTRY, wrapped(small_pool, "app.nothing"), handlers) as runtime:
        wait_until(lambda: runtime.init_error is not None, "the start's error", 60)
        assert "CUPOOL_HANDLER='app.nothing'" in runtime.init_error["errorMessage"]


# -- servers on a port ----------------------------------------------------------------------------------------------------


def free_port() -> int:
    """A port that nobody listens on, below those that the kernel gives to whoever asks for any: nobody takes it meanwhile."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def request(
    port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 0.5).close()
        return True
    return False


@contextlib.contextmanager
def serving(command: list[str], port: int, env: dict[str, str], cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """The server in a process group of its own, so that all of it can be frozen."""
    process = subprocess.Popen(
        command, env={**os.environ, **env}, cwd=cwd, start_new_session=True, stdout=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: answers(port) or process.poll() is not None, "the server listens", 60)
        assert process.poll() is None
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def at_once(count: int, call: Callable[[int], None]) -> None:
    """Run call(k) in `count` threads; raises what one of them raised."""
    failures: list[BaseException] = []

    def run(k: int) -> None:
        try:
            call(k)
        except BaseException as error:  # re-raised below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def functions_framework(target: str, port: int, *options: str) -> list[str]:
    pytest.importorskip("functions_framework", reason="functions-framework is not installed: pip install 'cupool[dev]'")
    return [
        sys.executable,
        "-m",
        "functions_framework",
        "--target",
        target,
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
        *options,
    ]


def test_gcp_http(pool: Pool) -> None:
    port = free_port()
    with serving(functions_framework("predict", port), port, env_of(pool), EXAMPLES / "gcp") as process:

        def predict(k: int) -> None:
            rows = np.full((3, 16), [[0.1], [0.5], [0.9]]) + k * 1e-4
            status, body = request(
                port, "POST", "/", json.dumps({"rows": rows.tolist()}).encode(), {"Content-Type": "application/json"}
            )
            assert status == 200, body
            said = json.loads(body)
            assert said["classes"] == ["low", "middle", "high"]
            assert np.allclose(np.sum(said["probabilities"], axis=1), 1)

        for k in range(3):
            predict(k)
            freeze(process.pid, 0.3 * k, os.killpg)
        at_once(6, predict)
        assert request(port, "POST", "/", b"{}", {"Content-Type": "application/json"})[0] == 400


def test_gcp_cloud_event(pool: Pool) -> None:
    port = free_port()
    command = functions_framework("on_measurements", port, "--signature-type", "cloudevent")
    with serving(command, port, env_of(pool), EXAMPLES / "gcp") as process:
        for k in range(2):
            headers = {"ce-id": f"event-{k}", "ce-source": "/tests", "ce-specversion": "1.0", "ce-type": "measured",
                       "Content-Type": "application/json"}  # fmt: skip
            body = json.dumps({"values": list(range(101))}).encode()
            status, said = request(port, "POST", "/", body, headers)
            assert status in (200, 204), said
            assert process.stdout is not None
            while not (line := process.stdout.readline()).startswith("event-"):
                assert line
            assert line == f"event-{k}: mean 50.0000 std 29.1548 p99 99.0000\n"
            freeze(process.pid, 0.3, os.killpg)


def test_knative(pool: Pool) -> None:
    port = free_port()
    image = np.repeat(checkerboard(240, 320)[:, :, None], 3, axis=2)
    with serving([sys.executable, "app.py"], port, env_of(pool, PORT=str(port)), EXAMPLES / "knative") as process:
        assert request(port, "GET", "/healthz") == (200, b"ok\n")

        def scale(k: int) -> None:
            height = 40 + 8 * k
            status, body = request(port, "POST", f"/?height={height}", npy(image))
            assert status == 200, body
            small = np.load(io.BytesIO(body))
            assert small.dtype == np.uint8 and small.shape == (height, round(320 * height / 240), 3)
            assert abs(float(small.mean()) - float(image.mean())) < 10

        for k in range(3):
            scale(k)
            freeze(process.pid, 0.3 * k, os.killpg)
        at_once(4, scale)
        status, body = request(port, "POST", "/?height=1000", npy(image))
        assert status == 400 and b"cannot become 1000 high" in body
        assert request(port, "POST", "/", b"garbage") == (400, b"the body is no .npy file\n")
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(20) == 0
