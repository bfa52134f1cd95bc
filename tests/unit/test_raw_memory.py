"""Raw memory, device memory pools and captures at the server: accounts, addresses, replays. No process, no socket."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cupool.apiserver.rawmemory import GRANULE_BYTES
from executing import MIB, Client
from wire import OBJECT, REPLY, H, I, form, spec

from cupool.contract.errors import CUDARuntimeError, OutOfMemoryError
from cupool.contract.memory import ATTR_RESERVED, ATTR_USED, DEFAULT_MEMPOOL, POOL, RAW

MORE = {
    "malloc": form(101, "@malloc", [I, I], [OBJECT, REPLY]),
    "from_pointer": form(102, "@from_pointer", [I, np.dtype("f8"), (4,), (8,)], [spec((4,))]),
    "mempool_used": form(103, "@mempool", ["get", I, ATTR_USED, 0], [REPLY]),
    "mempool_reserved": form(104, "@mempool", ["get", I, ATTR_RESERVED, 0], [REPLY]),
    "mempool_trim": form(105, "@mempool", ["trim", I, 0, 0], [REPLY]),
    "view_raw": form(106, "@view", [H, I], [spec((4,))]),
    "begin": form(107, "@capture_begin", [I, I], []),
    "end": form(108, "@capture_end", [I], [OBJECT]),
    "launch": form(109, "@graph_launch", [H], []),
    "nodes": form(110, "@graph_nodes", [H], [REPLY]),
    "abort": form(111, "@capture_abort", [I], []),
    "pointer": form(113, "@pointer", [H], [REPLY]),
}


@pytest.fixture
def client() -> Client:
    return Client(more=MORE)


def memory(client: Client) -> Any:
    client.run(("memory", 9000))
    return client.answer(9000)


def reply_error(client: Client, reply: int) -> Exception:
    with pytest.raises(Exception) as caught:
        client.answer(reply)
    return caught.value


def test_raw_memory_is_beside_the_pool(client: Client) -> None:
    client.run(("malloc", 1, 2, 1000, RAW), ("malloc", 3, 4, 1000, POOL))
    a, b = client.answer(2), client.answer(4)
    assert a % 512 == b % 512 == 0
    assert abs(a - b) >= 1024
    facts = memory(client)
    assert facts["used"] == 1024  # the pool's piece alone
    assert client.executor.accounting.raw == 1024
    client.run(("free", 1), ("free", 3))
    assert client.executor.accounting.raw == 0
    assert memory(client)["used"] == 0


def test_raw_memory_that_does_not_fit_is_refused_and_costs_nothing(client: Client) -> None:
    client.run(("malloc", 1, 2, 65 * MIB, RAW))
    assert isinstance(reply_error(client, 2), OutOfMemoryError)
    assert client.executor.accounting.raw == 0
    client.run(("malloc", 3, 4, 0, RAW), ("malloc", 5, 6, 8, 99))
    assert isinstance(reply_error(client, 4), CUDARuntimeError)
    assert isinstance(reply_error(client, 6), CUDARuntimeError)


def test_arrays_over_raw_memory_share_it_and_keep_it(client: Client) -> None:
    client.run(("malloc", 1, 2, 64, RAW), ("view_raw", 3, 1, 0), ("fill", 3))
    client.run(("from_pointer", 4, client.answer(2)), ("free", 1), ("free", 3))
    assert client.fetch(4).tolist() == [7.0] * 4
    assert client.executor.accounting.raw == 512
    client.run(("free", 4))
    assert client.executor.accounting.raw == 0


def test_a_device_pool_takes_granules_and_keeps_them_until_trimmed(client: Client) -> None:
    client.run(("malloc", 1, 2, 1000, DEFAULT_MEMPOOL), ("malloc", 3, 4, 3000, DEFAULT_MEMPOOL))
    client.run(("mempool_used", 10, DEFAULT_MEMPOOL), ("mempool_reserved", 11, DEFAULT_MEMPOOL))
    assert (client.answer(10), client.answer(11)) == (1024 + 3072, GRANULE_BYTES)
    client.run(
        ("free", 1), ("free", 3), ("mempool_used", 12, DEFAULT_MEMPOOL), ("mempool_reserved", 13, DEFAULT_MEMPOOL)
    )
    assert (client.answer(12), client.answer(13)) == (0, GRANULE_BYTES)
    client.run(("mempool_trim", 14, DEFAULT_MEMPOOL), ("mempool_reserved", 15, DEFAULT_MEMPOOL))
    assert client.answer(15) == 0
    assert client.executor.accounting.raw == 0


# -- captures ----------------------------------------------------------------------------------------------------------------

STREAM = 3


def captured(client: Client, *commands: tuple[Any, ...]) -> None:
    client.run(("begin", 1, STREAM))
    client.run(*commands, stream=STREAM)
    client.run(("end", 500, 1))


def test_a_graph_computes_at_each_launch_from_what_its_operands_hold(client: Client) -> None:
    client.array(10)
    captured(client, ("add", 11, 10, 10), ("add", 12, 11, 10))
    client.run(("launch", 500))
    assert client.fetch(12).tolist() == [0.0, 3.0, 6.0, 9.0]
    client.run(("fill", 10), ("launch", 500))
    assert client.fetch(12).tolist() == [21.0] * 4
    client.run(("nodes", 600, 500))
    assert [name for name, _ in client.answer(600)] == ["cupy_add", "cupy_add"]


def test_a_graph_outlives_the_handles_of_its_arrays_and_frees_them(client: Client) -> None:
    before = memory(client)["used"]
    client.array(10)
    captured(client, ("add", 11, 10, 10), ("iadd", 10, 11, 10), ("add", 12, 10, 11))
    client.run(("free", 10), ("free", 11), ("launch", 500), ("launch", 500))
    # 10 grows by twice itself at each launch: x3, x3; 12 is the last 10 and its double before.
    assert client.fetch(12).tolist() == [0.0, 15.0, 30.0, 45.0]
    client.run(("free", 12), ("free", 500))
    assert memory(client)["used"] == before
    assert not client.executor.handles.table


def test_commands_of_other_streams_run_at_once(client: Client) -> None:
    client.array(10)
    client.run(("begin", 1, STREAM))
    client.run(("add", 11, 10, 10), stream=STREAM)
    client.run(("add", 12, 10, 10), ("fetch", 13, 12))
    assert client.answer(13).tolist() == [0.0, 2.0, 4.0, 6.0]
    client.run(("abort", 1), ("add", 14, 10, 10), stream=STREAM)
    assert client.fetch(14).tolist() == [0.0, 2.0, 4.0, 6.0]


def test_a_failed_launch_poisons_what_it_was_to_write_until_one_succeeds(client: Client) -> None:
    client.array(10)
    captured(client, ("add", 11, 10, 10))
    client.run(("limit", 1), ("launch", 500))
    with pytest.raises(OutOfMemoryError):
        client.fetch(11)
    client.run(("limit", 0), ("launch", 500))
    assert client.fetch(11).tolist() == [0.0, 2.0, 4.0, 6.0]


def test_a_buffer_that_moves_between_launches_is_found(client: Client) -> None:
    client.array(10)
    captured(client, ("add", 11, 10, 10))
    client.run(("pointer", 20, 10), ("pointer", 21, 11), ("fill", 10), ("launch", 500))
    assert client.fetch(11).tolist() == [14.0] * 4
