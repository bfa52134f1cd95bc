"""`cupool doctor` with nothing but the base install. `cupool.pool.cli.doctor` gives it its place among the other commands."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from . import Verdict, as_json, bundle, client, document, examine, exit_code, host, line


def run(
    as_json_wanted: bool,
    is_host: bool | None,
    archive: Path | None,
    is_strict: bool,
    only: Iterable[str] = (),
    folder: str = "",
) -> int:
    """Examine, print, and return the exit code.

    Args:
        is_host: whether to look at this machine as a pool's host too; None: where it looks like one.
        archive: where to write the support archive; None: none is wanted.
        only: names of checks; empty: all.
        folder: of the pool of this host; empty: the usual one.
    """
    checks = client.checks()
    if (host.is_host(folder) or bool(folder)) if is_host is None else is_host:
        checks += host.checks(folder)
    wanted = set(only)
    seen: list[Verdict] = []
    for verdict in examine((n, c) for n, c in checks if not wanted or n in wanted):
        seen.append(verdict)
        if not as_json_wanted:
            print("".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in line(verdict)), flush=True)
    if as_json_wanted:
        print(as_json(document(seen)))
    if archive is not None:
        names = bundle.write(archive, seen, folder)
        print(f"{archive}: {len(names)} files, without secrets. Look at it before you give it away.", file=sys.stderr)
    return exit_code(seen, is_strict)


def main(arguments: list[str]) -> int:
    """The command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="cupool doctor", description="Find what is wrong, with evidence and cure.")
    parser.add_argument("--json", action="store_true", help="print JSON, with the version of its schema in it")
    parser.add_argument(
        "--host", action=argparse.BooleanOptionalAction, default=None, help="look at this machine as a pool's host too"
    )
    parser.add_argument("--bundle", type=Path, metavar="FILE", help="write a support archive (tar.gz) without secrets")
    parser.add_argument("--strict", action="store_true", help="warnings fail too")
    parser.add_argument(
        "--only", action="append", default=[], metavar="CHECK", help="only this check; may be given again"
    )
    parser.add_argument(
        "--folder", default="", metavar="DIR", help="folder of the pool of this host  [CUPOOL_POOL_FOLDER]"
    )
    options = parser.parse_args(arguments)
    known = {n for n, _ in client.checks() + host.checks()}
    if unknown := sorted(set(options.only) - known):
        print(f"cupool: There is no check {unknown[0]!r}.\n  try: one of {', '.join(sorted(known))}.", file=sys.stderr)
        return 2
    try:
        return run(options.json, options.host, options.bundle, options.strict, options.only, options.folder)
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain at exit when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"cupool: {error.filename}: {error.strerror}.\n  try: Name another file with --bundle.", file=sys.stderr)
        return 1
