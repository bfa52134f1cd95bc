"""What looks report: everything that has changed, and little else."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cupool.apiserver import tracking
from cupool.apiserver.devices.cpu import ops
from cupool.apiserver.pages import Pages
from document_programs import plain
from documents import Mirror
from executing import MIB, Client
from wire import OBJECT, REPLY, UNKNOWN, H, I, V, form, spec, value

from cupool.contract.ops import CLIENT, LOCAL, TABLE, Row
from cupool.contract.ops._sample_arrays import Remote

MORE = {
    "ones": form(50, "ones", [(MIB // 8,)], [spec((MIB // 8,))]),
    "double": form(51, "multiply", [H, 2.0], [], out=H),
    "part": form(52, "@view", [H, I], [spec((16,))]),
    "malloc": form(53, "@malloc", [I, I], [OBJECT]),
    "pointer": form(54, "@pointer", [H], [REPLY]),
    "upload": form(55, "@upload", [I], [spec((MIB // 8,))]),
    "export": form(56, "@export", [H, I], [REPLY]),
}


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client(more=MORE)
    made.executor.tracking().start()
    yield made
    made.executor.close()


def look(client: Client) -> tracking.Look:
    return client.executor.tracking().look()


def never() -> bool:
    return False


def test_new_written_and_gone(client: Client) -> None:
    client.run(("ones", 1), ("part", 2, 1, 64))
    (piece,) = look(client).new
    assert piece.nbytes == MIB and piece.address == 0
    memory = piece.memory()
    assert memory is not None and bytes(memory[:8]) == np.ones(1).tobytes()
    del memory
    assert look(client) == tracking.Look()
    client.run(("double", 2, 2))
    assert look(client).written == [(piece.buffer, 64, 128)]
    client.run(("ones", 3), ("free", 3))  # lived between two looks
    assert look(client) == tracking.Look()
    client.run(("free", 1))
    assert look(client) == tracking.Look()  # its view keeps it
    client.run(("free", 2))
    assert look(client).gone == [piece.buffer]
    assert piece.memory() is None


def test_what_was_written_through_a_view_that_is_freed(client: Client) -> None:
    client.run(("ones", 1))
    (piece,) = look(client).new
    client.run(("part", 2, 1, 64), ("double", 2, 2), ("free", 2))
    assert look(client).written == [(piece.buffer, 64, 128)]


def test_a_buffer_that_is_moved_into_the_arena_is_another_one(client: Client) -> None:
    client.run(("ones", 1), ("part", 2, 1, 64))
    (old,) = look(client).new
    client.run(("pointer", 3, 2))
    found = look(client)
    (new,) = found.new
    assert found.gone == [old.buffer] and new.address == client.answer(3) - 64
    client.run(("double", 2, 2))
    written = look(client).written
    assert written and {buffer for buffer, _, _ in written} == {new.buffer}


def test_an_id_is_never_that_of_another_buffer(client: Client) -> None:
    """Arrays of one size come and go, so that Python's ids are used again and again; handles too, by an odd client."""
    mirror, seen = Mirror(), set()
    for k in range(200):
        client.run(
            ("array", 1 + k % 3, value(np.full(4, k, "<f8").tobytes())),
            ("array", 100 + k, value(np.full(4, -k, "<f8").tobytes())),
        )
        if k % 2:
            mirror.follow(client.executor.tracking())
            mirror.check()
            seen |= mirror.ids
        client.run(("free", 1 + k % 3), ("iadd", 100 + k, 100 + k, 100 + k))
        if k > 20:
            client.run(("free", 100 + k - 20))
    mirror.follow(client.executor.tracking())
    mirror.check()
    assert len(seen) >= 200


def test_transfers_are_followed(client: Client) -> None:
    mirror, tracker, transfers = Mirror(), client.executor.tracking(), client.executor.transfers
    data = np.random.default_rng(1).integers(0, 255, MIB, np.uint8)
    inbound, ticket = transfers.begin(70, MIB, 0, never)
    mirror.follow(tracker)
    for at in range(0, MIB, MIB // 4):
        inbound.write(ticket, at, data[at : at + MIB // 4])
        if at != MIB // 4:
            mirror.follow(tracker)
    client.run(("upload", 1, 70), ("export", 2, 1, 71), ("double", 1, 1))
    mirror.follow(tracker)
    mirror.check()
    client.run(("export", 3, 1, 72), ("double", 1, 1), ("export", 4, 1, 73), ("free", 1))
    mirror.follow(tracker)
    mirror.check()
    client.run(("free", 71), ("free", 72), ("free", 73))
    mirror.follow(tracker)
    assert not mirror.ids


def test_off_is_as_before() -> None:
    client = Client(more=MORE)
    client.array(1)
    client.run(("iadd", 1, 1, 1))
    executor = client.executor
    before, dropped = dict(executor._fast), executor.handles.dropped
    tracker = executor.tracking()
    tracker.start()
    assert executor._fast != before
    client.run(("fill", 1), ("set_all", 1))
    tracker.start()  # again
    tracker.stop()
    tracker.stop()
    assert {form: step for form, step in executor._fast.items() if form in before} == before
    assert executor.handles.dropped == dropped and "dropped" not in vars(executor.handles)
    assert all(one.untracked is None for one in executor.all_forms())
    client.run(("fill", 1), ("iadd", 1, 1, 1))
    np.testing.assert_array_equal(client.fetch(1), np.full(4, 14.0))


def test_a_buffer_of_the_arena_is_freed_while_it_is_copied(client: Client) -> None:
    """A copier never keeps a block in use: later blocks would lie elsewhere."""
    client.run(("malloc", 1, MIB, 0))
    (piece,) = look(client).new
    memory = piece.memory()
    assert memory is not None
    arena = client.executor.device.arena
    client.run(("free", 1))
    assert arena.used_bytes == 0
    assert memory.nbytes == MIB and int(memory[5]) >= 0  # still readable


# -- kernels: the whole arena ---------------------------------------------------------------------------------------------


def scribble(client: Client, address: int, content: bytes) -> None:
    """As a kernel does, past all commands."""
    client.executor.device.arena.memory_at(address, len(content))[:] = memoryview(content)
    client.executor.tracking()._kernel_ran = True


def test_pages_say_where_a_kernel_has_written(client: Client) -> None:
    if client.executor.tracking().wants_hashes:
        pytest.skip("this kernel tracks no pages")
    client.run(("malloc", 1, 4 * MIB, 0), ("malloc", 2, 4 * MIB, 0))
    first, second = sorted(look(client).new, key=lambda piece: piece.address)
    look(client)  # pages are protected from here on
    scribble(client, second.address + MIB + 5, b"x")
    assert look(client).written == [(second.buffer, MIB, 4096)]
    assert look(client) == tracking.Look()
    scribble(client, first.address + 4 * MIB - 2, b"1234")  # over the edge of the block
    assert look(client).written == [(first.buffer, 4 * MIB - 4096, 4096), (second.buffer, 0, 4096)]


def test_very_many_ranges_become_pieces(client: Client) -> None:
    client.run(("malloc", 1, 16 * MIB, 0))
    (piece,) = look(client).new
    tracker, size = client.executor.tracking(), tracking.PIECE_BYTES
    for k in range(5000):
        tracker._add_range(piece.buffer, 8 * size + k * 64, 8 * size + k * 64 + 1)
    tracker._add_range(piece.buffer, 3, 5)
    (first, *rest) = look(client).written
    assert first == (piece.buffer, 3, 2)
    assert rest[0][:2] == (piece.buffer, 8 * size) and len(rest) < 1100
    covered = {offset for _, offset, nbytes in rest for offset in range(offset, offset + nbytes)}
    assert {8 * size + k * 64 for k in range(5000)} <= covered


def test_hashes_say_it_where_pages_cannot(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Any, base: int, nbytes: int) -> None:
        raise OSError(1, "not permitted")

    monkeypatch.setattr(Pages, "__init__", refused)
    tracker, mirror = client.executor.tracking(), Mirror()
    tracker.start()
    assert tracker.wants_hashes
    client.run(("malloc", 1, MIB + 100, 0))
    mirror.follow(tracker)
    (buffer,) = mirror.ids
    assert look(client) == tracking.Look()  # no kernel ran
    client.executor.tracking()._kernel_ran = True
    assert look(client) == tracking.Look()  # one ran, and wrote nothing
    address = client.executor.device.address(client.executor.handles.table[1])
    scribble(client, address + MIB + 50, b"x")
    found = look(client)
    assert found.written == [(buffer, MIB, 100)]
    tracker._kernel_ran = True
    assert look(client).written == [(buffer, MIB, 100)]  # it was reported, and nobody has said that it was copied


def elementwise(client: Client, operation: str, first: int) -> None:
    """Run `operation` with `x` the array under handle 1."""
    made = form(
        first + 60, "@kernel_elementwise", ["float64 x", "float64 y", operation, "k", True, "", "", "", ()], [OBJECT]
    )
    kernel = (np.dtype("f8"),)
    called = form(first + 61, "@call_elementwise", [H, (H,), {}, (MIB // 8,), kernel, None, 128], [spec((MIB // 8,))])
    outcome = client.executor.run(
        client.writer.batch([made.id, first, called.id, first + 1, first, 1, 0, first + 1], 3, made, called)
    )
    assert not outcome.failures


def test_inputs_of_generated_kernels_are_written_only_where_the_code_could(client: Client) -> None:
    client.run(("ones", 1))
    (piece,) = look(client).new
    elementwise(client, "y = x * 2", 200)
    assert look(client) == tracking.Look()
    elementwise(client, "((double&)x) = 7; y = x", 300)
    assert look(client).written == [(piece.buffer, 0, MIB)]
    memory = piece.memory()
    assert memory is not None and memory[:8].tobytes() == np.full(1, 7.0).tobytes()


# -- the table: what is written is reported -------------------------------------------------------------------------------


def samples() -> Iterator[tuple[Row, tuple[Any, ...], dict[str, Any], int]]:
    """(row, args, kwargs, results): of rows that write the first samples and a quarter of the rest, of others fewer."""
    for row in TABLE.values():
        if (
            row.samples is None
            or row.unsupported
            or row.infer in (LOCAL, CLIENT)
            or row.object
            or row.name.startswith("@")
        ):
            continue
        for k, (args, kwargs) in enumerate(row.samples()):
            given = [*args, *kwargs.values()]
            if (
                k % (4 if row.writes and k > 2 else 1 if row.writes else 11)
                or any(isinstance(v, Remote) for v in given)
                or not all(map(plain, given))
            ):
                continue
            if kwargs.get("out") is not None or row.host:
                yield row, args, kwargs, 0
                continue
            result = ops.resolve(row.impl)(*copy.deepcopy(args), **copy.deepcopy(kwargs))
            yield row, args, kwargs, len(result) if isinstance(result, tuple | list) else int(result is not None)


@pytest.mark.filterwarnings("ignore")
def test_what_samples_write_is_reported() -> None:
    client = Client()
    client.executor.device.enter()
    tracker, mirror, forms, ran, wrote = client.executor.tracking(), Mirror(), 100, 0, set()
    tracker.start()
    for row, args, kwargs, count in samples():
        words: list[int] = []
        new: list[Any] = []

        def slot(item: Any, words: list[int] = words, new: list[Any] = new, first: int = forms + 1) -> Any:
            if not isinstance(item, np.ndarray):
                return item
            handle, number = 10_000 + client.writer.position + len(words), first + len(new)
            new.append(
                (form(number, "@array", [V], [spec(item.shape, item.dtype.str)]), [handle, value(item.tobytes())])
            )
            words.append(handle)
            return H

        arguments, keywords = [slot(a) for a in args], {name: slot(item) for name, item in kwargs.items()}
        results = [REPLY] if row.host else [UNKNOWN] * count
        called = form(forms + 1 + len(new), row.name, arguments, results, **keywords)
        forms += 1 + len(new)
        items = [word for one, rest in new for word in (one.id, *rest)]
        if new:
            client.executor.run(client.writer.batch(items, len(new), *[one for one, _ in new]))
        mirror.follow(tracker)
        mine = set(mirror.ids)
        ids = [5_000_000 + client.writer.position + k for k in range(len(results))]
        outcome = client.executor.run(client.writer.batch([called.id, *ids, *words], 1, called))
        before = mirror.reported
        mirror.follow(tracker)
        mirror.check(f"{row.name} {args!r} {kwargs!r}")
        ran += not outcome.failures
        if row.writes and not outcome.failures and mirror.reported > before and mine:
            wrote.add(row.name)
        free = [*words, *ids]
        client.executor.run(client.writer.batch([w for h in free for w in (0, h)], len(free)))
    client.executor.close()
    assert ran > 700
    assert len(wrote) > 200
