"""`cupool ps` and `cupool kill`: sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from . import ids, show
from .exits import CliError, Exit
from .link import Admin, with_pool
from .show import Column, Document

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA = "cupool.ps/1"
FIELDS = (
    "session", "state", "tenant", "function", "node", "device", "server", "epoch", "memory_bytes", "used_bytes", "peak_bytes", "kernel_s",
    "age_s", "idle_s", "executed_commands", "running_op", "priority", "request_id", "client_pid", "reason",
    "move", "moves", "fixed",
)  # fmt: skip
STATES = {"attached": "green", "moving": "cyan", "parked": "yellow", "ending": "dim", "lost": "red"}
COLUMNS = (
    Column("session", "session"),
    Column("state", "state", style=STATES),
    Column("tenant", "tenant", drop=2),
    Column("function", "function", drop=3),
    Column("device", "device"),
    Column("memory_bytes", "leased", show.size, drop=4, right=True),
    Column("used_bytes", "used", show.size, right=True),
    Column("kernel_s", "kernel", show.duration, drop=5, right=True),
    Column("executed_commands", "commands", show.number, drop=6, right=True),
    Column("moves", "moves", lambda v: str(v) if v else "", drop=10, right=True),
    Column("fixed", "stays", lambda v: "yes" if v else "", drop=11),
    Column("age_s", "age", show.duration, drop=1, right=True),
    Column("idle_s", "idle", show.duration, drop=7, right=True),
    Column("running_op", "runs", drop=8),
    Column("server", "server", drop=9),
)


def document(admin: Admin, tenant: str = "", stuck_s: float | None = None) -> Document:
    from cupool.v1 import admin_pb2

    reply = admin.call("ListAllSessions", admin_pb2.ListAllSessionsRequest(tenant=tenant))
    rows = [show.plain(s, FIELDS) for s in reply.sessions]
    if stuck_s:
        rows = [r for r in rows if r["idle_s"] >= stuck_s]
    return {"schema": SCHEMA, "sessions": sorted(rows, key=lambda r: r["session"])}


def render(doc: Document, width: int) -> list[RenderableType]:
    rows = [r | {"state": "moving" if r["move"] and r["state"] == "attached" else r["state"]} for r in doc["sessions"]]
    if not rows:
        return ["no sessions"]
    stays = [f"{r['session']} stays where it is: {r['fixed']}" for r in rows if r["fixed"]]
    return [show.table(COLUMNS, rows, width), *stays]


@click.command()
@click.option("--tenant", default="", shell_complete=ids.completing(ids.tenants), help="only this tenant's")
@click.option(
    "--stuck",
    "stuck_s",
    type=click.FloatRange(0.1),
    default=None,
    metavar="SECONDS",
    help="only those whose client said nothing for so long",
)
@show.output_options
@with_pool
def ps(admin: Admin, tenant: str, stuck_s: float | None, as_json: bool, watch_s: float | None) -> int:
    """List the sessions."""
    return show.emit(lambda: document(admin, tenant, stuck_s), render, as_json, watch_s)


@click.command()
@click.argument("session", nargs=-1, required=True, shell_complete=ids.completing(ids.sessions))
@click.option("--reason", default="", help="told to the session's user, and written to the audit log")
@click.option("--yes", "-y", is_flag=True, help="do not ask")
@with_pool
def kill(admin: Admin, session: tuple[str, ...], reason: str, yes: bool) -> int:
    """End sessions now. What they hold is freed; their programs get one clear error."""
    from cupool.v1 import admin_pb2

    rows = {r["session"]: r for r in document(admin)["sessions"]}
    wanted = list(dict.fromkeys(ids.resolve(typed, rows, "session", "cupool ps") for typed in session))
    if not yes:
        confirm("End", [_described(rows[s]) for s in wanted])
    failed = 0
    for whole in wanted:
        try:
            admin.call("KillSession", admin_pb2.KillSessionRequest(session=whole, reason=reason))
            click.echo(whole)
        except CliError as error:
            if len(wanted) == 1:
                raise
            failed += 1
            show.note(f"{whole}: {error.what}")
    return Exit.OK if not failed else Exit.PARTLY if failed < len(wanted) else Exit.FAILURE


def _described(row: Document) -> str:
    what = " ".join(p for p in (row["function"], f"of {row['tenant']}" if row["tenant"] else "") if p)
    return f"{row['session']} ({what + ', ' if what else ''}{row['state']}, {show.duration(row['age_s'])} old)"


def confirm(verb: str, what: list[str]) -> None:
    """Ask on the terminal. Raises CliError: the answer is no, or nobody can be asked."""
    for line in what:
        show.note(f"  {line}")
    try:
        is_yes = click.confirm(f"{verb} {'it' if len(what) == 1 else f'these {len(what)}'}?", err=True)
    except click.Abort:
        raise CliError(
            Exit.USAGE, "Nobody answered, so nothing was done.", "Add --yes to do it without asking."
        ) from None
    if not is_yes:
        raise CliError(Exit.FAILURE, "Nothing was done.", "")
