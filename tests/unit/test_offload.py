"""Offloaded functions in an executor whose device hands its own arrays to them, as on CUDA; and what is refused before anything is read."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from executing import DATA, MIB, Client
from wire import OBJECT, REPLY, UNKNOWN, H, I, V, form, spec, value

from cupool.contract import offload as contract
from cupool.contract.errors import Unsupported
from cupool.contract.values import HandleRef

FORMS = {
    "define": form(40, "@offload_function", [V, "f", "f.py", contract.PYTHON], [OBJECT]),
    "call": form(41, "@offload", [H, V, V], [OBJECT, REPLY]),
    "one": form(42, "@offload", [H, V, V], [UNKNOWN]),
    "take": form(43, "@offload_result", [H, I], [spec((4,))]),
    "take2": form(44, "@offload_result", [H, I], [spec((2,))]),
    "output": form(45, "@offload_output", [], [REPLY]),
}
FUNCTION, RESULTS, ANSWER, TAKEN = 100, 101, 102, 103


class Number:
    """Stands for an array in arguments."""

    def __init__(self, number: int) -> None:
        self.number = number


class ByNumber(pickle.Pickler):
    """Arguments as the shim pickles them."""

    def persistent_id(self, found: Any) -> Any:
        return found.number if isinstance(found, Number) else None


def arguments(count: int) -> bytes:
    file = io.BytesIO()
    ByNumber(file).dump(([Number(k) for k in range(count)], {}))
    return file.getvalue()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr(contract, "INSIDE", True)  # as in a server
    made = Client(more=FORMS)
    made.executor.allow_offload = True
    monkeypatch.setattr(made.executor.device, "kind", "native")
    made.array(1)
    yield made
    made.executor.close()


def call(client: Client, function: Any, *handles: int, kind: str = "call") -> None:
    refs = value(tuple(HandleRef(h) for h in handles))
    results = (RESULTS, ANSWER) if kind == "call" else (RESULTS,)
    client.run(
        ("define", FUNCTION, value(pickle.dumps(function))),
        (kind, *results, FUNCTION, refs, value(arguments(len(handles)))),
    )


def double(x: Any) -> Any:
    return {"y": x * 2, "x": x, "n": int(x.size)}


def halves(x: Any) -> Any:
    return [x[:2], x[2:]]


def fails(x: Any) -> Any:
    x += 1
    raise LookupError("not there")


def speaks(x: Any) -> Any:
    print("spoken")
    return x + 1


def much(x: Any) -> Any:
    return np.zeros(2 * MIB)


def host(x: Any) -> Any:
    return "text", [1, 2.5], None


def test_structures_and_arguments_that_come_back(client: Client) -> None:
    call(client, double, 1)
    kind, keys, nodes = client.answer(ANSWER)
    assert (kind, keys) == (contract.DICT, ["y", "x", "n"])
    assert nodes[0][:2] == (contract.ARRAY, 0) and nodes[1] == (contract.GIVEN, 0) and nodes[2] == (contract.VALUE, 4)
    client.run(("take", TAKEN, RESULTS, 0), ("free", RESULTS))
    assert client.fetch(TAKEN).tolist() == (DATA * 2).tolist()


def test_views_share_the_arguments_memory(client: Client) -> None:
    call(client, halves, 1)
    client.run(("take2", TAKEN, RESULTS, 1), ("free", RESULTS), ("free", FUNCTION))
    client.run(("fill", TAKEN))
    assert client.fetch(1).tolist() == [0, 1, 7, 7]


def test_memory_is_charged_once_and_comes_back(client: Client) -> None:
    before = client.executor.accounting.used
    call(client, double, 1)
    assert client.executor.accounting.used == before + 512
    client.run(("take", TAKEN, RESULTS, 0))
    assert client.executor.accounting.used == before + 512
    client.run(("free", RESULTS))
    assert client.executor.accounting.used == before + 512
    client.run(("free", TAKEN), ("free", FUNCTION))
    assert client.executor.accounting.used == before


def test_promised_results(client: Client) -> None:
    call(client, speaks, 1, kind="one")
    assert client.fetch(RESULTS).tolist() == (DATA + 1).tolist()
    client.run(("output", ANSWER))
    assert client.answer(ANSWER) == "spoken\n"
    client.run(("output", ANSWER + 50))
    assert client.answer(ANSWER + 50) == ""


def test_host_values(client: Client) -> None:
    call(client, host, 1)
    assert client.answer(ANSWER) == (
        contract.TUPLE,
        [
            (contract.VALUE, "text"),
            (contract.LIST, [(contract.VALUE, 1), (contract.VALUE, 2.5)]),
            (contract.VALUE, None),
        ],
    )


def test_a_failure_is_told_once_and_poisons_nothing(client: Client) -> None:
    call(client, fails, 1)
    with pytest.raises(LookupError, match="not there") as caught:
        client.answer(ANSWER)
    assert any(note.startswith(contract.TRACEBACK_HEAD) for note in caught.value.__notes__)
    assert client.failures == []
    assert client.fetch(1).tolist() == (DATA + 1).tolist()
    assert client.executor.handles.faults == 1  # the result object's
    client.run(("free", RESULTS))
    assert client.executor.handles.faults == 0


def test_an_argument_that_is_an_error_is_the_calls(client: Client) -> None:
    client.array(2)
    client.run(("wrong", 3, 1, 2))  # another shape than promised: an error under 3
    call(client, double, 3)
    with pytest.raises(Exception, match=r"promised|expected"):
        client.answer(ANSWER)


def test_more_than_the_session_may_hold(client: Client) -> None:
    client.executor.accounting.set_limit(MIB, None)
    call(client, much, 1, kind="one")
    with pytest.raises(MemoryError):
        client.fetch(RESULTS)


class Marker:
    """Its pickle makes a folder when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.mkdir, (self.path,)


def test_nothing_is_read_without_permission(client: Client, tmp_path: Path) -> None:
    """The function's pickle, and the arguments of a function that was sent while it was allowed."""
    marker = tmp_path / "ran"
    client.run(("define", FUNCTION, value(pickle.dumps(double))))
    client.executor.allow_offload = False
    forged = value(pickle.dumps(Marker(marker)))
    client.run(("define", 200, forged), ("call", RESULTS, ANSWER, FUNCTION, value((HandleRef(1),)), forged))
    with pytest.raises(Unsupported, match="does not let this tenant"):
        client.answer(ANSWER)
    assert not marker.exists()
    client.executor.allow_offload = True
    client.run(("define", 201, forged))
    assert marker.is_dir()  # so that the test can fail
