"""Kinds of settings: what a value may be, how it is read from a file, the environment or a flag, and how that is said to people.

Boundary: knows values, not keys. A value from a file has TOML's type or is text; one from the environment or a flag is text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cupool.contract.sizes import parse_size

_DURATION = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)\s*(ms|s|m|h|d|)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_ADDRESS = re.compile(r"(unix:/[^\s]+)|(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a setting may be.

    Attributes:
        read: text or a TOML value -> the value; raises ValueError with one sentence, or TypeError, when it is none.
        allowed: says to people what is allowed.
        show: the value -> TOML text that `read` reads back.
        is_path: of a file or folder: as a flag it may be relative to the current folder.
    """

    read: Callable[[Any], Any]
    allowed: str
    show: Callable[[Any], str]
    is_path: bool = False


def parse_duration(text: str) -> float:
    """Seconds from "90", "1.5h", "30s" or "250ms". Raises ValueError: it is no duration."""
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"{text!r} is no duration. Write 30s, 5m, 1h or a number of seconds.")
    return float(found[1]) * _SECONDS[found[2]]


def show_duration(seconds: float) -> str:
    """ "90s", "5m", "250ms": what `parse_duration` reads back exactly, in the largest unit that is whole."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{_digits(seconds)}s" if seconds >= 1 or not seconds else f"{_digits(seconds * 1000)}ms"


def _digits(value: float) -> str:
    """Without an exponent, to a millionth."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def show_size(size_bytes: int) -> str:
    """ "4GiB", "1536": what `parse_size` reads back exactly."""
    for unit, power in (("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size_bytes and size_bytes % (1 << power) == 0:
            return f"{size_bytes >> power}{unit}"
    return str(size_bytes)


def quoted(text: str) -> str:
    """A TOML basic string."""
    escaped = "".join(
        {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}.get(c, c if c.isprintable() else f"\\U{ord(c):08X}")
        for c in text
    )
    return f'"{escaped}"'


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("it is not text in quotes")
    return value


def text(allowed: str = "text") -> Kind:
    return Kind(_as_text, allowed, quoted)


def choice(*options: str) -> Kind:
    def read(value: Any) -> str:
        word = _as_text(value)
        if word not in options:
            raise ValueError("it is none of these words")
        return word

    return Kind(read, ", ".join(quoted(o) for o in options), quoted)


def whole(low: int, high: int) -> Kind:
    def read(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value.strip(), re.ASCII):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("it is no whole number")
        if not low <= value <= high:
            raise ValueError("it is out of range")
        return value

    return Kind(read, f"a whole number from {low} to {high}", str)


def number(low: float, high: float) -> Kind:
    def read(value: Any) -> float:
        if isinstance(value, str):
            value = float(value)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise ValueError("it is no number")
        if not low <= value <= high:
            raise ValueError("it is out of range")
        return float(value)

    return Kind(read, f"a number from {low:g} to {high:g}", lambda v: repr(v).removesuffix(".0"))


def switch() -> Kind:
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}

    def read(value: Any) -> bool:
        if isinstance(value, bool):
            return value
        found = words.get(value.strip().lower()) if isinstance(value, str) else None
        if found is None:
            raise ValueError("it is neither true nor false")
        return found

    return Kind(read, "true or false", lambda v: "true" if v else "false")


def size() -> Kind:
    def read(value: Any) -> int:
        if isinstance(value, str):
            value = parse_size(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
            raise ValueError("it is no size")
        return value

    return Kind(read, 'a size: "4GiB", "512MiB" or a number of bytes', lambda v: quoted(show_size(v)))


def duration(low_s: float, high_s: float) -> Kind:
    def read(value: Any) -> float:
        if isinstance(value, str):
            value = parse_duration(value)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise ValueError("it is no duration")
        if not low_s <= value <= high_s or 0 < value < 0.001:
            raise ValueError("it is out of range")
        return float(value)

    limits = f"from {show_duration(low_s)} to {show_duration(high_s)}"
    return Kind(read, f'a duration {limits}: "30s", "5m", "1h" or seconds', lambda v: quoted(show_duration(v)))


def address() -> Kind:
    """Where to listen: "host:port" or "unix:/path"; empty: the default."""

    def read(value: Any) -> str:
        word = _as_text(value).strip()
        found = _ADDRESS.fullmatch(word)
        if word and (found is None or (found[3] and int(found[3]) > 65535)):
            raise ValueError("it is no address")
        return word

    return Kind(read, '"host:port" (port 0: any that is free), "unix:/path", or "" for the default', quoted)


def path() -> Kind:
    """A file or folder by its whole path; "~" is the home folder. Empty: none, or the default."""

    def read(value: Any) -> str:
        word = _as_text(value)
        if "\0" in word:
            raise ValueError("a path has no null characters")
        if word and not word.startswith(("/", "~")):
            raise ValueError("the path is not whole: what it is relative to may change")
        return word

    return Kind(read, 'a path that begins with "/" or "~", or "" for the default', quoted, is_path=True)


def words() -> Kind:
    """A list of words; in the environment and on the command line they are separated as a shell separates them."""
    import shlex

    def read(value: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            value = shlex.split(value)
        if not isinstance(value, list | tuple) or not all(isinstance(w, str) and w for w in value):
            raise ValueError("it is no list of words")
        return tuple(value)

    return Kind(read, 'a list of words, ["runsc", "--flag"]', lambda v: "[" + ", ".join(map(quoted, v)) + "]")


def numbers(low: int, high: int) -> Kind:
    """A list of whole numbers; in the environment and on the command line with commas between them."""

    def read(value: Any) -> tuple[int, ...]:
        if isinstance(value, str):
            value = [int(part) for part in value.split(",") if part.strip()]
        if not isinstance(value, list | tuple) or not all(
            isinstance(n, int) and not isinstance(n, bool) for n in value
        ):
            raise ValueError("it is no list of whole numbers")
        if not all(low <= n <= high for n in value):
            raise ValueError("one of them is out of range")
        return tuple(value)

    return Kind(read, f"a list of whole numbers from {low} to {high}", lambda v: "[" + ", ".join(map(str, v)) + "]")


def devices() -> Kind:
    """Devices as `config.parse_devices` has them; empty: every GPU of this host, or the CPU device where there is none."""
    from .config import parse_devices

    def read(value: Any) -> str:
        if isinstance(value, list):
            value = ",".join(_as_text(v) for v in value)
        word = _as_text(value).strip()
        if word:
            parse_devices(word)
        return word

    allowed = (
        '"cpu:4:1GiB" (kind, count, memory of each), "cuda:2", "cuda@3" (GPU 3), several with commas; "": every GPU'
    )
    return Kind(read, allowed, quoted)
