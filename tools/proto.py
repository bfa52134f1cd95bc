"""Generate `cupool/v1` from `proto/`, or check that what is committed is what `proto/` gives.

Runs in a virtual environment of its own (`.venv-proto`, see the Makefile): an old protoc, so that the generated code runs with
protobuf 6 and 7, whose packages do not fit beside the health service's.

    .venv-proto/bin/python tools/proto.py            write
    .venv-proto/bin/python tools/proto.py --check    compare; exit status 1 and the names of stale files if they differ
"""

from __future__ import annotations

import filecmp
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc  # type: ignore[import-not-found, import-untyped, unused-ignore]

ROOT = Path(__file__).resolve().parent.parent


def generate(out: Path) -> None:
    """Write the generated code below `out`."""
    sources = sorted(str(p.relative_to(ROOT / "proto")) for p in (ROOT / "proto").rglob("*.proto"))
    arguments = ["protoc", f"-I{ROOT / 'proto'}", f"--python_out={out}", f"--pyi_out={out}", f"--grpc_python_out={out}"]
    if protoc.main(arguments + sources):
        raise SystemExit("protoc failed; its message is above")


def stale(fresh: Path) -> list[str]:
    """Generated files that differ from the committed ones, are missing there, or are left over."""
    made = {p.name for p in (fresh / "cupool" / "v1").iterdir()}
    kept = {p.name for p in (ROOT / "cupool" / "v1").iterdir() if "_pb2" in p.name}
    same, _, _ = filecmp.cmpfiles(fresh / "cupool" / "v1", ROOT / "cupool" / "v1", made, shallow=False)
    return sorted((made | kept) - set(same))


def main(arguments: list[str]) -> int:
    if arguments != ["--check"]:
        generate(ROOT)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        names = stale(Path(folder))
    if names:
        print(f"cupool/v1 is not what proto/ gives: {', '.join(names)}. Run `make proto` and commit.", file=sys.stderr)
    return 1 if names else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
