"""What `ps` shows of a forked process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

_CHILD = """
import sys
from cupool.apiserver import title
title.show(eval(sys.argv[1]))
print("shown", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    "words", [["a"], ["python", "-m", "cupool.apiserver", "--server-id", "s" * 20], ["w" * 300, "é"], []]
)
def test_its_words_are_shown_as_far_as_there_is_room(words: list[str]) -> None:
    command = [sys.executable, "-P", "-c", _CHILD, repr(words), "." * 100]
    room = sum(len(os.fsencode(w)) + 1 for w in command) - 2
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == b"shown\n"
        said = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert said.rstrip(b"\0") == " ".join(words).encode()[:room]
        if len(words) > 1 and len(said) < room:
            assert psutil.Process(process.pid).cmdline() == words
        environment = Path(f"/proc/{process.pid}/environ").read_bytes()
        assert b"PATH=" in environment, "the environment is as it was"
        process.stdin.close()
