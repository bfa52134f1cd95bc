"""A session's state as one document, and buffers beside it: written (`capture`), restored (`Incoming`), kept in a file (`write`, `read`) or
in a folder of checkpoints (`Store`). The same for moves, checkpoints and recovery. See docs/decisions/011-session-document.md."""

from .capture import capture, fixed
from .checks import DocumentError
from .file import Saved, read, write
from .incoming import Incoming
from .store import Store

__all__ = ["DocumentError", "Incoming", "Saved", "Store", "capture", "fixed", "read", "write"]
