"""`cupool session save` and `restore`: a running session to a file, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from . import devices, ids, sessions, show
from .exits import Exit
from .link import Admin, with_pool

if TYPE_CHECKING:
    from cupool.v1 import admin_pb2

SAVE_SCHEMA = "cupool.session-save/1"
RESTORE_SCHEMA = "cupool.session-restore/1"


@click.group()
def session() -> None:
    """Save a running session to a file, and bring it back."""


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
@click.argument("checkpoint")
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
