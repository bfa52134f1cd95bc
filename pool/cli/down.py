"""`cupool down`: end the pool of this host and leave nothing of it running; or tell another one to end."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import click

from .. import belongings
from . import place, show
from .exits import CliError, Exit
from .link import Admin, Target, find, pool_folder
from .place import Running
from .sessions import confirm

#: Beyond the deadline, for servers and controller to end.
_MARGIN_S = 30.0


@click.command()
@click.option("--now", is_flag=True, help="end sessions at once")
@click.option("--deadline", metavar="TIME", default="30s", help="how long sessions are waited for; 30s")
@click.option("--reason", default="", help="told to users of sessions that are ended, and written to the audit log")
@click.option(
    "--purge",
    is_flag=True,
    help="remove the pool's folder too: its directory with tenants, quotas and tokens, audit log, logs",
)
@click.option(
    "--purge-saved",
    is_flag=True,
    help="with --purge: the sessions that are saved in the pool's folder too (see `session save`)",
)
@click.option("--yes", "-y", is_flag=True, help="do not ask")
@click.option(
    "--admin",
    "admin_addr",
    metavar="ADDR",
    default="",
    help="end the pool there instead: host:port or unix:/path  [CUPOOL_ADMIN_ADDR]",
)
@click.option(
    "--token-file", metavar="FILE", default="", help="file with an admin's credential  [CUPOOL_ADMIN_TOKEN holds one]"
)
@click.option("--ca", metavar="FILE", default="", help="PEM file of the pool's authority, for TLS  [CUPOOL_CA]")
@click.option("--folder", metavar="DIR", default="", help="folder of the pool of this host  [CUPOOL_POOL_FOLDER]")
def down(
    now: bool,
    deadline: str,
    reason: str,
    purge: bool,
    purge_saved: bool,
    yes: bool,
    admin_addr: str,
    token_file: str,
    ca: str,
    folder: str,
) -> int:
    """End the pool: no new leases, sessions are waited for until the deadline, then ended; nothing of it stays running.

    What outlives it is its folder, with tenants, quotas, tokens, certificates and logs: --purge removes that too.
    """
    from ..setting_kinds import parse_duration

    try:
        deadline_s = 0.0 if now else parse_duration(deadline)
    except ValueError as error:
        raise CliError(Exit.USAGE, f"--deadline: {error}", "For example --deadline 10m.") from None
    if deadline_s * 1000 >= 1 << 32:
        raise CliError(Exit.USAGE, f"--deadline {deadline} is too long.", "The longest is 49d.")
    remote = admin_addr or ("" if folder else os.environ.get("CUPOOL_ADMIN_ADDR", ""))
    if purge_saved and not purge:
        raise CliError(Exit.USAGE, "--purge-saved goes with --purge.", "Without --purge nothing is removed.")
    if remote:
        if purge:
            raise CliError(
                Exit.USAGE, "--purge is for a pool of this host.", "Leave it out, or name the folder with --folder."
            )
        target = find(remote, token_file, ca)
        if not yes:
            confirm("End", [f"the pool at {target.admin}"])
        ended = _shutdown(target, reason, deadline_s)
        show.note(f"The pool at {target.admin} ends; {ended} sessions were ended.")
        return Exit.OK
    where, running = _here(folder)
    if purge:
        saved = saved_sessions(where)
        if saved and not purge_saved:
            raise CliError(
                Exit.FAILURE,
                f"{len(saved)} saved sessions are in {saved[0].parent}, which --purge would remove: {', '.join(s.stem for s in saved[:3])}"
                f"{', …' if len(saved) > 3 else ''}.",
                "Move them to another folder, or add --purge-saved. The pool was left as it is.",
            )
        if not yes:
            what = f"{where}, with tenants, quotas, tokens, certificates, audit log and logs"
            confirm("Remove", [what + (f", and {len(saved)} saved sessions" if saved else "")])
    if running is not None:
        _end(where, running, reason, deadline_s)
    elif not purge:
        raise CliError(
            Exit.UNREACHABLE,
            f"No pool runs on this host in {where}.",
            "`cupool up` starts one; --folder names another folder.",
        )
    if purge:
        shutil.rmtree(where, ignore_errors=False)
    return Exit.OK


def saved_sessions(where: Path) -> list[Path]:
    """Files of sessions that `cupool session save` wrote into a folder of the pool's own: they are to outlive it."""
    return sorted(where.rglob("saved/*.session"))


def joined_folder() -> Path:
    """Where the agent of a host that joined a pool elsewhere has its folder."""
    return place.default_folder().with_name("cupool-joined")


def _here(folder: str) -> tuple[Path, Running | None]:
    """The folder and what runs there: the pool's, or, without one, that of an agent which joined another."""
    where = pool_folder(folder)
    running = place.read(where)
    if running is None and not folder and (joined := place.read(joined_folder())) is not None:
        return joined_folder(), joined
    return where, running


def _shutdown(target: Target, reason: str, deadline_s: float) -> int:
    """Tell a pool to end, with progress. Returns how many sessions were ended."""
    from cupool.v1 import admin_pb2

    outcome: list[Any] = []

    def call() -> None:
        try:
            with Admin(target) as admin:
                request = admin_pb2.ShutdownRequest(reason=reason, deadline_ms=int(deadline_s * 1000))
                outcome.append(admin.call("Shutdown", request, deadline_s + _MARGIN_S))
        except CliError as error:
            outcome.append(error)

    thread = threading.Thread(target=call, name="shutdown", daemon=True)
    thread.start()
    started = time.monotonic()
    try:
        with show.Progress() as progress, Admin(target, 2.0) as admin:
            while thread.is_alive():
                thread.join(0.3)
                if not thread.is_alive():
                    break
                try:
                    pool = admin.call("GetPool", admin_pb2.GetPoolRequest())
                except CliError:
                    continue  # it may have ended just now: the call above says so
                limit = f", for up to {show.duration(deadline_s)}" if deadline_s else ""
                progress(f"waiting for {pool.sessions} sessions{limit}", time.monotonic() - started)
    except KeyboardInterrupt:
        left_s = max(0.0, deadline_s - (time.monotonic() - started))
        show.note(
            "Interrupted. The pool goes on ending: it gives no new leases, and ends the sessions that are left in "
            f"{show.duration(left_s)}. `cupool down --deadline 2h` gives them longer, `--now` ends it at once."
        )
        raise
    if isinstance(outcome[0], CliError):
        raise outcome[0]
    return int(outcome[0].sessions_ended)


def _end(where: Path, running: Running, reason: str, deadline_s: float) -> None:
    ended = 0
    if running.admin_addr and belongings.is_of(running.controller_pid, running.mark):
        try:
            ended = _shutdown(find(folder=str(where)), reason, deadline_s)
        except CliError as error:
            show.note(f"cupool: {error.what} Its processes are ended all the same.")
    with show.Progress() as progress:
        progress("ending the pool's processes", 0.0)
        if _is_supervised(where):
            _tell_supervisor(running)
        killed = belongings.end_all(running, belongings.END_S)
        belongings.clean(where, running)
    if left := belongings.marked(running.mark):
        raise CliError(
            Exit.FAILURE,
            f"Processes of the pool are still there: {', '.join(map(str, left))}.",
            "Look why with `ps` and /proc.",
        )
    words = f"; {ended} sessions were ended" if ended else ""
    words += f"; {len(killed)} processes had to be killed" if killed else ""
    show.note(f"The pool is down{words}.")


def _is_supervised(where: Path) -> bool:
    """Whether a supervisor has the folder: `pool.json` then names its process."""
    try:
        os.close(belongings.lock(where))
    except BlockingIOError:
        return True
    return False


def _tell_supervisor(running: Running) -> None:
    """It ends the rest in order, and itself."""
    try:
        fd = os.pidfd_open(running.supervisor_pid)
    except ProcessLookupError:
        return
    try:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, signal.SIGINT)
        select.select([fd], [], [], 3 * belongings.END_S)
    finally:
        os.close(fd)
