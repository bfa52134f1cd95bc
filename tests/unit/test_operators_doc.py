"""docs/operators.md says what the code does: generated parts are fresh, and every command in it exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
from cupool.pool.cli import app

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")


def test_generated_parts_are_fresh():
    """Write them anew: python tools/operators_doc.py"""
    assert subprocess.run([sys.executable, str(ROOT / "tools" / "operators_doc.py"), "--check"]).returncode == 0


def find(words: list[str]) -> click.Command:
    """The command that these words name."""
    command: click.Command = app.cli
    with click.Context(app.cli) as context:
        for word in words:
            if not isinstance(command, click.Group):
                break
            found = command.get_command(context, word)
            assert found is not None, f"no command {word!r} in {words}"
            command = found
    return command


def test_every_command_and_option_in_it_exists():
    # In code only, lines joined that a backslash breaks.
    code = [*re.findall(r"```\n(.*?)```", TEXT, re.DOTALL), *re.findall(r"`(cupool [^`]*)`", TEXT.replace("\n", " "))]
    seen = 0
    for line in "\n".join(code).replace("\\\n", " ").splitlines():
        for text in re.findall(r"\bcupool ((?:[a-z]+)[^;)#…]*)", line.partition("#")[0]):
            words = text.split()
            if words[0] in app.BASE or "/" in text.partition(" ")[0]:
                continue
            # Two spaces end the command in a list of commands and what they are for.
            names = [w for w in text.partition("  ")[0].split() if re.fullmatch(r"[a-z]+", w)]
            command = find(names[:3])
            options = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
            for option in re.findall(r"(?<=\s)--?[a-z][a-z-]*", text.partition("  ")[0]):
                assert option in options, f"cupool {text}: no option {option}"
            seen += 1
    assert seen > 30


def test_every_command_is_in_it():
    for name in app.COMMANDS:
        assert f"cupool {name}" in TEXT, name
