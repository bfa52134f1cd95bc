"""`cupool join`: make this host one of a pool's whose controller is elsewhere."""

from __future__ import annotations

import dataclasses
import os
import socket
from pathlib import Path
from typing import Any

import click

from .. import settings, supervisor
from ..supervisor import CannotStart, Supervisor
from . import show
from .down import joined_folder
from .exits import CliError, Exit
from .link import read_secret
from .up import agent_config, detached, flags_of, setting_options, take

#: How long a look at whether somebody answers may take.
_REACH_S = 2.0
#: Flags of `up` that say what the controller does.
_CONTROLLERS = (
    "pool.admin_listen", "pool.agent_listen", "pool.cert_listen", "pool.metrics_listen", "pool.warm", "pool.max_sessions",
    "pool.session_memory", "pool.folder", "pool.listen", "security.anonymous", "security.tls_cert", "security.tls_key",
    "security.tls_client_auth", "limits.stop_grace",
)  # fmt: skip


@click.command()
@click.argument("controller")
@click.option(
    "--token-file",
    metavar="FILE",
    default="",
    help="file with a token of the role agent  [CUPOOL_AGENT_TOKEN holds one]",
)
@click.option(
    "--config", "file", metavar="FILE", default="", help="cupool.toml; else CUPOOL_CONFIG, else the usual places"
)
@click.option("--folder", metavar="DIR", default="", help="the agent's folder; $XDG_STATE_HOME/cupool-joined")
@click.option(
    "--listen",
    metavar="HOST",
    default="",
    help="where this host's servers listen: a name or address that programs can reach",
)
@setting_options(*_CONTROLLERS)
@click.option("--foreground", is_flag=True, help="stay, until told to end; for systemd (Type=notify) and containers")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 86400),
    default=120.0,
    metavar="SECONDS",
    help="how long it may take to start; 120",
)
def join(
    controller: str,
    token_file: str,
    file: str,
    folder: str,
    listen: str,
    foreground: bool,
    wait_s: float,
    **flags: Any,
) -> int:
    """Make this host one of the pool's at CONTROLLER, its address for agents: host:port.

    `cupool token create --role agent` makes the token, and `cupool certs issue node` the certificate, on the pool's side.
    `cupool down` ends it.
    """
    found = settings.load(file, flags_of(flags))
    address = settings.KEYS["pool.agent_listen"].kind
    try:
        controller = address.read(controller)
    except ValueError:
        controller = ""
    if not controller or controller.endswith(":0"):
        raise CliError(
            Exit.USAGE,
            "CONTROLLER is no address.",
            "For example: cupool join pool.example:7072 --token-file agent-token.",
        )
    token = read_secret(token_file) if token_file else os.environ.get("CUPOOL_AGENT_TOKEN", "")
    if not token:
        raise CliError(
            Exit.NOT_AUTHORISED,
            "An agent shows a token of the role agent, and there is none.",
            "Make one at the pool, `cupool token create --role agent --out FILE`, and name it with --token-file.",
        )
    where = Path(folder).expanduser().absolute() if folder else joined_folder()
    held = take(where)
    try:
        whole = settings.pool_config(found, where)
        agent = agent_config(whole, where, f"{listen}:0" if listen else "unix:", token, found)
        agent = dataclasses.replace(agent, controller=controller)
        if foreground:
            return _foreground(where, agent, controller)
        settings.write_record(agent, where / "agent.record")
    finally:
        os.close(held)
    detached(where, ["--join"], wait_s)
    if why := unreachable(controller):
        show.note(
            f"Nothing answers at {controller} now: {why}. This host goes on trying to come to the pool as `{agent.node}`."
        )
    else:
        show.note(
            f"This host is `{agent.node}` of the pool at {controller}: `cupool nodes` there shows whether it has come."
        )
    show.note("`cupool down` ends it.")
    click.echo(agent.node)
    return Exit.OK


def unreachable(address: str) -> str:
    """Why nothing can be reached at the address of a controller; "" where something answers, whatever it is."""
    host, _, port = address.rpartition(":")
    try:
        if address.startswith(("unix:", "unix-abstract:")):
            kind, _, path = address.partition(":")
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(_REACH_S)
                probe.connect(path if kind == "unix" else "\0" + path)
        else:
            socket.create_connection((host.strip("[]"), int(port)), _REACH_S).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _foreground(where: Path, agent: Any, controller: str) -> int:
    watched = Supervisor(where, None, agent, logs=False)
    try:
        watched.run(
            lambda _: supervisor.notify(
                f"READY=1\nMAINPID={os.getpid()}\nSTATUS={agent.node} of the pool at {controller}"
            )
        )
    except CannotStart as error:
        raise CliError(Exit.FAILURE, error.what, error.cure) from None
    finally:
        supervisor.notify("STOPPING=1")
    return Exit.OK
