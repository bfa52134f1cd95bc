"""`cupool gpus`, `cordon`, `uncordon` and `drain`: devices, and keeping sessions from them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import click

from . import ids, show
from .exits import CliError, Exit
from .link import Admin, with_pool
from .show import Column, Document

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA = "cupool.gpus/1"
FIELDS = (
    "device", "node", "kind", "name", "uuid", "total_bytes", "leased_bytes", "used_bytes", "observed_bytes", "unowned_bytes", "sessions",
    "warm", "utilization", "power_w", "power_limit_w", "temperature_c", "cordoned", "draining", "reason", "errors", "ecc_uncorrected",
    "throttle",
)  # fmt: skip
COLUMNS = (
    Column("device", "device"),
    Column("name", "name", drop=6),
    Column("state", "state", style={"cordoned": "yellow", "draining": "yellow", "errors": "red", "failing": "red"}),
    Column("sessions", "sessions", show.number, right=True),
    Column("warm", "warm", show.number, right=True),
    Column("leased_bytes", "leased", show.size, drop=2, right=True),
    Column("used_bytes", "used", show.size, right=True),
    Column("total_bytes", "of", show.size, drop=1, right=True),
    Column("utilization", "busy", show.percent, drop=3, right=True),
    Column("temperature_c", "°C", lambda v: f"{v:.0f}" if v else "", drop=5, right=True),
    Column("power_w", "W", lambda v: f"{v:.0f}" if v else "", drop=7, right=True),
    Column("unowned_bytes", "nobody's", show.size, drop=4, right=True),
    Column("uuid", "uuid", drop=9),
    Column("reason", "why", drop=8),
)


def document(admin: Admin) -> Document:
    from cupool.v1 import admin_pb2

    reply = admin.call("ListDevices", admin_pb2.ListDevicesRequest())
    return {
        "schema": SCHEMA,
        "devices": sorted((show.plain(d, FIELDS) for d in reply.devices), key=lambda r: r["device"]),
    }


def state(row: Document) -> str:
    """In one word: "draining", "cordoned", "errors" (of its hardware), "failing" (its servers do not start), "ok"."""
    if row["draining"]:
        return "draining"
    if row["cordoned"]:
        return "cordoned"
    if any(e["is_hardware"] for e in row["errors"]) or row["ecc_uncorrected"]:
        return "errors"
    return "failing" if row["reason"] else "ok"


def render(doc: Document, width: int) -> list[RenderableType]:
    rows = [r | {"state": state(r)} for r in doc["devices"]]
    if not rows:
        return ["no devices"]
    parts: list[RenderableType] = [show.table(COLUMNS, rows, width)]
    for row in rows:
        parts += [
            f"{row['device']}: XID {e['xid']} {show.duration(e['age_s'])} ago: {show.clean(e['meaning'])}"
            for e in row["errors"]
        ]
        if row["throttle"]:
            parts.append(f"{row['device']}: its clocks are reduced: {show.clean(row['throttle'])}")
    return parts


@click.command()
@show.output_options
@with_pool
def gpus(admin: Admin, as_json: bool, watch_s: float | None) -> int:
    """List the devices: GPUs, and CPU devices."""
    return show.emit(lambda: document(admin), render, as_json, watch_s)


def resolve(admin: Admin, typed: tuple[str, ...]) -> list[str]:
    """The devices that the words mean: a device's id or prefix, or a node's, which is all of its devices."""
    rows = document(admin)["devices"]
    found: dict[str, None] = {}
    for word in typed:
        of_node = [r["device"] for r in rows if r["node"] == word]
        if not of_node and not any(r["device"].startswith(word) for r in rows):
            node_ids = sorted({r["node"] for r in rows})
            close = [n for n in node_ids if n.startswith(word)] if word else []
            of_node = [r["device"] for r in rows if len(close) == 1 and r["node"] == close[0]]
        for device in of_node or [ids.resolve(word, [r["device"] for r in rows], "device or node", "cupool gpus")]:
            found[device] = None
    return list(found)


_TARGETS = click.argument("device", nargs=-1, required=True, shell_complete=ids.completing(ids.devices, ids.nodes))


@click.command()
@_TARGETS
@click.option("--reason", required=True, help="shown to everybody who looks; written to the audit log")
@with_pool
def cordon(admin: Admin, device: tuple[str, ...], reason: str) -> int:
    """No new sessions on these devices, or on all of a node. Sessions that are there go on."""
    from cupool.v1 import admin_pb2

    for whole in resolve(admin, device):
        click.echo(admin.call("Cordon", admin_pb2.CordonRequest(device=whole, reason=reason)).device or whole)
    return Exit.OK


@click.command()
@_TARGETS
@with_pool
def uncordon(admin: Admin, device: tuple[str, ...]) -> int:
    """New sessions may come to these devices again. Ends a drain too."""
    from cupool.v1 import admin_pb2

    for whole in resolve(admin, device):
        click.echo(admin.call("Uncordon", admin_pb2.UncordonRequest(device=whole)).device or whole)
    return Exit.OK


@click.command()
@_TARGETS
@click.option("--reason", required=True, help="shown to everybody who looks; written to the audit log")
@click.option(
    "--deadline",
    metavar="TIME",
    default="0",
    help="sessions are never ended before it: 30m, 2h; without it they are waited for",
)
@click.option("--json", "as_json", is_flag=True, help="print JSON, with the version of its schema in it")
@with_pool
def drain(admin: Admin, device: tuple[str, ...], reason: str, deadline: str, as_json: bool) -> int:
    """Cordon these devices, or all of a node, and move their sessions away until none is left.

    A session that cannot be moved is waited for, and named with the reason. The pool goes on with it when this command is
    interrupted. `cupool uncordon` ends a drain.
    """
    from .. import setting_kinds

    try:
        deadline_s = setting_kinds.parse_duration(deadline)
    except ValueError as error:
        raise CliError(Exit.USAGE, f"--deadline: {error}", "For example --deadline 30m.") from None
    if deadline_s * 1000 >= 1 << 32:
        raise CliError(Exit.USAGE, f"--deadline {deadline} is too long.", "The longest is 49d.")
    whole = resolve(admin, device)
    try:
        outcome = _drain(admin, whole, reason, int(deadline_s * 1000))
    except KeyboardInterrupt:
        show.note(
            f"Interrupted. The pool goes on draining {', '.join(whole)}: `cupool gpus --watch` shows it, `cupool uncordon` ends it."
        )
        return Exit.INTERRUPTED
    return _report(outcome, as_json)


def _drain(admin: Admin, devices: list[str], reason: str, deadline_ms: int) -> dict[str, Document]:
    """Drain all at once; progress on standard error. What became of each device."""
    from cupool.v1 import admin_pb2

    news: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def follow(device: str) -> None:
        try:
            for progress in admin.stream(
                "Drain", admin_pb2.DrainRequest(device=device, reason=reason, deadline_ms=deadline_ms)
            ):
                news.put((device, progress))
            news.put((device, None))
        except CliError as error:
            news.put((device, error))

    outcome: dict[str, Document] = {
        d: {"device": d, "remaining_sessions": 0, "moved": [], "waiting": [], "done": False, "error": ""}
        for d in devices
    }
    for d in devices:
        threading.Thread(target=follow, args=(d,), name=f"drain {d}", daemon=True).start()
    told: set[str] = set()
    heard: set[str] = set()
    started, open_streams = time.monotonic(), len(devices)
    with show.Progress() as progress_line:
        while open_streams:
            device, said = news.get()
            row = outcome[device]
            if said is None or isinstance(said, CliError):
                open_streams -= 1
                if said is not None:
                    row["error"], row["code"] = said.what, said.code
            else:
                row.update(remaining_sessions=said.remaining_sessions, done=said.done)
                row["moved"] += list(said.moved)
                row["waiting"] = [show.plain(w, ("session", "reason")) for w in said.waiting]
                for waiting in row["waiting"]:
                    if (line := f"{waiting['session']} is waited for: {waiting['reason']}") not in told:
                        told.add(line)
                        show.note(line)
            heard.add(device)
            if len(heard) == len(devices):
                progress_line(_drain_line(outcome.values()), time.monotonic() - started)
    return outcome


def _drain_line(rows: Collection[Document]) -> str:
    """How far drains are. Of an ended one nothing is said here: that is in the report."""
    left = sum(r["remaining_sessions"] for r in rows)
    empty = sum(r["done"] and not r["remaining_sessions"] for r in rows)
    line = f"{empty} of {len(rows)} devices are empty, {left} sessions left"
    # A session that has moved is counted where it is now; its old server has yet to let go of its memory.
    return line if left or empty == len(rows) or any(r["error"] for r in rows) else f"{line}: their servers are ending"


def _report(outcome: dict[str, Document], as_json: bool) -> int:
    codes = {row.pop("code", None) for row in outcome.values()} - {None}
    failed = [row for row in outcome.values() if row["error"] or not row["done"] or row["remaining_sessions"]]
    if as_json:
        show.print_json({"schema": "cupool.drain/1", "devices": list(outcome.values())})
    for row in outcome.values():
        if row not in failed:
            if not as_json:
                click.echo(row["device"])
        elif row["error"]:
            show.note(f"{row['device']}: {row['error']}")
        else:
            show.note(f"{row['device']}: {row['remaining_sessions']} sessions are still there.")
    if not failed:
        return Exit.OK
    if len(codes) == 1 and len(failed) == len(outcome) and all(row["error"] for row in failed):
        return int(codes.pop() or Exit.FAILURE)
    return Exit.PARTLY
