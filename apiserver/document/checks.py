"""What every reader of a document checks first, and the error that all of them raise."""

from __future__ import annotations

import hashlib
from typing import Any

from google.protobuf.message import DecodeError

from cupool.v1 import document_pb2

#: What this server writes, and the newest that it reads: a number, a name, and what came with it.
VERSION, VERSION_NAME = 1, "columns"  # handles and buffers as columns
HASH_BYTES = 32
#: A document larger than this is refused before it is parsed.
MAX_BYTES = 1 << 30


class DocumentError(Exception):
    """A session cannot be written down, or what was written cannot be restored here. One sentence that says why."""


def digest(data: Any) -> bytes:
    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


def sealed(message: Any) -> bytes:
    """A `SessionDocument` as it travels: its hash, then its bytes."""
    data = message.SerializeToString()
    return digest(data) + bytes(data)


def opened(data: bytes) -> Any:
    """The `SessionDocument` in `data`.

    Raises:
        DocumentError: damaged, cut off, no document at all, or of a newer version.
    """
    if len(data) > MAX_BYTES:
        raise DocumentError(f"A document of {len(data)} bytes; at most {MAX_BYTES} are read.")
    if len(data) <= HASH_BYTES or digest(memoryview(data)[HASH_BYTES:]) != data[:HASH_BYTES]:
        raise DocumentError("The document is damaged or cut off: its hash is not that of its bytes.")
    try:
        message = document_pb2.SessionDocument.FromString(data[HASH_BYTES:])
    except (DecodeError, RecursionError):
        raise DocumentError("The document cannot be read: it is no SessionDocument.") from None
    if not 1 <= message.version <= VERSION:
        raise DocumentError(
            f"The document has version {message.version} ({message.version_name[:40]!r}); this server reads versions up to {VERSION} "
            f"({VERSION_NAME!r}). Restore it with a newer cupool."
        )
    return message


def columns(what: str, *lists: Any) -> int:
    """The length of columns that belong together. Raises DocumentError when they differ."""
    if len({len(one) for one in lists}) != 1:
        raise DocumentError(f"The document is inconsistent: its columns of {what} have different lengths.")
    return len(lists[0])


def inconsistent(what: str) -> DocumentError:
    return DocumentError(f"The document is inconsistent: {what}.")


__all__ = [
    "HASH_BYTES",
    "MAX_BYTES",
    "VERSION",
    "VERSION_NAME",
    "DocumentError",
    "columns",
    "digest",
    "inconsistent",
    "opened",
    "sealed",
]
