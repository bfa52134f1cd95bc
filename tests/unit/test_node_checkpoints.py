"""What an agent does with checkpoints: one folder for each server, links for the next one, nothing left behind, no more than is allowed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cupool.pool.config import PoolConfig
from cupool.pool.node import checkpoints
from cupool.pool.node.checkpoints import Checkpoints

from cupool.v1 import server_pb2


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checkpoints]:
    memory = tmp_path / "memory"
    memory.mkdir()
    monkeypatch.setattr(checkpoints, "MEMORY", memory)
    monkeypatch.setattr(checkpoints, "LEAST_FREE_BYTES", 1)
    config = PoolConfig(checkpoint_folder=str(tmp_path / "folder"), checkpoint_bytes=10_000, checkpoint_keep_s=60.0)
    kept = Checkpoints(config)
    yield kept
    kept.close()
    assert not list(memory.iterdir())


def folders(kept: Checkpoints, server: str) -> dict[str, Path]:
    """A new server's, by where."""
    words = kept.arguments(server)
    return {where: Path(path) for where, _, path in (word.partition("=") for word in words[1::2])}


def write(folder: Path, checkpoint: int, nbytes: int = 1000) -> None:
    (folder / f"{checkpoint}.data").write_bytes(bytes(nbytes))
    (folder / f"{checkpoint}.index").write_bytes(b"index")


def assignment(checkpoint: str) -> Any:
    return server_pb2.AssignRequest(session="s", incoming=server_pb2.Incoming(checkpoint=checkpoint))


def reported(kept: Checkpoints, server: str) -> None:
    assert kept.reported(SimpleNamespace(id=server), server_pb2.CheckpointReport(session="s")) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("where", ["node", "file"])
def test_a_lost_servers_checkpoint_waits_and_goes_when_the_next_server_has_one(kept: Checkpoints, where: str) -> None:
    first = folders(kept, "a")[where]
    write(first, 3)
    kept.ended("a", True)
    second = folders(kept, "b")[where]
    path = Path(kept.given(assignment(f"{where}/a/3"), "b").incoming.checkpoint)
    assert path.read_bytes() == b"index" and path.parent.parent == second
    assert os.stat(path.parent / "3.data").st_nlink == 2
    assert first.exists(), "until the second server has one of its own"
    write(second, 4)
    reported(kept, "b")
    assert not first.exists() and not path.exists()
    kept.ended("b", False)
    assert not second.exists() and kept.statistics().nbytes == 0


def test_a_second_server_that_is_lost_before_it_has_one_leaves_the_first_ones(kept: Checkpoints) -> None:
    write(folders(kept, "a")["node"], 3)
    kept.ended("a", True)
    for server in ("b", "c"):
        folders(kept, server)
        assert Path(kept.given(assignment("node/a/3"), server).incoming.checkpoint).exists()
        kept.ended(server, server == "b")
    assert kept.statistics().kept == 0, "the last one ended by wish"


@pytest.mark.parametrize(
    "named", ["node/x/3", "node/../3", "node/a/3.index", "cloud/a/3", "node/a/../../3", "node//3", "3", "saved/../x"]
)
def test_what_is_not_there_is_looked_for_in_vain(kept: Checkpoints, named: str) -> None:
    folders(kept, "b")
    assert not Path(kept.given(assignment(named), "b").incoming.checkpoint).exists()


def test_a_session_that_ended_by_wish_or_had_none_leaves_nothing(kept: Checkpoints) -> None:
    for server, is_kept, has_one in (("a", False, True), ("b", True, False)):
        places = folders(kept, server)
        if has_one:
            write(places["node"], 1)
        kept.ended(server, is_kept)
        assert not any(place.exists() for place in places.values())


def test_the_oldest_goes_when_there_is_no_room_and_each_is_told_what_it_may_take(kept: Checkpoints) -> None:
    for server in ("a", "b", "c"):
        write(folders(kept, server)["node"], 1, 4000)
        kept.ended(server, True)
    assert kept.statistics().nbytes <= 10_000 and kept.statistics().kept == 2
    place = folders(kept, "d")["node"]
    allowed = int((place / "allowance").read_text())
    assert 0 < allowed <= 10_000 - kept.statistics().nbytes + 100


def test_what_is_kept_for_too_long_goes(kept: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    place = folders(kept, "a")["node"]
    write(place, 1)
    kept.ended("a", True)
    now = checkpoints.time.monotonic()
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now + 61)
    kept.tidy()
    assert not place.exists()


def test_folders_of_hosts_that_were_killed_are_removed_and_no_others(kept: Checkpoints, tmp_path: Path) -> None:
    running = tmp_path / "folder" / "running"
    for name, age in (("old", 1000), ("young", 10)):
        (running / name).mkdir()
        stamp = checkpoints.time.time() - age
        os.utime(running / name, (stamp, stamp))
    mine = folders(kept, "a")["file"]
    kept._sweep_forgotten()
    assert not (running / "old").exists() and (running / "young").exists() and mine.exists()


def test_a_servers_folder_leads_this_process_nowhere(kept: Checkpoints, tmp_path: Path) -> None:
    """Whatever its tenant's code has put there: links to files of this user, pipes on which a reader waits for ever."""
    mine = tmp_path / "mine"
    mine.write_text("a file of this user")
    place = folders(kept, "a")["node"]
    (place / "allowance").unlink()
    for name, make in (("allowance", lambda p: os.mkfifo(p)), ("allowance.beside", lambda p: p.symlink_to(mine))):
        make(place / name)
    write(folders(kept, "b")["node"], 1, 3000)  # what is free is less now
    reported(kept, "a")
    kept.tidy()
    assert mine.read_text() == "a file of this user"
    allowance = place / "allowance"
    assert allowance.is_file() and 0 < int(allowance.read_text()) < 10_000, "a new file, in place of the pipe"


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_a_server_saved_is_a_file_or_nothing(kept: Checkpoints, tmp_path: Path, kind: str) -> None:
    """Brought back it would lie in a server's folder, and with it what the link leads to."""
    secret = tmp_path / "secret"
    secret.write_text("a file of this user")
    saved = folders(kept, "a")["file"] / "mine.session"
    {"link": lambda: saved.symlink_to(secret), "pipe": lambda: os.mkfifo(saved), "folder": saved.mkdir}[kind]()
    server = SimpleNamespace(
        id="a", assignment=server_pb2.AssignRequest(session="s"), device=SimpleNamespace(kind="cpu"), fingerprint="f"
    )
    told = kept.reported(server, server_pb2.CheckpointReport(session="s", checkpoint="mine"))  # type: ignore[arg-type]
    assert told is not None and "could not be put" in told.error
    assert not list((tmp_path / "folder" / "saved").glob("*.session")) and secret.read_text() == "a file of this user"


@pytest.mark.parametrize("has_links", [True, False])
def test_a_saved_link_gives_no_file_away(
    kept: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    if not has_links:
        monkeypatch.setattr(os, "link", lambda *a, **k: (_ for _ in ()).throw(OSError(1, "no links here")))
    folder = tmp_path / "folder" / "saved"
    folder.mkdir()
    (tmp_path / "secret").write_text("a file of this user")
    (folder / "bad.session").symlink_to(tmp_path / "secret")
    (folder / "good.session").write_bytes(b"saved")
    for server, name in (("b", "bad"), ("c", "good")):
        place = folders(kept, server)["file"]
        path = Path(kept.given(assignment(f"saved/{name}"), server).incoming.checkpoint)
        assert path.exists() == (name == "good") and (place / "restored.session").exists() == (name == "good")


def test_a_link_in_place_of_the_restored_folder_is_not_followed(kept: Checkpoints, tmp_path: Path) -> None:
    write(folders(kept, "a")["node"], 3)
    kept.ended("a", True)
    (tmp_path / "elsewhere").mkdir()
    (folders(kept, "b")["node"] / "restored").symlink_to(tmp_path / "elsewhere")
    assert not Path(kept.given(assignment("node/a/3"), "b").incoming.checkpoint).exists()
    assert not list((tmp_path / "elsewhere").iterdir())
