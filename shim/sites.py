"""Sites: which line of the user's program, in which thread, a command came from. A site is the tag of its commands.

Boundary: knows frames and nothing else. Frames of files inside the cupool package are skipped.
"""

from __future__ import annotations

import sys
import threading
from _thread import get_ident
from typing import Any

from cupool.contract.codec import TAG_MASK, TAG_SHIFT

#: Tags are 1 .. TAG_MASK; 0 means "unknown". A program with more sites than this shares the last one.
MAX_SITES = min(TAG_MASK, 1 << 18)

#: code object -> True when it belongs to cupool and is skipped.
_inside: dict[Any, bool] = {}
#: (code, line, thread) -> tag.
_tags: dict[tuple[Any, int, int], int] = {}
#: tag -> (file, line, thread).
_sites: list[tuple[str, int, int]] = [("", 0, 0)]
_lock = threading.Lock()
_marker = __name__.rpartition(".shim.")[0] or "cupool"


def _is_inside(code: Any, frame: Any) -> bool:
    name = frame.f_globals.get("__name__", "")
    inside = name == _marker or (name.startswith(_marker + ".") and not name.startswith(_marker + ".examples"))
    if len(_inside) > 100_000:
        _inside.clear()
    _inside[code] = inside
    return inside


def site() -> int:
    """The tag of the user's current line: the nearest frame outside cupool. 0 when there is none."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        inside = _inside.get(code)
        if inside is None:
            inside = _is_inside(code, frame)
        if not inside:
            return _tags.get((code, frame.f_lineno, get_ident())) or _new_tag(code, frame.f_lineno)
        frame = frame.f_back
    return 0


def _new_tag(code: Any, line: int) -> int:
    thread = get_ident()
    with _lock:
        tag = len(_sites)
        if tag > MAX_SITES:
            return 0
        _sites.append((code.co_filename, line, thread))
        # The code object is kept alive by the key: its address cannot come to mean another one.
        _tags[code, line, thread] = tag
    return tag


def hot_bits() -> int:
    """`site()` shifted to its place in a header word."""
    return site() << TAG_SHIFT


def describe(tag: int) -> tuple[str, int, int]:
    """(file, line, thread id) of a tag; ("", 0, 0) when it is not known."""
    return _sites[tag] if 0 <= tag < len(_sites) else ("", 0, 0)


def where(tag: int) -> str:
    """ "file.py:12" for people; "" when it is not known."""
    file, line, _ = describe(tag)
    return f"{file}:{line}" if file else ""


def reset_lock() -> None:
    """In a forked child: the lock may have been held by a thread that is not here."""
    global _lock
    _lock = threading.Lock()
