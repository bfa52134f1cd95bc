"""Cooperative groups in kernels: the block and the grid as objects."""

from __future__ import annotations

from collections.abc import Callable

from . import operations
from .scope import Scope
from .types import BOOL, DIM3, UINT32, VOID, Array, CType, Opaque, Pointer, Scalar
from .values import Builtin, Code, Constant, Value, as_code

_HEADER = "cooperative_groups.h"
BLOCK, GRID = "cg::thread_block", "cg::grid_group"

_Method = Callable[..., Value]


def _method(name: str, kind: CType) -> _Method:
    def write(scope: Scope, instance: Code) -> Value:
        return Code(f"{instance.code}.{name}()", kind)

    return write


def _sync_grid(scope: Scope, instance: Code) -> Value:
    scope.program.is_cooperative = True
    return Code(f"{instance.code}.sync()", VOID)


_U64 = Scalar("Q")
METHODS: dict[str, dict[str, _Method]] = {
    BLOCK: {
        "sync": _method("sync", VOID), "thread_rank": _method("thread_rank", UINT32), "group_index": _method("group_index", DIM3),
        "thread_index": _method("thread_index", DIM3), "dim_threads": _method("dim_threads", DIM3),
        "num_threads": _method("num_threads", UINT32), "size": _method("size", UINT32), "group_dim": _method("group_dim", DIM3),
    },
    GRID: {
        "sync": _sync_grid, "is_valid": _method("is_valid", BOOL), "thread_rank": _method("thread_rank", _U64),
        "block_rank": _method("block_rank", _U64), "num_threads": _method("num_threads", _U64), "num_blocks": _method("num_blocks", _U64),
        "dim_blocks": _method("dim_blocks", DIM3), "block_index": _method("block_index", DIM3), "size": _method("size", _U64),
        "group_dim": _method("group_dim", DIM3),
    },
}  # fmt: skip


def _group(kind: str, name: str, doc: str) -> Builtin:
    def write(scope: Scope) -> Value:
        scope.program.includes[_HEADER] = None
        return Code(f"cg::{name}()", Opaque(kind))

    return Builtin(name, write, doc)


this_thread_block = _group(BLOCK, "this_thread_block", "The threads of this block as a group.")
this_grid = _group(GRID, "this_grid", "The threads of the grid as a group.")


def _group_code(value: Value, scope: Scope) -> Code:
    group = as_code(value, scope)
    if not isinstance(group.type, Opaque):
        raise ValueError("group must be a valid cooperative group")
    return group


def _sync(scope: Scope, group: Value) -> Value:
    code = _group_code(group, scope)
    if code.type.spelling == GRID:
        scope.program.is_cooperative = True
    return Code(f"cg::sync({code.code})", VOID)


def _memcpy(scope: Scope, group: Value, dst: Value, dst_idx: Value, src: Value, src_idx: Value, size: Value, *,
            aligned_size: Value | None = None) -> Value:  # fmt: skip
    code = _group_code(group, scope)
    places = []
    for array, index in ((dst, dst_idx), (src, src_idx)):
        whole = as_code(array, scope)
        if not isinstance(whole.type, (Array, Pointer)):
            raise TypeError("dst/src must be of array type.")
        found = operations.index(whole, index, scope)
        assert isinstance(found, Code)
        places.append(f"&{found.place or found.code}")
    nbytes = as_code(operations.cast(size, UINT32, "same_kind", scope), scope).code
    scope.program.includes["cooperative_groups/memcpy_async.h"] = None
    if aligned_size is not None:
        if not isinstance(aligned_size, Constant):
            raise ValueError("aligned_size must be a compile-time constant")
        scope.program.includes["cuda/barrier"] = None
        nbytes = f"cuda::aligned_size_t<{int(aligned_size.obj)}>({nbytes})"
    return Code(f"cg::memcpy_async({code.code}, {places[0]}, {places[1]}, {nbytes})", VOID)


def _wait(scope: Scope, group: Value) -> Value:
    return Code(f"cg::wait({_group_code(group, scope).code})", VOID)


def _wait_prior(scope: Scope, group: Value, step: Value) -> Value:
    if not isinstance(step, Constant):
        raise ValueError("step must be a compile-time constant")
    return Code(f"cg::wait_prior<{int(step.obj)}>({_group_code(group, scope).code})", VOID)


sync = Builtin("sync", _sync, "Wait for all threads of a group.")
memcpy_async = Builtin(
    "memcpy_async", _memcpy, "Copy `size` bytes together, from `src[src_idx]` to `dst[dst_idx]`; `wait` for it."
)
wait = Builtin("wait", _wait, "Wait for all copies of the group.")
wait_prior = Builtin("wait_prior", _wait_prior, "Wait for all copies of the group but the last `step`.")
