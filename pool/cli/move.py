"""`cupool move`: a running session to another device, moves that are under way, and giving one up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from . import devices, ids, show
from .exits import CliError, Exit
from .link import Admin, with_pool
from .show import Column, Document

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA = "cupool.moves/1"
ONE_SCHEMA = "cupool.move/1"
FIELDS = (
    "move", "session", "phase", "source", "destination", "engine", "by", "reason", "copied_bytes", "total_bytes", "dirty_bytes", "rounds",
    "pause_ms", "age_s", "ended_s", "epoch", "done", "error",
)  # fmt: skip
COLUMNS = (
    Column("session", "moving"),
    Column("phase", "phase", style={"done": "green", "given-up": "yellow", "lost": "red"}),
    Column("source", "from"),
    Column("destination", "to"),
    Column("copied_bytes", "copied", show.size, drop=2, right=True),
    Column("total_bytes", "size", show.size, drop=4, right=True),
    Column("rounds", "rounds", lambda v: str(v) if v else "", drop=5, right=True),
    Column("pause_ms", "pause", lambda v: f"{v:.0f} ms" if v else "", drop=3, right=True),
    Column("age_s", "took", show.duration, drop=1, right=True),
    Column("by", "by", drop=6),
    Column("why", "why", drop=7),
)


def document(admin: Admin, is_recent: bool = True) -> Document:
    from cupool.v1 import admin_pb2

    reply = admin.call("ListMoves", admin_pb2.ListMovesRequest(recent=is_recent))
    return {"schema": SCHEMA, "moves": [show.plain(m, FIELDS) for m in reply.moves]}


def render(doc: Document, width: int) -> list[RenderableType]:
    rows = [r | {"why": r["error"] or r["reason"]} for r in doc["moves"]]
    return [show.table(COLUMNS, rows, width)] if rows else ["no moves"]


@click.command()
@click.argument("session", required=False, default="", shell_complete=ids.completing(ids.sessions))
@click.option(
    "--to",
    "device",
    default="",
    shell_complete=ids.completing(ids.devices),
    help="the device; without it the pool chooses one",
)
@click.option(
    "--engine",
    type=click.Choice(["copy", "peer"]),
    default=None,
    help="copy: the best way there is, which on one host is shared memory; peer: within this host or not at all",
)
@click.option("--max-pause", metavar="TIME", default="", help="longest that the session may stand still: 2s; 500ms")
@click.option("--give-up", metavar="TIME", default="", help="give the move up after so long without progress: 10s")
@click.option("--reason", default="", help="shown to everybody who looks; written to the audit log")
@click.option("--status", "is_status", is_flag=True, help="list moves: those under way, and the last that have ended")
@click.option(
    "--cancel", "is_cancel", is_flag=True, help="have the session stay where it is; until its source has released it"
)
@show.output_options
@with_pool
def move(
    admin: Admin, session: str, device: str, engine: str | None, max_pause: str, give_up: str, reason: str, is_status: bool,
    is_cancel: bool, as_json: bool, watch_s: float | None,
) -> int:  # fmt: skip
    """Move a running session to another device. Its program goes on, and does not notice.

    When the move cannot be made the session stays where it is. The pool goes on with it when this command is interrupted.
    """
    if is_status:
        if session or is_cancel or device:
            raise CliError(Exit.USAGE, "--status lists all moves.", "Leave the session, --to and --cancel away.")
        return show.emit(lambda: document(admin), render, as_json, watch_s)
    if not session:
        raise CliError(Exit.USAGE, "No session was named.", "`cupool ps` lists them; --status lists moves.")
    if watch_s is not None:
        raise CliError(Exit.USAGE, "--watch goes with --status.", "A move shows its progress by itself.")
    whole = ids.resolve(session, ids.sessions(admin), "session", "cupool ps")
    if is_cancel:
        return _cancel(admin, whole, as_json)
    return _move(
        admin, whole, device, engine or "", _ms(max_pause, "--max-pause"), _ms(give_up, "--give-up"), reason, as_json
    )


def _ms(text: str, option: str) -> int:
    """A duration in milliseconds; 0 for none. Raises CliError."""
    from .. import setting_kinds

    if not text:
        return 0
    try:
        milliseconds = int(setting_kinds.parse_duration(text) * 1000)
    except ValueError as error:
        raise CliError(Exit.USAGE, f"{option}: {error}", f"For example {option} 500ms.") from None
    if not 0 < milliseconds < 1 << 31:
        raise CliError(Exit.USAGE, f"{option} {text} makes no sense.", f"For example {option} 500ms.")
    return milliseconds


def _cancel(admin: Admin, session: str, as_json: bool) -> int:
    from cupool.v1 import admin_pb2

    reply = admin.call("CancelMove", admin_pb2.CancelMoveRequest(session=session))
    if as_json:
        show.print_json({"schema": "cupool.move-cancel/1", "move": reply.move, "session": reply.session})
    else:
        click.echo(reply.move)
    return Exit.OK


def _move(
    admin: Admin, session: str, device: str, engine: str, pause_ms: int, timeout_ms: int, reason: str, as_json: bool
) -> int:
    """Ask for a move and follow it; progress on standard error."""
    from cupool.v1 import admin_pb2

    to = (
        ids.resolve(device, [r["device"] for r in devices.document(admin)["devices"]], "device", "cupool gpus")
        if device
        else ""
    )
    request = admin_pb2.MoveSessionRequest(
        session=session, device=to, engine=engine, reason=reason, max_pause_ms=pause_ms, timeout_ms=timeout_ms
    )
    last, began = None, time.monotonic()
    try:
        with show.Progress() as progress_line:
            for last in admin.stream("MoveSession", request):
                progress_line(_line(show.plain(last, FIELDS)), time.monotonic() - began)
    except KeyboardInterrupt:
        show.note(
            f"Interrupted. The pool goes on moving {session}: `cupool move --status` shows it, `--cancel` ends it."
        )
        return Exit.INTERRUPTED
    if last is None or not last.done:
        raise CliError(
            Exit.UNREACHABLE,
            "The pool ended before it said what became of the move.",
            "`cupool move --status` may know.",
        )
    row = show.plain(last, FIELDS)
    if as_json:
        show.print_json({"schema": ONE_SCHEMA, "move": row})
    if row["error"]:
        raise CliError(
            Exit.FAILURE, f"The session {session} was not moved: {row['error']}",
            "It is over." if row["phase"] in ("lost", "ended") else f"It goes on on {row['source']}.",
        )  # fmt: skip
    if not as_json:
        click.echo(row["destination"])
        pause = f", and stood still for {row['pause_ms']:.0f} ms" if row["pause_ms"] else ""
        show.note(
            f"{session} has moved from {row['source']} to {row['destination']} in {show.duration(row['age_s'])}{pause}."
        )
    return Exit.OK


def _line(row: Document) -> str:
    return f"{row['phase']}, {_copied(row)}" if row["copied_bytes"] else str(row["phase"])


def _copied(row: Document) -> str:
    """What has been copied of it; beyond its size, because it changed meanwhile and was copied again."""
    copied, total = row["copied_bytes"], row["total_bytes"]
    if not total or copied <= total:
        return f"{show.size(copied)} of {show.size(total)}" if total else show.size(copied)
    return f"all {show.size(total)}, and {show.size(copied - total)} that changed"
