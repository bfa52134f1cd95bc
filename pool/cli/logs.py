"""`cupool logs`: the last lines of the controller, an agent or a server; and what happens, as it happens."""

from __future__ import annotations

import json

import click

from . import ids, show
from .exits import CliError, Exit
from .link import Admin, with_pool

SCHEMA = "cupool.logs/1"
EVENT_SCHEMA = "cupool.event/1"
EVENT_FIELDS = ("time", "kind", "subject", "tenant", "text")


@click.command()
@click.argument("source", default="", shell_complete=ids.completing(ids.nodes, ids.servers))
@click.option("--lines", "-n", type=click.IntRange(1, 100_000), default=100, help="how many of the last; 100")
@click.option("--follow", "-f", is_flag=True, help="go on with what comes; Ctrl-C ends it")
@click.option("--session", default="", shell_complete=ids.completing(ids.sessions), help="only lines of this session")
@click.option("--events", is_flag=True, help="what happens from now on, instead of log lines")
@click.option("--json", "as_json", is_flag=True, help="one JSON document a line")
@with_pool
def logs(admin: Admin, source: str, lines: int, follow: bool, session: str, events: bool, as_json: bool) -> int:
    """Print log lines of SOURCE: `controller`, a node or a server; without it, of the controller."""
    from cupool.v1 import admin_pb2

    try:
        if events:
            for event in admin.stream("WatchEvents", admin_pb2.WatchEventsRequest()):
                row = show.plain(event, EVENT_FIELDS)
                if as_json:
                    click.echo(json.dumps({"schema": EVENT_SCHEMA, **row}, ensure_ascii=False))
                else:
                    click.echo(show.clean(f"{show.moment(row['time'])} {row['kind']} {row['subject']} {row['text']}"))
            return Exit.OK
        if source and source != "controller":
            source = ids.resolve(source, ids.nodes(admin) + ids.servers(admin), "node or server", "cupool servers")
        request = admin_pb2.GetLogRequest(source=source, lines=lines, follow=follow, session=session)
        found = False
        for line in admin.stream("GetLog", request):
            found = True
            if as_json:
                click.echo(json.dumps({"schema": SCHEMA, "source": line.source, "line": line.line}, ensure_ascii=False))
            else:
                click.echo(show.clean(line.line))
    except KeyboardInterrupt:
        return Exit.OK  # the way to end it
    if session and not found:
        where = source or "the controller"
        raise CliError(
            Exit.NOT_FOUND,
            f"The log of {where} has no line of a session {session!r}.",
            "`cupool ps` lists sessions; `cupool logs SERVER` reads the log of the server that had it.",
        )
    return Exit.OK
