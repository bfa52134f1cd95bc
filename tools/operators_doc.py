"""The parts of docs/operators.md that follow from the code: exit codes, settings, and the switches of API servers.

python tools/operators_doc.py            write them
python tools/operators_doc.py --check    exit 1 when they are not what the code says
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from cupool.apiserver.config import command_line
from cupool.pool import settings
from cupool.pool.cli import exits

DOC = Path(__file__).resolve().parents[1] / "docs" / "operators.md"


def switches() -> str:
    """The table of what a variable can tell every server of a pool: of the options whose help names one."""
    rows = ["| variable | what it says | option of a server |", "|---|---|---|"]
    for action in command_line()._actions:
        found = re.search(r"CUPOOL_[A-Z_]+", action.help or "")
        if found is None:
            continue
        values = " or ".join(f"`{choice}`" for choice in action.choices or ()) or (
            f"{action.metavar.lower()}" if action.metavar else "`0`"
        )
        words = re.split(r"[.;] (?=Default: |CUPOOL_)", action.help or "")
        default = re.search(r"(?:else|or) (\S+)$", action.help or "")
        rest = f" Default: {default[1]}." if default else ""
        rows.append(f"| `{found[0]}` | {values}: {words[0]}.{rest} | `{action.option_strings[0]}` |")
    return "\n".join(rows) + "\n"


def fresh(text: str) -> str:
    """The page with its generated parts made anew."""
    codes = [
        "| code | says |",
        "|---:|---|",
        *(f"| {int(code)} | {words} |" for code, words in exits.SENTENCES.items()),
    ]
    parts = {"exit codes": "\n".join(codes) + "\n", "settings": settings.reference_table(), "switches": switches()}
    for name, part in parts.items():
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
