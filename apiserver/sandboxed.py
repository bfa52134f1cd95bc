"""`python -m cupool.apiserver.sandboxed`: the server, confined before it imports what starts threads. Arguments as `cupool.apiserver`."""

from __future__ import annotations

import os
import sys

from cupool.contract.redaction import SECRET_VARIABLES

from .config import parse
from .confine import confine


def main() -> int:
    config = parse()
    if secret := [name for name in os.environ if name in SECRET_VARIABLES]:
        # The environment that a program was started with stays in its memory: begin again without them.
        clean = {name: value for name, value in os.environ.items() if name not in secret}
        os.execve(sys.executable, sys.orig_argv, clean)
    if config.sandbox != "off":
        try:
            confine(config)
        except OSError as error:
            print(f"cupool.apiserver: cannot start: {error}", file=sys.stderr)
            return 1
    from . import __main__ as server

    result = server.main(config)
    server.finish()
    return result


if __name__ == "__main__":
    code = main()
    # As `__main__` ends: nothing of its threads is worth waiting for.
    os._exit(code)
