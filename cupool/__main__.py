"""The command `cupool`, also as `python -m cupool`. `run`, `version` and `dropin-path` need only the base install."""

from __future__ import annotations

import importlib
import os
import sys

USAGE = """\
usage: cupool <command> [arguments]
       python -m cupool script.py [arguments]

  run            run a script, module or code with `import cupy` being the shim; --stats tells what it cost
  version        versions of cupool, its protocol and its Python
  dropin-path    the folder that makes `import cupy` the shim when it is on PYTHONPATH

Commands of the `server` extra:
  pool           start a pool on this machine
"""


def version(arguments: list[str]) -> int:
    import platform
    from importlib import metadata

    from cupool import __version__
    from cupool.contract.versions import SUPPORTED

    print(f"cupool {__version__}, protocol {', '.join(map(str, SUPPORTED))}, Python {platform.python_version()}")
    for name in ("grpcio", "protobuf", "numpy"):
        print(f"  {name} {metadata.version(name)}")
    return 0


def dropin_path(arguments: list[str]) -> int:
    from cupool.shim.finder import DROPIN

    print(DROPIN)
    return 0


def run(arguments: list[str]) -> int:
    from cupool import run as program

    return program.main(arguments)


def usage(arguments: list[str]) -> int:
    print(USAGE, end="")
    return 0


#: Commands that the base install can run.
BASE = {
    "run": run,
    "version": version,
    "dropin-path": dropin_path,
    "help": usage,
    "-h": usage,
    "--help": usage,
    "--version": version,
}

#: Commands of an extra: name -> module of the command line whose `main(arguments)` runs it.
EXTRA = {"pool": "cupool.pool.cli.pool"}


def extra(name: str, arguments: list[str]) -> int:
    try:
        module = importlib.import_module(EXTRA[name])
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("cupool"):
            raise
        print(
            f"`cupool {name}` needs the extra `server`, which is not installed here (no module {error.name}). "
            "Install it: pip install 'cupool[server]'",
            file=sys.stderr,
        )
        return 2
    return int(module.main(arguments) or 0)


def main() -> int:
    """Entry point of the console script."""
    arguments = sys.argv[1:]
    if not arguments:
        print(USAGE, end="", file=sys.stderr)
        return 2
    first, rest = arguments[0], arguments[1:]
    if first in BASE:
        return BASE[first](rest)
    if first in EXTRA:
        return extra(first, rest)
    if first.startswith("-") or first.endswith((".py", ".pyz", ".zip")) or os.path.exists(first):
        return run(arguments)
    print(f"cupool: no command {first!r} and no such file.\n\n{USAGE}", end="", file=sys.stderr)
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
