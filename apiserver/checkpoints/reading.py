"""Restores a session out of a checkpoint: in a folder, in memory, or saved in a file. Everything is checked before it counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from ..document import DocumentError, Incoming
from ..document.file import read as read_saved
from .layout import CheckpointError, Part, hash_of, head_bytes, opened, parts


class _Source(Protocol):
    """Where the bytes of a checkpoint are."""

    index: Any

    def read(self, part: Part) -> Any:
        """The bytes of a part, as many as there are."""

    def close(self) -> None: ...


class _Packed:
    def __init__(self, data: Any) -> None:
        view = memoryview(data)
        self._start = head_bytes(bytes(view[:16]))
        self.index = opened(bytes(view[: self._start]))
        self._view = view

    def read(self, part: Part) -> Any:
        at = self._start + part.offset
        return self._view[at : at + part.nbytes]

    def close(self) -> None:
        """The memory is the caller's."""


class _Folder:
    def __init__(self, path: Path) -> None:
        """`path`: of the index."""
        self._folder = path.parent
        self._files: dict[int, BinaryIO] = {}
        data = path.read_bytes()
        self.index = opened(data)

    def read(self, part: Part) -> Any:
        file = self._files.get(part.file)
        if file is None:
            file = self._files[part.file] = open(self._folder / f"{part.file}.data", "rb")  # noqa: SIM115 - closed by `close`
        file.seek(part.offset)
        return file.read(part.nbytes)

    def close(self) -> None:
        for file in self._files.values():
            file.close()


def read_folder(path: Path) -> _Source:
    """A checkpoint in a folder, by its index's path. Raises CheckpointError, OSError."""
    return _Folder(path)


def read_packed(data: Any) -> _Source:
    """The same, of bytes in memory. Raises CheckpointError."""
    return _Packed(data)


def restore(source: _Source, incoming: Incoming, assignment: Any, session: str, is_same: bool) -> Any:
    """The `Session` of a checkpoint.

    Args:
        session: whose it must be.
        is_same: it goes on under its old name, with its old client; False: under a new lease.

    Raises:
        CheckpointError: it is damaged, or does not fit this server.
    """
    index = source.index
    if index.session != session:
        raise CheckpointError(f"The checkpoint is of session {index.session[:80]!r}, not of {session!r}.")
    try:
        memory = {
            buffer: incoming.begin(_Piece(buffer, nbytes, address))
            for buffer, nbytes, address in zip(index.buffer, index.nbytes, index.address, strict=True)
        }
        for part in parts(index):
            data = np.frombuffer(source.read(part), np.uint8)
            if len(data) != part.nbytes or hash_of(data) != part.hash:
                raise CheckpointError(
                    f"The checkpoint is damaged: the bytes of buffer {part.buffer} are not what was written."
                )
            memory[part.buffer][part.start : part.start + part.nbytes] = data
        memory.clear()
        return incoming.finish(index.document, assignment, came_from=None if is_same else session)
    except DocumentError as error:
        raise CheckpointError(str(error)) from error
    except OSError as error:
        raise CheckpointError(f"The checkpoint cannot be read: {error.strerror or error}.") from error


def restore_saved(path: Path, incoming: Incoming, assignment: Any) -> Any:
    """The `Session` that was saved in a file, at the assignment's epoch. Raises CheckpointError, OSError."""
    if not path.exists():
        raise FileNotFoundError(path.name)
    try:
        saved = read_saved(path)
        saved.into(incoming)
        return incoming.finish(saved.document, assignment)
    except DocumentError as error:
        raise CheckpointError(str(error).replace(f"{path.parent}/", "")) from error


class _Piece:
    __slots__ = ("address", "buffer", "nbytes")

    def __init__(self, buffer: int, nbytes: int, address: int) -> None:
        self.buffer, self.nbytes, self.address = buffer, nbytes, address
