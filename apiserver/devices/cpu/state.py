"""What the CPU device has of a session beside arrays, written down in plain values and read back: see `apiserver/document/`.

Objects refer to others by their number in the document; what is referred to was written before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract import hosts
from cupool.contract.values import from_named, named

from ..objects import Inconsistent, NumberOf, ObjectAt, read_object
from . import ops_random
from .kernels.ops import FunctionObject, Generated, RawModuleObject
from .kernels.variables import changes, escaped
from .streams import Event

#: An arena of at most this is searched for addresses of variables before anything is copied; a larger one at the end.
QUICK_BYTES = 64 << 20
_KEPT = "a kernel has kept the address of {} of its module, which is another one in another process"


# -- objects --------------------------------------------------------------------------------------------------------------


def object_state(value: Any, number_of: NumberOf) -> tuple[str, Any]:
    """(kind, plain values) of a remote object. Raises TypeError for one that has no state of this form."""
    writer = _WRITERS.get(type(value))
    if writer is None:
        raise TypeError(f"a {type(value).__name__}")
    return writer(value, number_of)


def object_of(kind: str, state: Any, object_at: ObjectAt) -> Any:
    """The object. Raises Inconsistent."""
    return read_object(_READERS, kind, state, object_at)


def _written_rng(rng: np.random.Generator, number_of: NumberOf) -> tuple[str, Any]:
    inner: Any = rng.bit_generator.state
    numbers = inner["state"]
    return "rng", (numbers["state"], numbers["inc"], inner["has_uint32"], inner["uinteger"])


def _read_rng(state: Any, object_at: ObjectAt) -> np.random.Generator:
    number, increment, has_uint32, uinteger = (int(n) for n in state)
    rng = np.random.Generator(np.random.PCG64(0))
    rng.bit_generator.state = {
        "bit_generator": "PCG64", "state": {"state": number, "inc": increment}, "has_uint32": has_uint32, "uinteger": uinteger,
    }  # fmt: skip
    return rng


def _rng_at(object_at: ObjectAt, number: Any) -> np.random.Generator:
    rng = object_at(int(number))
    if not isinstance(rng, np.random.Generator):
        raise TypeError("no random generator")
    return rng


def _read_random_state(state: Any, object_at: ObjectAt) -> ops_random.RandomState:
    method, rng = state
    made = ops_random.RandomState(0, int(method))
    made.rng = _rng_at(object_at, rng)
    return made


def _read_bit_generator(state: Any, object_at: ObjectAt) -> ops_random.BitGenerator:
    kind, rng = state
    made = ops_random.BitGenerator(str(kind), 0)
    made.rng = _rng_at(object_at, rng)
    return made


def _read_generator(rng: Any, object_at: ObjectAt) -> ops_random.Generator:
    made = ops_random.Generator.__new__(ops_random.Generator)
    made.rng = _rng_at(object_at, rng)
    return made


def _read_event(state: Any, object_at: ObjectAt) -> Event:
    at_ns, timed = state
    made = Event(0)
    made.at_ns, made.timed = None if at_ns is None else int(at_ns), bool(timed)
    return made


def _read_module(state: Any, object_at: ObjectAt) -> RawModuleObject:
    source, options, backend, expressions, headers, cooperative = state
    texts = {str(name): str(text) for name, text in headers.items()}
    made = RawModuleObject(str(source), tuple(map(str, options)), str(backend), tuple(map(str, expressions)), texts)
    made.cooperative = bool(cooperative)
    return made


def _written_function(value: FunctionObject, number_of: NumberOf) -> tuple[str, Any]:
    shared = None if value.function is None else value.function.max_dynamic_shared_bytes
    return "function", (number_of(value.module), value.name, dict(value.attributes), shared)


def _read_function(state: Any, object_at: ObjectAt) -> FunctionObject:
    number, name, attributes, shared = state
    module = object_at(int(number))
    if not isinstance(module, RawModuleObject):
        raise TypeError("no module")
    made = FunctionObject(module, str(name), None, {str(key): int(n) for key, n in attributes.items()})
    made.shared_bytes = None if shared is None else int(shared)
    return made


def _written_generated(value: Generated, number_of: NumberOf) -> tuple[str, Any]:
    return "generated", (*value.declared, value.name, value.reduce_dims, value.options, dict(value.parts))


def _read_generated(state: Any, object_at: ObjectAt) -> Generated:
    inputs, outputs, name, reduce_dims, options, parts = state
    texts = {str(key): part if isinstance(part, str) else str(part) for key, part in parts.items()}
    return Generated(str(inputs), str(outputs), str(name), bool(reduce_dims), tuple(map(str, options)), texts)


_WRITERS: dict[type, Callable[[Any, NumberOf], tuple[str, Any]]] = {
    np.random.Generator: _written_rng,
    ops_random.RandomState: lambda v, n: ("random.RandomState", (v.method, n(v.rng))),
    ops_random.BitGenerator: lambda v, n: ("random.BitGenerator", (v.kind, n(v.rng))),
    ops_random.Generator: lambda v, n: ("random.Generator", n(v.rng)),
    Event: lambda v, n: ("event", (v.at_ns, v.timed)),
    RawModuleObject: lambda v, n: (
        "module",
        (v.source, v.options, v.backend, v.expressions, dict(v.headers), v.cooperative),
    ),
    FunctionObject: _written_function,
    Generated: _written_generated,
}
_READERS: dict[str, Callable[[Any, ObjectAt], Any]] = {
    "rng": _read_rng,
    "random.RandomState": _read_random_state,
    "random.BitGenerator": _read_bit_generator,
    "random.Generator": _read_generator,
    "event": _read_event,
    "module": _read_module,
    "function": _read_function,
    "generated": _read_generated,
}


# -- the rest -------------------------------------------------------------------------------------------------------------


def fixed(engine: Any) -> str:
    """Why the kernels' variables hold a session here; empty: nothing does, as far as can be told at once. `write` looks at all."""
    if engine is None:
        return ""
    try:
        apart = {place[1] for place in engine.mapped().values()}
        where = escaped(engine.libraries(), engine.arena if engine.arena.used_bytes <= QUICK_BYTES else None, apart)
    except LookupError as error:
        return f"The session cannot be moved or saved: {error}."
    return f"The session cannot be moved or saved: {_KEPT.format(where)}." if where else ""


def write(timeline: Any, engine: Any, message: Any, known: set[int]) -> None:
    """Streams, the arena's map, kernels' variables and output into a `SessionDocument`.

    Args:
        known: addresses of the blocks that the document's buffers are in.

    Raises:
        LookupError: something that cannot be written down.
    """
    message.streams.extend(sorted(timeline.streams))
    message.now_ns, message.boot_id = time.perf_counter_ns(), hosts.boot_id()
    if engine is None:
        return
    mapped = engine.mapped()
    for library in engine.libraries():
        place = mapped.get(library.start)
        offsets, data = changes(library)
        if not offsets and place is None:
            continue
        made = message.modules.add(name=library.name, source=library.source, options=library.options, expressions=library.expressions,
                                   headers=named(library.headers), backend=library.backend, object_hash=library.object_hash,
                                   data_bytes=library.size)  # fmt: skip
        made.changed.extend(offsets)
        made.data.extend(data)
        if place is not None:
            made.arena_address, made.arena_block, made.arena_block_bytes = place
            known = known | {place[1]}
    arena, found = engine.arena, message.arena
    where = escaped(engine.libraries(), arena, {place[1] for place in mapped.values()})
    if where:
        raise LookupError(_KEPT.format(where))
    found.base, found.nbytes = arena.base, arena.nbytes
    used, free, found.top, found.open_end = arena.map()
    found.free.extend(free)
    found.free_bytes.extend(free.values())
    for address, nbytes in used.items():
        if address + arena.base not in known:
            found.held.append(address)
            found.held_bytes.append(nbytes)
    message.printed = engine.peek_printed()


def read(timeline: Any, engine: Any, message: Any) -> None:
    """Streams, kernels' variables and output out of a `SessionDocument`, and the arena's map, once its blocks are placed.

    Raises:
        Inconsistent: it cannot be so.
        OSError, CompileException, …: what loading a module raises.
    """
    timeline.streams = {int(number) for number in message.streams}
    if engine is None:
        if message.arena.top or message.modules:
            raise Inconsistent("it has kernels, and this server has no kernel engine")
        return
    arena, found = engine.arena, message.arena
    if found.top and (arena.base, arena.nbytes) != (found.base, found.nbytes):
        raise Inconsistent(
            f"its arena is {found.nbytes:#x} bytes at {found.base:#x}, this server's {arena.nbytes:#x} bytes at {arena.base:#x}"
        )
    for module in message.modules:
        if module.arena_block:
            _check_in(module.arena_address, module.data_bytes, module.arena_block, module.arena_block_bytes)
            # A program that has made an array over a variable has the block as a buffer also.
            block = arena.root_at(module.arena_block)
            if block is None:
                block = arena.place(module.arena_block, module.arena_block_bytes)
            if block.nbytes != module.arena_block_bytes:
                raise Inconsistent("a module's variables lie in a block of another size")
            engine.keep(block)
    for offset, nbytes in zip(found.held, found.held_bytes, strict=True):
        engine.keep(arena.place(arena.base + offset, nbytes))
    arena.settle(dict(zip(found.free, found.free_bytes, strict=True)), found.top, found.open_end)
    for module in message.modules:
        engine.restore_library(
            module.source, tuple(module.options), module.name, tuple(module.expressions), from_named(module.headers), module.backend,
            module.object_hash, module.data_bytes, list(module.changed), list(module.data),
            (module.arena_address, module.arena_block, module.arena_block_bytes),
        )  # fmt: skip
    engine.restore_printed(message.printed)


def _check_in(address: int, nbytes: int, block: int, block_bytes: int) -> None:
    if not block <= address <= address + nbytes <= block + block_bytes:
        raise Inconsistent("a module's variables do not lie in their block")


__all__ = ["Inconsistent", "fixed", "object_of", "object_state", "read", "write"]
