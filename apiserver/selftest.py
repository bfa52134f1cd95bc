"""`python -m cupool.apiserver.selftest --device cuda:0`: whether a device works, in a process of its own. Exit status 0, or 1 and one line.

A pattern is written to memory and read back by the device, and a small kernel's result is compared with the host's.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

#: Memory that is written and read, or what half of the device has where that is less.
TESTED_BYTES = 256 << 20


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m cupool.apiserver.selftest")
    parser.add_argument("--device", default="cpu:0", help="cpu:N or cuda:N")
    options = parser.parse_args(argv)
    kind, _, number = options.device.partition(":")
    try:
        check(_library(kind, int(number or 0)))
    except Exception as error:  # of any library: this process exists to find out
        print(f"the device {options.device} failed its test: {type(error).__name__}: {error}".replace("\n", " ")[:500])
        return 1
    return 0


def _library(kind: str, number: int) -> object:
    if kind == "cpu":
        return np
    if kind != "cuda":
        raise ValueError(f"no device kind {kind!r}")
    import cupy  # pyright: ignore[reportMissingImports]

    cupy.cuda.Device(number).use()
    return cupy


def check(xp: object) -> None:
    """Raises when the device of this array library does not compute or keep what it should."""
    words = _tested_bytes(xp) // 8
    for pattern in (0x5555555555555555, 0xAAAAAAAAAAAAAAAA):
        memory = xp.full(words, pattern, "u8")  # type: ignore[attr-defined]
        wrong = int((memory != pattern).sum())
        if wrong:
            raise RuntimeError(f"{wrong} of {words} words of memory do not keep {pattern:#x}")
        del memory
    a = np.random.default_rng(0).normal(size=(256, 256))
    on_device = xp.asarray(a)  # type: ignore[attr-defined]
    found = xp.sqrt(on_device * on_device) @ on_device  # type: ignore[attr-defined]
    host = found.get() if hasattr(found, "get") else found
    if not np.allclose(host, np.abs(a) @ a):
        raise RuntimeError("a small product has a wrong result")


def _tested_bytes(xp: object) -> int:
    if xp is np:
        return 16 << 20
    free, _ = xp.cuda.runtime.memGetInfo()  # type: ignore[attr-defined]
    return int(min(TESTED_BYTES, free // 2)) & ~7


if __name__ == "__main__":
    sys.exit(main())
