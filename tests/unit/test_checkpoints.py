"""Checkpoints on the server: each is whole or not there, what is not changed is not written again, and what comes back is what was."""

from __future__ import annotations

import os
import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cupool.apiserver.checkpoints import reading
from cupool.apiserver.checkpoints.keeper import Keeper, Place
from cupool.apiserver.checkpoints.layout import MAGIC, PART_BYTES, CheckpointError, opened, sealed
from cupool.apiserver.checkpoints.store import Store
from cupool.apiserver.config import Assignment
from documents import LIMIT, incoming, session_over
from executing import MIB, Client

from cupool.v1 import checkpoint_pb2, session_pb2


class Told:
    """A client's stream: keeps what a keeper answers."""

    def __init__(self) -> None:
        self.answers: list[Any] = []

    def send(self, frame: bytes) -> bool:
        self.answers.append(session_pb2.ServerFrame.FromString(frame).checkpointed)
        return True

    def close(self, status: str, sentence: str) -> None:
        raise AssertionError(sentence)


class Kept:
    """A client whose session is kept in a folder."""

    def __init__(self, folder: Path) -> None:
        self.client = Client()
        self.session = session_over(self.client.executor)
        self.told = Told()
        self.session._stream = self.told
        self.folder = folder
        (folder / "allowance").write_text("-1")
        self.keeper = Keeper(self.session, {"node": Place(folder, False)})

    def make(self, number: int, where: str = "node", **more: int) -> Any:
        """The answer to a wish, which is made in this thread."""
        return self.keeper._made(session_pb2.CheckpointWish(id=number, where=where, **more))

    def restored(self, number: int) -> Client:
        source = reading.read_folder(self.folder / f"{number}.index")
        try:
            return self._again(source)
        finally:
            source.close()

    def _again(self, source: Any) -> Client:
        again = Client()
        again.executor = reading.restore(source, incoming(), Assignment("new", b"", 1, LIMIT), "s", False).executor
        again.sent, again.writer = set(self.client.sent), self.client.writer
        return again


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path)
    yield kept
    kept.client.executor.tracking().stop()


def test_two_checkpoints_share_what_has_not_changed_and_each_comes_back_as_it_was(kept: Kept) -> None:
    client = kept.client
    client.run(("big", 1, _big(1.0)))
    client.array(2)
    assert kept.make(1).error == ""
    size = kept.keeper._stores["node"].nbytes
    client.run(("iadd", 2, 2, 2))
    assert kept.make(2).error == ""
    assert kept.keeper._stores["node"].nbytes - size < PART_BYTES
    for number, factor in ((1, 1), (2, 2)):
        again = kept.restored(number)
        np.testing.assert_array_equal(again.fetch(2), np.arange(4.0) * factor)
        assert _values(again, 1).sum() == MIB


def test_a_checkpoint_goes_when_its_client_knows_a_newer_one(kept: Kept) -> None:
    kept.client.array(1)
    for number in (1, 2, 3):
        assert kept.make(number).error == ""
        kept.client.run(("iadd", 1, 1, 1))
    assert sorted(p.name for p in kept.folder.glob("*.index")) == ["2.index", "3.index"]


def test_files_that_are_hardly_used_are_copied_together(kept: Kept) -> None:
    client = kept.client
    for handle in range(1, 9):
        client.run(("big", handle, _big(float(handle))))
    assert kept.make(1).error == ""
    client.run(*[("free", handle) for handle in range(1, 8)])
    for number in (2, 3, 4):
        assert kept.make(number).error == ""
    assert kept.keeper._stores["node"].nbytes < 3 * 8 * MIB
    assert _values(kept.restored(4), 8)[0] == 8.0


def test_random_programs_come_back_from_any_checkpoint(kept: Kept) -> None:
    draw = random.Random(5)
    client, live, handle = kept.client, [1], 1
    client.array(1)
    for number in range(1, 30):
        for _ in range(draw.randrange(6)):
            kind = draw.choice(("add", "iadd", "free", "view"))
            a = draw.choice(live)
            if kind == "add":
                handle += 1
                client.run(("add", handle, a, draw.choice(live)))
                live.append(handle)
            elif kind == "iadd":
                client.run(("iadd", a, a, draw.choice(live)))
            elif kind == "free" and len(live) > 2:
                live.remove(a)
                client.run(("free", a))
        assert kept.make(number).error == ""
        if number % 7 == 0:
            again = kept.restored(number)
            for one in live:
                np.testing.assert_array_equal(again.fetch(one), client.fetch(one))


def test_what_a_client_keeps_comes_back(kept: Kept) -> None:
    kept.client.array(1)
    answer = kept.make(1, "client", limit_bytes=MIB, transfer=77)
    assert answer.error == ""
    data = bytes(kept.client.executor.transfers.outbound(77, lambda: False).data)
    assert len(data) == answer.nbytes
    again = kept._again(reading.read_packed(data))
    np.testing.assert_array_equal(again.fetch(1), np.arange(4.0))
    for at in (3, 12, 40, len(data) - 1):
        broken = bytearray(data)
        broken[at] ^= 1
        with pytest.raises(CheckpointError, match=r"damaged|truncated|no checkpoint"):
            kept._again(reading.read_packed(bytes(broken)))
    for size in (0, 5, 20, 200, len(data) - 1):
        with pytest.raises(CheckpointError):
            kept._again(reading.read_packed(data[:size]))


def test_one_that_is_too_large_for_its_client_is_refused(kept: Kept) -> None:
    kept.client.run(("big", 1, _big(1.0)))
    answer = kept.make(1, "client", limit_bytes=MIB, transfer=77)
    assert "durability='node'" in answer.error and not answer.is_final


def test_one_for_which_there_is_no_room_leaves_the_one_before(kept: Kept) -> None:
    (kept.folder / "allowance").write_text(str(10 * MIB))
    kept.client.array(1)
    assert kept.make(1).error == ""
    kept.client.run(("big", 2, _big(1.0)))
    kept.client.run(("big", 3, _big(1.0)))
    assert "checkpoints.bytes" in kept.make(2).error
    np.testing.assert_array_equal(kept.restored(1).fetch(1), np.arange(4.0))
    kept.client.run(("free", 2), ("free", 3))
    assert kept.make(3).error == ""
    np.testing.assert_array_equal(kept.restored(3).fetch(1), np.arange(4.0))


@contextmanager
def largest_file(nbytes: int) -> Iterator[None]:
    """No file of this process grows beyond so much: as on a disk that is full there."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_one_before_and_nothing_half_written(kept: Kept) -> None:
    kept.client.array(1)
    assert kept.make(1).error == ""
    files = sorted(f.name for f in kept.folder.iterdir())
    kept.client.run(("big", 2, _big(1.0)))
    kept.client.run(("big", 3, _big(1.0)))
    with largest_file(3 * MIB):
        answer = kept.make(2)
    assert "File too large" in answer.error and not answer.is_final
    assert sorted(f.name for f in kept.folder.iterdir()) == files
    np.testing.assert_array_equal(kept.restored(1).fetch(1), np.arange(4.0))
    assert kept.make(3).error == ""
    np.testing.assert_array_equal(kept.restored(3).fetch(1), np.arange(4.0))


def test_a_place_that_there_is_not_is_refused_for_good(kept: Kept) -> None:
    answer = kept.make(1, "file")
    assert answer.error and answer.is_final


def test_a_move_under_way_is_waited_for(kept: Kept) -> None:
    kept.client.array(1)
    tracker = kept.client.executor.tracking()
    tracker.start()
    assert "moved" in kept.make(1).error
    assert tracker.is_on
    tracker.stop()
    assert kept.make(2).error == ""


def test_damaged_files_are_refused(kept: Kept) -> None:
    kept.client.array(1)
    assert kept.make(1).error == ""
    index = (kept.folder / "1.index").read_bytes()
    (data,) = kept.folder.glob("*.data")
    good = data.read_bytes()
    data.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="damaged"):
        kept.restored(1)
    data.write_bytes(good[:-1])
    with pytest.raises(CheckpointError, match="damaged"):
        kept.restored(1)
    os.unlink(data)
    with pytest.raises(CheckpointError, match="cannot be read"):
        kept.restored(1)
    newer = opened(index)
    newer.version, newer.version_name = 99, "from-the-future"
    with pytest.raises(CheckpointError, match="newer cupool"):
        opened(sealed(newer))


def test_an_index_that_lies_is_refused() -> None:
    for wrong in (
        checkpoint_pb2.CheckpointIndex(version=1, part_bytes=0),
        checkpoint_pb2.CheckpointIndex(
            version=1, part_bytes=8, buffer=[1], nbytes=[9], address=[0], file=[1], offset=[0]
        ),
        checkpoint_pb2.CheckpointIndex(version=1, part_bytes=8, buffer=[1], nbytes=[], address=[0]),
    ):
        with pytest.raises(CheckpointError, match="inconsistent"):
            opened(sealed(wrong))
    with pytest.raises(CheckpointError, match="beginning"):
        opened(MAGIC + b"\xff" * 40)


def test_what_was_not_committed_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path, lambda: -1)
    writing = store.begin(True)
    writing.new(1, 3, 0)
    writing.put(1, 0, b"abc")
    writing.close()
    assert not list(tmp_path.iterdir()) and store.nbytes == 0


def test_a_repeated_wish_is_answered_as_before(kept: Kept) -> None:
    kept.client.array(1)
    kept.keeper._last = kept.make(1)
    kept.keeper.wish(session_pb2.CheckpointWish(id=1, where="node"))
    assert [answer.id for answer in kept.told.answers] == [1]


def _big(value: float) -> Any:
    from wire import value as encoded

    return encoded(np.full(MIB, value).astype("<f8").tobytes())


def _values(client: Client, handle: int) -> Any:
    """An array too large for a reply."""
    return np.asarray(client.executor.handles.get(handle))


@pytest.mark.parametrize("step", ["fsync of the folder", "rename"])
def test_a_checkpoint_that_was_not_committed_to_the_end_is_not_there(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Its data files go: an index of them would be the latest of a server that is then lost."""
    kept.client.array(1)
    assert not kept.make(1).error
    kept.keeper._stores["node"]._is_synced = True

    def fails(*args: Any) -> None:
        if step == "rename" or os.path.isdir(f"/proc/self/fd/{args[0]}"):
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename" if step == "rename" else "fsync", fails)
        assert "No space left" in kept.make(2).error
    assert sorted(p.name for p in kept.folder.iterdir() if p.suffix in (".index", ".beside")) == ["1.index"]
    np.testing.assert_array_equal(kept.restored(1).fetch(1), np.arange(4.0))
