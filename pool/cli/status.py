"""`cupool status`: the pool at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .. import belongings
from . import show
from .link import Admin, with_pool
from .show import Document

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA = "cupool.status/1"
FIELDS = (
    "version", "pool", "uptime_s", "nodes", "devices", "cordoned", "servers", "warm", "sessions", "parked", "queued", "queue_oldest_s",
    "leases_given", "leases_refused", "refusals", "lease_latency", "sessions_lost", "reclaimed_bytes", "restarts", "insecure", "draining",
    "warnings", "moving", "moves", "move_pause", "moved_bytes",
)  # fmt: skip


def document(admin: Admin) -> Document:
    from cupool.v1 import admin_pb2

    reply = admin.call("GetPool", admin_pb2.GetPoolRequest())
    here = admin.target.running
    if here is not None and here.supervisor_pid and not belongings.is_alive(here.supervisor_pid):
        reply.warnings.append(
            "The pool's supervisor is gone: what ends is not started again. `cupool down`, then `cupool up`."
        )
    return {
        "schema": SCHEMA,
        "pool": show.plain(reply, FIELDS),
        "addr": here.addr if here else "",
        "admin_addr": admin.target.admin,
        "metrics_addr": here.metrics_addr if here else "",
    }


def quantile_s(histogram: Document, share: float) -> float | None:
    """An upper bound of the quantile, in seconds, from the bounds; None: nothing was counted, or it is above the last bound."""
    total = sum(histogram["counts"])
    seen = 0
    for bound, count in zip(histogram["bounds_s"], histogram["counts"], strict=False):
        seen += count
        if total and seen >= share * total:
            return float(bound)
    return None


def render(doc: Document, width: int) -> list[RenderableType]:
    pool = doc["pool"]
    rows = [
        (
            "pool",
            f"{show.clean(pool['pool'])}, cupool {show.clean(pool['version'])}, up {show.duration(pool['uptime_s'])}",
        ),
        ("programs", doc["addr"]),
        ("operators", doc["admin_addr"]),
        ("metrics", doc["metrics_addr"]),
        ("hosts", f"{pool['nodes']} with {pool['devices']} devices{_some(pool['cordoned'], 'cordoned')}"),
        ("servers", f"{pool['servers']}, {pool['warm']} of them warm"),
        (
            "sessions",
            f"{pool['sessions']}{_some(pool['parked'], 'parked')}{_some(pool['sessions_lost'], 'lost since it began')}",
        ),
        (
            "queue",
            f"{pool['queued']}"
            + (f", the oldest for {show.duration(pool['queue_oldest_s'])}" if pool["queued"] else ""),
        ),
        ("leases", _leases(pool)),
        ("moves", _moves(pool)),
        ("state", "draining: it gives no new leases" if pool["draining"] else ""),
    ]
    lines: list[RenderableType] = [f"{name:<10}{value}" for name, value in rows if value]
    if pool["insecure"]:
        lines.append(
            "INSECURE: others can reach this pool without TLS or without a credential, and run code on its devices."
        )
    return lines + [f"warning: {show.clean(w)}" for w in pool["warnings"]]


def _some(count: int, what: str) -> str:
    return f", {count} {what}" if count else ""


def _moves(pool: Document) -> str:
    parts = [f"{pool['moving']} under way"] if pool["moving"] else []
    parts += [f"{m['count']:,} {show.clean(m['outcome'])}" for m in pool["moves"]]
    text = ", ".join(parts)
    half = quantile_s(pool["move_pause"], 0.5)
    return f"{text}; half of them stood still for at most {half * 1000:g} ms" if half is not None else text


def _leases(pool: Document) -> str:
    text = f"{pool['leases_given']:,} given, {pool['leases_refused']:,} refused"
    if pool["refusals"]:
        text += (
            " (" + ", ".join(f"{show.clean(r['reason'])} {r['count']:,}" for r in pool["refusals"] if r["count"]) + ")"
        )
    half, most = quantile_s(pool["lease_latency"], 0.5), quantile_s(pool["lease_latency"], 0.99)
    if half is not None and most is not None:
        text += f"; half of them within {half * 1000:g} ms, 99% within {most * 1000:g} ms"
    return text


@click.command()
@show.output_options
@with_pool
def status(admin: Admin, as_json: bool, watch_s: float | None) -> int:
    """Show the pool at a glance."""
    return show.emit(lambda: document(admin), render, as_json, watch_s)
