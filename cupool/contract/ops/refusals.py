"""Public CuPy names without support, and why.

They are too many to be rows made at import. A reason belongs to a group of names (`GROUPS`: the longest prefix wins); which names
there are is data (`_refused_names.py`, written by `tools/coverage.py --write`). `row(name)` makes the row of one when it is
looked at. Nothing here is known to a server.
"""

from __future__ import annotations

from functools import lru_cache

from cupool.contract.ops._row import CLIENT, Row

_LIBRARY = (
    "a thin wrapper of a CUDA library: it takes library handles and device pointers of the calling process, "
    "which has no CUDA context"
)
_SCIPY = "cupyx.scipy is not carried yet"
_SPARSE = "sparse matrices are not carried yet"
_GRAPH = "CUDA graphs are not carried: what a capture would record is already sent in batches"
_FUNCTION = "holds handles of the CUDA driver in the calling process; RawModule and RawKernel are carried instead"
_HOOK = "memory is allocated by the server: a hook of the client would never be called"
_HANDLE = "a library handle is a pointer of the server's process and means nothing here"
_RUNTIME = "works on raw pointers or handles of a CUDA context in the calling process, which has none; arrays, Stream and Event are carried"
_PLAN = "FFT plans live in the server, which keeps a cache of its own"
_BLOCK = "the server's allocator has no blocks that a client could hold; MemoryPool's queries are carried"
_TESTING = "a part of CuPy's own test harness; the assertions are carried"
_JIT = "link-time IR and the classes behind groups belong to a compiler in the calling process; kernels are compiled on the server"
_TEMPLATES = "needs CUB's and Thrust's headers and nvcc on the server; loops, shared_memory and cupyx.jit's warp functions are carried"

#: Prefix of a name (below `cupy`, or "cupyx…") -> reason. The longest prefix of whole name parts wins; "" is for the rest.
GROUPS: dict[str, str] = {
    "": "not carried yet",
    "ElementwiseKernel": "the compiled form of a kernel stays on the server",
    "ReductionKernel": "the compiled form of a kernel stays on the server",
    "ndarray": "CuPy's ndarray has the slot from its base type and refuses it too, or it is not carried yet",
    "cuda": "not carried yet",
    "cuda.Device": _HANDLE,
    "cuda.Function": _FUNCTION,
    "cuda.Graph": _GRAPH,
    "cuda.ManagedMemory": "managed memory needs a GPU in the calling process",
    "cuda.MemoryAsync": _BLOCK,
    "cuda.MemoryAsyncPool": _BLOCK,
    "cuda.MemoryHook": _HOOK,
    "cuda.Module": _FUNCTION,
    "cuda.CFunctionAllocator": _BLOCK,
    "cuda.PythonFunctionAllocator": _BLOCK,
    "cuda.get_cublas_handle": _HANDLE,
    "cuda.cub": _LIBRARY,
    "cuda.cublas": _LIBRARY,
    "cuda.cufft": _LIBRARY,
    "cuda.curand": _LIBRARY,
    "cuda.cusolver": _LIBRARY,
    "cuda.cusparse": _LIBRARY,
    "cuda.cutensor": _LIBRARY,
    "cuda.compiler": "kernels are compiled on the server",
    "cuda.device": _HANDLE,
    "cuda.driver": _RUNTIME,
    "cuda.function": _FUNCTION,
    "cuda.graph": _GRAPH,
    "cuda.memory": _BLOCK,
    "cuda.memory_hook": _HOOK,
    "cuda.memory_hooks": _HOOK,
    "cuda.nccl": "needs device pointers of several processes",
    "cuda.nvrtc": "kernels are compiled on the server",
    "cuda.nvtx": "marks ranges for a profiler of the calling process, which runs no kernel",
    "cuda.pinned_memory": "host memory of the client is not pinned: nothing here reads it but the network",
    "cuda.runtime": _RUNTIME,
    "cuda.texture": "texture and surface objects are bound to a context of the calling process, which has none",
    "cuda.thrust": _LIBRARY,
    "fft": _PLAN,
    "fft.config": _PLAN,
    "random": "the state of a bit generator is a pointer of the server's process",
    "testing": _TESTING,
    "cupyx": "not carried yet",
    "cupyx.cusparse": _LIBRARY,
    "cupyx.distributed": "needs several processes with a GPU each and NCCL between them",
    "cupyx.jit": _JIT,
    "cupyx.jit.cub": _TEMPLATES,
    "cupyx.jit.thrust": _TEMPLATES,
    "cupyx.scipy": _SCIPY,
    "cupyx.scipy.sparse": _SPARSE,
    "cupyx.tools": "manages CUDA libraries of the calling process, which has none",
}


@lru_cache(maxsize=1)
def names() -> frozenset[str]:
    """The names, members of unsupported classes not counted (they share their class's reason)."""
    from cupool.contract.ops._refused_names import NAMES

    result = set(modules())
    for module, members in NAMES.items():
        result.update(f"{module}.{member}" if module else member for member in members.split())
    return frozenset(result)


def reason(name: str) -> str:
    """Why a public name has no support; "" for a name that has it, or that CuPy does not have."""
    return group_reason(name) if name in names() or _is_member(name) else ""


def _is_member(name: str) -> bool:
    """Whether `name` is below an unsupported class."""
    parent = name.rpartition(".")[0]
    return parent in names() and parent not in modules()


@lru_cache(maxsize=1)
def modules() -> frozenset[str]:
    """The modules that have no code in the shim: importing one works, using what is in it raises its reason."""
    from cupool.contract.ops._refused_names import MODULES

    return frozenset(MODULES.split())


def group_reason(name: str) -> str:
    """The reason of the longest group that a name is in."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        found = GROUPS.get(".".join(parts[:n]))
        if found:
            return found
    return GROUPS[""]


def row(name: str) -> Row | None:
    """The row of an unsupported public name, or None. Not kept in the table."""
    text = reason(name)
    if not text:
        return None
    return Row(name, "(*args, **kwargs)", CLIENT, unsupported=text, family="unsupported", params=("args", "kwargs"))
