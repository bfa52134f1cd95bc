"""`cupool nodes` and `cupool servers`: hosts, and the server processes on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from . import show
from .link import Admin, with_pool
from .show import Column, Document

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA = "cupool.nodes/1"
FIELDS = (
    "node", "host", "version", "connected", "seen_s", "devices", "servers", "sessions", "cpu_load", "memory_bytes", "memory_free_bytes",
    "reason", "checkpoint_bytes", "checkpoint_limit_bytes", "checkpoints_waiting",
)  # fmt: skip
COLUMNS = (
    Column("node", "node"),
    Column("host", "host", drop=3),
    Column("connected", "state", lambda v: "connected" if v else "away", style={"away": "red"}),
    Column("devices", "devices", lambda v: str(len(v)), right=True),
    Column("servers", "servers", show.number, drop=1, right=True),
    Column("sessions", "sessions", show.number, right=True),
    Column("cpu_load", "cpu", show.percent, drop=4, right=True),
    Column("memory_free_bytes", "free", show.size, drop=5, right=True),
    Column("memory_bytes", "of", show.size, drop=6, right=True),
    Column("checkpoint_bytes", "kept", lambda v: show.size(v) if v else "", drop=9, right=True),
    Column("seen_s", "seen", show.duration, drop=2, right=True),
    Column("version", "version", drop=7),
    Column("reason", "why", drop=8),
)

SERVER_SCHEMA = "cupool.servers/1"
SERVER_FIELDS = (
    "server", "state", "session", "used_bytes", "peak_bytes", "handles", "executed_seq", "executed_commands", "failed_commands", "kernel_s",
    "idle_s", "attached", "running_op", "device_id", "node", "pid",
)  # fmt: skip
SERVER_COLUMNS = (
    Column("server", "server"),
    Column("state", "state", style={"warm": "green", "starting": "yellow", "dead": "red"}),
    Column("device_id", "device", drop=1),
    Column("node", "node", drop=8),
    Column("pid", "pid", lambda v: str(v) if v else "", drop=7, right=True),
    Column("session", "session", drop=1),
    Column("used_bytes", "used", show.size, right=True),
    Column("peak_bytes", "peak", show.size, drop=4, right=True),
    Column("executed_commands", "commands", show.number, drop=3, right=True),
    Column("kernel_s", "kernel", show.duration, drop=5, right=True),
    Column("idle_s", "idle", show.duration, drop=6, right=True),
    Column("running_op", "runs", drop=2),
)


def document(admin: Admin) -> Document:
    from cupool.v1 import admin_pb2

    reply = admin.call("ListNodes", admin_pb2.ListNodesRequest())
    return {"schema": SCHEMA, "nodes": sorted((show.plain(n, FIELDS) for n in reply.nodes), key=lambda r: r["node"])}


def render(doc: Document, width: int) -> list[RenderableType]:
    return [show.table(COLUMNS, doc["nodes"], width)] if doc["nodes"] else ["no nodes"]


def server_document(admin: Admin) -> Document:
    from cupool.v1 import admin_pb2

    reply = admin.call("ListServers", admin_pb2.ListServersRequest())
    rows = sorted((show.plain(s, SERVER_FIELDS) for s in reply.servers), key=lambda r: r["server"])
    return {"schema": SERVER_SCHEMA, "servers": rows}


def render_servers(doc: Document, width: int) -> list[RenderableType]:
    return [show.table(SERVER_COLUMNS, doc["servers"], width)] if doc["servers"] else ["no servers"]


@click.command()
@show.output_options
@with_pool
def nodes(admin: Admin, as_json: bool, watch_s: float | None) -> int:
    """List the hosts of the pool."""
    return show.emit(lambda: document(admin), render, as_json, watch_s)


@click.command()
@show.output_options
@with_pool
def servers(admin: Admin, as_json: bool, watch_s: float | None) -> int:
    """List the server processes."""
    return show.emit(lambda: server_document(admin), render_servers, as_json, watch_s)
