"""`python -m cupool.controller`: a pool's controller, with the balancer's machine of moves. Options as of `cupool.pool.controller_main`."""

from __future__ import annotations

import sys

from cupool.balancer.migration import react
from cupool.pool import controller_main


def main(arguments: list[str] | None = None) -> int:
    """Run it until it is told to end. Returns its exit status."""
    return controller_main.main(arguments, machine=react)


if __name__ == "__main__":
    sys.exit(main())
