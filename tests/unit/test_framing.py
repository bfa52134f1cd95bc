"""Messages on a pipe, and the numbers of the status file."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cupool.contract import statusfile
from cupool.contract.errors import ProtocolError
from cupool.contract.framing import LARGEST_BYTES, Unpacker, delimited
from cupool.v1 import server_pb2


@given(st.lists(st.binary(max_size=400), max_size=8), st.integers(1, 50))
def test_messages_come_out_as_they_went_in_however_the_bytes_are_cut(messages: list[bytes], piece: int) -> None:
    data = b"".join(delimited(m) for m in messages)
    unpacker = Unpacker()
    found = [m for at in range(0, len(data), piece) for m in unpacker.feed(data[at : at + piece])]
    assert found == messages


def test_the_length_is_protobufs() -> None:
    message = server_pb2.ServerCommand(end=server_pb2.EndRequest(reason="x" * 300))
    data = delimited(message.SerializeToString())
    assert data[:2] == bytes([0x80 | (len(data) - 2) & 0x7F, (len(data) - 2) >> 7])
    assert server_pb2.ServerCommand.FromString(Unpacker().feed(data)[0]) == message


@pytest.mark.parametrize("data", [b"\xff" * 6, delimited(b"x" * (LARGEST_BYTES + 1))[:4]])
def test_a_length_that_nobody_sends_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="on a pipe"):
        Unpacker().feed(data)


def test_numbers_are_read_as_written_while_the_writer_lives_and_after(tmp_path: Path) -> None:
    path = tmp_path / "status"
    statusfile.create(path)
    reader, writer = statusfile.StatusReader(path), statusfile.StatusWriter(path)
    assert reader.read() == statusfile.Status(0, "", None, "")
    now = time.monotonic()
    writer.attached(True)
    writer.batch_begins(7, now - 2)
    found = reader.read()
    assert found is not None and found.seq == 7 and found.is_attached and 2 <= found.kernel_s < 60 and found.idle_s == 0
    assert 2 <= writer.batch_s() < 60
    writer.batch_ended(now - 1, 0.5, 512, 1024, 3, 10, 1)
    writer.reason("é" * 400)
    writer.close()
    found = reader.read()
    assert found is not None
    assert (found.seq, found.kernel_s, found.used_bytes, found.peak_bytes) == (0, 0.5, 512, 1024)
    assert (found.handles, found.commands, found.failed) == (3, 10, 1)
    assert 1 <= found.idle_s < 60 and found.reason == "é" * 176
    reader.close()


def test_what_is_no_status_file_is_not_read_as_one(tmp_path: Path) -> None:
    path = tmp_path / "status"
    path.write_bytes(b"cupoolS1" + bytes(504))
    assert statusfile.read(path) is None and statusfile.read(tmp_path / "none") is None
    with pytest.raises(ValueError, match="too short"):
        statusfile.StatusReader(path)


def test_a_status_file_that_was_cut_off_kills_nobody(tmp_path: Path) -> None:
    """The code of a tenant may do that. In a process of its own: one that had mapped the file would be ended by SIGBUS."""
    code = """
import os, sys
from cupool.contract import statusfile
statusfile.create(sys.argv[1])
reader = statusfile.StatusReader(sys.argv[1])
os.truncate(sys.argv[1], 0)
assert reader.read() is None
"""
    subprocess.run([sys.executable, "-P", "-c", code, str(tmp_path / "status")], check=True, timeout=60)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1e300, 1e300])
def test_numbers_of_a_status_file_are_numbers(tmp_path: Path, number: float) -> None:
    """Whatever was written: their sums go into messages, and into the directory of the pool."""
    path = tmp_path / "status"
    statusfile.create(path)
    reader = statusfile.StatusReader(path)
    with open(path, "r+b") as file:
        file.seek(8)
        file.write(struct.pack("<Qdd6Q", 1, number, number, *[(1 << 64) - 1] * 6))
    found = reader.read()
    assert found is not None
    assert 0 <= found.kernel_s < 1e13 and 0 <= found.idle_s < 1e13
    assert max(found.used_bytes, found.peak_bytes, found.handles, found.commands, found.failed) < 1 << 62
    reader.close()
