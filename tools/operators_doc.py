"""The parts of docs/operators.md that follow from the code: exit codes and settings.

python tools/operators_doc.py            write them
python tools/operators_doc.py --check    exit 1 when they are not what the code says
"""

from __future__ import annotations

import sys
from pathlib import Path

from cupool.pool import settings
from cupool.pool.cli import exits

DOC = Path(__file__).resolve().parents[1] / "docs" / "operators.md"


def fresh(text: str) -> str:
    """The page with its generated parts made anew."""
    codes = [
        "| code | says |",
        "|---:|---|",
        *(f"| {int(code)} | {words} |" for code, words in exits.SENTENCES.items()),
    ]
    for name, part in (("exit codes", "\n".join(codes) + "\n"), ("settings", settings.reference_table())):
        begin, end = f"<!-- {name}: written by tools/operators_doc.py -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise SystemExit(f"{DOC} has no place for {name}: {begin.strip()} … {end}")
        text = before + begin + part + end + after
    return text


def main() -> int:
    text = DOC.read_text(encoding="utf-8")
    made = fresh(text)
    if "--check" in sys.argv[1:]:
        return int(made != text)
    DOC.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
