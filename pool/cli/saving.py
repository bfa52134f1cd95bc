"""`cupool session save`, `list` and `restore`: a running session to a file, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from . import devices, ids, sessions, show
from .exits import Exit
from .link import Admin, with_pool
from .show import Column, Document

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cupool.v1 import admin_pb2

SAVE_SCHEMA = "cupool.session-save/1"
RESTORE_SCHEMA = "cupool.session-restore/1"
LIST_SCHEMA = "cupool.session-list/1"
FIELDS = ("checkpoint", "session", "tenant", "function", "kind", "nbytes", "memory_bytes", "age_s", "reason")
COLUMNS = (
    Column("checkpoint", "checkpoint"),
    Column("kind", "device kind"),
    Column("nbytes", "size", show.size, right=True),
    Column("age_s", "age", show.duration, right=True),
    Column("session", "session", drop=2),
    Column("tenant", "tenant", drop=3),
    Column("function", "function", drop=4),
    Column("memory_bytes", "leased", show.size, drop=5, right=True),
    Column("reason", "cannot be restored", drop=1),
)


def document(admin: Admin) -> Document:
    from cupool.v1 import admin_pb2

    reply = admin.call("ListSavedSessions", admin_pb2.ListSavedSessionsRequest())
    return {"schema": LIST_SCHEMA, "saved": [show.plain(one, FIELDS) for one in reply.saved]}


def render(doc: Document, width: int) -> list[RenderableType]:
    return [show.table(COLUMNS, doc["saved"], width)] if doc["saved"] else ["no saved sessions"]


@click.group()
def session() -> None:
    """Save a running session to a file, and bring it back."""


@session.command("list")
@show.output_options
@with_pool
def list_saved(admin: Admin, as_json: bool, watch_s: float | None) -> int:
    """List the sessions that are saved."""
    return show.emit(lambda: document(admin), render, as_json, watch_s)


@session.command()
@click.argument("session", shell_complete=ids.completing(ids.sessions))
@click.option("--name", default="", help="of the checkpoint; one is made where none is given")
@click.option("--end", is_flag=True, help="the session ends when it is saved")
@click.option("--json", "as_json", is_flag=True, help="one JSON document")
@with_pool
def save(admin: Admin, session: str, name: str, end: bool, as_json: bool) -> int:
    """Write a session to a file in checkpoints.folder. Its commands wait meanwhile."""
    from cupool.v1 import admin_pb2

    rows = [r["session"] for r in sessions.document(admin)["sessions"]]
    whole = ids.resolve(session, rows, "session", "cupool ps")
    reply: admin_pb2.SaveSessionReply = admin.call(
        "SaveSession", admin_pb2.SaveSessionRequest(session=whole, name=name, end=end), timeout_s=3600.0
    )
    if as_json:
        show.print_json(
            {
                "schema": SAVE_SCHEMA, "session": whole, "checkpoint": reply.checkpoint, "path": reply.path,
                "nbytes": reply.nbytes, "node": reply.node,
            }
        )  # fmt: skip
    else:
        click.echo(reply.checkpoint)
        show.note(f"{whole} is saved in {reply.path}, {show.size(reply.nbytes)}.")
    return Exit.OK


@session.command()
@click.argument("checkpoint", shell_complete=ids.completing(ids.checkpoints))
@click.option("--device", default="", help="where; any that can, where none is named")
@click.option("--json", "as_json", is_flag=True, help="one JSON document")
@with_pool
def restore(admin: Admin, checkpoint: str, device: str, as_json: bool) -> int:
    """Bring a saved session back, on a device of the same kind. Its program goes on with it when it attaches again."""
    from cupool.v1 import admin_pb2

    to = (
        ids.resolve(device, [r["device"] for r in devices.document(admin)["devices"]], "device", "cupool gpus")
        if device
        else ""
    )
    reply: admin_pb2.RestoreSessionReply = admin.call(
        "RestoreSession", admin_pb2.RestoreSessionRequest(checkpoint=checkpoint, device=to)
    )
    if as_json:
        show.print_json(
            {
                "schema": RESTORE_SCHEMA, "session": reply.session, "endpoint": reply.endpoint, "epoch": reply.epoch,
                "node": reply.node,
            }
        )  # fmt: skip
    else:
        click.echo(reply.session)
        show.note(f"{checkpoint} is back as {reply.session}, at {reply.endpoint}.")
    return Exit.OK
