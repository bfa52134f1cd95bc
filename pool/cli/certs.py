"""`cupool certs`: the pool's own authority, and certificates of it for the pool, its hosts and its tenants."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import show
from .exits import CliError, Exit
from .link import pool_folder
from .show import Column, Document

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA = "cupool.certs/1"
COLUMNS = (
    Column("file", "file"),
    Column("subject", "of"),
    Column("names", "names", ", ".join, drop=2),
    Column("is_authority", "authority", lambda v: "yes" if v else "", drop=3),
    Column("expires", "expires", show.moment),
    Column("state", "state", style={"expired": "red", "due": "yellow"}),
)

_DIR = click.option(
    "--folder", "--dir", "place_of", metavar="DIR", default="", help="where they are; `certs` in the pool's folder"
)
_NAME = click.option("--name", default="", help="of the files; else of what it is for")
_DAYS = click.option("--days", type=click.IntRange(1, 36500), default=365, help="how long it is valid; 365")


def _folder(given: str) -> Path:
    return Path(given).expanduser() if given else pool_folder("") / "certs"


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    from ..security.certs import CertsError

    try:
        yield
    except (CertsError, ValueError) as error:
        what, _, cure = str(error).partition(". ")
        raise CliError(Exit.FAILURE, f"{what.rstrip('.')}.", cure) from None


def _made(issued: object) -> int:
    for name in ("cert", "key"):
        click.echo(getattr(issued, name))
    return Exit.OK


@click.group()
def certs() -> None:
    """The pool's own authority and its certificates, for TLS. Whoever has its ca.key can pose as the pool."""


@certs.command()
@_DIR
@click.option("--pool", default="cupool", help="the pool's name in the certificate")
def init(place_of: str, pool: str) -> int:
    """Make the authority: ca.key, ca.pem, and trust.pem, which programs get as CUPOOL_CA."""
    from ..security import certs as authority

    with _errors():
        return _made(authority.init(_folder(place_of), pool))


@certs.group()
def issue() -> None:
    """Make a certificate. One of the same name is replaced; a running pool takes it without a restart."""


@issue.command()
@click.option(
    "--host", "hosts", multiple=True, required=True, help="a name or address that programs use; may be given again"
)
@_NAME
@_DAYS
@_DIR
def server(hosts: tuple[str, ...], name: str, days: int, place_of: str) -> int:
    """For the pool's doors: security.tls_cert and security.tls_key."""
    from ..security import certs as authority

    with _errors():
        return _made(authority.issue_server(_folder(place_of), hosts, name or "server", days))


@issue.command("node")
@click.argument("node")
@_NAME
@_DAYS
@_DIR
def issue_node(node: str, name: str, days: int, place_of: str) -> int:
    """For a host of the pool, by its node's name: security.node_cert and security.node_key there."""
    from ..security import certs as authority

    with _errors():
        return _made(authority.issue_node(_folder(place_of), node, name, days))


@issue.command("client")
@click.argument("tenant")
@_NAME
@_DAYS
@_DIR
def issue_client(tenant: str, name: str, days: int, place_of: str) -> int:
    """For a tenant's programs, where the pool asks for them: CUPOOL_CERT and CUPOOL_KEY.

    It asks a tenant with `cupool quota set TENANT --require-cert`, everybody with security.tls_client_auth."""
    from ..security import certs as authority

    with _errors():
        return _made(authority.issue_client(_folder(place_of), tenant, name, days))


@certs.command()
@click.option("--finish", is_flag=True, help="trust the new authority alone, when every certificate is of it")
@click.option("--pool", default="cupool", help="the pool's name in the certificate")
@_DIR
def rotate(finish: bool, pool: str, place_of: str) -> int:
    """Make a new authority; the old one is trusted until --finish. Between the two: issue anew, and hand out trust.pem."""
    from ..security import certs as authority

    with _errors():
        if finish:
            authority.finish_rotation(_folder(place_of))
            return Exit.OK
        return _made(authority.rotate(_folder(place_of), pool))


def document(folder: Path) -> Document:
    from ..security import certs as authority

    rows = []
    for file in sorted(folder.glob("*.pem")):
        seen = authority.inspect(file)
        state = "expired" if seen.left_s < 0 else "due" if seen.is_due else "valid"
        rows.append(
            {
                "file": str(file),
                "subject": seen.subject,
                "names": list(seen.names),
                "is_authority": seen.is_authority,
                "expires": seen.expires,
                "state": state,
            }
        )
    return {"schema": SCHEMA, "certificates": rows}


def render(doc: Document, width: int) -> list[RenderableType]:
    return [show.table(COLUMNS, doc["certificates"], width)] if doc["certificates"] else ["no certificates"]


@certs.command("list")
@_DIR
@show.output_options
def list_certs(place_of: str, as_json: bool, watch_s: float | None) -> int:
    """List the certificates, and when each ends."""
    with _errors():
        return show.emit(lambda: document(_folder(place_of)), render, as_json, watch_s)
