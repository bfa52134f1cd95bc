"""A folder of one session's checkpoints. Each is whole; what has not changed between two lies there once.

    <id>.index     see `layout.py`; written beside and renamed, so it is there whole or not at all
    <n>.data       parts, one after another; never changed once an index names it

Cases of a server's death: before the rename the checkpoint before is what there is, and its files have not been touched; after it both are
there. A checkpoint goes when its client has said that it knows a newer one.

Boundary: files. Which bytes, and when, is the keeper's.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from cupool.v1 import checkpoint_pb2

from .layout import PART_BYTES, VERSION, VERSION_NAME, CheckpointError, hash_of, parts_of, sealed

#: A data file is followed by another one at this size: a confined server may write files of 4 GiB.
FILE_BYTES = 1 << 30
#: A data file of which less than this part is used is copied together.
SPARSE = 0.5


@dataclass(slots=True)
class _Buffer:
    nbytes: int
    address: int
    #: of each part: (file, offset, hash); None: not written yet
    parts: list[tuple[int, int, bytes] | None]

    def copy(self) -> _Buffer:
        return _Buffer(self.nbytes, self.address, list(self.parts))


class Store:
    """One folder, of one process.

    Attributes:
        latest: id of the last checkpoint that is whole; 0: none.
    """

    def __init__(self, folder: Path, allowed: Callable[[], int], is_synced: bool = False) -> None:
        """
        Args:
            allowed: bytes that the folder may hold now; negative: any number.
            is_synced: a checkpoint counts when it is on the disk.
        """
        self.folder = folder
        self.latest = 0
        self._allowed = allowed
        self._is_synced = is_synced
        #: id -> buffers, of what is whole
        self._kept: dict[int, dict[int, _Buffer]] = {}
        self._sizes: dict[int, int] = {}
        self._next_file = 1

    @property
    def nbytes(self) -> int:
        """Of all data files."""
        return sum(self._sizes.values())

    def begin(self, is_fresh: bool) -> Writing:
        """A new checkpoint, which begins as a copy of the last one unless `is_fresh`. Those before the last go."""
        for old in [k for k in self._kept if k != self.latest]:
            del self._kept[old]
            (self.folder / f"{old}.index").unlink(missing_ok=True)
        self._sweep()
        before = {} if is_fresh else {k: b.copy() for k, b in self._kept.get(self.latest, {}).items()}
        return Writing(self, before, self._sparse(before))

    def _sparse(self, buffers: dict[int, _Buffer]) -> set[int]:
        used: Counter[int] = Counter()
        for buffer in buffers.values():
            for k, part in enumerate(buffer.parts):
                if part is not None:
                    used[part[0]] += min(PART_BYTES, buffer.nbytes - k * PART_BYTES)
        return {number for number in used if used[number] < SPARSE * self._sizes.get(number, 0)}

    def _sweep(self) -> None:
        """Remove data files that no checkpoint names."""
        used = {part[0] for kept in self._kept.values() for b in kept.values() for part in b.parts if part is not None}
        for number in [n for n in self._sizes if n not in used]:
            del self._sizes[number]
            (self.folder / f"{number}.data").unlink(missing_ok=True)

    def path(self, number: int) -> Path:
        return self.folder / f"{number}.data"


class Writing:
    """A checkpoint that is being written. `close` it, whatever happens."""

    def __init__(self, store: Store, buffers: dict[int, _Buffer], sparse: set[int]) -> None:
        self._store = store
        self._buffers = buffers
        self._sparse = sparse
        self._file: BinaryIO | None = None
        self._number = 0
        #: written by this one
        self.nbytes = 0
        self._room = 0

    def new(self, buffer: int, nbytes: int, address: int) -> None:
        """A buffer, whose parts are still to be written."""
        self._buffers[buffer] = _Buffer(nbytes, address, [None] * parts_of(nbytes))

    def gone(self, buffer: int) -> None:
        self._buffers.pop(buffer, None)

    def put(self, buffer: int, part: int, data: Any) -> None:
        """The bytes of one part, which nobody changes meanwhile. Raises CheckpointError, OSError."""
        known = self._buffers.get(buffer)
        if known is None:
            return
        file, size = self._file, len(data)
        if file is None or self._store._sizes[self._number] >= FILE_BYTES:
            file = self._open()
        self._room -= size
        if self._room < 0:
            self._check_room(size)
        offset = self._store._sizes[self._number]
        file.write(data)
        self._store._sizes[self._number] = offset + size
        self.nbytes += size
        known.parts[part] = (self._number, offset, hash_of(data))

    def _open(self) -> BinaryIO:
        self._finish_file()
        store = self._store
        self._number, store._next_file = store._next_file, store._next_file + 1
        self._file = open(store.path(self._number), "xb", buffering=1 << 20)  # noqa: SIM115 - closed by `close`
        store._sizes[self._number] = 0
        return self._file

    def _check_room(self, size: int) -> None:
        allowed, held = self._store._allowed(), self._store.nbytes
        if 0 <= allowed < held + size:
            raise CheckpointError(
                f"Its checkpoint would take more than the {allowed:,} bytes that the pool has for it (checkpoints.bytes)."
            )
        self._room = allowed - held - size if allowed >= 0 else 1 << 62

    def commit(self, checkpoint: int, session: str, document: bytes, executed_seq: int, ordinal: int, info: Any) -> int:
        """Make it whole. Returns its size in bytes.

        Args:
            info: the device's `DeviceInfo`.

        Raises:
            CheckpointError: a part was never written.
            OSError: the disk.
        """
        store = self._store
        self._gather()
        self._finish_file()
        index = checkpoint_pb2.CheckpointIndex(
            version=VERSION, version_name=VERSION_NAME, session=session, checkpoint=checkpoint, document=document,
            part_bytes=PART_BYTES, executed_seq=executed_seq, ordinal=ordinal, kind=info.kind, fingerprint=info.fingerprint,
            written=time.time(),
        )  # fmt: skip
        hashes = []
        for number, buffer in self._buffers.items():
            index.buffer.append(number)
            index.nbytes.append(buffer.nbytes)
            index.address.append(buffer.address)
            for part in buffer.parts:
                if part is None:
                    raise CheckpointError(f"Buffer {number} is not whole.")
                index.file.append(part[0])
                index.offset.append(part[1])
                hashes.append(part[2])
        index.hash = b"".join(hashes)
        data = sealed(index)
        beside, whole = store.folder / f"{checkpoint}.beside", store.folder / f"{checkpoint}.index"
        try:
            with open(beside, "wb") as file:
                file.write(data)
                self._sync(file)
            os.rename(beside, whole)
            if store._is_synced:
                folder = os.open(store.folder, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
        except BaseException:
            # Its data files go: an index of them would be taken for the latest checkpoint.
            for path in (beside, whole):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            raise
        store._kept[checkpoint] = self._buffers
        store.latest = checkpoint
        return len(data) + sum(buffer.nbytes for buffer in self._buffers.values())

    def _gather(self) -> None:
        """Copy what is left in sparse files together, so that they can go."""
        open_files: dict[int, BinaryIO] = {}
        try:
            for number, buffer in self._buffers.items():
                for k, part in enumerate(buffer.parts):
                    if part is None or part[0] not in self._sparse:
                        continue
                    file = open_files.get(part[0])
                    if file is None:
                        file = open_files[part[0]] = open(self._store.path(part[0]), "rb")  # noqa: SIM115 - closed below
                    file.seek(part[1])
                    self.put(number, k, file.read(min(PART_BYTES, buffer.nbytes - k * PART_BYTES)))
        finally:
            for file in open_files.values():
                file.close()

    def _finish_file(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            with file:
                self._sync(file)

    def _sync(self, file: BinaryIO) -> None:
        if self._store._is_synced:
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Where it was not committed, what it wrote goes."""
        if self._file is not None:
            file, self._file = self._file, None
            with contextlib.suppress(OSError):  # a full disk: what could not be written was for nothing anyway
                file.close()
        self._store._sweep()
