"""Which pages of an address range were written: the kernel write-protects them, and marks and opens a page at its first write by itself.

Linux 6.7 and later: userfaultfd in its asynchronous write-protect mode, read by the ioctl PAGEMAP_SCAN. Nobody handles a fault, nothing
waits; a page costs one fault at its first write after a look. Where this does not work `Pages.over` gives None and says so
once in the log; `tracking.py` then compares hashes.

A confined process may not ask for a userfaultfd: `open_early` does before it is confined.

Boundary: the kernel's interface. What a page belongs to is the tracker's.
"""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import struct
from collections.abc import Iterator

log = logging.getLogger(__name__)

_libc = ctypes.CDLL(None, use_errno=True)
_USERFAULTFD = {"x86_64": 323, "aarch64": 282}
_USER_MODE_ONLY = 1
_API = 0xAA
#: Of UFFDIO_API: write-protection is resolved by the kernel, for pages that are not there yet also.
_WP_ASYNC, _WP_UNPOPULATED = 1 << 15, 1 << 13
_UFFDIO_API, _UFFDIO_REGISTER, _UFFDIO_UNREGISTER = 0xC018AA3F, 0xC020AA00, 0x8010AA01
_MODE_WP = 2
_PAGEMAP_SCAN = 0xC0606610
#: Protect again what is found; pages of the range that are not tracked (a module's, mapped into it) are passed over.
_SCAN_WP = 1
_WRITTEN = 1 << 1
#: Regions of one call.
_REGIONS = 4096

_early: list[tuple[int, int]] = []
_said = False


def _open() -> tuple[int, int]:
    """(userfaultfd, /proc/self/pagemap). Raises OSError."""
    number = _USERFAULTFD.get(platform.machine())
    if number is None or not hasattr(os, "O_CLOEXEC"):
        raise OSError(0, "not on this processor")
    fd = _libc.syscall(number, os.O_CLOEXEC | os.O_NONBLOCK | _USER_MODE_ONLY)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "userfaultfd: " + os.strerror(ctypes.get_errno()))
    try:
        _ioctl(fd, _UFFDIO_API, ctypes.create_string_buffer(struct.pack("=QQQ", _API, _WP_ASYNC | _WP_UNPOPULATED, 0)))
        return fd, os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        os.close(fd)
        raise


def open_early() -> None:
    """Open what a confined process cannot; in the process that will use it, after the last fork."""
    if not _early:
        try:
            _early.append(_open())
        except OSError as error:
            _say(error)


def _say(error: OSError) -> None:
    global _said
    if not _said:
        _said = True
        log.info("event=no-page-tracking reason=%r", str(error))


def _ioctl(fd: int, request: int, argument: ctypes.Array[ctypes.c_char]) -> int:
    found = _libc.ioctl(fd, ctypes.c_ulong(request), argument)
    if found < 0:
        raise OSError(ctypes.get_errno(), f"ioctl {request:#x}: {os.strerror(ctypes.get_errno())}")
    return int(found)


class Pages:
    """The pages of one range, from `over` to `close`. One at a time in a process."""

    def __init__(self, base: int, nbytes: int) -> None:
        """Raises OSError where the kernel cannot."""
        self._base, self._nbytes = base, nbytes
        self._own = not _early
        self._fd, self._map = _early[0] if _early else _open()
        self._regions = ctypes.create_string_buffer(24 * _REGIONS)
        try:
            _ioctl(
                self._fd, _UFFDIO_REGISTER, ctypes.create_string_buffer(struct.pack("=QQQQ", base, nbytes, _MODE_WP, 0))
            )
        except OSError:
            self._close()
            raise

    @classmethod
    def over(cls, base: int, nbytes: int) -> Pages | None:
        """Begin; None where it does not work."""
        try:
            return cls(base, nbytes)
        except OSError as error:
            _say(error)
            return None

    def written(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """(first address, end) of what was written in [low, high) since the last call, rising. All of it is protected again."""
        found: list[tuple[int, int]] = []
        at = low
        while at < high:
            request = ctypes.create_string_buffer(struct.pack(
                "=12Q", 96, _SCAN_WP, at, high, 0, ctypes.addressof(self._regions), _REGIONS, 0,
                0, _WRITTEN, 0, _WRITTEN,
            ))  # fmt: skip
            count = _ioctl(self._map, _PAGEMAP_SCAN, request)
            raw = self._regions.raw[: 24 * count]
            found += [(start, end) for start, end, _ in struct.iter_unpack("=QQQ", raw)]
            at = struct.unpack_from("=Q", request.raw, 32)[0]
        return iter(found)

    def close(self) -> None:
        """The range is plain memory again."""
        try:
            _ioctl(
                self._fd, _UFFDIO_UNREGISTER, ctypes.create_string_buffer(struct.pack("=QQ", self._base, self._nbytes))
            )
        finally:
            self._close()

    def _close(self) -> None:
        if self._own:
            os.close(self._fd)
            os.close(self._map)
