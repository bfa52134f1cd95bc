"""What g++ says, for the user: nothing of this host's files in it, and the lines of the source under each message. Pure.

With `-H` the compiler lists each file as it opens it, however the source came to name it (directives spelled with digraphs, hidden behind
raw strings, made by macros). A file outside the known folders refuses the source, and no other word of the compiler is passed on.
Messages show no source line by themselves (`-fno-diagnostics-show-caret`): the compiler would read it from whatever file a `#line`
directive names. The lines are added here, from the text that was compiled. The assembler quotes what it reads, so its words are not
passed on either.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence

from .source import RefusedSource

#: Longest text that is passed on.
MAX_CHARS = 64 * 1024

_OPENED = re.compile(r"^(?:\.+|!|x) (.+)$")
_UNREADABLE = re.compile(
    r"fatal error: (.*): (?:No such file|Permission denied|Is a directory|Not a directory|Too many levels|File name)"
)
_LOCATED = re.compile(r"^(?:In file included from |\s+from )?(.+?):(\d+)(?::(\d+))?(?=[:,])")
_LINE = re.compile(r'^[ \t]*#[ \t]*(?:line[ \t]+)?(\d+)[ \t]*(?:"((?:[^"\\]|\\.)*)")?')
_GUARDS = "Multiple include guards may be useful for:"
_ASSEMBLER = "Assembler messages:"


def read(stderr: str, folders: Iterable[str]) -> list[str]:
    """The compiler's lines without its list of opened files.

    Args:
        folders: where files may be read from, resolved.

    Raises:
        RefusedSource: another file was opened, or was to be.
    """
    allowed = tuple(f.rstrip("/") + "/" for f in folders)
    lines: list[str] = []
    in_guards = False
    for line in stderr.splitlines():
        opened = _OPENED.match(line)
        if opened:
            name = opened.group(1)
            if (os.path.isabs(name) and not os.path.realpath(name).startswith(allowed)) or ".." in name.split("/"):
                raise RefusedSource(_refusal(name))
            continue
        if line == _GUARDS:
            in_guards = True
            continue
        if in_guards and ":" not in line:
            continue
        unreadable = _UNREADABLE.search(line)
        if unreadable:
            raise RefusedSource(_refusal(unreadable.group(1)))
        if _ASSEMBLER in line:
            lines.append(
                "error: the assembler does not take the inline assembly of this source: on the CPU device there are no PTX instructions."
            )
            break
        in_guards = False
        lines.append(line)
    return lines


def _refusal(name: str) -> str:
    return (
        f"#include of {os.path.basename(name)!r} is not available: a kernel sees the CUDA built-ins, the C++ headers that need no "
        "library, cupy/*.cuh and the headers found along -I on the client."
    )


def for_user(lines: Sequence[str], text: str, headers: Mapping[str, str], folders: Iterable[str]) -> str:
    """The messages without paths of this host, each with the line of the source that it is about.

    Args:
        text: what was compiled, with its `#line` directives.
        headers: name -> text of the headers that came with it.
        folders: folders of ours, whose names are taken out.
    """
    sources = _by_line(text)
    for name, contents in headers.items():
        sources.update(((f"include/{name}", i), line) for i, line in enumerate(contents.split("\n"), 1))
    own = sorted(folders, key=len, reverse=True)
    result: list[str] = []
    for line in lines:
        located = _LOCATED.match(line)
        shown = line
        for folder in own:
            shown = shown.replace(folder + "/", "").replace(folder, "")
        result.append(re.sub(r"(?<![\w.<])/(?:[\w.+-]+/)+", "", shown))
        if located is None or line.startswith(("In file included", " ")):
            continue
        found = sources.get((located.group(1), int(located.group(2))))
        if found is not None and located.group(3):
            number = f"{located.group(2):>5}"
            result += [f"{number} | {found}", f"      | {' ' * (int(located.group(3)) - 1)}^"]
    joined = "\n".join(result)
    return joined if len(joined) <= MAX_CHARS else joined[:MAX_CHARS] + "\n… and more"


def _by_line(text: str) -> dict[tuple[str, int], str]:
    """(label, line number) as the compiler counts them -> line of the text."""
    label, number = "kernel.cc", 1
    found: dict[tuple[str, int], str] = {}
    for line in text.split("\n"):
        directive = _LINE.match(line)
        if directive:
            number = int(directive.group(1))
            if directive.group(2) is not None:
                label = directive.group(2)
            continue
        found.setdefault((label, number), line)
        number += 1
    return found
