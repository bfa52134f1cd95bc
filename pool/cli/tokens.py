"""`cupool token`: credentials of the pool. A token is shown once, when it is made; the pool keeps a hash."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import ids, place, show
from .exits import CliError, Exit
from .link import Admin, with_pool
from .show import Column, Document

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA = "cupool.token/1"
FIELDS = ("id", "role", "tenant", "created", "expires", "revoked", "last_used", "note")
ROLES = ("client", "viewer", "operator", "admin", "agent", "balancer")
COLUMNS = (
    Column("id", "token"),
    Column("role", "role"),
    Column("tenant", "tenant"),
    Column("created", "created", show.moment, drop=3),
    Column("expires", "expires", lambda v: show.moment(v) or "never", drop=1),
    Column("last_used", "last used", lambda v: show.moment(v) or "never", drop=4),
    Column("revoked", "revoked", show.moment, drop=2),
    Column("note", "note", drop=5),
)


def render(doc: Document, width: int) -> list[RenderableType]:
    return [show.table(COLUMNS, doc["tokens"], width)] if doc["tokens"] else ["no tokens"]


@click.group()
def token() -> None:
    """Make, list and revoke credentials."""


@token.command()
@click.option("--role", type=click.Choice(ROLES), default="client", help="what it may do; client")
@click.option(
    "--tenant", default="", shell_complete=ids.completing(ids.tenants), help="whose sessions; of a client's token"
)
@click.option("--valid", metavar="TIME", default="", help="30d, 12h; without it until it is revoked")
@click.option("--note", default="", help="for people: who has it, and why")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="write it into this file, which only you can read, and print its id alone",
)
@click.option("--json", "as_json", is_flag=True, help="print JSON, with the version of its schema in it")
@with_pool
def create(admin: Admin, role: str, tenant: str, valid: str, note: str, out: Path | None, as_json: bool) -> int:
    """Make a token, and print it: the only time that it is shown."""
    from cupool.v1 import admin_pb2

    from .. import setting_kinds

    try:
        valid_s = round(setting_kinds.parse_duration(valid)) if valid else 0
    except ValueError as error:
        raise CliError(Exit.USAGE, f"--valid: {error}", "For example --valid 30d.") from None
    if valid and not 1 <= valid_s < 1 << 32:
        raise CliError(Exit.USAGE, f"--valid {valid} is out of range.", "From 1s to 49710d; leave it out for no end.")
    if role == "client" and not tenant:
        raise CliError(Exit.USAGE, "A client's token is of a tenant.", "Add --tenant NAME, or choose another --role.")
    if role != "client" and tenant:
        raise CliError(Exit.USAGE, f"A token of the role {role} has no tenant.", "Leave --tenant out.")
    reply = admin.call(
        "CreateToken", admin_pb2.CreateTokenRequest(role=role, tenant=tenant, valid_s=valid_s, note=note)
    )
    if out is not None:
        try:
            place.write_secret(out, reply.token)
        except OSError as error:
            # It was made, and nobody would ever see it.
            admin.call(
                "RevokeToken",
                admin_pb2.RevokeTokenRequest(id=reply.status.id, reason="could not be written to its file"),
            )
            raise CliError(
                Exit.FAILURE,
                f"{out} cannot be written: {error.strerror}.",
                "The token was revoked again. Name another file.",
            ) from None
    document = {"schema": SCHEMA, "tokens": [show.plain(reply.status, FIELDS)]}
    if as_json:
        show.print_json(document | ({} if out else {"token": reply.token}))
    else:
        click.echo(reply.status.id if out else reply.token)
        show.note(
            f"Token {reply.status.id} of the role {role}{' for ' + tenant if tenant else ''}. The pool cannot show it again."
        )
    return Exit.OK


@token.command("list")
@click.option("--all", "is_all", is_flag=True, help="revoked ones too")
@show.output_options
@with_pool
def list_tokens(admin: Admin, is_all: bool, as_json: bool, watch_s: float | None) -> int:
    """List the tokens; never what they are."""
    from cupool.v1 import admin_pb2

    def fetch() -> Document:
        reply = admin.call("ListTokens", admin_pb2.ListTokensRequest())
        rows = [show.plain(t, FIELDS) for t in reply.tokens if is_all or not t.revoked]
        return {"schema": SCHEMA, "tokens": sorted(rows, key=lambda r: (r["created"], r["id"]))}

    return show.emit(fetch, render, as_json, watch_s)


@token.command()
@click.argument("id", shell_complete=ids.completing(ids.tokens))
@click.option("--reason", default="", help="written to the audit log")
@with_pool
def revoke(admin: Admin, id: str, reason: str) -> int:
    """Revoke a token: nobody gets in with it from now on. Sessions that it opened go on."""
    from cupool.v1 import admin_pb2

    whole = ids.resolve(id, ids.tokens(admin), "token", "cupool token list")
    admin.call("RevokeToken", admin_pb2.RevokeTokenRequest(id=whole, reason=reason))
    click.echo(whole)
    return Exit.OK
