"""What a CUDA C++ source says, read without compiling it: kernels, barriers, includes. And the one rewriting it needs.

Boundary: text in, text out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

#: Functions whose callers wait for each other: a source that names one runs its threads as fibers.
_WAITING = re.compile(
    r"\b(__sync(threads|warp)\w*|__shfl\w*|__ballot\w*|__any_sync|__all_sync|__activemask|__match_\w+|__reduce_\w+"
    r"|cooperative_groups|this_thread_block|tiled_partition|cub)\b"
)
_EXTERN_SHARED = re.compile(
    r"\bextern\s+((?:volatile\s+)?)__shared__\s+([^;{}()]*(?:\([^;{}()]*\)[^;{}()]*)*?)\b(\w+)\s*\[\s*\]\s*;"
)
_TRAILING_COMMA = re.compile(r"(?<=\w),(\s*)>(?![>=])")
_INCLUDE = re.compile(r"^[ \t]*#[ \t]*(?:include|include_next|import|embed)\b[ \t]*(.*)$", re.MULTILINE)
_HAS_INCLUDE = re.compile(r"__has_(?:include|embed)\w*|\.incbin")
#: First line of what is compiled: these names are errors from here on, also where macros put them together.
POISON = "#pragma GCC poison __has_include __has_include_next __has_embed\n"
#: Directives by which the assembler reads files, and those that could spell them.
_READING = re.compile(rb"\.(?:incbin|include|macro|irpc?|altmacro|rept)\b", re.IGNORECASE)
_CONDITIONAL = re.compile(r"^[ \t]*#[ \t]*(?:if|ifdef|ifndef)\b", re.MULTILINE)
_DEFINED_KERNEL = re.compile(r"^[ \t]*#[ \t]*define\b.*(?:__global__|extern)", re.MULTILINE)
_TOKEN = re.compile(r'extern\s*"C"|[A-Za-z_]\w*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|::|[{}()<>;,=*&]')

#: Headers that a source may name. Everything of CUDA's is there already; these add to it or change nothing.
STANDARD_HEADERS = frozenset(
    [
        "algorithm",
        "array",
        "bit",
        "cassert",
        "cctype",
        "cerrno",
        "cfloat",
        "cinttypes",
        "climits",
        "cmath",
        "complex",
        "cstddef",
        "cstdint",
        "cstdio",
        "cstdlib",
        "cstring",
        "functional",
        "initializer_list",
        "iterator",
        "limits",
        "mdspan",
        "numeric",
        "tuple",
        "type_traits",
        "utility",
        "assert.h",
        "complex.h",
        "ctype.h",
        "float.h",
        "inttypes.h",
        "limits.h",
        "math.h",
        "stdbool.h",
        "stddef.h",
        "stdint.h",
        "stdio.h",
        "stdlib.h",
        "string.h",
    ]
)
OWN_HEADERS = frozenset(
    (
        "builtin_types.h", "cooperative_groups.h", "cooperative_groups/memcpy_async.h", "cooperative_groups/reduce.h",
        "cooperative_groups/scan.h", "cub/block/block_exchange.cuh", "cub/block/block_load.cuh",
        "cub/block/block_reduce.cuh", "cub/block/block_scan.cuh", "cub/block/block_shuffle.cuh", "cub/block/block_store.cuh",
        "cub/cub.cuh", "cub/warp/warp_reduce.cuh", "cub/warp/warp_scan.cuh", "cuComplex.h", "cuda.h", "cuda/atomic", "cuda/barrier",
        "cuda/std/atomic",
        "cuda_bf16.h", "cuda_fp16.h", "cuda_runtime.h", "cuda_runtime_api.h", "curand_kernel.h",
        "cupy/atomics.cuh", "cupy/bfloat16.cuh", "cupy/carray.cuh", "cupy/complex.cuh", "cupy/cuda_workaround.h",
        "cupy/float16.cuh", "cupy/math_constants.h",
        "device_atomic_functions.h", "device_functions.h", "device_launch_parameters.h", "math_constants.h", "math_functions.h",
        "nvfunctional", "sm_20_atomic_functions.h", "sm_32_atomic_functions.h", "sm_35_atomic_functions.h", "sm_60_atomic_functions.h",
        "thrust/complex.h", "thrust/pair.h", "thrust/swap.h", "thrust/tuple.h", "vector_functions.h", "vector_types.h",
    )
)  # fmt: skip


class RefusedSource(Exception):
    """The source asks for what it may not have. The text is for the user."""


def strip_comments(source: str) -> str:
    """`source` without comments and line splices; line numbers stay."""

    def blank(match: re.Match[str]) -> str:
        text = match.group(0)
        if text[0] in "\"'":
            return text
        return " " + "\n" * text.count("\n")

    spliced = re.sub(r"\\\r?\n", "", source)
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, spliced, flags=re.DOTALL)


def has_barriers(source: str) -> bool:
    """Whether threads of a block may wait for each other."""
    return _WAITING.search(source) is not None


def check_includes(source: str, given: frozenset[str] = frozenset()) -> None:
    """Raise RefusedSource for an include of anything but the known headers and the `given` ones."""
    bare = strip_comments(source)
    if _HAS_INCLUDE.search(bare):
        raise RefusedSource(
            "__has_include and .incbin are not available to kernels: they would look at the server's files."
        )
    for match in _INCLUDE.finditer(bare):
        target = match.group(1).strip()
        name = target[1:-1] if len(target) > 2 and target[0] + target[-1] in ('""', "<>") else ""
        if name.startswith("cuda/std/") and name not in OWN_HEADERS:
            name = name[len("cuda/std/") :]
        if (
            name not in STANDARD_HEADERS
            and name not in OWN_HEADERS
            and not any(_is_called(header, name) for header in given)
        ):
            line = bare[: match.start()].count("\n") + 1
            raise RefusedSource(
                f"line {line}: #include {target} is not available: a kernel sees the CUDA built-ins, "
                "the C++ headers that need no library, cupy/*.cuh and the headers found along -I on the client."
            )


def needed(source: str, given: Mapping[str, str]) -> dict[str, str]:
    """Those of the `given` headers that the source reads, itself or through others. CUDA's own, of a toolkit that lies along the
    program's -I, are for another compiler: what is built in stands for them."""
    found: dict[str, str] = {}
    todo = [source]
    while todo:
        for match in _INCLUDE.finditer(strip_comments(todo.pop())):
            name = match.group(1).strip()[1:-1]
            if name in OWN_HEADERS:
                continue
            for header, text in given.items():
                if header not in found and _is_called(header, name):
                    found[header] = text
                    todo.append(text)
    return found


def check_assembly(text: bytes) -> None:
    """Raise RefusedSource for assembly that could read a file, wherever in it the words stand: g++ itself never writes them."""
    found = _READING.search(text)
    if found:
        raise RefusedSource(
            f"{found.group(0).decode().lower()} is not available to kernels: inline assembly, names of sections and texts may not have "
            "directives of the assembler that read files, or macros that could spell them."
        )


def _is_called(header: str, name: str) -> bool:
    """Whether an include of `name` can mean a header sent along: by its whole name, or from one beside it."""
    return (
        bool(name)
        and (header == name or header.endswith("/" + name))
        and not name.startswith("/")
        and ".." not in name.split("/")
    )


def rewritten(source: str) -> str:
    """What g++ does not take: `extern __shared__ T name[];` becomes a pointer to the block's dynamic shared memory. Lines stay."""

    def pointer(match: re.Match[str]) -> str:
        lines = "\n" * match.group(0).count("\n")
        kind = re.sub(r"__align__\s*\([^)]*\)|alignas\s*\([^)]*\)|__attribute__\s*\(\(.*?\)\)", " ", match.group(2))
        kind = " ".join(f"{match.group(1)} {kind}".split())
        name = match.group(3)
        return f"__attribute__((unused)) static {kind} *const {name} = ({kind} *)cupool::dynamic_shared_;{lines}"

    # NVRTC takes a comma behind the last template argument.
    return _TRAILING_COMMA.sub(r"\1>", _EXTERN_SHARED.sub(pointer, source))


@dataclass(frozen=True, slots=True)
class Scan:
    """`kernels`: names of the extern "C" kernels. `certain`: False when only the preprocessor can tell."""

    kernels: tuple[str, ...]
    certain: bool


def scan_kernels(source: str, marker: str = "__global__") -> Scan:
    """The extern "C" kernels that the source defines: those that a program can ask for by their plain name."""
    bare = strip_comments(source)
    certain = not (_CONDITIONAL.search(bare) or _DEFINED_KERNEL.search(bare))
    tokens = [m.group(0) for m in _TOKEN.finditer(re.sub(r"^[ \t]*#.*$", "", bare, flags=re.MULTILINE))]
    kernels: list[str] = []
    blocks: list[bool] = []  # open braces: whether each is an extern "C" block
    statement: list[str] = []
    i = 0
    while i < len(tokens):
        token = tokens[i]
        if token == marker:
            i, name = _declared_name(tokens, i + 1)
            is_c = any(t.startswith("extern") and '"' in t for t in statement) or bool(blocks and blocks[-1])
            if name and is_c and "template" not in statement and name not in kernels and all(blocks):
                kernels.append(name)
            statement.append(marker)
            continue
        if token == "{":
            blocks.append(bool(statement) and statement[-1].startswith("extern") and '"' in statement[-1])
            statement = []
        elif token == "}":
            if blocks:
                blocks.pop()
            statement = []
        elif token == ";":
            statement = []
        else:
            statement.append(token)
        i += 1
    return Scan(tuple(kernels), certain)


def _declared_name(tokens: list[str], i: int) -> tuple[int, str]:
    """From behind the marker: (where to go on, name of the function), skipping attributes with parentheses."""
    while i < len(tokens) and tokens[i] not in ";{}":
        if i + 1 < len(tokens) and tokens[i + 1] == "(" and re.match(r"[A-Za-z_]", tokens[i]):
            if tokens[i] not in (
                "__launch_bounds__",
                "__attribute__",
                "__maxnreg__",
                "__cluster_dims__",
                "alignas",
                "__align__",
            ):
                return i + 1, tokens[i]
            depth = 0
            i += 1
            while i < len(tokens):
                depth += (tokens[i] == "(") - (tokens[i] == ")")
                i += 1
                if not depth:
                    break
            continue
        i += 1
    return i, ""


#: Kernel names that the C library has functions of; in the source they are renamed.
_LIBRARY_NAMES = frozenset(
    [
        "abort",
        "abs",
        "atoi",
        "bcmp",
        "bsearch",
        "calloc",
        "clock",
        "copysign",
        "div",
        "exit",
        "ffs",
        "free",
        "getenv",
        "index",
        "labs",
        "ldiv",
        "lldiv",
        "llabs",
        "malloc",
        "mblen",
        "qsort",
        "rand",
        "random",
        "remove",
        "rename",
        "rindex",
        "select",
        "signal",
        "srand",
        "strcat",
        "system",
        "time",
        "write",
        "read",
        "open",
        "close",
        "pipe",
        "link",
    ]
)


def renamed(kernel: str) -> str:
    """The name under which a kernel is compiled."""
    return f"cupool_kernel_{kernel}" if kernel in _LIBRARY_NAMES else kernel
