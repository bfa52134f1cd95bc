"""`cupool up`: start a pool on this host, wait until it is ready, and say how to use it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from .. import belongings, settings, supervisor
from ..config import PoolConfig
from ..supervisor import CannotStart, Supervisor
from . import place, show
from .exits import CliError, Exit
from .link import Admin, find
from .place import Running

SCHEMA = "cupool.up/1"
_LOOK_S = 0.1


def setting_options(*without: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A flag for each setting that has one; their values are passed on by key, None where not given."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for name, key in reversed(settings.KEYS.items()):
            if not key.flag or name in without:
                continue
            parameter = name.replace(".", "__")
            is_switch = isinstance(key.default, bool)
            command = click.option(
                key.flag,
                parameter,
                is_flag=is_switch,
                default=None,
                help=key.help,
                metavar=None if is_switch else name.partition(".")[2].upper(),
            )(command)
        return command

    return decorate


def flags_of(values: dict[str, Any]) -> dict[str, Any]:
    """What `setting_options` gave a command, by key of the settings."""
    return {name.replace("__", ".", 1): value for name, value in values.items() if value is not None}


@click.command()
@click.option(
    "--config", "file", metavar="FILE", default="", help="cupool.toml; else CUPOOL_CONFIG, else the usual places"
)
@setting_options()
@click.option("--foreground", is_flag=True, help="stay, until told to end; for systemd (Type=notify) and containers")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 86400),
    default=120.0,
    metavar="SECONDS",
    help="how long it may take to be ready; 120",
)
@click.option("--json", "as_json", is_flag=True, help="print JSON, with the version of its schema in it")
def up(file: str, foreground: bool, wait_s: float, as_json: bool, **flags: Any) -> int:
    """Start a pool on this host, with every GPU that it has or the devices that you name.

    What it prints sets the environment of programs: eval "$(cupool up)"
    """
    found = settings.load(file, flags_of(flags))
    folder = Path(found["pool.folder"]).expanduser() if found["pool.folder"] else place.default_folder()
    held = take(folder)
    try:
        controller, agent = prepare(found, folder)
        if foreground:
            return _foreground(
                folder,
                Supervisor(folder, controller, agent, logs=False, stop_grace_s=found["limits.stop_grace"]),
                as_json,
            )
        settings.write_record(controller, folder / "controller.record")
        settings.write_record(agent, folder / "agent.record")
    finally:
        os.close(held)
    started, before = time.monotonic(), {log: log.stat().st_size for log in _logs(folder)}
    detached(folder, ["--stop-grace-s", str(found["limits.stop_grace"])], wait_s)
    try:
        wait_warm(folder, found["pool.warm"] * len(agent.devices), started, wait_s, before)
    except KeyboardInterrupt:
        show.note("Interrupted. The pool goes on starting: `cupool status` shows it, `cupool down` ends it.")
        return Exit.INTERRUPTED
    tell(_running(folder), folder, as_json)
    return Exit.OK


def take(folder: Path) -> int:
    """The lock of a folder in which nothing runs.

    Raises:
        CliError: a pool runs there, or the folder cannot be used.
    """
    try:
        held = belongings.lock(folder)
    except BlockingIOError:
        running = place.read(folder)
        where = f" at {running.addr}" if running and running.addr else ""
        raise CliError(
            Exit.FAILURE, f"A pool runs already in {folder}{where}.", "`cupool status` shows it, `cupool down` ends it."
        ) from None
    except OSError as error:
        raise CliError(
            Exit.FAILURE,
            f"The pool's folder {folder} cannot be used: {error.strerror}.",
            "Name another one with --folder.",
        ) from None
    try:
        running = place.read(folder)
        if running is not None and (left := belongings.marked(running.mark)):
            raise CliError(
                Exit.FAILURE,
                f"A pool whose supervisor is gone runs in {folder}: processes {', '.join(map(str, left))}.",
                "`cupool down` ends it; then start it again.",
            )
        belongings.clean(folder, running, keeps_credentials=True)  # what a pool left that was killed
    except BaseException:
        os.close(held)
        raise
    return held


def prepare(found: settings.Settings, folder: Path) -> tuple[PoolConfig, PoolConfig]:
    """The records of controller and agent, with credentials and addresses. Raises CliError, BadSetting."""
    try:
        sockets = belongings.run_folder(folder)
        tokens = belongings.credentials(folder)
    except OSError as error:
        raise CliError(
            Exit.FAILURE,
            f"{error.filename or folder} cannot be used: {error.strerror}.",
            "Name another folder with --folder.",
        ) from None
    whole = settings.pool_config(found, folder)
    controller = dataclasses.replace(
        whole,
        devices=(),
        listen=whole.listen or f"unix:{sockets / 'pool.sock'}",
        admin_listen=whole.admin_listen or f"unix:{sockets / 'admin.sock'}",
        agent_listen=whole.agent_listen or f"unix:{sockets / 'agent.sock'}",
        token=tokens["token"],
        admin_token=tokens["admin-token"],
        agent_token=tokens["agent-token"],
        balancer_token=tokens["balancer-token"],
        tells_token=False,
        tells_admin_token=False,
    )
    return controller, agent_config(whole, folder, controller.listen, tokens["agent-token"], found)


def agent_config(whole: PoolConfig, folder: Path, listen: str, token: str, found: settings.Settings) -> PoolConfig:
    """What this host's agent is told. Its servers listen where programs can reach the pool."""
    cert, key = found["security.node_cert"], found["security.node_key"]
    if whole.tls_cert and not cert and not listen.startswith(("unix:", "unix-abstract:")):
        cert, key = node_certificate(folder, whole.node or node_id(folder / "agent"))
    return dataclasses.replace(
        whole,
        folder=str(folder / "agent"),
        node=whole.node or node_id(folder / "agent"),
        # Sockets in a folder of ours are for this user's programs; an address is for others' too.
        listen="" if listen.startswith(("unix:", "unix-abstract:")) else f"{listen.rpartition(':')[0]}:0",
        admin_listen="",
        agent_listen="",
        metrics_listen="",
        agent_token=token,
        tls_cert=os.path.expanduser(cert),
        tls_key=os.path.expanduser(key),
    )


def node_id(folder: Path) -> str:
    """This host's node: chosen once, kept in the agent's folder."""
    import secrets

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / "node"
    with contextlib.suppress(FileNotFoundError):
        return file.read_text().strip()
    node = f"node-{secrets.token_hex(4)}"
    file.write_text(node + "\n")
    return node


def node_certificate(folder: Path, node: str) -> tuple[str, str]:
    """An authority for this host's servers, by the pool's own authority in the folder. Raises CliError: there is none."""
    from ..security import certs

    place_of = folder / "certs"
    if not (place_of / certs.CA_KEY).exists():
        raise CliError(
            Exit.USAGE,
            "Servers of a pool with TLS need certificates, and security.node_cert is not set.",
            f"Make one with `cupool certs issue node`, or keep the pool's authority in {place_of} (`cupool certs init`).",
        )
    try:
        made = certs.issue_node(place_of, node, name="this-node")
    except certs.CertsError as error:
        raise CliError(Exit.FAILURE, str(error)) from None
    return str(made.cert), str(made.key)


# ---- running


def _foreground(folder: Path, watched: Supervisor, as_json: bool) -> int:
    def ready(running: Running) -> None:
        tell(running, folder, as_json)
        sys.stdout.flush()
        supervisor.notify(f"READY=1\nMAINPID={os.getpid()}\nSTATUS=Programs come to {running.addr}")

    try:
        watched.run(ready)
    except CannotStart as error:
        raise CliError(Exit.FAILURE, error.what, error.cure) from None
    finally:
        supervisor.notify("STOPPING=1")
    return Exit.OK


def detached(folder: Path, arguments: list[str], wait_s: float) -> None:
    """Leave a supervisor behind that has started the pool's processes.

    Raises:
        CliError: they cannot start, or not in time.
    """
    import select

    logs = folder / "logs"
    logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(
        os.open(logs / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab"
    ) as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cupool.pool.supervisor", "--folder", str(folder), *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
        )  # fmt: skip
    assert process.stdout is not None
    with show.Progress() as progress, process.stdout:
        started, line = time.monotonic(), b""
        try:
            while b"\n" not in line:
                left_s = wait_s - (time.monotonic() - started)
                if left_s <= 0:
                    process.send_signal(signal.SIGINT)
                    process.wait()
                    raise CliError(
                        Exit.TIMED_OUT,
                        f"The pool did not start within {wait_s:g} s.",
                        f"Look into {logs}; --wait gives it longer.",
                    )
                progress("starting the pool's processes", time.monotonic() - started)
                if select.select([process.stdout], [], [], min(left_s, 1.0))[0]:
                    data = os.read(process.stdout.fileno(), 65536)
                    if not data:
                        break
                    line += data
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)  # nothing is there yet that somebody could use
            process.wait()
            raise
    said = _first_record(line)
    if said.get("ready"):
        process.returncode = 0  # it lives on by itself: no warning that it was not waited for
        return
    status = process.wait()
    what = said.get("error") or f"the supervisor ended with {status} before it was ready."
    raise CliError(Exit.FAILURE, f"The pool could not start: {what}", said.get("cure") or f"Look into {logs}.")


def _first_record(text: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        record = json.loads(text.partition(b"\n")[0])
        if isinstance(record, dict):
            return record
    return {}


def _running(folder: Path) -> Running:
    running = place.read(folder)
    if running is None:
        raise CliError(Exit.FAILURE, "The pool ended as soon as it was ready.", f"Look into {folder / 'logs'}.")
    return running


#: In what keeps an agent away: no time mends it.
_FOR_EVER = "Hostname Verification Check failed"


def _logs(folder: Path) -> list[Path]:
    return list((folder / "logs").glob("*.log"))


def _not_connected(folder: Path, before: Mapping[Path, int]) -> str:
    """Why an agent of this folder cannot connect, by the last word of its log behind what was there `before`; empty: it says nothing of
    that. Logs of earlier starts stay, and tell of those."""
    for log in _logs(folder):
        with open(log, "rb") as file:
            file.seek(before.get(log, 0))
            lines = file.read().decode("utf-8", "replace").splitlines()
        if found := [line for line in lines if "event=not-connected" in line]:
            return found[-1].partition("reason=")[2].strip("'\"")
    return ""


def wait_warm(folder: Path, wanted: int, started: float, wait_s: float, before: Mapping[Path, int]) -> None:
    """Until the pool has as many warm servers as it shall. `before`: what was in its logs when it was started.

    Raises:
        CliError: TIMED_OUT, or FAILURE: it never will.
    """
    from cupool.v1 import admin_pb2

    with show.Progress() as progress, Admin(find(folder=str(folder)), 5.0) as admin:
        while True:
            pool = admin.call("GetPool", admin_pb2.GetPoolRequest())
            has = min(pool.warm + pool.sessions, wanted)
            progress(f"{has} of {wanted} servers are warm", time.monotonic() - started)
            if pool.nodes and has >= wanted:
                return
            kept_away = _not_connected(folder, before) if not pool.nodes else ""
            if _FOR_EVER in kept_away:
                raise CliError(
                    Exit.FAILURE,
                    f"The pool runs, but its own agent cannot connect to it: {kept_away}",
                    "The pool's certificate must name the host at which the agent connects (`--agent-listen`): `cupool certs issue "
                    "server --host NAME`. `cupool down` ends the pool.",
                )
            if time.monotonic() - started > wait_s:
                why = f" {kept_away or pool.warnings[0]}" if kept_away or pool.warnings else ""
                raise CliError(
                    Exit.TIMED_OUT,
                    f"The pool runs, and {has} of {wanted} servers are warm after {wait_s:g} s.{why}",
                    "`cupool status` and `cupool logs` show more; `cupool down` ends it.",
                )
            time.sleep(_LOOK_S)


def tell(running: Running, folder: Path, as_json: bool) -> None:
    """How to use it: lines for a shell on standard output, what else there is on standard error."""
    if as_json:
        fields = ("addr", "token_file", "admin_addr", "admin_token_file", "agent_addr", "metrics_addr", "ca_file")
        show.print_json(
            {"schema": SCHEMA, "folder": str(folder)} | {f: getattr(running, f) for f in fields}, is_compact=True
        )
        return
    click.echo(f"export CUPOOL_ADDR={shlex.quote(running.addr)}")
    click.echo(f'export CUPOOL_TOKEN="$(cat {shlex.quote(running.token_file)})"')
    if running.ca_file:
        click.echo(f"export CUPOOL_CA={shlex.quote(running.ca_file)}")
    show.note("The pool runs. `cupool status` and `cupool top` show it; `cupool down` ends it.")
