"""`cupool top`: sessions, devices and the queue, live."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from . import devices, move, quota, sessions, show, status
from .link import Admin, with_pool
from .show import Column, Document

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA = "cupool.top/1"
_BAR = 10
#: What `top` has of a device: less than `gpus`, and a bar.
_DEVICES = (
    Column("device", "device"),
    Column("state", "state", style={"cordoned": "yellow", "draining": "yellow", "errors": "red", "failing": "red"}),
    Column("busy_bar", "busy", drop=3),
    Column("utilization", "", show.percent, right=True),
    Column("memory_bar", "memory", drop=2),
    Column("used_bytes", "used", show.size, drop=1, right=True),
    Column("total_bytes", "of", show.size, drop=4, right=True),
    Column("sessions", "sessions", show.number, right=True),
    Column("warm", "warm", show.number, right=True),
    Column("temperature_c", "°C", lambda v: f"{v:.0f}" if v else "", drop=5, right=True),
    Column("power_w", "W", lambda v: f"{v:.0f}" if v else "", drop=6, right=True),
)


def document(admin: Admin) -> Document:
    """One look: five calls."""
    return {
        "schema": SCHEMA,
        "pool": status.document(admin)["pool"],
        "devices": devices.document(admin)["devices"],
        "sessions": sessions.document(admin)["sessions"],
        "tenants": quota.document(admin)["tenants"],
        "moves": move.document(admin, is_recent=False)["moves"],
    }


def bar(share: float) -> str:
    """ "████░░░░░░" for 0.4."""
    full = max(0, min(_BAR, round(share * _BAR)))
    return "█" * full + "░" * (_BAR - full)


def render(doc: Document, width: int) -> list[RenderableType]:
    pool = doc["pool"]
    head = (
        f"cupool  up {show.duration(pool['uptime_s'])}  hosts {pool['nodes']}  devices {pool['devices']}  "
        f"sessions {pool['sessions']} ({pool['parked']} parked)  warm {pool['warm']}  queued {pool['queued']}  "
        f"refused {pool['leases_refused']:,}"
    )
    rows = [
        r
        | {
            "state": devices.state(r),
            "busy_bar": bar(r["utilization"]),
            "memory_bar": bar(r["used_bytes"] / r["total_bytes"] if r["total_bytes"] else 0),
        }
        for r in doc["devices"]
    ]
    busiest = sorted(doc["sessions"], key=lambda r: (not r["running_op"], r["idle_s"], r["session"]))
    waiting = [t for t in doc["tenants"] if t["queued"]]
    parts: list[RenderableType] = [head, "", show.table(_DEVICES, rows, width) if rows else "no devices", ""]
    if waiting:
        parts += [show.table(quota.QUEUE_COLUMNS, waiting, width), ""]
    if doc["moves"]:
        parts += [*move.render(doc, width), ""]
    return [*parts, *sessions.render({"sessions": busiest}, width)]


@click.command()
@click.option("--once", is_flag=True, help="print it once")
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    metavar="SECONDS",
    help="between two looks; 1",
)
@click.option("--json", "as_json", is_flag=True, help="print JSON, one document a line")
@with_pool
def top(admin: Admin, once: bool, interval_s: float, as_json: bool) -> int:
    """Watch sessions, devices and the queue. Ctrl-C ends it."""
    is_once = once or not (as_json or sys.stdout.isatty())
    return show.emit(lambda: document(admin), render, as_json, None if is_once else interval_s)
