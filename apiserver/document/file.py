"""A session in a file: `write` makes one, `read` opens it, `Saved.into` puts its buffers where the session is made again.

    magic 16 bytes, version u32, reserved u32, document's length u64, document,
    count u64, then per buffer: id u64, size u64, address u64, bytes,
    blake2b-32 of everything before

All numbers little-endian. A file is made under another name and renamed, so that one that is there is whole; what was damaged later is
found by its hash before a session is made of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from .checks import HASH_BYTES, MAX_BYTES, DocumentError

MAGIC = b"cupool session\n\0"
FORMAT = 1
_HEAD = struct.Struct("<16sIIQ")
_COUNT = struct.Struct("<Q")
_BUFFER = struct.Struct("<QQQ")
_CHUNK = 1 << 20


class Buffer(Protocol):
    """A `tracking.Piece`, or anything like it."""

    buffer: int
    nbytes: int
    address: int

    def memory(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Place:
    """A buffer that is to come, as `Incoming.begin` takes it."""

    buffer: int
    nbytes: int
    address: int


class _Hashing:
    """Writes, or reads, and hashes what went through."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.hash = hashlib.blake2b(digest_size=HASH_BYTES)

    def write(self, data: Any) -> None:
        self.hash.update(data)
        self._file.write(data)

    def read(self, nbytes: int) -> bytes:
        data = self._file.read(nbytes)
        if len(data) != nbytes:
            raise _cut_off()
        self.hash.update(data)
        return data

    def read_into(self, memory: Any) -> None:
        view = memoryview(memory).cast("B")
        for at in range(0, len(view), _CHUNK):
            part = view[at : at + _CHUNK]
            if self._file.readinto(part) != len(part):  # type: ignore[attr-defined]
                raise _cut_off()
            self.hash.update(part)


def _cut_off() -> DocumentError:
    return DocumentError("The file is damaged or cut off: it ends before what it says that it holds.")


def write(path: Path | str, document: bytes, pieces: Iterable[Buffer]) -> int:
    """Save a session: its document, and its buffers as they are. Readable by this user alone. With nothing executing.

    Returns:
        the file's size in bytes.

    Raises:
        DocumentError: a buffer is gone, or the file cannot be written.
    """
    path = Path(path)
    pieces = list(pieces)
    partial = path.with_name(path.name + ".partial")
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as raw:
            file = _Hashing(raw)
            file.write(_HEAD.pack(MAGIC, FORMAT, 0, len(document)))
            file.write(document)
            file.write(_COUNT.pack(len(pieces)))
            for piece in pieces:
                memory = piece.memory()
                if memory is None or memory.nbytes != piece.nbytes:
                    raise DocumentError(f"Buffer {piece.buffer} was freed while the session was being written.")
                file.write(_BUFFER.pack(piece.buffer, piece.nbytes, piece.address))
                for at in range(0, piece.nbytes, _CHUNK):
                    file.write(memory[at : at + _CHUNK].data)
            raw.write(file.hash.digest())
            raw.flush()
            os.fsync(raw.fileno())
            size = raw.tell()
        os.replace(partial, path)
        return size
    except OSError as error:
        raise DocumentError(f"The session cannot be written to {path}: {error.strerror}.") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)


class Saved:
    """A session that lies in a file.

    Attributes:
        document: as `capture` gave it; checked only when it is restored.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb") as raw:
                self._size = os.fstat(raw.fileno()).st_size
                head = raw.read(_HEAD.size)
                length = _check_head(head, self._size)
                self.document = raw.read(length)
        except OSError as error:
            raise DocumentError(f"{path} cannot be read: {error.strerror}.") from error

    def into(self, incoming: Any) -> None:
        """Give an `Incoming` all buffers. Raises DocumentError where they are damaged."""
        with self._path.open("rb") as raw:
            file = _Hashing(raw)
            document = file.read(_check_head(file.read(_HEAD.size), self._size))
            (count,) = _COUNT.unpack(file.read(_COUNT.size))
            for _ in range(count):
                place = Place(*_BUFFER.unpack(file.read(_BUFFER.size)))
                if place.nbytes > self._size - raw.tell() - HASH_BYTES:
                    raise _cut_off()
                file.read_into(incoming.begin(place))
            if raw.read() != file.hash.digest() or document != self.document:
                raise DocumentError("The file is damaged: its hash is not that of its contents.")


def _check_head(head: bytes, size: int) -> int:
    """The document's length."""
    if len(head) < _HEAD.size or not head.startswith(MAGIC):
        raise DocumentError("The file is no saved session of cupool.")
    _, version, _, length = _HEAD.unpack(head)
    if version != FORMAT:
        raise DocumentError(
            f"The file has format {version}; this cupool reads format {FORMAT}. Restore it with "
            f"{'a newer' if version > FORMAT else 'an older'} one."
        )
    if length > min(size - _HEAD.size - _COUNT.size - HASH_BYTES, MAX_BYTES):
        raise _cut_off()
    return int(length)


def read(path: Path | str) -> Saved:
    """A session that was saved. Raises DocumentError."""
    return Saved(Path(path))


__all__ = ["FORMAT", "MAGIC", "Place", "Saved", "read", "write"]
