"""What the runner of CuPy's own tests knows about them: groups of test ids with a reason each, in TOML files beside this one.

    [[group]]
    reason = "one sentence"
    tests = ["cupy_tests/io_tests/test_npz.py::TestNpz::test_save", "cupy_tests/cuda_tests/test_texture.py::*"]

An id is pytest's, below upstream's `tests` folder. `*` stands for any text; nothing else is special, brackets of parameters least.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
#: Tests that are not run at all.
EXCLUDED = HERE / "excluded.toml"
#: Tests that are run and must fail: one that passes fails the run.
EXPECTED_FAILURES = HERE / "expected_failures.toml"

#: Upstream's folders that have no GPU-specific behaviour: names below `cupy_tests`.
CORE15 = (
    "creation", "manipulation", "math", "sorting", "statistics", "linalg", "indexing", "logic", "binary", "functional",
    "lib", "misc", "padding", "polynomial", "io",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Group:
    """Tests that share a reason."""

    reason: str
    tests: tuple[str, ...]


class Groups:
    """The groups of one file, asked by test id."""

    def __init__(self, groups: list[Group]) -> None:
        self.groups = groups
        self._exact = {t: g.reason for g in groups for t in g.tests if "*" not in t}
        self._patterns = [(_compiled(patterns), g.reason) for g in groups if (patterns := _patterns(g))]

    def reason(self, test: str) -> str | None:
        """Why this test is in the file; None when it is not."""
        found = self._exact.get(test)
        if found is not None:
            return found
        return next((reason for pattern, reason in self._patterns if pattern.fullmatch(test)), None)


def _patterns(group: Group) -> list[str]:
    return [t for t in group.tests if "*" in t]


def _compiled(patterns: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(".*".join(map(re.escape, p.split("*"))) for p in patterns), re.DOTALL)


def read(path: Path) -> Groups:
    """The groups of a file. Raises ValueError for a group without a reason or without tests."""
    groups = []
    for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("group", []):
        group = Group(entry.get("reason", "").strip(), tuple(entry.get("tests", ())))
        if not group.reason or not group.tests:
            raise ValueError(f"{path.name}: a group needs a reason and tests: {entry}")
        groups.append(group)
    return Groups(groups)


def test_id(node_id: str) -> str:
    """pytest's node id without the folder that the runner puts before it."""
    return node_id.removeprefix("tests/")


def folder_of(test: str) -> str:
    """The folder that a test counts for: two levels (`cupy_tests/math`), three below `cupyx_tests/scipy`."""
    path = test.partition("::")[0].split("/")
    parts = [p.removesuffix("_tests") for p in path[1:-1]][: 2 if path[1:2] == ["scipy_tests"] else 1]
    return "/".join([path[0], *(parts or ["(top)"])])
