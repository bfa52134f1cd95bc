"""Which public calls wait for the server: `tools/data/waits.json`, which `docs/coverage.md` shows and a test holds against what happens.

    python tools/waits.py            run every row's samples and the calls below through an embedded pool, print what waits
    python tools/waits.py --write    rewrite the list

A call that waits costs a round trip of the network. The list says "always", or "sometimes": for some of the arguments. It is to get
shorter; a new name in it needs a reason that CuPy itself has, which must look at data there too.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import operator
import sys
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "tools" / "data" / "waits.json"

#: A call to be measured, and what must be ready before it: (name, call).
Call = tuple[str, Callable[[], Any]]


# -- the table's rows ------------------------------------------------------------------------------------------------------------


def row_calls() -> Iterator[Call]:
    """Each sample of each public row, its arrays on the device."""
    from cupool.contract.ops import TABLE

    for row in list(TABLE.values()):
        if not row.is_remote or row.unsupported or row.samples is None or row.name.startswith("@"):
            continue
        for args, kwargs in row.samples():
            yield (
                row.name,
                _prepared(row.name, [on_device(a) for a in args], {k: on_device(v) for k, v in kwargs.items()}),
            )


def on_device(value: Any) -> Any:
    """A sample's argument: host arrays uploaded, remote objects made."""
    from cupool.shim import cupy as cp

    from cupool.contract.ops._sample_arrays import Remote

    if isinstance(value, np.ndarray):
        return cp.asarray(value, order="F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C")
    if isinstance(value, (tuple, list)):
        return type(value)(on_device(v) for v in value)
    if isinstance(value, Remote):
        return public(value.row)(*map(on_device, value.args), **{k: on_device(v) for k, v in value.kwargs.items()})
    return value


def public(name: str) -> Any:
    """The object that a program finds under a row's name."""
    import importlib

    from cupool.shim import cupy as cp
    from cupool.shim import cupyx

    target: Any = cupyx if name.startswith("cupyx.") else cp
    for part in name.removeprefix("cupyx.").split("."):
        found = getattr(target, part, None)
        target = importlib.import_module(f"{target.__spec__.name}.{part}") if found is None else found
    return target


_SPECIAL: dict[str, Callable[..., Any]] = {
    "ndarray.__getitem__": operator.getitem,
    "ndarray.__setitem__": operator.setitem,
    "ufunc.at": lambda name, *args, **kwargs: public(name).at(*args, **kwargs),
    "ufunc.reduceat": lambda name, *args, **kwargs: public(name).reduceat(*args, **kwargs),
}


def _prepared(name: str, args: list[Any], kwargs: dict[str, Any]) -> Callable[[], Any]:
    if name in _SPECIAL:
        return lambda: _SPECIAL[name](*args, **kwargs)
    owner, _, attribute = name.rpartition(".")
    if owner == "ndarray" or owner.rpartition(".")[2][:1].isupper():
        return lambda: getattr(args[0], attribute)(*args[1:], **kwargs)
    return lambda: public(name)(*args, **kwargs)


# -- what has no row of its own ----------------------------------------------------------------------------------------------------


def other_calls() -> Iterator[Call]:
    """Methods, classes and functions of the shim that are made of other ops; each name as often as its arguments matter."""
    for source in (_of_arrays, _of_cupy, _of_cuda, _of_kernels, _of_cupyx):
        yield from source()


def _of_arrays() -> Iterator[Call]:
    from cupool.shim import cupy as cp

    a, i, flag = cp.arange(12.0).reshape(3, 4), cp.arange(5), cp.arange(5) > 2
    zero = a.sum()
    for name in ("float", "int", "bool", "complex"):
        yield f"ndarray.__{name}__", lambda name=name: getattr(zero, f"__{name}__")()
    yield from (
        ("ndarray.__repr__", lambda: repr(a)),
        ("ndarray.__str__", lambda: str(a)),
        ("ndarray.__format__", lambda: f"{zero:.1f}"),
        ("ndarray.__len__", lambda: len(a)),
        ("ndarray.__iter__", lambda: list(a)),
        ("ndarray.get", lambda: a.get()),
        ("ndarray.item", lambda: zero.item()),
        ("ndarray.tolist", lambda: a.tolist()),
        ("ndarray.tobytes", lambda: a.tobytes()),
        ("ndarray.dumps", lambda: a.dumps()),
        ("ndarray.set", lambda: a.set(np.ones((3, 4)))),
        ("ndarray.copy", lambda: a.copy()),
        ("ndarray.astype", lambda: a.astype("f4")),
        ("ndarray.view", lambda: a.view("i8")),
        ("ndarray.fill", lambda: a.fill(2)),
        ("ndarray.reshape", lambda: a.reshape(4, 3)),
        ("ndarray.__getitem__", lambda: a[1:, ::2]),
        ("ndarray.__getitem__", lambda: i[cp.array([1, 9])]),
        ("ndarray.__getitem__", lambda: i[flag]),
        ("ndarray.__setitem__", lambda: i.__setitem__(flag, 3)),
        ("ndarray.__setitem__", lambda: a.__setitem__(slice(None), 1.0)),
        ("ndarray.__iadd__", lambda: a.__iadd__(1)),
        ("ndarray.__matmul__", lambda: a @ a.T),
        ("ndarray.__pow__", lambda: a**2),
        ("ndarray.__eq__", lambda: a.__eq__(None)),
        ("ndarray.__array_ufunc__", lambda: np.exp(a)),
        ("ndarray.__array_function__", lambda: np.sum(a)),
        ("ndarray.data", lambda: a.data),
        ("ndarray.flat", lambda: list(a.flat)),
        ("ndarray.__cuda_array_interface__", lambda: a.__cuda_array_interface__),
        ("ndarray.__reduce__", lambda: a.__reduce__()),
        ("ndarray.__dlpack__", lambda: a.__dlpack__(dl_device=(1, 0))),
        ("ndarray.__deepcopy__", lambda: copy.deepcopy(a)),
        ("ndarray.shape", lambda: a.shape),
        ("ndarray.shape", lambda: i[flag].shape),
        ("ndarray.argsort", lambda: a.argsort()),
        ("ndarray.sort", lambda: a.sort()),
        ("ndarray.nonzero", lambda: a.nonzero()),
        ("ndarray.put", lambda: i.put(cp.array([1]), 7)),
        ("ndarray.device", lambda: a.device),
    )


def _of_cupy() -> Iterator[Call]:
    from cupool.shim import cupy as cp

    a, b, folder = cp.arange(12.0).reshape(3, 4), cp.ones((3, 4)), Path(tempfile.mkdtemp())
    np.save(folder / "a.npy", np.ones(3))
    p = cp.poly1d([1.0, 2.0])
    yield from (
        ("array", lambda: cp.array([1, 2])),
        ("array", lambda: cp.array([a, b])),
        ("asarray", lambda: cp.asarray(np.ones(3))),
        ("asnumpy", lambda: cp.asnumpy(a)),
        ("copyto", lambda: cp.copyto(a, b)),
        ("copyto", lambda: cp.copyto(a, 1.0)),
        ("save", lambda: cp.save(folder / "b.npy", a)),
        ("savez", lambda: cp.savez(folder / "b.npz", a)),
        ("load", lambda: cp.load(folder / "a.npy")),
        ("savetxt", lambda: cp.savetxt(folder / "b.txt", a)),
        ("array_repr", lambda: cp.array_repr(a)),
        ("array_str", lambda: cp.array_str(a)),
        ("meshgrid", lambda: cp.meshgrid(a[0], a[1])),
        ("linspace", lambda: cp.linspace(0, 1, 5)),
        ("mgrid", lambda: cp.mgrid[0:3, 0:2]),
        ("r_", lambda: cp.r_[a[0], 1, 2]),
        ("c_", lambda: cp.c_[a[0], a[1]]),
        ("ix_", lambda: cp.ix_(cp.arange(2), cp.arange(3))),
        ("where", lambda: cp.where(a > 1)),
        ("apply_along_axis", lambda: cp.apply_along_axis(cp.sum, 0, a)),
        ("broadcast", lambda: cp.broadcast(a, b)),
        ("piecewise", lambda: cp.piecewise(a, [a > 1], [0.0, 1.0])),
        ("select", lambda: cp.select([a > 1], [b])),
        ("result_type", lambda: cp.result_type(a, 1)),
        ("can_cast", lambda: cp.can_cast(a, "f4")),
        ("get_array_module", lambda: cp.get_array_module(a)),
        ("may_share_memory", lambda: cp.may_share_memory(a, b)),
        ("isscalar", lambda: cp.isscalar(a)),
        ("einsum", lambda: cp.einsum("ij,ij->i", a, b)),
        ("matmul", lambda: cp.matmul(a, b.T)),
        ("polyfit", lambda: cp.polyfit(a[0], a[1], 1)),
        ("poly1d", lambda: p * p),
        ("poly1d.__call__", lambda: p(a)),
        ("roots", lambda: cp.roots(cp.array([1.0, -1.0]))),
        ("unique", lambda: cp.unique(a)),
        ("random.rand", lambda: cp.random.rand(3)),
        ("random.seed", lambda: cp.random.seed(1)),
        ("random.choice", lambda: cp.random.choice(5, 2)),
        ("random.permutation", lambda: cp.random.permutation(4)),
        ("random.shuffle", lambda: cp.random.shuffle(cp.arange(4))),
        ("random.default_rng", lambda: cp.random.default_rng(1).random(3)),
        ("linalg.norm", lambda: cp.linalg.norm(a)),
        ("linalg.lstsq", lambda: cp.linalg.lstsq(a, b, rcond=None)),
        ("fft.fft", lambda: cp.fft.fft(a)),
        ("histogram", lambda: cp.histogram(a, 4)),
        ("pad", lambda: cp.pad(a, 1)),
        ("vectorize", lambda: cp.vectorize(_double)(a)),
        ("fuse", lambda: cp.fuse()(_double)(a)),
    )


def _double(x: Any) -> Any:
    return x + x


def _of_cuda() -> Iterator[Call]:
    from cupool.shim import cupy as cp

    stream, event, pool = cp.cuda.Stream(), cp.cuda.Event(), cp.get_default_memory_pool()
    runtime = cp.cuda.runtime
    yield from (
        ("cuda.Stream", lambda: cp.cuda.Stream()),
        ("cuda.Stream.use", lambda: cp.cuda.Stream.null.use()),
        ("cuda.Stream.synchronize", lambda: stream.synchronize()),
        ("cuda.Stream.done", lambda: stream.done),
        ("cuda.Stream.record", lambda: stream.record(event)),
        ("cuda.Stream.wait_event", lambda: stream.wait_event(event)),
        ("cuda.Event", lambda: cp.cuda.Event()),
        ("cuda.Event.record", lambda: event.record()),
        ("cuda.Event.done", lambda: event.done),
        ("cuda.Event.synchronize", lambda: event.synchronize()),
        ("cuda.get_elapsed_time", lambda: cp.cuda.get_elapsed_time(event, event)),
        ("cuda.Device", lambda: cp.cuda.Device(0)),
        ("cuda.Device.synchronize", lambda: cp.cuda.Device(0).synchronize()),
        ("cuda.Device.mem_info", lambda: cp.cuda.Device(0).mem_info),
        ("cuda.Device.attributes", lambda: cp.cuda.Device(0).attributes),
        ("cuda.MemoryPool.used_bytes", lambda: pool.used_bytes()),
        ("cuda.MemoryPool.total_bytes", lambda: pool.total_bytes()),
        ("cuda.MemoryPool.free_all_blocks", lambda: pool.free_all_blocks()),
        ("cuda.MemoryPool.set_limit", lambda: pool.set_limit(size=0)),
        ("cuda.MemoryPool.get_limit", lambda: pool.get_limit()),
        ("cuda.alloc", lambda: cp.cuda.alloc(64)),
        ("cuda.alloc_pinned_memory", lambda: cp.cuda.alloc_pinned_memory(64)),
        ("cuda.get_current_stream", lambda: cp.cuda.get_current_stream()),
        ("cuda.runtime.deviceSynchronize", lambda: runtime.deviceSynchronize()),
        ("cuda.runtime.memGetInfo", lambda: runtime.memGetInfo()),
        ("cuda.runtime.getDeviceProperties", lambda: runtime.getDeviceProperties(0)),
        ("cuda.runtime.getDeviceCount", lambda: runtime.getDeviceCount()),
        ("cuda.is_available", lambda: cp.cuda.is_available()),
    )


def _of_kernels() -> Iterator[Call]:
    from cupool.shim import cupy as cp

    a, y = cp.arange(8.0), cp.zeros(8)
    scale = cp.ElementwiseKernel("T x, T s", "T y", "y = x * s", "scale")
    total = cp.ReductionKernel("T x", "T y", "x", "a + b", "y = a", "0", "total")
    raw = cp.RawKernel('extern "C" __global__ void f(double* y) { y[threadIdx.x] = threadIdx.x; }', "f")
    for call in (lambda: scale(a, 2.0), lambda: total(a), lambda: raw((1,), (8,), (y,))):
        call()  # compiled once, which waits for the compiler
    yield from (
        ("ElementwiseKernel.__call__", lambda: scale(a, 2.0)),
        ("ReductionKernel.__call__", lambda: total(a)),
        ("RawKernel.__call__", lambda: raw((1,), (8,), (y,))),
    )


def _of_cupyx() -> Iterator[Call]:
    from cupool.shim import cupy as cp
    from cupool.shim import cupyx

    stats, special, spatial = cupyx.scipy.stats, cupyx.scipy.special, cupyx.scipy.spatial
    a, points = cp.arange(1.0, 13.0).reshape(4, 3), cp.asarray(np.random.default_rng(1).random((9, 2)))
    tree, mesh = spatial.KDTree(points), spatial.Delaunay(points)
    product = cupyx.GeneralizedUFunc(lambda x, y: x.dot(y), "(i,j),(j,k)->(i,k)", name="product")
    yield from (
        ("cupyx.scatter_add", lambda: cupyx.scatter_add(cp.zeros(3), cp.array([0, 0]), 1)),
        ("cupyx.empty_pinned", lambda: cupyx.empty_pinned(3)),
        ("cupyx.empty_like_pinned", lambda: cupyx.empty_like_pinned(a)),
        ("cupyx.GeneralizedUFunc.__call__", lambda: product(a, a.T)),
        ("cupyx.scipy.stats.entropy", lambda: stats.entropy(a)),
        ("cupyx.scipy.stats.trim_mean", lambda: stats.trim_mean(a, 0.1)),
        ("cupyx.scipy.stats.zscore", lambda: stats.zscore(a)),
        ("cupyx.scipy.stats.zmap", lambda: stats.zmap(a, a)),
        ("cupyx.scipy.stats.zmap", lambda: stats.zmap(a, a, nan_policy="raise")),
        ("cupyx.scipy.stats.boxcox_llf", lambda: stats.boxcox_llf(0.5, a)),
        ("cupyx.scipy.special.multigammaln", lambda: special.multigammaln(a + 4, 2)),
        ("cupyx.scipy.spatial.KDTree", lambda: spatial.KDTree(points)),
        ("cupyx.scipy.spatial.KDTree", lambda: spatial.KDTree(points, boxsize=2.0)),
        ("cupyx.scipy.spatial.KDTree.query", lambda: tree.query(points)),
        ("cupyx.scipy.spatial.KDTree.query_ball_point", lambda: tree.query_ball_point(points, 0.3)),
        ("cupyx.scipy.spatial.KDTree.query_ball_point", lambda: tree.query_ball_point(points, 0.3, return_length=True)),
        ("cupyx.scipy.spatial.KDTree.query_pairs", lambda: tree.query_pairs(0.3)),
        ("cupyx.scipy.spatial.Delaunay", lambda: spatial.Delaunay(points)),
        ("cupyx.scipy.spatial.Delaunay.find_simplex", lambda: mesh.find_simplex(points)),
        ("cupyx.scipy.spatial.Delaunay.vertex_neighbor_vertices", lambda: mesh.vertex_neighbor_vertices()),
        ("cupyx.scipy.spatial.distance.cdist", lambda: spatial.distance.cdist(points, points)),
        ("cupyx.scipy.spatial.distance.pdist", lambda: spatial.distance.pdist(points)),
    )


# -- measuring -------------------------------------------------------------------------------------------------------------------------


def measure() -> dict[str, str]:
    """Name -> "always" or "sometimes", of the calls that wait. Opens a session where there is none."""
    from cupool.shim import session

    session.current()
    seen: dict[str, set[bool]] = defaultdict(set)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for calls in (row_calls(), other_calls()):
            for name, call in calls:
                before = session.statistics().waits
                try:
                    call()
                except Exception as error:
                    error.add_note(f"measuring {name}")
                    raise
                seen[name].add(session.statistics().waits > before)
    return {name: "sometimes" if len(found) > 1 else "always" for name, found in sorted(seen.items()) if True in found}


def text(found: dict[str, str]) -> str:
    """The text of the list."""
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help="rewrite the list")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT / "build" / "typing"))
    found = measure()
    if options.write:
        LIST.write_text(text(found), encoding="utf-8")
    else:
        print(text(found), end="")
    print(f"{len(found)} calls wait", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
