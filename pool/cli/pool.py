"""`cupool pool`: start a pool, look at one, end a session in it."""

from __future__ import annotations

import json
from typing import Any

import click
import grpc

from cupool.v1 import admin_pb2, admin_pb2_grpc, pool_pb2, server_pb2

from .. import __main__ as program

_ADDR = click.option(
    "--admin", "addr", envvar="CUPOOL_ADMIN_ADDR", required=True, help="AdminService: host:port or unix:/path"
)
_TOKEN = click.option("--token", envvar="CUPOOL_ADMIN_TOKEN", default="", help="the credential of AdminService")
_JSON = click.option("--json", "as_json", is_flag=True, help="print JSON")


def _ask(addr: str, token: str, method: str, request: Any) -> Any:
    with grpc.insecure_channel(addr) as channel:
        call = getattr(admin_pb2_grpc.AdminServiceStub(channel), method)
        try:
            return call(request, timeout=10, metadata=(("authorization", f"Bearer {token}"),))
        except grpc.RpcError as error:
            raise click.ClickException(f"{error.code().name}: {error.details()}") from error


@click.group()
def cli() -> None:
    """Start a pool, and look into one."""


@cli.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def start(arguments: tuple[str, ...]) -> None:
    """Start a pool on this machine (`cupool pool start --help` lists its options)."""
    raise SystemExit(program.main(list(arguments)))


@cli.command()
@_ADDR
@_TOKEN
@_JSON
def servers(addr: str, token: str, as_json: bool) -> None:
    """List the servers."""
    reply = _ask(addr, token, "ListServers", admin_pb2.ListServersRequest())
    rows = [
        {
            "server": s.server,
            "state": server_pb2.ServerState.Name(s.state).removeprefix("SERVER_STATE_").lower(),
            "session": s.session,
            "used_bytes": s.used_bytes,
            "executed_commands": s.executed_commands,
        }
        for s in reply.servers
    ]
    _print(rows, as_json)


@cli.command()
@_ADDR
@_TOKEN
@_JSON
def sessions(addr: str, token: str, as_json: bool) -> None:
    """List the sessions."""
    reply = _ask(addr, token, "ListAllSessions", admin_pb2.ListAllSessionsRequest())
    rows = [
        {
            "session": s.session,
            "state": pool_pb2.SessionState.Name(s.state).removeprefix("SESSION_STATE_").lower(),
            "server": s.server,
            "device": s.device,
            "function": s.function,
            "age_s": round(s.age_s, 1),
        }
        for s in reply.sessions
    ]
    _print(rows, as_json)


@cli.command()
@click.argument("session")
@click.option("--reason", default="", help="told to the session's user")
@_ADDR
@_TOKEN
def kill(session: str, reason: str, addr: str, token: str) -> None:
    """End a session now."""
    _ask(addr, token, "KillSession", admin_pb2.KillSessionRequest(session=session, reason=reason))


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    if not rows:
        click.echo("none")
        return
    names = list(rows[0])
    widths = [max(len(n), *(len(str(r[n])) for r in rows)) for n in names]
    for line in [names, *([str(r[n]) for n in names] for r in rows)]:
        click.echo("  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)).rstrip())


def main(arguments: list[str]) -> int:
    """Run `cupool pool ARGUMENTS`. Returns the exit status."""
    cli.main(args=arguments, prog_name="cupool pool")
    return 0
