"""`cupool.offload`: whole functions next to the device, through a real server; and that nothing runs where it is not allowed."""

from __future__ import annotations

import functools
import gc
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cupool.shim import cupy as cp
from cupool.shim import finder, session
from cupool.shim.objects import RemoteObject

import cupool
from cupool.contract import offload as contract
from cupool.contract.errors import Unsupported
from cupool.v1 import session_pb2

from .servers import HANDLE, VALUE, Server, opened, send, values

pytest.importorskip("cloudpickle")

OBJECT = session_pb2.ResultSpec(object=True)
REPLY = session_pb2.ResultSpec(reply=True)


@pytest.fixture(scope="module", autouse=True)
def device() -> Iterator[None]:
    # In a program `import cupy` is the shim; functions are pickled with that name.
    finder.install()
    server = Server("--allow-offload", "--memory-limit", "64MiB")
    with opened(server.endpoint):
        cp.array(np.zeros(100_000)).get()  # starts the thread that sends large arrays
        yield
    server.close()
    finder.uninstall()


FACTOR = 3.0


def scaled(x: Any) -> Any:
    return x * FACTOR


def test_results_stay_on_the_device_and_structures_come_back() -> None:
    @cupool.offload
    def f(x: Any, y: Any, *, k: int) -> Any:
        return {"a": [x + y, (cp.linalg.norm(x), None)], "n": k * 2, "s": "text", "h": np.arange(k), 3: 1.5 + 2j}

    x, y = cp.arange(6.0), cp.ones(6)
    got = f(x, y=y, k=4)
    assert list(got) == ["a", "n", "s", "h", 3]
    assert isinstance(got["a"][0], cp.ndarray) and isinstance(got["a"][1], tuple)
    np.testing.assert_array_equal(got["a"][0].get(), np.arange(6.0) + 1)
    assert float(got["a"][1][0]) == pytest.approx(np.linalg.norm(np.arange(6.0)))
    assert got["n"] == 8 and got["s"] == "text" and got[3] == 1.5 + 2j and got["a"][1][1] is None
    np.testing.assert_array_equal(got["h"], np.arange(4))


def test_one_wait_whatever_the_function_looks_at() -> None:
    @cupool.offload
    def settle(x: Any) -> Any:
        steps = 0
        while float(abs(x).max()) > 0.1:
            x = x / 2
            steps += 1
        return x, steps

    x = cp.arange(100.0)
    settle(x)
    before = session.statistics().waits
    y, steps = settle(x)
    assert session.statistics().waits == before + 1
    assert steps == 10
    np.testing.assert_array_equal(y.get(), np.arange(100.0) / 1024)


def test_arrays_inside_of_objects_and_given_arrays_come_back_as_themselves() -> None:
    @dataclass
    class Pair:
        left: Any
        right: list[Any]

    @cupool.offload
    def swap(pair: Pair) -> Any:
        pair.left += 10
        return pair.right[0], pair.left, pair.left is pair.right[1]

    a, b = cp.zeros(3), cp.ones(3)
    first, second, same = swap(Pair(a, [b, a]))
    assert first is b and second is a and same is True
    np.testing.assert_array_equal(a.get(), [10, 10, 10])


def test_views_share_memory_in_both_directions() -> None:
    @cupool.offload
    def halves(x: Any) -> Any:
        x[0] = 7
        return x[:2], x[2:]

    x = cp.zeros(4)
    left, right = halves(x[::1])
    right += 1
    left[1] = 5
    np.testing.assert_array_equal(x.get(), [7, 5, 1, 1])


def test_globals_closures_and_functions_of_its_module_travel() -> None:
    weights = cp.arange(3.0)  # by value
    other = cupool.offload(scaled)

    @cupool.offload
    def f(x: Any) -> Any:
        from cupy.linalg import norm

        return scaled(x) + weights, other(x), float(norm(x)), functools.reduce(lambda a, b: a + b, [x, x])

    x = cp.ones(3)
    a, b, n, c = f(x)
    np.testing.assert_array_equal(a.get(), [3, 4, 5])
    np.testing.assert_array_equal(b.get(), [3, 3, 3])
    np.testing.assert_array_equal(c.get(), [2, 2, 2])
    assert n == pytest.approx(3**0.5)
    assert scaled(2.0) == other.local(2.0) == 6.0


def test_kernels_random_numbers_and_large_host_arrays_inside() -> None:
    if session.device().kernels:
        pytest.skip(session.device().kernels)

    @cupool.offload
    def f(x: Any, big: Any) -> Any:
        add = cp.RawKernel('extern "C" __global__ void add(double* x, double v) { x[threadIdx.x] += v; }', "add")
        add((1,), (4,), (x, 2.0))
        cp.random.seed(3)
        once = cp.random.rand(5)
        cp.random.seed(3)
        same = bool((once == cp.random.rand(5)).all())
        sent = cp.asarray(big)
        return same, float(sent.sum()), cp.asnumpy(sent) * 2, x.sum()

    x, big = cp.zeros(4), np.ones(200_000)
    same, total, doubled, sum_x = f(x, big)
    assert same and total == 200_000 and float(sum_x) == 8
    assert isinstance(doubled, np.ndarray)
    np.testing.assert_array_equal(doubled, big * 2)
    np.testing.assert_array_equal(x.get(), [2, 2, 2, 2])


def test_promised_results_do_not_wait() -> None:
    @cupool.offload(outs=2)
    def f(x: Any) -> Any:
        return x + 1, x[x > 2]

    @cupool.offload(outs=0)
    def add(x: Any) -> None:
        x += 100

    x = cp.arange(5.0)
    f(x), add(cp.zeros(1))
    before = session.statistics().waits
    a, b = f(x)
    assert add(x) is None
    assert session.statistics().waits == before
    np.testing.assert_array_equal(a.get(), np.arange(5.0) + 1)
    np.testing.assert_array_equal(b.get(), [3, 4])
    np.testing.assert_array_equal(x.get(), np.arange(5.0) + 100)


def test_errors_are_the_functions_own_with_its_traceback_and_the_callers_line() -> None:
    def inner(table: dict[str, int]) -> int:
        return table["nothing"]

    @cupool.offload
    def f(x: Any) -> int:
        x += 1
        return inner({})

    x = cp.zeros(2)
    with pytest.raises(KeyError) as caught:
        f(x)
    note = "\n".join(caught.value.__notes__)
    assert note.startswith(contract.TRACEBACK_HEAD)
    assert __file__ in note and 'table["nothing"]' in note and "in inner" in note
    assert "offload.py" not in note.replace(__file__, "")
    # What it wrote before stays what it is: nothing is poisoned.
    np.testing.assert_array_equal(x.get(), [1, 1])

    @cupool.offload(outs=1)
    def late(x: Any) -> Any:
        raise ValueError("too late")

    result = late(x)
    with pytest.raises(ValueError, match="too late") as caught_late:
        result.get()
    assert any(f"{__file__}:" in n and "called at" in n for n in caught_late.value.__notes__)

    @cupool.offload
    def numpy_fails() -> Any:
        return np.linalg.inv(np.zeros((2, 2)))

    with pytest.raises(np.linalg.LinAlgError) as caught_numpy:
        numpy_fails()
    note = "\n".join(caught_numpy.value.__notes__)
    assert "linalg/_linalg.py" in note and os.path.dirname(np.__file__) not in note


def test_an_error_that_the_function_did_not_look_at_is_its_own() -> None:
    @cupool.offload
    def f(x: Any) -> Any:
        cp.linalg.cholesky(x[:, :1] @ x[:1])  # shapes are fine
        cp.array([1, 2, 3])[cp.array([5])] = x[0, 0]  # wraps, as CuPy does
        return cp.asarray([1.0]).reshape(7)

    with pytest.raises(ValueError, match="reshape"):
        f(cp.eye(3))


def test_what_cannot_travel_says_so() -> None:
    @cupool.offload
    def odd() -> Any:
        return {1, 2}

    with pytest.raises(TypeError, match=r"returned a builtins\.set"):
        odd()

    @cupool.offload
    def missing() -> Any:
        import no_such_module_anywhere

        return no_such_module_anywhere

    with pytest.raises(ModuleNotFoundError, match="may import what the server has"):
        missing()

    @cupool.offload
    def leaves() -> Any:
        sys.exit(3)

    with pytest.raises(RuntimeError, match="SystemExit"):
        leaves()

    @cupool.offload
    def takes(x: Any) -> Any:
        return x

    with pytest.raises(TypeError, match="Hand over arrays"):
        takes(cp.random.RandomState(1))

    @cupool.offload(outs=2)
    def one(x: Any) -> Any:
        return x

    a, _ = one(cp.zeros(2))
    with pytest.raises(TypeError, match="outs=2"):
        a.get()
    with pytest.raises(ValueError, match="outs is a number"):
        cupool.offload(outs=-1)
    with pytest.raises(TypeError, match="takes a function"):
        cupool.offload(3)  # type: ignore[call-overload]


def test_memory_is_the_sessions_and_comes_back() -> None:
    @cupool.offload
    def much(n: int) -> Any:
        kept = [cp.zeros(1 << 20) for _ in range(n)]
        return len(kept), kept[0]

    pool = cp.get_default_memory_pool()
    gc.collect()
    before = pool.used_bytes()
    _, one = much(3)
    # The function itself, the result and nothing else.
    assert pool.used_bytes() == before + (8 << 20)
    del one, _
    with pytest.raises(cp.cuda.memory.OutOfMemoryError):
        much(20)
    assert pool.used_bytes() == before


def test_what_it_prints_is_printed_here(capfd: pytest.CaptureFixture[str]) -> None:
    @cupool.offload
    def speaks() -> int:
        print("from the server")
        return 1

    assert speaks() == 1
    cp.zeros(1).get()
    assert capfd.readouterr().out == "from the server\n"


def test_threads_that_a_function_leaves_behind_are_told() -> None:
    @cupool.offload
    def leave(x: Any) -> Any:
        said: list[str] = []
        go = threading.Event()

        def later() -> None:
            go.wait(20)
            try:
                x.get()
                said.append("worked")
            except RuntimeError as error:
                said.append(str(error))

        thread = threading.Thread(target=later)
        thread.start()
        leave_state.append((go, thread, said))
        return int(x[0])

    @cupool.offload
    def meet() -> Any:
        return "threads" in sys.modules

    leave_state: list[Any] = []
    assert leave(cp.ones(2)) == 1
    assert meet() is False
    assert leave_state == []  # the server's is another list


def test_an_endless_function_ends_at_the_kernel_limit(tmp_path: Path) -> None:
    program = """
import sys
sys.path.append(ROOT)
from tests.system.servers import *
import cupool
from cupool.contract.errors import SessionLost
from cupool.shim import cupy as cp
session.open_at(FixedPool(ENDPOINT), Config(reconnect_s=2))
@cupool.offload
def endless():
    while True:
        pass
try:
    endless()
except SessionLost as error:
    print("lost")
"""
    server = Server("--allow-offload", "--kernel-limit", "0.5")
    code = program.replace("ROOT", repr(str(Path(__file__).resolve().parents[2]))).replace(
        "ENDPOINT", repr(server.endpoint)
    )
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout == "lost\n", done.stderr
        assert server.process.wait(60) == 70
    finally:
        server.close()


class Marker:
    """Its pickle makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


FORGED = """
import sys
sys.path.append(ROOT)
from tests.system.test_offload import forge
forge(ENDPOINT, MARKER)
"""


def forge(endpoint: str, marker: str) -> None:
    """What a client that does not ask for permission sends."""
    data = pickle.dumps(Marker(Path(marker)))
    with opened(endpoint):
        word = values.encode(data).SerializeToString()
        texts = [values.encode(text) for text in ("f", "f.py", contract.PYTHON)]
        function = send("@offload_function", [VALUE, *texts], (word,), OBJECT)
        empty = values.encode(()).SerializeToString()
        reply = send("@offload", [HANDLE, VALUE, VALUE], (function, empty, word), REPLY)
        with pytest.raises(Exception):  # noqa: B017 - the form is refused, or the call
            session.wait_reply(reply)


def test_nothing_runs_without_permission(tmp_path: Path) -> None:
    """A marker pickle as function and as arguments, forged and by the shim."""
    server = Server()
    marker = tmp_path / "ran"
    code = FORGED.replace("ROOT", repr(str(Path(__file__).resolve().parents[2])))
    code = code.replace("ENDPOINT", repr(server.endpoint)).replace("MARKER", repr(str(marker)))
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert not marker.exists()
    finally:
        server.close()


def test_the_refusal_says_what_to_do(tmp_path: Path) -> None:
    server = Server()
    program = """
import sys
sys.path.append(ROOT)
from tests.system.servers import *
import cupool
from cupool.shim import cupy as cp
session.open_at(FixedPool(ENDPOINT), Config())
try:
    cupool.offload(lambda x: x)(cp.zeros(1))
except cupool.Unsupported as error:
    print(error)
"""
    code = program.replace("ROOT", repr(str(Path(__file__).resolve().parents[2])))
    try:
        done = subprocess.run(
            [sys.executable, "-c", code.replace("ENDPOINT", repr(server.endpoint))],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "does not let this tenant send functions" in done.stdout and "operator" in done.stdout, done.stderr
    finally:
        server.close()


def test_the_marker_does_run_where_it_may(tmp_path: Path) -> None:
    """So that the test above can fail."""
    marker = tmp_path / "ran"
    word = values.encode(pickle.dumps(Marker(marker))).SerializeToString()
    texts = [values.encode(text) for text in ("f", "f.py", contract.PYTHON)]
    function = RemoteObject(send("@offload_function", [VALUE, *texts], (word,), OBJECT))
    with pytest.raises(TypeError, match="A function was promised"):
        session.wait_all()
    assert marker.is_dir()
    del function


def test_another_python_is_refused() -> None:
    texts = [values.encode(text) for text in ("f", "f.py", "2.7")]
    function = RemoteObject(
        send("@offload_function", [VALUE, *texts], (values.encode(b"x").SerializeToString(),), OBJECT)
    )
    with pytest.raises(Unsupported, match=r"made by Python 2\.7"):
        session.wait_all()
    del function


def test_without_cloudpickle_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    monkeypatch.delitem(sys.modules, "cupool.shim.pickling", raising=False)
    monkeypatch.delattr(sys.modules["cupool.shim"], "pickling", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"pip install .cupool\[offload\]"):
        cupool.offload(lambda: 1)()


def test_an_embedded_pool_allows_it() -> None:
    program = "import cupool, cupy as cp\nprint(cupool.offload(lambda x: float(x.sum()))(cp.arange(4.0)))"
    done = subprocess.run(
        [sys.executable, "-m", "cupool", "run", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "6.0\n", done.stderr


def test_a_server_whose_interpreter_is_held_is_not_given_up() -> None:
    """Loading a library may hold it for seconds: the connection answers meanwhile, and nothing is replaced."""

    @cupool.offload
    def held(x: Any) -> Any:
        import ctypes

        ctypes.PyDLL(None).sleep(4)  # longer than silence and probe; of a PyDLL with the interpreter held
        return x + 1

    link = session.current().link
    before = link.reconnects
    assert held(cp.arange(3.0)).tolist() == [1, 2, 3]
    assert link.reconnects == before
