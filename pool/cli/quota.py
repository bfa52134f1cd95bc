"""`cupool quota`: tenants, what they may have, and what they have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from . import ids, show
from .exits import CliError, Exit
from .link import Admin, with_pool
from .show import Column, Document

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA = "cupool.quota/1"
FIELDS = ("tenant", "sessions", "memory_bytes", "used_bytes", "kernel_s", "queued", "leases_given", "leases_refused")
QUOTA_FIELDS = (
    "sessions", "memory_bytes", "kernel_s", "opens_per_s", "queue_places", "lifetime_s", "park_grace_ms", "weight", "allow_offload",
    "require_cert",
)  # fmt: skip
COLUMNS = (
    Column("tenant", "tenant"),
    Column("sessions_of", "sessions", right=True),
    Column("memory_of", "memory", right=True),
    Column("kernel_of", "kernel", drop=1, right=True),
    Column("queue_of", "queue", drop=2, right=True),
    Column("opens", "opens/s", drop=4, right=True),
    Column("weight", "weight", lambda v: f"{v:g}", drop=5, right=True),
    Column("lifetime", "lifetime", drop=6, right=True),
    Column("offload", "offload", drop=7),
    Column("cert", "certificate", drop=6),
    Column("leases_given", "leases", show.number, drop=8, right=True),
    Column("leases_refused", "refused", show.number, drop=3, right=True),
)
QUEUE_COLUMNS = (
    Column("tenant", "waiting tenant"),
    Column("queued", "queued", show.number, right=True),
    Column("sessions", "sessions", show.number, right=True),
    Column("leases_refused", "refused", show.number, right=True),
)


def document(admin: Admin) -> Document:
    from cupool.v1 import admin_pb2

    reply = admin.call("ListTenants", admin_pb2.ListTenantsRequest())
    return {"schema": SCHEMA, "tenants": sorted((_row(t) for t in reply.tenants), key=lambda r: r["tenant"])}


def _row(tenant: Any) -> Document:
    return show.plain(tenant, FIELDS) | {"quota": show.plain(tenant.quota, QUOTA_FIELDS)}


def _cells(row: Document) -> Document:
    quota = row["quota"]

    def of(used: str, limit: str) -> str:
        return f"{used or '0'} of {limit}" if limit else used or "0"

    return row | {
        "sessions_of": of(f"{row['sessions']:,}", f"{quota['sessions']:,}" if quota["sessions"] else ""),
        "memory_of": of(show.size(row["memory_bytes"]), show.size(quota["memory_bytes"])),
        "kernel_of": of(show.duration(row["kernel_s"]), show.duration(quota["kernel_s"]) if quota["kernel_s"] else ""),
        "queue_of": f"{row['queued']:,} of {quota['queue_places']:,}",
        "opens": f"{quota['opens_per_s']:g}" if quota["opens_per_s"] else "",
        "weight": quota["weight"] or 1,
        "lifetime": show.duration(quota["lifetime_s"]) if quota["lifetime_s"] else "",
        "offload": "yes" if quota["allow_offload"] else "",
        "cert": "yes" if quota["require_cert"] else "",
    }


def render(doc: Document, width: int) -> list[RenderableType]:
    rows = [_cells(r) for r in doc["tenants"]]
    return [show.table(COLUMNS, rows, width)] if rows else ["no tenants"]


@click.group()
def quota() -> None:
    """What tenants may have, and what they have."""


@quota.command("show")
@click.argument("tenant", default="", shell_complete=ids.completing(ids.tenants))
@show.output_options
@with_pool
def show_quota(admin: Admin, tenant: str, as_json: bool, watch_s: float | None) -> int:
    """Show one tenant, or all: what each has of what it may have."""

    def fetch() -> Document:
        doc = document(admin)
        if tenant:
            whole = ids.resolve(tenant, [r["tenant"] for r in doc["tenants"]], "tenant", "cupool quota show")
            doc["tenants"] = [r for r in doc["tenants"] if r["tenant"] == whole]
        return doc

    return show.emit(fetch, render, as_json, watch_s)


class Measure(click.ParamType):  # type: ignore[type-arg]
    """A size or a duration, as people write them; "none" is no limit."""

    def __init__(self, name: str, factor: int = 1) -> None:
        self.name = name
        self._factor = factor

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from cupool.contract.sizes import parse_size

        from .. import setting_kinds

        if not isinstance(value, str):
            return value
        if value.lower() == "none":
            return 0
        try:
            return parse_size(value) if self.name == "size" else setting_kinds.parse_duration(value) * self._factor
        except ValueError as error:
            self.fail(str(error), param, ctx)


@quota.command("set")
@click.argument("tenant", shell_complete=ids.completing(ids.tenants))
@click.option("--sessions", type=click.IntRange(0, 1 << 40), help="at once; 0: no limit")
@click.option(
    "--memory", "memory_bytes", type=Measure("size"), help="device memory of all its sessions: 4GiB; none: no limit"
)
@click.option(
    "--kernel", "kernel_s", type=Measure("duration"), help="kernel time over all its sessions: 2h; none: no limit"
)
@click.option("--opens-per-s", type=click.FloatRange(0, 1e6), help="leases a second; 0: no limit")
@click.option("--queue-places", type=click.IntRange(0, 1 << 20), help="requests that may wait; 0: it never waits")
@click.option("--weight", type=click.FloatRange(0.001, 1000), help="share of the queue; 1")
@click.option("--lifetime", "lifetime_s", type=Measure("duration"), help="of one session: 1h; none: no limit")
@click.option(
    "--park-grace",
    "park_grace_ms",
    type=Measure("duration", 1000),
    help="how long a session without a client is kept: 5m",
)
@click.option("--offload/--no-offload", "allow_offload", default=None, help="it may send functions with cupool.offload")
@click.option(
    "--require-cert/--no-require-cert",
    default=None,
    help="its programs show a client certificate of the tenant (cupool certs issue client): a token alone opens nothing",
)
@click.option("--json", "as_json", is_flag=True, help="print JSON, with the version of its schema in it")
@with_pool
def set_quota(admin: Admin, tenant: str, as_json: bool, **values: Any) -> int:
    """Set what a tenant may have; what is not named stays. A tenant that is not there yet is made."""
    from cupool.v1 import admin_pb2

    given = {n: v for n, v in values.items() if v is not None}
    if not given:
        raise CliError(Exit.USAGE, "Nothing to set.", "Name a limit: `cupool quota set --help` lists them.")
    if not tenant or not tenant.isprintable():
        raise CliError(Exit.USAGE, "A tenant has a name.", "For example: cupool quota set images --sessions 8.")
    for name in ("lifetime_s", "park_grace_ms"):
        if name in given:
            given[name] = round(given[name])
            if given[name] >= 1 << 32:
                raise CliError(Exit.USAGE, f"{name} is too long.", "Use none for no limit.")
    reply = admin.call("SetQuota", admin_pb2.SetQuotaRequest(tenant=tenant, fields=sorted(given), **given))
    doc = {"schema": SCHEMA, "tenants": [_row(reply.tenant)]}
    if as_json:
        show.print_json(doc)
    else:
        show.print_renderables(render(doc, show.width()))
    return Exit.OK
