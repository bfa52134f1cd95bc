"""Programs as a user writes them, run under `cupool run` in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path


def run(folder: Path, source: str, **env: str) -> str:
    """Run a program; returns its output. It must end well and say nothing on stderr."""
    path = folder / "program.py"
    path.write_text("import cupy as cp\nimport numpy as np\n" + textwrap.dedent(source))
    environment = {k: v for k, v in os.environ.items() if k != "CUPOOL_ADDR"}
    done = subprocess.run([sys.executable, "-m", "cupool", "run", str(path)], capture_output=True, text=True, timeout=100, cwd=folder,
                          env={**environment, **env})  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout
