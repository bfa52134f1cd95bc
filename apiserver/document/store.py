"""Checkpoints in a folder, of which each writes only what has changed since the one before.

A buffer is kept in pieces of 256 KiB. A checkpoint appends the pieces that have changed to a segment and then puts a new *index* in the
place of the old one, by renaming: the document, the buffers, and where each of their pieces is, with its hash. Nothing that an index
names is ever changed, so a writer may be killed at any moment and the last whole checkpoint is there. Segments that hold mostly what no
index names any more are emptied.

    copy(look)             any number of times, while commands go on
    write(document, look)  at a batch boundary, nothing executing: the rest, and the index
    read()                 the last checkpoint
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..tracking import PIECE_BYTES, Look, Piece
from .checks import HASH_BYTES, MAX_BYTES, DocumentError, digest, opened
from .file import Place, Saved

MAGIC = b"cupool check\n\0\0\0"
FORMAT = 1
INDEX = "index"
#: A segment that has grown to this is followed by another one.
SEGMENT_BYTES = 1 << 30
#: Segments of which less than this part is in use are emptied.
_USED_PART = 0.5
_HEAD = struct.Struct("<16sIIQQQ")
#: One piece: segment, offset in it, the first 8 bytes of its hash.
_PIECE_WORDS = 3


@dataclass(slots=True)
class _Kept:
    """A buffer: for each piece its segment, offset and hash."""

    nbytes: int
    address: int
    pieces: list[tuple[int, int, int]] = field(default_factory=list)


class Store:
    """One folder, of one session at a time.

    Args:
        folder: is made when it is not there; readable by this user alone.
        is_durable: a checkpoint is on the disk when `write` returns, and survives the host.
    """

    def __init__(self, folder: Path | str, is_durable: bool = False) -> None:
        self._folder = Path(folder)
        self._is_durable = is_durable
        self._kept: dict[int, _Kept] = {}
        self._sources: dict[int, Piece] = {}
        self._segment: Any = None
        self._number = 0
        #: bytes that the last `copy` or `write` has written
        self.written_bytes = 0

    # -- writing ------------------------------------------------------------------------------------------------------

    def copy(self, look: Look) -> None:
        """Copy what a look reports. Raises DocumentError when the folder takes no more."""
        self.written_bytes = 0
        try:
            for buffer in look.gone:
                self._kept.pop(buffer, None)
                self._sources.pop(buffer, None)
            for piece in look.new:
                self._sources[piece.buffer] = piece
                self._kept[piece.buffer] = _Kept(
                    piece.nbytes, piece.address, [(0, 0, 0)] * -(-piece.nbytes // PIECE_BYTES)
                )
                self._copy_pieces(piece, range(0, piece.nbytes, PIECE_BYTES))
            for buffer, pieces in _touched(look):
                source = self._sources.get(buffer)
                if source is not None:
                    self._copy_pieces(source, pieces)
        except OSError as error:
            raise DocumentError(f"The checkpoint cannot be written to {self._folder}: {error.strerror}.") from error

    def _copy_pieces(self, piece: Piece, offsets: Any) -> None:
        memory, kept = piece.memory(), self._kept[piece.buffer]
        if memory is None:
            return  # it has been freed since: the next look says so
        for offset in offsets:
            # A copy of one's own: commands may be writing, and the hash is of what is written here.
            data = memory[offset : offset + PIECE_BYTES].tobytes()
            kept.pieces[offset // PIECE_BYTES] = self._append(data)
            piece.copied(offset, data)

    def _append(self, data: bytes) -> tuple[int, int, int]:
        if self._segment is None or self._segment.tell() >= SEGMENT_BYTES:
            self._next_segment()
        place = self._segment.tell()
        self._segment.write(data)
        self.written_bytes += len(data)
        return self._number, place, _hash(data)

    def _next_segment(self) -> None:
        self._close_segment()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._number = max((number for number, _ in self._segments()), default=0) + 1
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._segment = open(os.open(self._path(self._number), flags, 0o600), "wb", buffering=1 << 20)  # noqa: SIM115  # closed by `close`

    def _close_segment(self) -> None:
        if self._segment is not None:
            self._flush()
            self._segment.close()
            self._segment = None

    def _flush(self) -> None:
        if self._segment is not None:
            self._segment.flush()
            if self._is_durable:
                os.fdatasync(self._segment.fileno())

    def write(self, document: bytes, look: Look) -> int:
        """Make a checkpoint of what the session is now. With nothing executing, `document` captured after `look`.

        Returns:
            bytes written.

        Raises:
            DocumentError: the folder takes no more, or a buffer of the document was never in a look. The last checkpoint stays.
        """
        self.copy(look)
        named = set(opened(document).buffers.id)
        for buffer in [b for b in self._kept if b not in named]:
            del self._kept[buffer]
            self._sources.pop(buffer, None)
        missing = next((buffer for buffer in named if buffer not in self._kept), None)
        if missing is not None:
            raise DocumentError(f"Buffer {missing} of the session was never copied to the checkpoint.")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._empty_segments()
            self._flush()
            self._put_index(document)
            self._remove_unused()
        except OSError as error:
            raise DocumentError(f"The checkpoint cannot be written to {self._folder}: {error.strerror}.") from error
        return self.written_bytes

    def _put_index(self, document: bytes) -> None:
        sizes = np.array([(b, k.nbytes, k.address) for b, k in self._kept.items()], np.uint64).reshape(-1, 3)
        places = np.array([place for k in self._kept.values() for place in k.pieces], np.uint64).reshape(
            -1, _PIECE_WORDS
        )
        data = b"".join((
            _HEAD.pack(MAGIC, FORMAT, 0, len(document), len(sizes), len(places)), document, sizes.tobytes(), places.tobytes(),
        ))  # fmt: skip
        partial = self._folder / (INDEX + ".partial")
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
            file.write(digest(data))
            file.flush()
            if self._is_durable:
                os.fsync(file.fileno())
        os.replace(partial, self._folder / INDEX)
        if self._is_durable:
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self.written_bytes += len(data) + HASH_BYTES

    # -- segments -----------------------------------------------------------------------------------------------------

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.segment"

    def _segments(self) -> Iterator[tuple[int, Path]]:
        for path in self._folder.glob("*.segment"):
            if path.stem.isdigit():
                yield int(path.stem), path

    def _used(self) -> dict[int, int]:
        """Segment -> bytes of it that are in use."""
        used: dict[int, int] = {}
        for kept in self._kept.values():
            for k, (segment, _, _) in enumerate(kept.pieces):
                used[segment] = used.get(segment, 0) + min(PIECE_BYTES, kept.nbytes - k * PIECE_BYTES)
        return used

    def _empty_segments(self) -> None:
        """Copy what is in use out of segments that hold little of it."""
        used = self._used()
        self._flush()
        poor = {
            number for number, path in self._segments()
            if number != self._number and number in used and used[number] < _USED_PART * path.stat().st_size
        }  # fmt: skip
        if not poor:
            return
        files = {number: self._path(number).open("rb") for number in poor}
        try:
            for kept in self._kept.values():
                for k, (segment, offset, _) in enumerate(kept.pieces):
                    if segment in poor:
                        files[segment].seek(offset)
                        kept.pieces[k] = self._append(
                            files[segment].read(min(PIECE_BYTES, kept.nbytes - k * PIECE_BYTES))
                        )
        finally:
            for file in files.values():
                file.close()

    def _remove_unused(self) -> None:
        used = self._used()
        size = self._segment.tell() if self._segment is not None else 0
        if size > 64 * PIECE_BYTES and used.get(self._number, 0) < _USED_PART * size:
            self._close_segment()  # the next checkpoint empties it
            self._number = 0
        for number, path in list(self._segments()):
            if number not in used and number != self._number:
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()

    def close(self) -> None:
        """Write no more. What was written stays."""
        self._close_segment()
        self._sources.clear()

    # -- reading ------------------------------------------------------------------------------------------------------

    def read(self) -> Saved:
        """The last checkpoint. Raises DocumentError when there is none, or it is damaged."""
        return SavedStore(self._folder)


class SavedStore(Saved):
    """A checkpoint of a `Store`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            data = (folder / INDEX).read_bytes()
        except OSError as error:
            raise DocumentError(f"There is no checkpoint in {folder}: {error.strerror}.") from error
        if len(data) < _HEAD.size + HASH_BYTES or not data.startswith(MAGIC):
            raise DocumentError("The checkpoint's index is no index of cupool.")
        _, version, _, length, buffers, pieces = _HEAD.unpack_from(data)
        if version != FORMAT:
            raise DocumentError(f"The checkpoint has format {version}; this cupool reads format {FORMAT}.")
        if digest(data[:-HASH_BYTES]) != data[-HASH_BYTES:] or length > MAX_BYTES:
            raise DocumentError("The checkpoint is damaged: its index's hash is not that of its contents.")
        at = _HEAD.size
        self.document, at = data[at : at + length], at + length
        rows = np.frombuffer(data, np.uint64, (len(data) - HASH_BYTES - at) // 8, at)
        if rows.size != 3 * buffers + _PIECE_WORDS * pieces:
            raise DocumentError("The checkpoint is damaged: its index has another length.")
        self._buffers = [Place(*map(int, row)) for row in rows[: 3 * buffers].reshape(-1, 3)]
        self._places = rows[3 * buffers :].reshape(-1, _PIECE_WORDS).tolist()
        if sum(-(-place.nbytes // PIECE_BYTES) for place in self._buffers) != len(self._places):
            raise DocumentError("The checkpoint is damaged: its index names other pieces than its buffers have.")

    def into(self, incoming: Any) -> None:
        places = iter(self._places)
        with contextlib.ExitStack() as files:
            opened_files: dict[int, Any] = {}
            for place in self._buffers:
                memory = incoming.begin(place)
                for at in range(0, place.nbytes, PIECE_BYTES):
                    segment, offset, expected = next(places)
                    part = memory[at : at + PIECE_BYTES]
                    try:
                        file = opened_files.get(segment)
                        if file is None:
                            path = self._folder / f"{segment:06d}.segment"
                            file = opened_files[segment] = files.enter_context(path.open("rb"))
                        file.seek(offset)
                        count = file.readinto(part.data)
                    except (OSError, ValueError) as error:
                        raise DocumentError(
                            f"The checkpoint is damaged: segment {segment} cannot be read ({error})."
                        ) from error
                    if count != part.nbytes or _hash(part) != expected:
                        raise DocumentError(
                            f"The checkpoint is damaged: segment {segment} does not hold what its index says."
                        )


def _touched(look: Look) -> Iterator[tuple[int, list[int]]]:
    """(buffer, offsets of its pieces) of what was written."""
    found: dict[int, set[int]] = {}
    for buffer, offset, nbytes in look.written:
        first = offset // PIECE_BYTES * PIECE_BYTES
        found.setdefault(buffer, set()).update(range(first, offset + nbytes, PIECE_BYTES))
    return ((buffer, sorted(offsets)) for buffer, offsets in found.items())


def _hash(data: Any) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


__all__ = ["Store"]
