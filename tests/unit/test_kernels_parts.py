"""The pure parts of kernels: what a source says, how arguments are packed, what CuPy decides before a launch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cupool.apiserver.devices.cpu.kernels import generate
from cupool.apiserver.devices.cpu.kernels.arguments import pack
from cupool.apiserver.devices.cpu.kernels.engine import Parameter
from cupool.apiserver.devices.cpu.kernels.source import has_barriers, rewritten, scan_kernels, strip_comments
from cupool.shim.kernels import parameters
from cupool.shim.kernels.includes import gather

POINTER, INT, LONG, FLOAT, DOUBLE = (Parameter(n, n, k) for n, k in ((8, "p"), (4, "i"), (8, "i"), (4, "f"), (8, "f")))
HALF, PAIR = Parameter(2, 2, "s"), Parameter(16, 8, "s")


@pytest.mark.parametrize(
    ("source", "kernels", "certain"),
    [
        ('extern "C" __global__ void f(int *x) {}', ("f",), True),
        ('extern "C"\n__global__\nvoid __launch_bounds__(256, 2) f(int *x) { if (x) { g(); } }\nextern "C" __global__ void g() {}',
         ("f", "g"), True),
        ('extern "C" {\n__global__ void a() {}\n__device__ int h() { return 1; }\nvoid __global__ b(int) {}\n}\n__global__ void c() {}',
         ("a", "b"), True),
        ("template <class T> __global__ void t(T *x) {}", (), True),
        ('// extern "C" __global__ void no() {}\n/* extern "C" __global__ void no2() {} */ extern "C" __global__ void yes() {}',
         ("yes",), True),
        ('const char *s = "extern \\"C\\" __global__ void no() {}"; extern "C" __global__ void yes();', ("yes",), True),
        ('#define K(n) extern "C" __global__ void n() {}\nK(a)', (), False),
        ('#ifdef X\nextern "C" __global__ void a() {}\n#endif', ("a",), False),
        ('namespace n { extern "C" __global__ void a() {} }', (), True),
    ],
)  # fmt: skip
def test_scan(source: str, kernels: tuple[str, ...], certain: bool) -> None:
    found = scan_kernels(source)
    assert (found.kernels, found.certain) == (kernels, certain)


def test_shared_memory_declarations_keep_their_lines() -> None:
    for source, kind in (
        ("extern __shared__ float s[];", "float"),
        ("extern __shared__ __align__(16) unsigned char smem[];", "unsigned char"),
        ("extern volatile __shared__ int\n  v[];", "volatile int"),
        ("extern __shared__ thrust::complex<float> z[];", "thrust::complex<float>"),
    ):
        text = rewritten(f"int a;\n{source}\nint b;")
        assert "__shared__" not in text and f"({kind} *)" in text and text.count("\n") == 2 + source.count("\n")
    assert rewritten("__shared__ float s[4];") == "__shared__ float s[4];"


def test_comments_and_splices() -> None:
    assert strip_comments('a // b\n"c // d" /* e\nf */ g') == 'a  \n"c // d"  \n g'
    assert "#include" in strip_comments("#inc\\\nlude <x>")


def test_barriers() -> None:
    assert (
        has_barriers("x; __syncthreads();")
        and has_barriers("__shfl_down_sync(m, v, 1)")
        and has_barriers("#include <cooperative_groups.h>")
    )
    assert not has_barriers("atomicAdd(x, 1); my__syncthreads_like();")


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        (INT, 5, (5).to_bytes(4, "little")),
        (INT, -1, b"\xff" * 4),
        (INT, np.uint32(0xFFFFFFFF), b"\xff" * 4),
        (LONG, np.int32(-2), (-2).to_bytes(8, "little", signed=True)),
        (INT, True, b"\x01\0\0\0"),
        (LONG, (1 << 64) - 1, b"\xff" * 8),
        (POINTER, None, bytes(8)),
        (POINTER, 0x2000, (0x2000).to_bytes(8, "little")),
        (FLOAT, np.float32(1.5), np.float32(1.5).tobytes()),
        (DOUBLE, 1.5, np.float64(1.5).tobytes()),
        (HALF, np.float16(2), np.float16(2).tobytes()),
        (PAIR, 1 + 2j, np.complex128(1 + 2j).tobytes()),
        (PAIR, np.array([(1.0, 2)], "f8,i4")[0], np.array([(1.0, 2)], "f8,i4").tobytes() + bytes(4)),
    ],
)  # fmt: skip
def test_arguments(parameter: Parameter, value: Any, expected: bytes) -> None:
    assert pack(parameter, value, 0) == expected


@pytest.mark.parametrize(
    ("parameter", "value", "error"),
    [
        (FLOAT, 1.5, TypeError), (FLOAT, 1, TypeError), (DOUBLE, np.float32(1), TypeError), (INT, 1.0, TypeError),
        (INT, 1 << 32, OverflowError),
        (INT, -(1 << 31) - 1, OverflowError), (INT, None, TypeError), (HALF, 1.0, TypeError), (PAIR, np.complex64(1), TypeError),
        (PAIR, np.void(b"12345678"), TypeError), (POINTER, 1.0, TypeError),
    ],
)  # fmt: skip
def test_arguments_that_would_be_garbage(parameter: Parameter, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        pack(parameter, value, 3)


def test_declared_parameters() -> None:
    parsed = parameters.parse("T x, raw float32 y, _non_const S z", True)
    assert [(p.name, p.dtype, p.raw, p.is_const) for p in parsed] == [
        ("x", None, False, True), ("y", np.dtype("f4"), True, True), ("z", None, False, False),
    ]  # fmt: skip
    assert parameters.parse("", True) == ()
    for bad in ("T", "odd T x", "T x,", "nonsense x"):
        with pytest.raises(Exception, match=r"Syntax|Unknown|not understood|could not|nonsense"):
            parameters.parse(bad, True)
    theirs = generate.parse_parameters("T x, raw float32 y", True)
    assert [(p.name, p.ctype, p.raw) for p in theirs] == [("x", "T", False), ("y", "float", True)]


def test_types_come_from_outputs_then_inputs() -> None:
    ins, outs = parameters.parse("T x, S y, T z", True), parameters.parse("T w", False)
    f4, f8, i4 = (np.dtype(c) for c in ("f4", "f8", "i4"))
    assert parameters.decide_types(ins, outs, (f4, i4, None), ()) == ((f4, i4, f4), (f4,), {"T": f4, "S": i4})
    assert parameters.decide_types(ins, outs, (None, i4, None), (f8,))[0] == (f8, i4, f8)
    with pytest.raises(TypeError, match="Type is mismatched"):
        parameters.decide_types(ins, outs, (f4, i4, f8), ())
    with pytest.raises(TypeError, match="Type is mismatched"):
        parameters.decide_types(ins, outs, (f4, i4, None), (f8,))
    with pytest.raises(KeyError):
        parameters.decide_types(ins, outs, (None, i4, None), ())


def test_scalars_take_their_parameters_type() -> None:
    assert parameters.as_parameter(3, np.dtype("f4")) == np.float32(3)
    assert parameters.as_parameter(True, np.dtype("i8")).dtype == np.int64
    with pytest.raises(OverflowError):
        parameters.as_parameter(300, np.dtype("u1"))


def test_order_of_sums_is_that_of_cupys_blocks() -> None:
    # One output: all threads of a block work on it. Many short rows: a thread each.
    assert generate.reduction_lanes(1 << 20, 1, 1) == 512
    assert generate.reduction_lanes(1000, 1000, 1) == 1
    assert generate.reduction_lanes(64 * 1000, 1000, 1) == 64
    assert generate.reduction_lanes(1 << 20, 1 << 10, 1 << 10) == 16


def test_headers_are_gathered_along_the_include_path(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    (one / "lib").mkdir(parents=True)
    two.mkdir()
    (one / "lib" / "a.h").write_text('#include "b.h"\n#include <c.h>\n#include <cmath>')
    (one / "lib" / "b.h").write_text("// b")
    (two / "c.h").write_text('#include "lib/a.h"')
    (tmp_path / "secret.h").write_text("")
    source = '#include "lib/a.h"\n#include "../secret.h"\n#include "/etc/passwd"'
    options, headers = gather(source, ("-I", str(one), f"-I{two}", "-DX", f"--include-path={tmp_path}"))
    assert options == ("-DX",)
    assert set(headers) == {"lib/a.h", "lib/b.h", "c.h"}
    assert gather(source, ("-DX",)) == (("-DX",), {})
