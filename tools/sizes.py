"""Print lines per component and the largest modules and functions, and the change against a revision.

    python3 tools/sizes.py [revision]        revision: default "main"

Aims: modules under 500 lines, functions under 50. Generated files are listed apart. It reports; it does not fail.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMPONENTS = ("cupool", "shim", "apiserver", "pool", "balancer", "tests", "examples", "benchmarks", "tools")
MODULE_LINES = 500
FUNCTION_LINES = 50


def is_generated(path: str) -> bool:
    return "_pb2" in path or path.endswith("_generated.py")


def component(path: str) -> str:
    if is_generated(path):
        return "(generated)"
    return "cupool/contract" if path.startswith("cupool/contract/") else path.split("/")[0]


def lines_at(revision: str) -> Counter[str]:
    """Lines of Python per component at a git revision; empty when git knows no such revision."""
    listing = subprocess.run(
        ["git", "grep", "-c", "", revision, "--", "*.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    counts: Counter[str] = Counter()
    for line in listing.stdout.splitlines():
        path, count = line.removeprefix(f"{revision}:").rsplit(":", 1)
        counts[component(path)] += int(count)
    return counts


def main(revision: str = "main") -> None:
    sizes: dict[str, int] = {}
    long_functions: list[tuple[int, str]] = []
    for name in COMPONENTS:
        for path in sorted((ROOT / name).rglob("*.py")):
            text = path.read_text()
            relative = str(path.relative_to(ROOT))
            sizes[relative] = text.count("\n")
            if is_generated(relative):
                continue
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    length = (node.end_lineno or node.lineno) - node.lineno + 1
                    if length > FUNCTION_LINES:
                        long_functions.append((length, f"{relative}:{node.lineno} {node.name}"))
    totals: Counter[str] = Counter()
    for path_text, count in sizes.items():
        totals[component(path_text)] += count
    before = lines_at(revision)
    print(f"{'component':<18}{'lines':>8}{'change':>8}   against {revision}")
    for name, count in sorted(totals.items()):
        print(f"{name:<18}{count:>8}{count - before[name]:>+8}")
    print(f"\nmodules over {MODULE_LINES} lines")
    for count, path_text in sorted(((c, p) for p, c in sizes.items() if c > MODULE_LINES), reverse=True):
        print(f"{count:>8}  {path_text}{'  (generated)' if is_generated(path_text) else ''}")
    print(f"\nfunctions over {FUNCTION_LINES} lines")
    for count, where in sorted(long_functions, reverse=True):
        print(f"{count:>8}  {where}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
