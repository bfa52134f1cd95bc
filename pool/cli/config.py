"""`cupool config`: what the settings are and where each comes from, whether a file is right, and what there is to set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .. import settings
from . import show
from .exits import CliError, Exit
from .show import Column, Document

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA = "cupool.config/1"
COLUMNS = (Column("key", "key"), Column("value", "value"), Column("origin", "from", drop=1))


@click.group()
def config() -> None:
    """The settings of `cupool up`: cupool.toml, the environment, flags."""


def document(found: settings.Settings) -> Document:
    rows = [
        {"key": name, "value": list(value) if isinstance(value, tuple) else value, "origin": found.origins[name]}
        for name, value in found.values.items()
    ]
    return {"schema": SCHEMA, "file": str(found.file) if found.file else "", "settings": rows}


def render(doc: Document, width: int) -> list[RenderableType]:
    rows = [r | {"value": settings.KEYS[r["key"]].kind.show(r["value"])} for r in doc["settings"]]
    return [show.table(COLUMNS, rows, width)]


@config.command("show")
@click.option(
    "--config", "file", metavar="FILE", default="", help="cupool.toml; else CUPOOL_CONFIG, else the usual places"
)
@click.option("--json", "as_json", is_flag=True, help="print JSON, with the version of its schema in it")
def show_config(file: str, as_json: bool) -> int:
    """Show every setting as `cupool up` would have it, and where it comes from."""
    return show.emit(lambda: document(settings.load(file)), render, as_json, None)


@config.command()
@click.argument("file", default="")
def check(file: str) -> int:
    """Check a config file, or the one that `cupool up` would read, and the environment."""
    found = settings.load(file)
    if found.file is None:
        raise CliError(
            Exit.NOT_FOUND,
            "There is no config file in the usual places, and CUPOOL_CONFIG is not set.",
            "Name one: cupool config check FILE.",
        )
    click.echo(f"{found.file}: right")
    return Exit.OK


@config.command()
def reference() -> int:
    """Print a cupool.toml with every key, its default and what is allowed."""
    click.echo(settings.reference(), nl=False)
    return Exit.OK
