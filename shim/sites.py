"""Sites: which line of the user's program, in which thread, a command came from. A site is the tag of its commands.

Boundary: knows frames and nothing else. Frames of modules inside the cupool package are skipped.
"""

from __future__ import annotations

import sys
import threading
from _thread import get_ident
from typing import Any

from cupool.contract.codec import TAG_MASK, TAG_SHIFT

#: Tags are 1 .. MAX_SITES; 0 means "unknown". A program with more sites than this gets 0 for the others.
MAX_SITES = min(TAG_MASK, 1 << 18)

_PACKAGE = __name__.partition(".")[0]

# Keyed by id(code): hashing a code object costs more than all the rest. `_kept` holds the code objects, so that an id cannot come
# to mean another one.
#: id(code) -> the frame is cupool's own and is skipped.
_inside: dict[int, bool] = {}
#: (id(code), instruction, thread) -> tag.
_tags: dict[tuple[int, int, int], int] = {}
#: (file, line, thread) -> tag.
_lines: dict[tuple[str, int, int], int] = {}
#: tag -> (file, line, thread).
_sites: list[tuple[str, int, int]] = [("", 0, 0)]
_kept: list[Any] = []
_lock = threading.RLock()


def site(depth: int = 1) -> int:
    """The tag of the user's current line: the nearest frame outside cupool. 0 when there is none.

    `depth`: frames known to be cupool's own, this one included.
    """
    frame: Any = sys._getframe(depth)
    while frame is not None:
        code = frame.f_code
        inside = _inside.get(id(code))
        if inside is None:
            inside = _learn(code, frame)
        if not inside:
            return _tags.get((id(code), frame.f_lasti, get_ident())) or _new_tag(code, frame)
        frame = frame.f_back
    return 0


def _learn(code: Any, frame: Any) -> bool:
    # The package first: the namespace `cupy` goes by its public name.
    name = frame.f_globals.get("__package__") or frame.f_globals.get("__name__") or ""
    inside = name == _PACKAGE or name.startswith(_PACKAGE + ".")
    with _lock:
        if len(_kept) < MAX_SITES:
            _kept.append(code)
            _inside[id(code)] = inside
    return inside


def _new_tag(code: Any, frame: Any) -> int:
    thread = get_ident()
    line = frame.f_lineno or 0
    where = (code.co_filename, line, thread)
    with _lock:
        tag = _lines.get(where)
        if tag is None:
            tag = len(_sites)
            if tag > MAX_SITES:
                return 0
            _sites.append(where)
            _lines[where] = tag
        if id(code) in _inside:
            _tags[id(code), frame.f_lasti, thread] = tag
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
    """In a forked child: the lock may have been held by a thread that is not there any more."""
    global _lock
    _lock = threading.RLock()
