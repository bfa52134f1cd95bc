"""Headers that a kernel's source includes, read on this machine: along `-I`, as CuPy's compiler would find them.

What is not found here stays in the source: it may be one of the headers that the server's compiler brings.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*([\"<])([^\">\n]+)[\">]", re.MULTILINE)
#: Bytes of headers that one source may bring.
MAX_BYTES = 8 << 20


def gather(source: str, options: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Read the headers of `source`.

    Args:
        options: the compiler's options.

    Returns:
        the options without `-I`, and header name (as written) -> text.

    Raises:
        ValueError: the headers are larger than `MAX_BYTES` together.
    """
    kept, folders = [], []
    items = iter(options)
    for option in items:
        if option in ("-I", "--include-path"):
            folders.append(next(items, ""))
        elif option.startswith("-I"):
            folders.append(option[2:].strip())
        elif option.startswith("--include-path="):
            folders.append(option.partition("=")[2])
        else:
            kept.append(option)
    found: dict[str, str] = {}
    if folders:
        _read(source, folders, found)
    if sum(map(len, found.values())) > MAX_BYTES:
        raise ValueError(f"the headers that the kernel includes are larger than {MAX_BYTES >> 20} MiB together")
    return tuple(kept), found


def _read(source: str, folders: Sequence[str], found: dict[str, str], beside: str = "") -> None:
    for _, name in _INCLUDE.findall(source):
        if os.path.isabs(name) or ".." in name.split("/"):
            continue  # the server refuses it, with the line
        for folder in folders:
            # A header names its neighbours relative to itself.
            for relative in dict.fromkeys((name, os.path.join(beside, name))):
                path = os.path.join(folder, relative)
                if relative in found or not os.path.isfile(path):
                    continue
                with open(path, encoding="utf-8", errors="surrogateescape") as file:
                    text = found[relative] = file.read()
                _read(text, folders, found, os.path.dirname(relative))
