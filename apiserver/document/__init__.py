"""A session's state as one document, and buffers beside it: written (`capture`), restored (`Incoming`). The same for moves, checkpoints
and recovery. See docs/decisions/011-session-document.md."""

from .capture import capture, fixed
from .checks import DocumentError
from .incoming import Incoming

__all__ = ["DocumentError", "Incoming", "capture", "fixed"]
