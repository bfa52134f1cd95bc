"""`python -m cupool.embedded`: the pool of one program, in one process, that can move sessions. Options as of `python -m cupool.pool`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cupool.pool import __main__ as pool

if TYPE_CHECKING:
    from cupool.contract.moves import Machine


def _machine() -> Machine:
    """Imported while the first servers start."""
    from cupool.balancer.migration import react

    return react


def main(arguments: list[str] | None = None) -> int:
    """Run it until its program ends. Returns its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return pool.run(arguments, embedded=True, machine=_machine)


if __name__ == "__main__":
    sys.exit(main())
