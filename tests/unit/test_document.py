"""A session's document: what is written is what comes back, and what cannot be is refused with one sentence."""

from __future__ import annotations

import functools
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import documents
import numpy as np
import pytest
from cupool.apiserver.config import Assignment
from cupool.apiserver.devices.cpu.kernels.ops import Engine
from cupool.apiserver.document import DocumentError, capture, fixed, read, write
from cupool.apiserver.document.checks import VERSION, opened, sealed
from cupool.apiserver.frames import Refused
from cupool.apiserver.transfers import ExportFailed, TransferEnded
from document_programs import Program
from document_worker import Worker
from documents import LIMIT, incoming, restored, session_over, written
from executing import MIB, Client
from wire import OBJECT, REPLY, H, I, form, spec, value

from cupool.contract.errors import CompileException, ContractViolation, ForeignArray
from cupool.v1 import move_pb2, session_pb2

MORE = {
    "export": form(50, "@export", [H, I], [REPLY]),
    "upload": form(51, "@upload", [I], [spec((MIB // 8,))]),
    "ones": form(53, "ones", [(MIB // 4,)], [spec((MIB // 4,))]),
    "double": form(54, "multiply", [H, 2.0], [], out=H),
    "malloc": form(55, "@malloc", [I, I], [OBJECT]),
}


def never() -> bool:
    return False


def moved(client: Client) -> Client:
    """The same client, whose session is now over another executor."""
    document, buffers = written(session_over(client.executor))
    client.executor = restored(document, buffers).executor
    return client


def books(client: Client) -> Any:
    account = client.executor.accounting
    return account.used, account.peak, account.total, account.raw, account.modules, client.executor.handles.faults


def test_arrays_and_views_come_back() -> None:
    client = Client()
    client.array(1)
    client.run(("view", 2, 1, 8), ("add", 3, 1, 1), ("alias", 4, 3))
    before = books(client)
    moved(client)
    assert books(client) == before
    client.run(("iadd", 1, 1, 1))
    np.testing.assert_array_equal(client.fetch(1), np.arange(4.0) * 2)
    np.testing.assert_array_equal(client.fetch(2), [2.0, 4.0])
    client.run(("iadd", 3, 3, 3))
    np.testing.assert_array_equal(client.fetch(4), np.arange(4.0) * 4)
    client.run(("free", 1), ("free", 2), ("free", 3), ("free", 4))
    assert client.used == 0


def test_what_no_kernel_has_written_comes_back_and_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """See Note [Before the launch]: a session that is moved between the failure and the program's word of it."""

    def refuse(*args: Any) -> None:
        raise CompileException("nothing", "a source", "k", ("-O3",))

    monkeypatch.setattr(Engine, "launch", refuse)
    client = Client(
        more={
            "launch": form(60, "@launch", [H, (1, 1, 1), (1, 1, 1), (H,), 0], []),
            "lift": form(61, "@lift", [], []),
        }
    )
    client.array(1)
    client.array(2)
    client.run(("launch", 1, 1), ("iadd", 1, 1, 1), ("iadd", 2, 1, 2), ("add", 3, 1, 2), ("view", 4, 1, 16))
    (failure,) = client.failures
    assert failure.op == "@launch" and list(failure.handles) == [1]
    client.run(("wrong", 9, 1, 1), ("array", 10, value(np.arange(4.0).tobytes())), ("iadd", 10, 99, 10))
    for handle in (1, 2, 3, 4):
        with pytest.raises(CompileException):
            client.fetch(handle)
    moved(client)
    client.run(("lift",))
    for handle in (1, 2):
        assert client.fetch(handle).tolist() == [0, 1, 2, 3]
    assert client.fetch(4).tolist() == [2, 3]
    with pytest.raises(CompileException):  # what a command made of it is not there
        client.fetch(3)
    with pytest.raises(ForeignArray):  # nor is another failure forgotten
        client.fetch(10)
    client.run(("free", 3), ("free", 9), ("free", 10))
    assert client.executor.handles.faults == 0


def test_faults_come_back() -> None:
    client = Client()
    client.array(1)
    client.run(("wrong", 2, 1, 1))
    client.array(3)
    client.run(("view", 4, 3, 8), ("iadd", 3, 99, 3))
    moved(client)
    assert client.executor.handles.faults == 2
    for handle, error in ((2, ContractViolation), (3, ForeignArray), (4, ForeignArray)):
        with pytest.raises(error):
            client.fetch(handle)
    client.run(("fill", 3), ("free", 2))
    assert client.executor.handles.faults == 0
    np.testing.assert_array_equal(client.fetch(4), [7.0, 7.0])
    with pytest.raises(ForeignArray):
        client.fetch(77)


def test_a_failed_command_keeps_no_array_in_memory() -> None:
    client = Client()
    client.array(1)
    client.run(("wrong", 2, 1, 1))
    error: Any = client.executor.handles.table[2].error
    assert error.__traceback__ is None


# -- what the client is promised ------------------------------------------------------------------------------------------


class Stream:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.frames: list[Any] = []

    def send(self, frame: bytes) -> bool:
        self.frames.append(session_pb2.ServerFrame.FromString(frame))
        return True

    def close(self, status: str, sentence: str) -> None:
        self.frames.append(status)


def frame_of(batch: Any) -> bytes:
    return bytes(session_pb2.ClientFrame(batch=batch).SerializeToString())


def attach(session: Any, previous: bytes, following: bytes, received: int = 0) -> Stream:
    stream = Stream()
    hello = session_pb2.ClientHello(
        versions=[1], epoch=session.epoch, nonce_previous=previous, nonce_next=following, received=received
    )
    session.attach(stream, hello)
    return stream


def test_kept_frames_duplicates_and_the_nonce_come_back() -> None:
    client = Client()
    session = session_over(client.executor)
    stream = attach(session, b"", b"a" * 16)
    forms = client.forms
    batches = [
        client.writer.batch([forms["array"].id, 1, value(np.arange(4.0).tobytes())], 1, forms["array"]),
        client.writer.batch([forms["fetch"].id, 2, 1], 1, forms["fetch"]),
        client.writer.batch([forms["fetch"].id, 3, 1], 1),
    ]
    for batch in batches:
        session.receive(stream, frame_of(batch))
    told = [f for f in stream.frames if f.ordinal]
    assert [f.ordinal for f in told] == [1, 2]
    again = restored(*written(session))
    with pytest.raises(Refused, match="epoch 2"):
        hello = session_pb2.ClientHello(versions=[1], epoch=1, nonce_previous=b"a" * 16, nonce_next=b"b" * 16)
        again.attach(Stream(), hello)
    with pytest.raises(Refused, match="nonce"):
        attach(again, b"x" * 16, b"b" * 16)
    resumed = attach(again, b"a" * 16, b"b" * 16, received=1)
    assert resumed.frames[0].hello.resumed and resumed.frames[0].hello.executed_seq == 3
    assert resumed.frames[1:] == told[1:]
    again.receive(resumed, frame_of(batches[2]))  # known: not executed again
    assert again.executor.executed_seq == 3
    batches[1].position = 7
    with pytest.raises(Refused, match="other contents"):
        again.receive(resumed, frame_of(batches[1]))
    fourth = client.writer.batch([forms["fetch"].id, 4, 1], 1)
    again.receive(resumed, frame_of(fourth))
    assert resumed.frames[-1].ordinal == 3


# -- transfers on their way -----------------------------------------------------------------------------------------------


def test_a_put_goes_on_where_it_was() -> None:
    client = Client(more=MORE)
    data = np.random.default_rng(0).integers(0, 255, MIB, np.uint8)
    transfers = client.executor.transfers
    inbound, ticket = transfers.begin(70, MIB, 0, never)
    inbound.write(ticket, 0, data[: MIB // 2])
    other, other_ticket = transfers.begin(71, MIB, 0, never)
    other.write(other_ticket, 0, data)
    client.run(("upload", 5, 71))
    staged = client.executor.accounting._staged
    assert staged == MIB
    moved(client)
    transfers = client.executor.transfers
    assert client.executor.accounting._staged == staged
    inbound, ticket = transfers.begin(70, MIB, 0, never)
    assert inbound.received == MIB // 2
    inbound.write(ticket, MIB // 2, data[MIB // 2 :])
    known, _ = transfers.begin(71, MIB, 0, never)
    assert known.received == MIB
    client.run(("upload", 6, 70))
    assert client.executor.accounting._staged == 0
    for handle in (5, 6):
        np.testing.assert_array_equal(client.fetch(handle), data.view(np.float64))


def test_exports_come_back_pinned_or_copied_and_failed_ones_fail() -> None:
    client = Client(more=MORE)
    client.array(1)
    client.run(("ones", 2), ("export", 3, 2, 100), ("export", 4, 1, 101), ("export", 5, 99, 102))
    assert client.executor.transfers.pinned == 1
    client.run(("free", 2))  # alive in its export alone
    client.run(("ones", 6), ("export", 7, 6, 103), ("double", 6, 6))  # written: the export has a copy
    client.run(("ones", 8), ("export", 9, 8, 104))
    before = client.executor.accounting._staged, client.executor.transfers.pinned, client.used
    moved(client)
    transfers = client.executor.transfers
    assert (client.executor.accounting._staged, transfers.pinned, client.used) == before
    for transfer in (100, 103, 104):
        assert bytes(transfers.outbound(transfer, never).data) == np.ones(MIB // 4).tobytes()
    assert bytes(transfers.outbound(101, never).data) == np.arange(4.0).tobytes()
    with pytest.raises(ExportFailed):
        transfers.outbound(102, never)
    client.run(("double", 8, 8))
    assert bytes(transfers.outbound(104, never).data) == np.ones(MIB // 4).tobytes()
    client.run(("free", 100), ("free", 101), ("free", 103), ("free", 104))
    assert client.executor.accounting._staged == 0
    assert transfers.pinned == 0


@pytest.mark.parametrize("goes_on", [True, False])
def test_an_export_of_another_thread_waits_while_the_session_is_stopped(goes_on: bool) -> None:
    transfers = Client(more=MORE).executor.transfers
    ended: list[str] = []

    def checkpoint() -> None:
        try:
            transfers.export(90, memoryview(b"a checkpoint"))
        except TransferEnded as error:
            ended.append(str(error))

    transfers.stop()
    thread = threading.Thread(target=checkpoint)
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    assert not transfers.snapshot()[2]  # no look has seen it: it would be in no document
    if goes_on:
        transfers.go_on()
    else:
        transfers.depart("It is elsewhere.")
    thread.join(10)
    assert not thread.is_alive()
    assert (list(transfers.snapshot()[2]), ended) == (([90], []) if goes_on else ([], ["It is elsewhere."]))


def test_an_export_that_is_no_array_comes_back() -> None:
    client = Client(more=MORE)
    client.executor.transfers.export(90, memoryview(b"made by the server"))
    moved(client)
    assert bytes(client.executor.transfers.outbound(90, never).data) == b"made by the server"
    assert client.executor.accounting._staged == 0


# -- programs ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.close()


def compare(worker: Worker, seed: int, length: int, with_kernels: bool) -> None:
    """A program, written down at one of its batches and gone on with in another process, against the program undisturbed."""
    program, rng = Program(seed, length, with_kernels), random.Random(seed)
    n = len(program.batches)
    cut = rng.randint(1, n - 1)
    begin = rng.randint(0, cut)
    whole = worker.ask(batches=program.batches)
    first = worker.ask(batches=program.batches[:cut], track_from=begin, pages=bool(seed % 2))
    assert first["seen"] == whole["seen"][:cut]
    rest = worker.ask(batches=program.batches[cut:], document=first["document"], buffers=first["buffers"])
    assert rest["seen"] == whole["seen"][cut:]
    assert rest["end"] == whole["end"]


@pytest.mark.parametrize("seed", range(5))
def test_a_program_goes_on_as_if_nothing_had_been(worker: Worker, seed: int) -> None:
    compare(worker, seed, 14, with_kernels=False)


@pytest.mark.parametrize("seed", range(100, 106))
def test_a_program_with_kernels_does_so_too(worker: Worker, seed: int) -> None:
    compare(worker, seed, 14, with_kernels=True)


def halves(worker: Worker, program: Program, cut: int, with_end: bool = True) -> None:
    """The program whole, and in two halves in two processes: the same, with all bytes of its memory at the end."""
    whole = worker.ask(batches=program.batches)
    first = worker.ask(batches=program.batches[:cut], track_from=0)
    rest = worker.ask(batches=program.batches[cut:], document=first["document"], buffers=first["buffers"])
    assert [*first["seen"], *rest["seen"]] == whole["seen"]
    assert rest["end"] == whole["end"] or not with_end
    assert not any(failures for _, failures, _ in whole["seen"])


def test_pointers_in_device_memory_variables_of_modules_and_graphs_come_back(worker: Worker) -> None:
    program = Program(1, 0)

    def step(*actions: Any) -> None:
        for action in actions:
            action()
        for handle in program.exposed:
            program.look_at(handle)
        program.flush()

    step(program._expose, program._expose, program._table)
    step(program._chase, program._keep, program._say, program.global_address)
    step(program._capture_whole, program._launch_graph)
    cut = len(program.batches)
    step(program._chase, program._give, program._keep, program._give, program._launch_graph, program._say)
    step(program.global_address, program._launch_graph, program._give)
    halves(worker, program, cut)


def test_a_variable_written_through_its_address_comes_back(worker: Worker) -> None:
    program = Program(2, 0)
    program._expose()
    program.flush()
    program.global_address()
    program.flush()
    address = program.address_of(worker)
    view = program.handle()
    program.op("@from_pointer", [I, np.dtype("f8"), (2,), (8,)], [spec((2,))], [view, address])
    program.op("ndarray.fill", [H, 2.25], [], [view])
    program.flush()
    cut = len(program.batches)
    program._keep()
    program._give()
    program.look_at(program.exposed[0])
    program.op("ndarray.fill", [H, -1.0], [], [view])
    program.flush()
    program._keep()
    program._give()
    program.look_at(program.exposed[0])
    program.flush()
    halves(worker, program, cut, with_end=False)  # with the variables' page come words of the loader


@pytest.mark.parametrize("where", ["x[0] = (long long)&g;", "p = &g;"])
def test_an_address_inside_of_a_module_cannot_be_taken_along(worker: Worker, where: str) -> None:
    program = Program(3, 0)
    program._expose()
    source = f'__device__ int g; __device__ int *p; extern "C" __global__ void k(long long *x) {{ if (g == 0) g = 1; {where} }}'
    module, function = program.handle(), program.handle()
    program.op("@kernel_raw", [source, (), "nvrtc", False, False, None, None, ()], [OBJECT], [module])
    program.op("@kernel_function", [H, "k"], [OBJECT], [function, module])
    program.op("@launch", [H, (1,), (1,), (H,), 0], [], [function, program.exposed[0]])
    program.flush()
    with pytest.raises(RuntimeError, match="a kernel has kept the address"):
        worker.ask(batches=program.batches, track_from=0)


# -- what is refused ------------------------------------------------------------------------------------------------------


def document() -> tuple[Any, list[Any]]:
    data, buffers = document_bytes()
    return opened(data), buffers


@functools.cache
def document_bytes() -> tuple[bytes, list[Any]]:
    client = Client(more=MORE)
    client.array(1)
    client.run(("view", 2, 1, 8), ("wrong", 3, 1, 1), ("ones", 4), ("export", 5, 4, 100))
    return written(session_over(client.executor))


def refuse(data: bytes, buffers: list[Any], sentence: str) -> None:
    with pytest.raises(DocumentError, match=sentence) as caught:
        restored(data, buffers)
    assert "\n" not in str(caught.value)


def test_damage_and_newer_versions_are_refused() -> None:
    message, buffers = document()
    data = sealed(message)
    for bad in (b"", data[:20], data[:-1], data[:40] + b"x" + data[41:], b"\0" * len(data)):
        refuse(bad, buffers, "damaged or cut off")
    message.version, message.version_name = VERSION + 1, "later"
    refuse(sealed(message), buffers, f"version {VERSION + 1} .'later'.")


@pytest.mark.parametrize(
    ("field", "content", "sentence"),
    [("fingerprint", "cpu numpy-0", "fingerprint"), ("kind", "cuda", "device"), ("op_table_digest", b"x", "op table"),
     ("session", "another", "session")],
)  # fmt: skip
def test_another_origin_is_refused(field: str, content: Any, sentence: str) -> None:
    message, buffers = document()
    setattr(message.origin, field, content)
    refuse(sealed(message), buffers, sentence)


def test_inconsistencies_are_refused() -> None:
    def broken(change: Any, sentence: str) -> None:
        message, buffers = document()
        change(message)
        refuse(sealed(message), buffers, sentence)

    broken(lambda m: m.table.buffer.__setitem__(0, 999), "inconsistent")
    broken(lambda m: m.table.offset.__setitem__(1, 1 << 40), "inconsistent")
    broken(lambda m: m.table.number.__setitem__(0, 99), "inconsistent")
    broken(lambda m: m.table.handle.__setitem__(1, m.table.handle[0]), "twice")
    broken(lambda m: m.table.offset.pop(), "columns of handles")
    broken(lambda m: m.buffers.nbytes.__setitem__(0, 1 << 50), "bytes")
    broken(lambda m: m.buffers.id.__setitem__(0, 500), "did not come")
    broken(lambda m: m.buffers.records.pop(), "inconsistent")
    broken(lambda m: m.layouts[0].shape.__setitem__(0, 1 << 40), "inconsistent")
    broken(lambda m: m.layouts[0].strides.__setitem__(0, -(1 << 40)), "inconsistent")
    broken(lambda m: setattr(m.account, "used", 1 << 40), "may hold")
    broken(lambda m: setattr(m.link, "nonce", b"short"), "nonce")
    broken(lambda m: setattr(m.link, "seen", b"x" * 32), "hashes")
    broken(lambda m: m.link.kept.extend([b""] * 9), "frames")
    broken(lambda m: m.forms.append(m.forms[0]), "two forms")
    broken(lambda m: m.forms.append(b"\xff\xff"), "inconsistent")
    broken(lambda m: m.objects.add(kind="pickle"), "inconsistent")
    broken(lambda m: m.transfers.outbound[0].__setattr__("offset", 1 << 40), "does not lie")
    broken(lambda m: m.arena.__setattr__("top", 512), "arena")


def test_another_arena_is_refused() -> None:
    client = Client(more=MORE)
    client.run(("malloc", 1, 4096, 0))
    data, buffers = written(session_over(client.executor))
    coming = incoming()  # whose arena lies elsewhere: this process has both
    with pytest.raises(DocumentError, match="does not lie in the arena"):
        for piece, _ in buffers:
            coming.begin(piece)
    message = opened(data)
    message.buffers.address[0] = 0
    del message.buffers.records[:]
    with pytest.raises(DocumentError, match="its arena is"):
        coming = incoming()
        coming.begin(move_pb2.MoveBuffer(buffer=message.buffers.id[0], nbytes=4096))
        coming.finish(sealed(message), Assignment("s", b"", 2, LIMIT))


def test_a_server_takes_one_session_and_no_more_memory_than_it_may() -> None:
    message, buffers = document()
    coming = incoming()
    with pytest.raises(DocumentError, match="larger than"):
        coming.begin(move_pb2.MoveBuffer(buffer=1, nbytes=1 << 60))
    for piece, data in buffers:
        coming.begin(piece)[:] = memoryview(data)
    with pytest.raises(DocumentError, match="came twice"):
        coming.begin(buffers[0][0])
    with pytest.raises(DocumentError, match="at epoch"):
        coming.finish(sealed(message), Assignment("s", b"", 0, LIMIT))
    coming.finish(sealed(message), Assignment("s", b"", 1, LIMIT))
    with pytest.raises(DocumentError, match="already"):
        coming.finish(sealed(message), Assignment("s", b"", 1, LIMIT))
    with pytest.raises(DocumentError, match="already"):
        coming.begin(move_pb2.MoveBuffer(buffer=1, nbytes=1))


def test_a_destination_with_less_memory_is_refused() -> None:
    message, buffers = document()
    coming = incoming(limit=MIB)
    with pytest.raises(DocumentError, match="it may hold 1048576 here"):
        for piece, data in buffers:
            coming.begin(piece)[:] = memoryview(data)
        coming.finish(sealed(message), Assignment("s", b"", 2, LIMIT))


def test_functions_of_the_program_stay_where_they_are() -> None:
    from cupool.apiserver.offload import Offload

    client = Client()
    session = session_over(client.executor)
    assert fixed(session) == ""
    offload = Offload.of(client.executor)
    assert (
        fixed(session) == ""
    )  # a program that has offloaded in an earlier session tells how it calls functions, and calls none
    offload.has_functions = True
    assert "cupool.offload" in fixed(session)
    with pytest.raises(DocumentError, match=r"cupool\.offload"):
        capture(session, client.executor.tracking())


def test_random_damage_never_gets_further_than_an_error() -> None:
    """With the hash made right again: what a hostile writer could send."""
    message, buffers = document()
    data = message.SerializeToString()
    rng = random.Random(7)
    refused = 0
    for _ in range(400):
        mutated = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(mutated))
            match rng.randint(0, 3):
                case 0:
                    mutated[at] = rng.randrange(256)
                case 1:
                    del mutated[at : at + rng.randint(1, 9)]
                case 2:
                    mutated[at:at] = rng.randbytes(rng.randint(1, 9))
                case 3:
                    mutated[at] ^= 1 << rng.randrange(8)
        try:
            again = restored(documents.sealed_bytes(bytes(mutated)), buffers)
        except DocumentError:
            refused += 1
            continue
        again.executor.handles.clear()  # what was made of it can be used and freed
    assert refused > 200


def test_every_field_of_a_document_may_hold_anything() -> None:
    _, buffers = document()
    rng = random.Random(11)
    for _ in range(150):
        message, _ = document()
        for _ in range(rng.randint(1, 3)):
            scramble(message, rng)
        try:
            again = restored(sealed(message), buffers)
        except DocumentError:
            continue
        again.executor.handles.clear()


def scramble(message: Any, rng: random.Random) -> None:
    """One number, text or list of a message, at any depth, becomes something else."""
    fields = [(f, v) for f, v in message.ListFields()]
    if not fields:
        return
    field, content = rng.choice(fields)
    odd = [0, 1, 2, 255, 1 << 20, (1 << 31) - 1, (1 << 32) - 1, 1 << 62, (1 << 63) - 1]
    repeated = isinstance(content, list) or hasattr(content, "add") or hasattr(content, "append")
    if field.type == field.TYPE_MESSAGE:
        scramble(rng.choice(list(content)) if repeated else content, rng)
    elif repeated and content and field.type not in (field.TYPE_BYTES, field.TYPE_STRING):
        try:
            content[rng.randrange(len(content))] = rng.choice(odd)
        except ValueError:
            del content[:]
    elif repeated:
        del content[: rng.randint(0, len(content))]
    elif field.type == field.TYPE_BYTES:
        setattr(message, field.name, rng.randbytes(rng.randint(0, 40)))
    elif field.type == field.TYPE_STRING:
        setattr(message, field.name, "x" * rng.randint(0, 9))
    else:
        try:
            setattr(message, field.name, rng.choice(odd))
        except ValueError:
            message.ClearField(field.name)


# -- files ----------------------------------------------------------------------------------------------------------------


def saved_client() -> tuple[Client, Any]:
    client = Client(more=MORE)
    client.array(1)
    client.run(("view", 2, 1, 8), ("ones", 3))
    return client, session_over(client.executor)


def brought(saved: Any) -> Client:
    coming = incoming()
    saved.into(coming)
    client = Client(more=MORE)
    client.executor = coming.finish(saved.document, Assignment("s", b"", 2, LIMIT)).executor
    client.writer.seq, client.writer.position = client.executor.executed_seq, client.executor.executed_commands
    client.sent = {name for name, one in client.forms.items() if one.id in client.executor._forms}
    return client


def save(session: Any, path: Path) -> None:
    tracker = session.executor.tracking()
    tracker.start()
    try:
        pieces = tracker.look().new
        write(path, capture(session, tracker), pieces)
    finally:
        tracker.stop()


def test_a_file_holds_a_session(tmp_path: Path) -> None:
    client, session = saved_client()
    path = tmp_path / "session"
    save(session, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["session"]
    again = brought(read(path))
    np.testing.assert_array_equal(again.fetch(2), [1.0, 2.0])
    np.testing.assert_array_equal(again.fetch(1), client.fetch(1))


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    _, session = saved_client()
    path, bad = tmp_path / "session", tmp_path / "bad"
    save(session, path)
    data = path.read_bytes()
    rng = random.Random(3)
    cases = [data[:n] for n in (0, 10, 40, len(data) // 2, len(data) - 1)] + [data + b"x"]
    for _ in range(40):
        at = rng.randrange(len(data))
        cases.append(data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :])
    for case in cases:
        bad.write_bytes(case)
        with pytest.raises(DocumentError):
            brought(read(bad))
    newer = bytearray(data)
    newer[16] = 9
    bad.write_bytes(newer)
    with pytest.raises(DocumentError, match="format 9"):
        read(bad)
    with pytest.raises(DocumentError, match="No such file"):
        read(tmp_path / "none")
    with pytest.raises(DocumentError, match="cannot be written"):
        save(session, tmp_path / "no folder" / "session")
