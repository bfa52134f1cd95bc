"""What both ends of `cupool.offload` agree on: how a result's structure travels, how names of the shim are named in a pickle, and how a
remote traceback reads.

A call's answer is a tree of nodes, each a tuple that begins with its kind:

    (VALUE, value)                      a host value that `contract.values` encodes
    (ARRAY, i, dtype, shape, strides)   the call's i-th result array
    (HOST, i, dtype, shape, strides)    a NumPy array too large for an answer: it travels as the i-th result array
    (GIVEN, i)                          the i-th array argument itself
    (TUPLE, nodes), (LIST, nodes), (DICT, keys, nodes)

Boundary: no pickle is read here. Clients never unpickle; a server does so in the session's own process alone (apiserver/offload.py).
"""

from __future__ import annotations

import importlib
import linecache
import re
import sys
from typing import Any

VALUE, ARRAY, HOST, GIVEN, TUPLE, LIST, DICT = "value", "array", "host", "given", "tuple", "list", "dict"

#: Host arrays of a result up to this many bytes travel in the answer.
ANSWER_BYTES = 64 << 10
#: Code and arguments up to this many bytes travel in the batch; larger ones as an array of bytes.
INLINE_BYTES = 48 << 10
#: How much of a remote traceback travels, characters.
TRACEBACK_CHARS = 3500
#: How its text begins.
TRACEBACK_HEAD = "Traceback of the offloaded function"

#: Code objects fit the minor version of Python that made them.
PYTHON = "{}.{}".format(*sys.version_info[:2])

#: Whether this process is a server in which functions run: an offloaded function that they call is called as it is.
INSIDE = False

_FRAME = re.compile(r'^  File "(.+)", line (\d+), in ')


def named(module: str, path: str) -> Any:
    """`cupy`, `linalg.svd` -> that object, on whichever side this runs."""
    found: Any = importlib.import_module(module)
    for name in path.split(".") if path else ():
        found = getattr(found, name)
    return found


def captured(data: Any) -> Any:
    """A device array that a function had in its globals or closure, made again from its values."""
    return named("cupy", "asarray")(data)


def plain(function: Any) -> Any:
    """What an offloaded function is in a pickle: itself, since it already runs on the server there."""
    return function


def with_source(text: str) -> str:
    """A remote traceback with the source lines that are to be had here, where the function was written."""
    lines = []
    for line in text.splitlines():
        lines.append(line)
        frame = _FRAME.match(line)
        source = linecache.getline(frame[1], int(frame[2])).strip() if frame else ""
        if source:
            lines.append(f"    {source}")
    return "\n".join(lines)
