"""IPython's `%gpu_timeit [-n N] [-w N] [--max-duration SECONDS] code`, as line and as cell magic. Imported where IPython is."""

from __future__ import annotations

import argparse
import math
import textwrap
from typing import Any

from IPython.core.magic import (  # type: ignore[import-not-found, unused-ignore]
    Magics,
    line_cell_magic,
    magics_class,
    needs_local_scope,
)

from ._time import benchmark

_OPTIONS = argparse.ArgumentParser("%gpu_timeit", add_help=False)
_OPTIONS.add_argument("-n", "--n-repeat", type=int, default=10000)
_OPTIONS.add_argument("-w", "--n-warmup", type=int, default=10)
_OPTIONS.add_argument("--max-duration", type=float, default=math.inf)
_OPTIONS.add_argument("code", nargs=argparse.REMAINDER)


@magics_class
class GPUTimeitMagics(Magics):  # type: ignore[misc, unused-ignore]
    """Times code with `cupyx.profiler.benchmark`."""

    @line_cell_magic  # type: ignore[misc, untyped-decorator, unused-ignore]
    @needs_local_scope  # type: ignore[misc, untyped-decorator, unused-ignore]
    def gpu_timeit(self, line: str, cell: str | None = None, local_ns: Any = None) -> None:
        """%gpu_timeit [-n N_REPEAT] [-w N_WARMUP] [--max-duration SECONDS] code"""
        options = _OPTIONS.parse_args(line.split())
        if cell is None:
            # The code as it was written: splitting it would lose the blanks in its strings.
            text, mode = line[line.index(options.code[0]) :] if options.code else "", "eval"
        else:
            text, mode = textwrap.dedent(cell), "exec"
        code = compile(text, "<gpu_timeit>", mode)
        names = self.shell.user_ns

        def run() -> None:
            exec(code, names, local_ns) if mode == "exec" else eval(code, names, local_ns)

        print(benchmark(run, n_repeat=options.n_repeat, n_warmup=options.n_warmup, max_duration=options.max_duration))
