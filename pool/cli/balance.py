"""`cupool balance`: which policy moves sessions between devices, what it decided last, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cupool.contract import balance as policies

from . import ids, show
from .exits import Exit
from .link import Admin, with_pool
from .show import Column, Document

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA = "cupool.balance/1"
EXPLAIN_SCHEMA = "cupool.balance.explain/1"
FIELDS = ("policy", "dry_run", "is_running", "balancer", "seen_s", "snapshots", "moves_decided", "moves_failed")
DECISION_FIELDS = ("at_s", "policy", "dry_run", "moves", "reasons", "took_ms", "failed")
COLUMNS = (
    Column("ago", "before the last", drop=2, right=True),
    Column("session", "session"),
    Column("what", "what", style={"would move": "yellow"}),
    Column("source", "from"),
    Column("destination", "to"),
    Column("gain_s", "saves", lambda v: f"{v:.2f} s" if v else "", drop=1, right=True),
    Column("cost_s", "costs", lambda v: f"{v:.2f} s" if v else "", drop=1, right=True),
    Column("reason", "why", drop=3),
)


def _ask(admin: Admin, last: int) -> Any:
    from cupool.v1 import admin_pb2

    return admin.call("GetBalance", admin_pb2.GetBalanceRequest(last=last))


# ---- status


def document(admin: Admin) -> Document:
    return {"schema": SCHEMA, "balance": show.plain(_ask(admin, 1), FIELDS)}


def render(doc: Document, width: int) -> list[RenderableType]:
    told = doc["balance"]
    what = policies.POLICIES.get(told["policy"], "A policy of a newer cupool.")
    lines: list[RenderableType] = [f"{'policy':<10}{show.clean(told['policy'])}: {what}"]
    if told["dry_run"]:
        lines.append(f"{'dry run':<10}it decides and tells, and moves nothing")
    if told["is_running"]:
        lines.append(f"{'balancer':<10}{show.clean(told['balancer'])}, asked {show.duration(told['seen_s'])} ago")
    elif told["balancer"]:
        lines.append(f"{'balancer':<10}none: the last one asked {show.duration(told['seen_s'])} ago")
    else:
        lines.append(f"{'balancer':<10}none runs: a pool that was started with --balance none has none")
    lines.append(f"{'moves':<10}{told['moves_decided']:,} decided, {told['moves_failed']:,} of them failed")
    return lines


@click.group()
def balance() -> None:
    """How running sessions are moved between devices, and why."""


@balance.command()
@show.output_options
@with_pool
def status(admin: Admin, as_json: bool, watch_s: float | None) -> int:
    """Show the policy, and whether a balancer runs."""
    return show.emit(lambda: document(admin), render, as_json, watch_s)


# ---- explain


def explanation(admin: Admin, session: str, last: int) -> Document:
    """The last decisions; with `session`, of those what concerns it."""
    reply = _ask(admin, last)
    decisions = [show.plain(d, DECISION_FIELDS) for d in reply.decisions]
    doc: Document = {
        "schema": EXPLAIN_SCHEMA,
        "policy": reply.policy,
        "dry_run": reply.dry_run,
        "is_running": reply.is_running,
    }
    if session:
        whole = ids.resolve(session, ids.sessions(admin), "session", "cupool ps")
        for decision in decisions:
            decision["moves"] = [m for m in decision["moves"] if m["session"] == whole]
            decision["failed"] = [f for f in decision["failed"] if f["session"] == whole]
        said = next((s.reason for d in reversed(reply.decisions) for s in d.sessions if s.session == whole), "")
        doc |= {"session": whole, "why": said}
        decisions = [d for d in decisions if d["moves"] or d["failed"]]
    return doc | {"decisions": decisions}


def render_explanation(doc: Document, width: int) -> list[RenderableType]:
    lines: list[RenderableType] = []
    decisions = doc["decisions"]
    if "session" in doc:
        unknown = "Nothing is known: no balancer has told of it. It tells of the busiest sessions only."
        lines.append(f"{doc['session']}: {show.clean(doc['why']) or unknown}")
    elif decisions:
        last = decisions[-1]
        dry = ", dry run" if last["dry_run"] else ""
        lines.append(f"{show.clean(last['policy'])}{dry}, decided in {last['took_ms']:.1f} ms")
        what = "not more" if last["moves"] else "no move"
        lines += [f"{what}, because {show.clean(r)}" for r in last["reasons"][:10]]
    else:
        lines.append("No decision has been told yet.")
    latest = max((d["at_s"] for d in decisions), default=0.0)
    rows = [
        m | {"ago": show.duration(latest - d["at_s"]), "what": "would move" if d["dry_run"] else "moved"}
        for d in reversed(decisions)
        for m in d["moves"]
    ]
    if rows:
        lines.append(show.table(COLUMNS, rows, width))
    lines += [f"failed: {f['session']}: {show.clean(f['reason'])}" for d in decisions for f in d["failed"]]
    return lines


@balance.command()
@click.argument("session", default="", shell_complete=ids.completing(ids.sessions))
@click.option("--last", type=click.IntRange(1, 100), default=20, help="so many decisions; 20")
@show.output_options
@with_pool
def explain(admin: Admin, session: str, last: int, as_json: bool, watch_s: float | None) -> int:
    """Show the last decisions with their reasons, what each saves and costs; or why one session is moved or not."""
    return show.emit(lambda: explanation(admin, session, last), render_explanation, as_json, watch_s)


# ---- choosing


def _choose(admin: Admin, as_json: bool, **fields: Any) -> int:
    from cupool.v1 import admin_pb2

    admin.call("SetBalance", admin_pb2.SetBalanceRequest(**fields))
    doc = document(admin)
    if as_json:
        show.print_json(doc)
    else:
        show.print_renderables(render(doc, show.width()))
    if not doc["balance"]["is_running"] and doc["balance"]["policy"] != "none":
        show.note("No balancer acts now, so nothing is moved until one does: `cupool logs` says what became of it.")
    return Exit.OK


@balance.command("set")
@click.argument("policy", type=click.Choice(list(policies.POLICIES)))
@click.option("--dry-run/--no-dry-run", "dry_run", default=None, help="decide and tell, and move nothing")
@click.option("--json", "as_json", is_flag=True, help="print JSON, with the version of its schema in it")
@with_pool
def set_policy(admin: Admin, policy: str, dry_run: bool | None, as_json: bool) -> int:
    """Choose the policy. It holds until another is chosen, or the pool is started with other settings."""
    return _choose(admin, as_json, policy=policy, **({} if dry_run is None else {"dry_run": dry_run}))


@balance.command("dry-run")
@click.argument("state", type=click.Choice(["on", "off"]))
@click.option("--json", "as_json", is_flag=True, help="print JSON, with the version of its schema in it")
@with_pool
def dry_run(admin: Admin, state: str, as_json: bool) -> int:
    """Decide and tell, and move nothing; or move again."""
    return _choose(admin, as_json, dry_run=state == "on")
