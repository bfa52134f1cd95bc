"""A session's state as one document, and buffers beside it: written (`capture`), restored (`Incoming`), kept in a file (`write`, `read`).
The same for moves, checkpoints and recovery. See docs/decisions/011-session-document.md."""

from .capture import capture, fixed
from .checks import DocumentError
from .file import Saved, read, write
from .incoming import Incoming

__all__ = ["DocumentError", "Incoming", "Saved", "capture", "fixed", "read", "write"]
