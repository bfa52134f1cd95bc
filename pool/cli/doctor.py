"""`cupool doctor`: find what is wrong. What it looks at is in `cupool.pool.doctor`, which also runs without click."""

from __future__ import annotations

from pathlib import Path

import click

from ..doctor import client, command, host

_CHECKS = [name for name, _ in client.checks() + host.checks()]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="print JSON, with the version of its schema in it")
@click.option(
    "--host/--no-host",
    "is_host",
    default=None,
    help="look at this machine as a pool's host too",
)
@click.option(
    "--bundle",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="write a support archive (tar.gz) without secrets",
)
@click.option("--strict", is_flag=True, help="warnings fail too")
@click.option(
    "--only", multiple=True, type=click.Choice(_CHECKS), metavar="CHECK", help="only this check; may be given again"
)
@click.option("--folder", metavar="DIR", default="", help="folder of the pool of this host  [CUPOOL_POOL_FOLDER]")
def doctor(
    as_json: bool, is_host: bool | None, bundle: Path | None, strict: bool, only: tuple[str, ...], folder: str
) -> int:
    """Find what is wrong, with evidence and cure.

    It looks at this Python, the pool at CUPOOL_ADDR, and, on a pool's host, at devices, limits and the pool.

    Exit code 0: nothing is broken; else that of the first check that failed.
    """
    return command.run(as_json, is_host, bundle, strict, only, folder)
