"""What a small op of each family costs the caller, sends apart, against NumPy's (SciPy's) own small op of that family.

A family's figure is the geometric mean over its ops, and that has the goal; each op is shown beside it. NumPy's own view takes 70 to 90 ns,
less than two method calls of Python, and anything that makes a remote array makes a Python object with a finalizer.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import Ratio, alternate
from benchmarks.rows._product import open_session, settle

ROW = "FAMILIES"
TITLE = "caller's time per small op, sends apart / NumPy's or SciPy's own, by family"
#: Done in less than the millisecond after which the session would send by itself, or not much more.
OPS = 300
GOAL = 5.0
#: Ends the name of a family's figure.
MEAN = ": geometric mean"

#: Family -> name -> an expression over what `operands` has.
EXPRESSIONS: dict[str, dict[str, str]] = {
    "ufuncs": {
        "sqrt(a)": "xp.sqrt(a)", "add(a, b)": "xp.add(a, b)", "a * 2.0": "a * 2.0", "a < b": "a < b",
        "add(a, b, out=c)": "xp.add(a, b, out=c)", "where(m, a, b)": "xp.where(m, a, b)",
    },
    "reductions": {
        "a.sum()": "a.sum()", "A.max(axis=0)": "A.max(axis=0)", "A.mean(axis=1)": "A.mean(axis=1)", "a.argmin()": "a.argmin()",
        "cumsum(a)": "xp.cumsum(a)",
    },
    "indexing": {
        "a[1:3]": "a[1:3]", "A[0]": "A[0]", "A[:, None]": "A[:, None]", "a[i]": "a[i]", "a[m]": "a[m]", "A.T": "A.T",
        "A.reshape(4, 2)": "A.reshape(4, 2)",
    },
    "assignment": {"a[1:3] = 0.0": "a.__setitem__(slice(1, 3), 0.0)", "a[m] = 1.0": "a.__setitem__(m, 1.0)"},
    "manipulation": {"concatenate((a, b))": "xp.concatenate((a, b))", "stack((a, b))": "xp.stack((a, b))"},
    "linalg": {"A @ A.T": "A @ T", "dot(a, b)": "xp.dot(a, b)"},
    "sparse": {"S @ a": "S @ a", "S + S": "S + S", "S.T": "S.T", "S * 2.0": "S * 2.0", "S.sum(axis=0)": "S.sum(axis=0)"},
}  # fmt: skip


def operands(xp: Any, sparse: Any) -> dict[str, Any]:
    dense = np.eye(8)
    dense[0, 3] = dense[5, 1] = 2.0
    return {
        "xp": xp, "a": xp.arange(8.0), "b": xp.ones(8), "c": xp.zeros(8), "A": xp.arange(8.0).reshape(2, 4),
        "T": xp.arange(8.0).reshape(2, 4).T.copy(), "i": xp.asarray(np.array([1, 5, 2])), "m": xp.arange(8) > 3,
        "S": sparse.csr_matrix(xp.asarray(dense)),
    }  # fmt: skip


def loop(expression: str, names: dict[str, Any]) -> Callable[[int], float]:
    """A function that runs the expression so many times, each result dropped by the next; gives seconds an op."""
    source = (
        "def run(n, clock):\n    start = clock()\n    for _ in range(n):\n"
        f"        r = {expression}\n    return (clock() - start) / n\n"
    )
    scope = dict(names)
    exec(source, scope)
    run = scope["run"]
    return lambda n: float(run(n, time.perf_counter))


def run(quick: bool) -> list[Ratio]:
    import scipy.sparse

    cp = open_session()
    from cupool.shim.cupyx.scipy import sparse
    from cupool.shim.pending import GATE

    here, there = operands(np, scipy.sparse), operands(cp, sparse)
    results = []
    for family, expressions in EXPRESSIONS.items():
        singles = []
        for name, expression in expressions.items():
            ours, theirs = loop(expression, there), loop(expression, here)
            ours(20), theirs(20)  # plans, forms and caches

            def pending(ours: Callable[[int], float] = ours) -> float:
                settle()
                gc.collect()
                GATE.words = 1 << 60  # send later
                try:
                    return ours(OPS) * 1e9
                finally:
                    GATE.words = 0
                    settle()

            samples = alternate(6 if quick else 20, pending, lambda theirs=theirs: theirs(OPS) * 1e9)
            singles.append(Ratio(f"{family}: {name}", *samples, unit="ns"))
        means = [
            [statistics.geometric_mean(times) for times in zip(*rounds, strict=True)]
            for rounds in ([r.ours for r in singles], [r.baseline for r in singles])
        ]
        results += [Ratio(f"{family}{MEAN}", *means, unit="ns", goal=GOAL), *singles]
    return results
