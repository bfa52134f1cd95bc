"""The command `cupool`, also as `python -m cupool`. `run`, `version` and `dropin-path` need only the base install."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

USAGE = """\
usage: cupool <command> [arguments]
       python -m cupool script.py [arguments]

  run            run a script, module or code with `import cupy` being the shim; --stats tells what it cost
  version        versions of cupool, its protocol and its Python
  dropin-path    the folder that makes `import cupy` the shim when it is on PYTHONPATH
  doctor         find what is wrong, with evidence and cure

Commands of the `server` extra; each has --help:
  up, down       start a pool on this host, and end it
  status, top    the pool at a glance, and live
  ps, kill, session                    sessions; save one to a file, and bring it back
  gpus, nodes, servers                 devices, hosts, server processes
  cordon, uncordon, drain, move        keep sessions from devices, and move them away
  balance        how sessions are moved between devices by themselves, and why
  quota, token, certs                  tenants, credentials, certificates
  logs, config, bench                  what was written, settings, speed
  join           make this host one of a pool's
  completion     shell completion for bash, zsh, fish
  simulate       a whole pool on a virtual clock: policies under a load, faults by seed
"""


def version(arguments: list[str]) -> int:
    import json
    import platform
    from importlib import metadata

    from cupool import __version__
    from cupool.contract.versions import SUPPORTED

    if arguments in (["--help"], ["-h"]):
        print(
            "usage: cupool version [--json]\n\nPrint the versions of cupool, its protocol, Python and the libraries that it uses."
        )
        return 0
    if arguments not in ([], ["--json"]):
        print("cupool: version takes --json and nothing else.\n  try: cupool version", file=sys.stderr)
        return 2
    libraries = {name: metadata.version(name) for name in ("grpcio", "protobuf", "numpy")}
    found = {
        "version": __version__,
        "protocols": list(SUPPORTED),
        "python": platform.python_version(),
        "libraries": libraries,
    }
    if arguments:
        print(json.dumps({"schema": "cupool.version/1", **found}, indent=1))
        return 0
    print(f"cupool {__version__}, protocol {', '.join(map(str, SUPPORTED))}, Python {platform.python_version()}")
    for name, number in libraries.items():
        print(f"  {name} {number}")
    return 0


def dropin_path(arguments: list[str]) -> int:
    from cupool.shim.finder import DROPIN

    if arguments in (["--help"], ["-h"]):
        print(
            "usage: cupool dropin-path\n\nPrint the folder that makes `import cupy` the shim:\n"
            "  PYTHONPATH=$(cupool dropin-path):$PYTHONPATH python program.py"
        )
        return 0
    if arguments:
        print("cupool: dropin-path takes no arguments.\n  try: cupool dropin-path", file=sys.stderr)
        return 2
    print(DROPIN)
    return 0


def run(arguments: list[str]) -> int:
    from cupool import run as program

    return program.main(arguments)


def doctor(arguments: list[str]) -> int:
    """With click among the other commands; without it by itself."""
    if importlib.util.find_spec("click") is not None:
        return extra("doctor", arguments)
    return int(importlib.import_module("cupool.pool.doctor.command").main(arguments))


def simulate(arguments: list[str]) -> int:
    """The pool's own code, so it needs what the pool needs."""
    try:
        module = importlib.import_module("cupool.simulate")
    except ModuleNotFoundError as error:
        return _lacks_server("simulate", error)
    return int(module.main(arguments))


def usage(arguments: list[str]) -> int:
    print(USAGE, end="")
    return 0


#: Commands that the base install can run.
BASE = {
    "run": run,
    "version": version,
    "dropin-path": dropin_path,
    "doctor": doctor,
    "simulate": simulate,
    "help": usage,
    "-h": usage,
    "--help": usage,
    "--version": version,
}

#: Commands of the extra `server`, all in one command line that the pool's operators use.
OPERATOR = frozenset(
    (
        "up",
        "down",
        "status",
        "top",
        "ps",
        "gpus",
        "nodes",
        "servers",
        "cordon",
        "uncordon",
        "drain",
        "move",
        "kill",
        "session",
        "balance",
        "quota",
        "token",
        "certs",
        "logs",
        "config",
        "bench",
        "join",
        "completion",
    )
)


def extra(name: str, arguments: list[str]) -> int:
    try:
        module = importlib.import_module("cupool.pool.cli.app")
    except ModuleNotFoundError as error:
        return _lacks_server(name, error)
    return int(module.main([name, *arguments] if name else arguments) or 0)


def _lacks_server(name: str, error: ModuleNotFoundError) -> int:
    if (error.name or "").startswith("cupool"):
        raise error
    print(
        f"`cupool {name}` needs the extra `server`, which is not installed here (no module {error.name}). "
        "Install it: pip install 'cupool[server]'",
        file=sys.stderr,
    )
    return 2


def main() -> int:
    """Entry point of the console script."""
    arguments = sys.argv[1:]
    if "_CUPOOL_COMPLETE" in os.environ:
        return extra("", arguments)  # a shell asks for completions
    if not arguments:
        print(USAGE, end="", file=sys.stderr)
        return 2
    first, rest = arguments[0], arguments[1:]
    if first in BASE:
        return BASE[first](rest)
    if first in OPERATOR:
        return extra(first, rest)
    if first.startswith("-") or first.endswith((".py", ".pyz", ".zip")) or os.path.exists(first):
        return run(arguments)
    print(f"cupool: no command {first!r} and no such file.\n\n{USAGE}", end="", file=sys.stderr)
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
