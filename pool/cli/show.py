"""What commands print: tables that shrink to the terminal, JSON with a versioned schema, both once or again and again.

Data goes to standard output, progress and notes to standard error. What comes from clients (names, reasons) may hold control characters:
they are shown, never sent to the terminal. NO_COLOR is obeyed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from .exits import CliError, Exit

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

Document = dict[str, Any]


# ---- values


def clean(value: object) -> str:
    """Text for a terminal: control characters as their escapes."""
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def size(value: Any) -> str:
    """ "1.5 GiB"; empty for 0."""
    number = float(value)
    if not number:
        return ""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            break
        number /= 1024
    else:
        unit = "TiB"
    return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"


def duration(value: Any) -> str:
    """ "3.2 s", "5 min", "2 h", "4 d"."""
    seconds = float(value)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def percent(value: Any) -> str:
    return f"{100 * float(value):.0f}%"


def moment(value: Any) -> str:
    """A time since 1970 as local time; empty for 0."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(float(value))) if value else ""


def number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def plain(message: Any, fields: Sequence[str]) -> Document:
    """Fields of a protobuf message as JSON has them: whole numbers as numbers, enums as lower-case words, nested messages whole."""
    return {name: _plain(message, message.DESCRIPTOR.fields_by_name[name]) for name in fields}


def _plain(message: Any, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED:
        return [_scalar(v, field) for v in value]
    return _scalar(value, field)


def _scalar(value: Any, field: Any) -> Any:
    if field.message_type is not None:
        return plain(value, [f.name for f in field.message_type.fields])
    if field.enum_type is not None:
        names = field.enum_type.values_by_number
        prefix = field.enum_type.values[0].name.removesuffix("UNSPECIFIED")
        return names[value].name.removeprefix(prefix).lower() if value in names else str(value)
    if isinstance(value, float):
        return round(value, 6)
    return value


# ---- tables


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        field: of a row.
        title: its heading.
        show: the value -> text.
        drop: columns of the highest are left out first where the terminal is narrow; 0: never.
        style: a rich style by the text of the cell.
    """

    field: str
    title: str
    show: Callable[[Any], str] = str
    drop: int = 0
    right: bool = False
    style: Mapping[str, str] | None = None


def fit(columns: Sequence[Column], cells: Mapping[str, Sequence[str]], width: int) -> list[Column]:
    """The columns that fit into `width`, dropping those of the highest `drop`; those of 0 stay, whatever the width."""
    widths = {c.field: max([len(c.title), *map(len, cells[c.field])]) for c in columns}
    kept = list(columns)
    while sum(widths[c.field] + 2 for c in kept) - 2 > width and any(c.drop for c in kept):
        kept.remove(max(kept, key=lambda c: c.drop))
    return kept


def table(columns: Sequence[Column], rows: Sequence[Document], width: int, title: str = "") -> Table:
    """Rows as a table of at most `width` characters. A column without any value is left out where it may be dropped."""
    from rich.table import Table
    from rich.text import Text

    cells = {c.field: [clean(c.show(row[c.field])) for row in rows] for c in columns}
    kept = fit([c for c in columns if not c.drop or any(cells[c.field])], cells, width)
    result = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), title=title or None, title_justify="left", header_style="bold"
    )
    for c in kept:
        result.add_column(c.title, no_wrap=True, overflow="ellipsis", justify="right" if c.right else "left")
    for index in range(len(rows)):
        result.add_row(*(Text(cells[c.field][index], (c.style or {}).get(cells[c.field][index], "")) for c in kept))
    return result


# ---- printing


def width() -> int:
    """Characters of a line: of the terminal, or COLUMNS; where neither is known, as many as needed."""
    if os.environ.get("COLUMNS", "").isdigit() or sys.stdout.isatty():
        return shutil.get_terminal_size().columns
    return 1000


def console(stderr: bool = False) -> Console:
    from rich.console import Console

    out = sys.stderr if stderr else sys.stdout
    has_colour = out.isatty() and not os.environ.get("NO_COLOR")
    return Console(
        file=out, width=None if out.isatty() else width(), color_system="auto" if has_colour else None,
        highlight=False, markup=False, emoji=False, force_jupyter=False,
    )  # fmt: skip


def print_renderables(parts: Iterable[RenderableType]) -> None:
    screen = console()
    with screen.capture() as captured:
        for part in parts:
            screen.print(part)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def print_json(document: Document, is_compact: bool = False) -> None:
    click.echo(json.dumps(document, ensure_ascii=False, indent=None if is_compact else 1))


def note(text: str) -> None:
    """A line for people, beside the data."""
    click.echo(clean(text), err=True)


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--json and --watch, of every command that reads."""
    command = click.option("--json", "as_json", is_flag=True, help="print JSON, with the version of its schema in it")(
        command
    )
    return click.option(
        "--watch", "-w", "watch_s", is_flag=False, flag_value=2.0, type=click.FloatRange(0.1, 3600), default=None, metavar="[SECONDS]",
        help="print it again and again, every 2 s or so many; with --json one document a line",
    )(command)  # fmt: skip


def emit(
    fetch: Callable[[], Document],
    render: Callable[[Document, int], list[RenderableType]],
    as_json: bool,
    watch_s: float | None,
) -> int:
    """Print what `fetch` gives, once or until interrupted. Returns the exit code."""
    document = fetch()
    if watch_s is None:
        if as_json:
            print_json(document)
        else:
            print_renderables(render(document, width()))
        return Exit.OK
    try:
        if as_json:
            _watch_json(document, fetch, watch_s)
        elif sys.stdout.isatty():
            _watch_screen(document, fetch, render, watch_s)
        else:
            _watch_text(document, fetch, render, watch_s)
    except KeyboardInterrupt:
        pass  # the way to end it
    return Exit.OK


def _again(fetch: Callable[[], Document], document: Document, watch_s: float) -> Document:
    """The next document. A pool that does not answer now may do so again soon: its last word stays, and a note says why."""
    time.sleep(watch_s)
    try:
        return fetch()
    except CliError as error:
        if error.code not in (Exit.UNREACHABLE, Exit.TIMED_OUT):
            raise
        note(f"cupool: {error.what}")
        return document


def _watch_json(document: Document, fetch: Callable[[], Document], watch_s: float) -> None:
    while True:
        print_json(document, is_compact=True)
        document = _again(fetch, document, watch_s)


def _watch_text(
    document: Document,
    fetch: Callable[[], Document],
    render: Callable[[Document, int], list[RenderableType]],
    watch_s: float,
) -> None:
    while True:
        click.echo(time.strftime("%H:%M:%S"))
        print_renderables(render(document, width()))
        document = _again(fetch, document, watch_s)


def _watch_screen(
    document: Document,
    fetch: Callable[[], Document],
    render: Callable[[Document, int], list[RenderableType]],
    watch_s: float,
) -> None:
    from rich.console import Group
    from rich.live import Live

    screen = console()
    with Live(console=screen, auto_refresh=False, screen=True) as live:
        while True:
            live.update(Group(*render(document, screen.width)), refresh=True)
            document = _again(fetch, document, watch_s)


class Progress:
    """A line on standard error that says how far something is: redrawn on a terminal, else a line whenever it changes."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._last = ""
        self._status: Any = None

    def __enter__(self) -> Progress:
        if self._is_terminal:
            self._status = console(stderr=True).status("")
            self._status.start()
        return self

    def __call__(self, text: str, elapsed_s: float) -> None:
        if self._is_terminal:
            self._status.update(f"{clean(text)}  {duration(elapsed_s)}")
        elif text != self._last:
            note(text)
        self._last = text

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()
