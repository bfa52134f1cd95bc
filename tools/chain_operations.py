"""Which of CuPy's elementwise texts may be in a chain's kernel: those that `--fmad=false` does not change, as the compiler has it.

    python tools/chain_operations.py [--arch 80,90] [--only add,sqrt] [--save]

Needs CuPy and NVRTC, and no GPU. Each text is compiled by itself for each type, with CuPy's options and with the option beside; its machine
code must be the same, byte for byte. Prints what differs, and the names for `SAME` in apiserver/devices/cuda/chains/operations.py; the
status is 1 where that has a name too many, or where a chain would give a type that the op table does not promise.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import struct
import sys
from pathlib import Path
from typing import Any

import cupy
import numpy as np
from cupool.apiserver.devices.cuda import names
from cupool.apiserver.devices.cuda.chains import kernels, operations
from cupool.apiserver.fusion.kinds import CHARS
from cupy_backends.cuda.libs import nvrtc

from cupool.contract.ops import TABLE
from cupool.contract.spec import spec_of

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "chain-operations.json"
INCLUDE = Path(cupy.__file__).parent / "_core" / "include"


def compiled(code: str, arch: str, options: tuple[str, ...]) -> bytes:
    """An ELF image. Raises what NVRTC says."""
    program = nvrtc.createProgram(code, "chain.cu", (), ())
    include = [INCLUDE, INCLUDE / "cupy/_cccl/libcudacxx", INCLUDE / "cupy/_cccl/thrust", INCLUDE / "cupy/_cccl/cub"]
    try:
        nvrtc.compileProgram(program, (f"-arch=sm_{arch}", *(f"-I{path}" for path in include), *options))
    except nvrtc.NVRTCError as error:
        raise RuntimeError(f"{error}: {nvrtc.getProgramLog(program)[:500]}") from None
    image = nvrtc.getCUBIN(program)
    nvrtc.destroyProgram(program)
    return bytes(image)


def instructions(image: bytes) -> list[bytes]:
    """The machine code of an image: the contents of the sections that are called .text."""
    (at,) = struct.unpack_from("<Q", image, 0x28)
    size, count, names_at = struct.unpack_from("<HHH", image, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", image, at + k * size) for k in range(count)]
    strings = sections[names_at][4]

    def name(section: Any) -> bytes:
        start = strings + section[0]
        return image[start : image.index(b"\0", start)]

    return [image[s[4] : s[4] + s[5]] for s in sections if name(s).startswith(b".text")]


def texts(ufunc: Any) -> list[operations.Operation]:
    """What a ufunc does, for each of its types that chains have."""
    found = []
    for op in ufunc._ops.ops:
        types = [np.dtype(t) for t in (*op.in_types, *op.out_types)]
        if isinstance(op.routine, str) and all(t.char in CHARS for t in types):
            inputs = tuple(types[:-1])
            found.append(operations.Operation(op.routine, inputs, types[-1], types[-1], ufunc._preamble or ""))
    return found


def differing(operation: operations.Operation, archs: list[str]) -> str:
    """Why an operation may not be in a chain; empty: it may."""
    takes = tuple(-1 - k for k in range(len(operation.inputs)))
    chain = kernels.Chain(
        ((operation, takes),), tuple((d.char, kernels.FULL) for d in operation.inputs), frozenset(), (0,), 0
    )
    code = kernels.source(chain)
    for arch in archs:
        try:
            images = [compiled(code, arch, ("--std=c++17", *extra)) for extra in ((), ("--fmad=false",))]
        except RuntimeError as error:
            return str(error)
        one, other = map(instructions, images)
        if not one or one != other:
            return f"other instructions for sm_{arch}"
    return ""


def types_that_differ(row: Any, ufunc: Any) -> tuple[int, list[str]]:
    """How many types of operands a chain takes, and those for which the op table promises another type."""
    if ufunc.nin > 2:
        return 0, []
    dtypes = [np.dtype(char) for char in sorted(CHARS)]
    numbers: list[Any] = [float, 1, -1, 300]
    keys: list[tuple[Any, ...]] = [(dtype,) for dtype in dtypes]
    if ufunc.nin == 2:
        keys = [
            *itertools.product(dtypes, dtypes),
            *itertools.product(dtypes, numbers),
            *itertools.product(numbers, dtypes),
        ]
    count, wrong = 0, []
    for key in keys:
        operation = operations.operation_of(ufunc, key)
        if operation is None:
            continue
        count += 1
        promised = row.infer(*(spec_of((4,), k) if isinstance(k, np.dtype) else 0.5 if k is float else k for k in key))
        promised = promised[0] if isinstance(promised, tuple) else promised
        if promised.dtype != operation.dtype:
            wrong.append(f"{row.name}{key}: {operation.dtype}, promised {promised.dtype}")
    return count, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--arch", default="80,90", help="compute capabilities, without the point")
    parser.add_argument("--only", default="", help="names of rows")
    parser.add_argument("--save", action="store_true", help=f"write {RESULT.relative_to(ROOT)}")
    args = parser.parse_args()
    same: list[str] = []
    wrong: dict[str, dict[str, str]] = {}
    promised, texts_seen, types_seen = [], 0, 0
    for row in TABLE.values():
        if row.family != "ufunc" or not row.is_remote or (args.only and row.impl not in args.only.split(",")):
            continue
        try:
            ufunc = names.resolve(row.impl)
        except KeyError:
            continue
        if not operations.is_plain(ufunc):
            continue
        found = texts(ufunc)
        reasons = {
            f"{''.join(d.char for d in o.inputs)}->{o.output.char}": differing(o, args.arch.split(",")) for o in found
        }
        bad = {types: why for types, why in reasons.items() if why}
        print(f"{row.impl}: {len(found)} texts, {'the same' if found and not bad else bad or 'none'}", flush=True)
        texts_seen += len(found)
        if found and not bad:
            same.append(row.impl)
        elif bad:
            wrong[row.impl] = bad
        count, others = types_that_differ(row, ufunc)
        types_seen += count
        promised += others
    print("SAME =", " ".join(sorted(set(same))))
    extra = [name for name in operations.SAME if name in wrong]
    print(f"types of operands: {types_seen}, other than the op table promises: {promised or 'none'}")
    print("NVRTC", nvrtc.getVersion(), "CuPy", cupy.__version__, "too many in SAME:", extra or "none")
    if args.save:
        report = {
            "command": f"python tools/chain_operations.py --arch {args.arch} --save",
            "machine": {"system": platform.platform(), "python": platform.python_version()},
            "nvrtc": ".".join(map(str, nvrtc.getVersion())), "cupy": cupy.__version__, "archs": args.arch.split(","),
            "texts": texts_seen, "types": types_seen, "types_that_differ": promised, "same": sorted(set(same)), "changed": wrong,
        }  # fmt: skip
        RESULT.write_text(json.dumps(report, indent=1) + "\n")
    return 1 if extra or promised else 0


if __name__ == "__main__":
    sys.exit(main())
