"""What a program cost, for `cupool run --stats`: waits by line, commands, batches, bytes and time."""

from __future__ import annotations

import sys
import time
from typing import Any

#: When this process began to run a program, in seconds on the monotonic clock.
_started = time.monotonic()

_EMPTY: dict[str, Any] = {
    "commands": 0,
    "batches": 0,
    "waits": 0,
    "bytes_up": 0,
    "bytes_down": 0,
    "reconnects": 0,
    "recoveries": 0,
    "moves": 0,
    "waits_by_site": {},
}


def collect() -> dict[str, Any]:
    """The session's statistics as plain values; zeros when the program opened no session."""
    record = dict(_EMPTY)
    session = sys.modules.get("cupool.shim.session")
    if session is not None:
        from cupool.contract.records import as_dict

        found = session.statistics()
        record.update(as_dict(found))
    bulk = sys.modules.get("cupool.shim.bulk")
    if bulk is not None:
        moved = bulk.statistics()
        record["bytes_up"] += moved.up_bytes
        record["bytes_down"] += moved.down_bytes
    record["waits_by_site"] = {str(site): count for site, count in dict(record["waits_by_site"]).items()}
    record["seconds"] = time.monotonic() - _started
    return record


def size_text(count: int) -> str:
    """Bytes for people: "12.3 MiB"."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def as_text(record: dict[str, Any]) -> str:
    """The record for people: one line, then each line of the program that waited, most waits first."""
    head = (
        f"cupool: {record['commands']:,} commands in {record['batches']:,} batches, {record['waits']:,} waits, "
        f"{size_text(record['bytes_up'])} up, {size_text(record['bytes_down'])} down, {record['seconds']:.3f} s"
    )
    if record["reconnects"]:
        head += f", {record['reconnects']} reconnects"
    if record["recoveries"]:
        head += f", {record['recoveries']} lost servers replaced"
    if record["moves"]:
        head += f", {record['moves']} moves"
    lines = [
        f"  {count:>8} waits  {site}" for site, count in sorted(record["waits_by_site"].items(), key=lambda i: -i[1])
    ]
    return "\n".join([head, *lines])
