"""Random programs for documents: batches of commands over everything that a session can hold."""

from __future__ import annotations

import copy
import functools
import random
from typing import Any

import numpy as np
from cupool.apiserver.devices.cpu import ops
from wire import OBJECT, REPLY, UNKNOWN, H, I, V, Writer, form, spec, value

from cupool.contract.codec import STREAM_SHIFT
from cupool.contract.ops import CLIENT, LOCAL, TABLE, Row
from cupool.contract.ops._sample_arrays import Remote
from cupool.contract.values import HandleRef, decode
from cupool.v1 import session_pb2

CHASE = r"""
__device__ double kept[4];
__device__ double *where;
__constant__ double factor[2];
extern "C" __global__ void chase(double **table, int n) { for (int i = 0; i < n; i++) table[i][i % 2] += 1.5 + i; }
extern "C" __global__ void keep(double *x) { for (int i = 0; i < 4; i++) kept[i] += x[i % 2] + factor[0]; where = x; }
extern "C" __global__ void give(double *x) { for (int i = 0; i < 4; i++) x[i % 2] += kept[i]; if (where) where[0] += 0.25; }
extern "C" __global__ void say(double *x) { printf("%g\n", x[0]); }
"""
_SCALARS = (bool, int, float, complex, str, type(None), np.generic, np.dtype, tuple)


@functools.cache
def sampled() -> list[tuple[Row, tuple[Any, ...], dict[str, Any]]]:
    """Samples of rows that give one new array of a host array's kind, and write to nothing but an `out` that is given."""
    found = []
    with np.errstate(all="ignore"):
        for row in TABLE.values():
            if (row.samples is None or row.unsupported or row.infer in (LOCAL, CLIENT) or row.object or row.view_of or row.host
                    or row.name.startswith(("@", "random.")) or "empty" in row.name):  # fmt: skip
                continue
            for args, kwargs in row.samples():
                given = [*args, *kwargs.values()]
                if any(isinstance(v, Remote) for v in given) or not all(plain(v) for v in given):
                    continue
                try:
                    result = ops.resolve(row.impl)(*copy.deepcopy(args), **copy.deepcopy(kwargs))
                except Exception:  # what fails here is another test's
                    continue
                if isinstance(result, np.ndarray) and result.dtype.kind in "biufc":
                    found.append((row, args, kwargs))
    return found


def plain(item: Any) -> bool:
    """Whether an argument of a sample is a small array of numbers, or a literal."""
    if isinstance(item, np.ndarray):
        return item.dtype.kind in "biufc" and item.nbytes < 1 << 16
    return isinstance(item, _SCALARS) and not (isinstance(item, tuple) and any(isinstance(v, np.ndarray) for v in item))


class Program:
    """One program: `batches` of serialised Batches, made from a seed."""

    def __init__(self, seed: int, length: int, with_kernels: bool = True) -> None:
        self.random = random.Random(seed)
        self.batches: list[bytes] = []
        self._writer = Writer()
        self._forms: dict[Any, Any] = {}
        self._new: list[Any] = []
        self._items: list[Any] = []
        self._count = 0
        self._next = 1
        self._stream = 0
        #: handles of float64 arrays: handle -> shape
        self.arrays: dict[int, tuple[int, ...]] = {}
        self.others: list[int] = []  # handles of any other kind
        self.exposed: list[int] = []  # handles of float64 arrays of two or more elements, whose address is in `tables`
        self.tables: list[tuple[int, int]] = []
        self.kinds: dict[str, list[int]] = {}
        self.exports: list[int] = []
        self._functions: dict[str, int] = {}
        self._capture = 0
        #: whether it has asked where a module's variables are: words of the loader lie beside them
        self.has_variables = False
        actions = [self._make, self._make, self._view, self._view, self._in_place, self._in_place, self._assign, self._free, self._free,
                   self._sample, self._sample, self._sample, self._fetch, self._fail, self._random_state, self._random_draw,
                   self._generator, self._malloc, self._mempool, self._export, self._limit, self._event, self._reset, self._odd,
                   self._free_export, self._big]  # fmt: skip
        if with_kernels:
            actions += [self._expose, self._table, self._chase, self._chase, self._keep, self._give, self._elementwise, self._reduction,
                        self._capture_some, self._launch_graph, self._launch_graph, self._global, self._say]  # fmt: skip
        for _ in range(length):
            for _ in range(self.random.randint(1, 8)):
                self.random.choice(actions)()
            self.flush()

    # -- commands -----------------------------------------------------------------------------------------------------

    def handle(self) -> int:
        self._next += 1
        return self._next

    def op(self, name: str, args: list[Any], results: list[Any], words: list[Any], **kwargs: Any) -> None:
        """One command: its form is defined when it is new."""
        key = (name, repr(args), repr([r.SerializeToString() for r in results]), repr(sorted(kwargs.items(), key=repr)))
        known = self._forms.get(key)
        if known is None:
            known = self._forms[key] = form(
                len(self._forms) + 1000 * (1 + len(self.batches)), name, args, results, **kwargs
            )
            self._new.append(known)
        self._items += [known.id | self._stream << STREAM_SHIFT, *words]
        self._count += 1

    def flush(self) -> None:
        """The batch ends here."""
        if self._count:
            self.batches.append(self._writer.batch(self._items, self._count, *self._new).SerializeToString())
        self._items, self._count, self._new = [], 0, []

    def _any(self) -> int | None:
        return self.random.choice(list(self.arrays)) if self.arrays else None

    # -- arrays -------------------------------------------------------------------------------------------------------

    def _data(self, array: Any) -> int:
        handle = self.handle()
        self.op("@array", [V], [spec(array.shape, array.dtype.str, array.strides)], [handle, value(array.tobytes())])
        return handle

    def _make(self) -> None:
        shape = self.random.choice([(2,), (4,), (3, 4), (), (0,), (2, 0, 3), (17, 5), (300,), (2, 3, 4)])
        order = self.random.choice("CF")
        array = np.asarray(np.random.default_rng(self.random.randint(0, 99)).normal(size=shape), order=order)
        self.arrays[self._data(array)] = shape

    def _big(self) -> None:
        if self.random.random() < 0.3:
            array = np.arange(200_000.0)
            handle = self.handle()
            self.op("arange", [200_000.0], [spec(array.shape)], [handle])
            self.arrays[handle] = array.shape

    def _view(self) -> None:
        owner = self._any()
        if owner is None:
            return
        shape = self.arrays[owner]
        if len(shape) != 1 or shape[0] < 2:
            handle = self.handle()
            self.op("@alias", [H], [UNKNOWN], [handle, owner])
            self.arrays[handle] = shape
            return
        n = shape[0]
        kind = self.random.choice(["part", "reversed", "every second", "repeated", "overlapping"])
        if kind in ("reversed", "every second", "repeated") and owner not in self.kinds.get("straight", []):
            kind = "part"
        cases = {
            "part": ((n // 2,), (8,), 8), "reversed": ((n,), (-8,), 8 * (n - 1)), "every second": ((n // 2,), (16,), 0),
            "repeated": ((3, n), (0, 8), 0), "overlapping": ((n - 1,), (8,), 0),
        }  # fmt: skip
        view_shape, strides, offset = cases[kind]
        handle = self.handle()
        self.op("@view", [H, I], [spec(view_shape, "<f8", strides)], [handle, owner, offset])
        if kind in ("part", "overlapping", "reversed"):
            self.arrays[handle] = view_shape
        else:
            self.others.append(handle)

    def _in_place(self) -> None:
        a = self._any()
        if a is not None and a not in self.kinds.get("fixed", []):
            name = self.random.choice(["add", "multiply", "subtract"])
            self.op(name, [H, self.random.choice([0.5, 1.25, -3.0])], [], [a, a], out=H)

    def _assign(self) -> None:
        a = self._any()
        if a is None:
            return
        shape = self.arrays[a]
        which = self.random.choice(["fill", "set", "scatter", "sort", "part"])
        if which == "fill":
            self.op("ndarray.fill", [H, self.random.choice([1.0, 2.0])], [], [a])
        elif which == "set":
            self.op("ndarray.__setitem__", [H, Ellipsis, 3.5], [], [a])
        elif which == "part" and len(shape) == 1:
            self.op("ndarray.__setitem__", [H, slice(1, None), 2.5], [], [a])
        elif which == "scatter" and len(shape) == 1 and shape[0] > 1:
            index = self._data(np.array([0, 1, 0]))
            self.op("cupyx.scatter_add", [H, H, 1.5], [], [a, index])
            self.others.append(index)
        elif which == "sort" and shape:
            self.op("ndarray.sort", [H], [], [a])

    def _sample(self) -> None:
        row, args, kwargs = self.random.choice(sampled())
        words: list[Any] = []
        made: list[int] = []

        def slot(item: Any) -> Any:
            if isinstance(item, np.ndarray):
                packed = np.ascontiguousarray(item) if not item.flags.f_contiguous else item
                made.append(self._data(packed))
                words.append(made[-1])
                return H
            return item

        arguments = [slot(a) for a in args]
        keywords = {name: slot(item) for name, item in kwargs.items()}
        result = self.handle()
        results = [] if "out" in kwargs and kwargs["out"] is not None else [UNKNOWN]
        try:
            self.op(row.name, arguments, results, [*([result] if results else []), *words], **keywords)
        except TypeError:  # a literal that the wire has no word for
            return
        self.others += made + ([result] if results else [])
        self.look_at(self.random.choice(self.others))

    def look_at(self, handle: int) -> None:
        """Fetch an array."""
        self.op("@fetch", [H], [REPLY], [self.handle(), handle])

    def _fetch(self) -> None:
        known = [*self.arrays, *self.others]
        if known:
            self.look_at(self.random.choice(known))

    def _fail(self) -> None:
        a, handle = self._any(), self.handle()
        if a is None:
            return
        if self.random.random() < 0.5:
            self.op("add", [H, H], [spec((9, 9))], [handle, a, a])  # the wrong shape
        else:
            index = self._data(np.array([0, 99_999_999]))
            self.op(
                "cupyx.scatter_add", [H, H, H], [], [a, index, handle + 1_000_000]
            )  # an unknown handle: `a` is poisoned
            self.others.append(index)
            handle = a
        self.look_at(handle)
        if handle != a:
            self.others.append(handle)

    def _free(self) -> None:
        known = [*self.arrays, *self.others]
        if len(known) > 6:
            handle = self.random.choice(known)
            if handle in self.kinds.get("kept", []):
                return
            self.arrays.pop(handle, None)
            if handle in self.others:
                self.others.remove(handle)
            self.exposed = [h for h in self.exposed if h != handle]
            self._items += [0, handle]
            self._count += 1

    def _odd(self) -> None:
        """Results whose strides no simple order has."""
        a = self._data(np.arange(24.0).reshape(2, 3, 4))
        handle = self.handle()
        self.op("add", [H, 1.0], [spec((2, 3, 4), "<f8", (8, 64, 16))], [handle, a])
        self.others += [a, handle]

    def _reset(self) -> None:
        if self.random.random() < 0.15 and not self._count:
            self._forms.clear()
            self.op("@forms_reset", [], [], [])
            self.flush()
            self._forms.clear()

    def _limit(self) -> None:
        which = self.random.choice(["limit", "free", "memory"])
        if which == "limit":
            self.op("@set_limit", [I, None], [], [self.random.choice([0, 1 << 27, 1 << 28])])
        elif which == "free":
            self.op("@free_blocks", [], [], [])
        else:
            self.op("@memory", [], [REPLY], [self.handle()])

    # -- objects ------------------------------------------------------------------------------------------------------

    def _random_state(self) -> None:
        handle = self.handle()
        kind = self.random.choice(["RandomState", "XORWOW", "Philox4x3210", "MRG32k3a"])
        self.op(f"random.{kind}", [self.random.randint(0, 1000)], [OBJECT], [handle])
        self.kinds.setdefault(kind, []).append(handle)

    def _generator(self) -> None:
        sources = self.kinds.get("XORWOW", [])
        if sources:
            handle = self.handle()
            self.op("random.Generator", [H], [OBJECT], [handle, self.random.choice(sources)])
            self.kinds.setdefault("Generator", []).append(handle)

    def _random_draw(self) -> None:
        for kind, name in (("RandomState", "randint"), ("Generator", "standard_normal"), ("XORWOW", "random_raw")):
            owners = self.kinds.get(kind, [])
            if owners and self.random.random() < 0.6:
                handle, arguments = self.handle(), [H, 0, 50] if name == "randint" else [H]
                size = {"size": 3}
                self.op(f"random.{kind}.{name}", arguments, [UNKNOWN], [handle, self.random.choice(owners)], **size)
                self.look_at(handle)
                self.others.append(handle)
        states = self.kinds.get("RandomState", [])
        a = next((h for h, shape in self.arrays.items() if len(shape) == 1 and shape[0] > 1), None)
        if states and a is not None and self.random.random() < 0.3:
            self.op("random.RandomState.shuffle", [H, H], [], [states[0], a])

    def _event(self) -> None:
        handle = self.handle()
        self.op("@event_create", [0], [OBJECT], [handle])
        self.op("@event_record", [H], [], [handle])
        self.op("@event_query", [H], [REPLY], [self.handle(), handle])
        self.op("@stream_create", [I], [], [self.random.randint(1, 5)])

    def _malloc(self) -> None:
        handle = self.handle()
        nbytes = self.random.choice([1, 512, 10_000])
        self.op("@malloc", [I, I], [OBJECT, REPLY], [handle, self.handle(), nbytes, self.random.choice([0, 1, 2])])
        self.op("ndarray.fill", [H, 7], [], [handle])
        self.others.append(handle)

    def _mempool(self) -> None:
        what = self.random.choice(["create", "get", "trim", "destroy"])
        pool = self.random.choice([2, 3, 4])
        self.op("@mempool", [what, I, I, I], [REPLY], [self.handle(), pool, 5, 0])

    def _export(self) -> None:
        a = self._any()
        if a is not None:
            transfer = self.handle()
            self.op("@export", [H, I], [REPLY], [self.handle(), a, transfer])
            self.exports.append(transfer)

    def _free_export(self) -> None:
        if self.exports:
            self._items += [0, self.exports.pop(0)]
            self._count += 1

    # -- kernels ------------------------------------------------------------------------------------------------------

    def _function(self, name: str) -> int:
        if "module" not in self._functions:
            module = self._functions["module"] = self.handle()
            self.op("@kernel_raw", [CHASE, (), "nvrtc", False, False, None, None, ()], [OBJECT], [module])
        if name not in self._functions:
            function = self._functions[name] = self.handle()
            self.op("@kernel_function", [H, name], [OBJECT], [function, self._functions["module"]])
        return self._functions[name]

    def _run_kernel(self, name: str, *args: Any) -> None:
        function = self._function(name)
        slots = tuple(H if isinstance(a, HandleRef) else a for a in args)
        words = [a.handle for a in args if isinstance(a, HandleRef)]
        self.op("@launch", [H, (1,), (1,), slots, 0], [], [function, *words])

    def _expose(self) -> None:
        """An array of two elements in the arena."""
        handle = self._data(np.array([1.0, 2.0]))
        self.arrays[handle] = (2,)
        self.op("@pointer", [H], [REPLY], [self.handle(), handle])
        self.exposed.append(handle)
        self.kinds.setdefault("kept", []).append(handle)

    def _table(self) -> None:
        """Pointers of exposed arrays, stored in device memory by a kernel that is given them."""
        if len(self.exposed) < 2 or len(self.tables) > 3:
            return
        chosen = self.random.sample(self.exposed, 2)
        table = self._data(np.zeros(2, np.int64))
        source = 'extern "C" __global__ void fill(long long *t, double *a, double *b) { t[0] = (long long)a; t[1] = (long long)b; }'
        if "fill" not in self._functions:
            module = self.handle()
            self.op("@kernel_raw", [source, (), "nvrtc", False, False, None, None, ()], [OBJECT], [module])
            self._functions["fill"] = self.handle()
            self.op("@kernel_function", [H, "fill"], [OBJECT], [self._functions["fill"], module])
        self.op("@launch", [H, (1,), (1,), (H, H, H), 0], [], [self._functions["fill"], table, *chosen])
        self.tables.append((table, 2))

    def _chase(self) -> None:
        if self.tables:
            table, n = self.random.choice(self.tables)
            self._run_kernel("chase", HandleRef(table), n)

    def _keep(self) -> None:
        if self.exposed:
            self._run_kernel("keep", HandleRef(self.random.choice(self.exposed)))

    def _give(self) -> None:
        if self.exposed:
            self._run_kernel("give", HandleRef(self.random.choice(self.exposed)))

    def _say(self) -> None:
        if self.exposed and self.random.random() < 0.3:
            self._run_kernel("say", HandleRef(self.random.choice(self.exposed)))
            if self.random.random() < 0.5:
                self.op("@kernel_output", [], [REPLY], [self.handle()])

    def _global(self) -> None:
        if self.random.random() < 0.2:
            self.global_address()

    def global_address(self) -> None:
        """Ask where a variable is: it is mapped into the arena."""
        self._function("keep")
        self.has_variables = True
        self.op("@kernel_global", [H, "factor"], [REPLY], [self.handle(), self._functions["module"]])

    def address_of(self, worker: Any) -> int:
        """What the last command of the program so far replies: an address and a size."""
        results = worker.ask(batches=self.batches)["seen"][-1][0]
        return int(decode(session_pb2.Result.FromString(results[-1]).value)[0])

    def _capture_whole(self) -> None:
        self.arrays[self._data(np.arange(4.0))] = (4,)
        self._capture_some()

    def _elementwise(self) -> None:
        a = self._any()
        if a is None:
            return
        if "elementwise" not in self._functions:
            made = self._functions["elementwise"] = self.handle()
            arguments = ["float64 x, raw float64 w", "float64 y", "y = x * 2 + w[0]", "twice", True, "", "", "", ()]
            self.op("@kernel_elementwise", arguments, [OBJECT], [made])
        weights = self._data(np.array([0.5, 1.0]))
        handle, shape = self.handle(), self.arrays[a]
        self.op("@call_elementwise", [H, (H, H), {}, shape, (np.dtype("f8"),), None, 128], [spec(shape)],
                [handle, self._functions["elementwise"], a, weights])  # fmt: skip
        self.others += [weights, handle]
        self.look_at(handle)

    def _reduction(self) -> None:
        a = next((h for h, shape in self.arrays.items() if len(shape) == 1 and shape[0]), None)
        if a is None:
            return
        if "reduction" not in self._functions:
            made = self._functions["reduction"] = self.handle()
            arguments = ["float64 x", "float64 y", "x * x", "a + b", "y = a", "0", "squares", None, True, "", ()]
            self.op("@kernel_reduction", arguments, [OBJECT], [made])
        handle = self.handle()
        self.op("@call_reduction", [H, (H,), {}, (0,), False, (), (np.dtype("f8"),)], [spec(())],
                [handle, self._functions["reduction"], a])  # fmt: skip
        self.look_at(handle)
        self.others.append(handle)

    def _capture_some(self) -> None:
        """A graph, and sometimes a capture that stays open until the next batch."""
        a = next((h for h, shape in self.arrays.items() if shape == (4,)), None)
        if a is None or self._stream:
            return
        self._capture += 1
        capture, stream = self._capture, 100 + self._capture
        self.op("@capture_begin", [I, I], [], [capture, stream])
        self._stream = stream
        result = self.handle()
        self.op("add", [H, H], [spec((4,))], [result, a, a])
        self.op("multiply", [H, 0.5], [], [a, a], out=H)
        if self.exposed:
            self._stream = 0
            self._function("keep")
            self._stream = stream
            self._run_kernel("keep", HandleRef(self.exposed[0]))
        self._stream = 0
        if self.random.random() < 0.4:
            self.flush()
        graph = self.handle()
        self.op("@capture_end", [I], [OBJECT], [graph, capture])
        self.kinds.setdefault("graph", []).append(graph)
        self.op("ndarray.fill", [H, 0.0], [], [result])
        self.arrays[result] = (4,)

    def _launch_graph(self) -> None:
        graphs = self.kinds.get("graph", [])
        if graphs:
            self.op("@graph_launch", [H], [], [self.random.choice(graphs)])


__all__ = ["Program", "plain", "sampled"]
