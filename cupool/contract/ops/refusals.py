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
_SPARSE_SOLVER = (
    "works on sparse matrices behind cuSPARSE's descriptors; cupyx.scipy.sparse.linalg and cupyx.cusolver take matrices"
)
_STORAGE = "LAPACK's storage of this factorisation is that of no function on arrays in CuPy, of which it could be made"
_SPARSE_LIBRARY = (
    "works by descriptors, workspaces and bare addresses in cuSPARSE's own layouts; cupyx.scipy.sparse and cupyx.cusparse do the same on "
    "arrays"
)
_CONTEXT = "a session has one CUDA context, the server's, which a client can neither make, leave nor destroy"
_LINK = "device code is linked by the server's compiler; compile one source with NVRTC"
_LAUNCH = "its arguments lie behind host pointers whose sizes only the compiled kernel knows; Function and RawKernel launch with values"
_IPC = "a handle for another process of the server's machine, where no process of the client's is"
_TEXTURE = "textures, surfaces and CUDA arrays are opaque to kernels compiled for the CPU device, and are not carried"
_CALLBACKS = "callbacks of cuFFT are device code that a CUDA compiler links into the library"
_BLOCK = "the server's allocator has no blocks that a client could hold; MemoryPool's queries are carried"
_JIT = "link-time IR and the classes behind groups belong to a compiler in the calling process; kernels are compiled on the server"
_TEMPLATES = "needs Thrust's headers and nvcc on the server; loops, shared_memory, cupyx.jit.cub and the warp functions are carried"

#: Prefix of a name (below `cupy`, or "cupyx…") -> reason. The longest prefix of whole name parts wins; "" is for the rest.
GROUPS: dict[str, str] = {
    "": "not carried yet",
    "ndarray": "CuPy's ndarray has the slot from its base type and refuses it too, or it is a slot of Python 2",
    "cuda.Device": "cuTENSOR is not available here",
    "cuda.cufft": "several GPUs, or callbacks compiled into cuFFT: a session has one device, and plans run cupy.fft's transforms",
    "cuda.cusolver": _STORAGE,
    **dict.fromkeys(
        (f"cuda.cusolver.{t}csr{n}" for t in "sdcz" for n in ("eigvsi", "lsvchol", "lsvqr")), _SPARSE_SOLVER
    ),
    "cuda.cusparse": _SPARSE_LIBRARY,
    "cuda.device": "cuTENSOR is not available here",
    "cuda.driver": _CONTEXT,
    **dict.fromkeys((f"cuda.driver.link{n}" for n in ("AddData", "AddFile", "Complete", "Create", "Destroy")), _LINK),
    "cuda.driver.launchCooperativeKernel": _LAUNCH,
    "cuda.driver.launchKernel": _LAUNCH,
    "cuda.driver.occupancyMaxActiveBlocksPerMultiprocessor": "depends on a kernel's registers, which a CPU device has not",
    "cuda.driver.occupancyMaxPotentialBlockSize": "depends on a kernel's registers, which a CPU device has not",
    "cuda.function": _LINK,
    "cuda.nccl": "joins device memory of several processes, and a session has one device",
    "cuda.nvrtc": "intermediate code for a linker, which runs on the server",
    "cuda.runtime": _TEXTURE,
    **dict.fromkeys(
        (
            f"cuda.runtime.ipc{n}"
            for n in ("CloseMemHandle", "GetEventHandle", "GetMemHandle", "OpenEventHandle", "OpenMemHandle")
        ),
        _IPC,
    ),
    "cuda.texture": _TEXTURE,
    "fft.config": _CALLBACKS,
    "random": "the state of a bit generator is a pointer of the server's process",
    "cupyx": "not carried yet",
    "cupyx.cusparse": _LIBRARY,
    "cupyx.distributed": "needs several processes with a GPU each and NCCL between them",
    "cupyx.jit": _JIT,
    "cupyx.jit.thrust": _TEMPLATES,
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
