"""What the CUDA device has of a session beside arrays, written down in plain values and read back: see `apiserver/document/`.

Written down are streams, events, generators, kernels made of source or of an image, and generated ones. What CUDA does not tell holds
the session: code that keeps something outside of the arena (`sources.py`), generators that have drawn too much to be made again
(`draws.py`), objects of any other kind.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import cupy
import numpy as np

from cupool.contract import hosts
from cupool.contract.errors import is_before_launch
from cupool.contract.values import decode, encode

from ..objects import Inconsistent, NumberOf, ObjectAt, read_object
from . import draws, kernels
from .streams import Event, Streams

OFF = (
    "Sessions on CUDA devices are moved and saved only by servers that were started with --cuda-moves on (CUPOOL_CUDA_MOVES=on): the "
    "code for it has run on no GPU yet; `make gpu` tries it on yours."
)
NO_ARENA = "This server's GPU has no arena (see its log), so addresses of the session's memory could not be kept."
ADDRESSED = (
    "The session has arrays made of raw addresses (UnownedMemory), which cannot be moved or saved on CUDA. It can be when they are "
    "freed."
)


def fixed(arena: Any, has_addressed: bool) -> str:
    """Why a session stays where it is, one sentence; empty: it need not.

    Args:
        has_addressed: it has arrays that were made of an address.
    """
    if arena is None:
        return NO_ARENA
    if has_addressed:
        return ADDRESSED
    why = kernels.held_by()
    return (
        f"The session cannot be moved or saved: code of its kernels has {why}, which CUDA does not tell." if why else ""
    )


# -- objects --------------------------------------------------------------------------------------------------------------


def object_state(value: Any, number_of: NumberOf) -> tuple[str, Any]:
    """(kind, plain values) of a remote object. Raises TypeError for one that has no state of this form."""
    for of_type, writer in _writers().items():
        if type(value) is of_type:
            return writer(value, number_of)
    raise TypeError(f"a {type(value).__name__}")


def object_of(kind: str, state: Any, object_at: ObjectAt) -> Any:
    """The object. Raises Inconsistent."""
    return read_object(_READERS, kind, state, object_at)


def _write_random_state(value: Any, number_of: NumberOf) -> tuple[str, Any]:
    try:
        seed, offset, runs = draws.install().history(value._generator).plain()
    except draws.Far:
        raise TypeError("a random.RandomState that has drawn too much to be made again") from None
    return "random.RandomState", (int(value.method), int(value._rk_seed), seed, offset, tuple(runs))


def _read_random_state(state: Any, object_at: ObjectAt) -> Any:
    method, rk_seed, seed, offset, runs = state
    made = cupy.random.RandomState(0, int(method))
    whole = [(str(call), int(count), int(times)) for call, count, times in runs]
    seeded = None if seed is None else int(seed)
    draws.install().repeat(
        made._generator, seeded, None if offset is None else int(offset), whole, lambda nbytes: cupy.cuda.alloc(nbytes)
    )
    made._rk_seed = int(rk_seed)
    return made


def _write_bit_generator(value: Any, number_of: NumberOf) -> tuple[str, Any]:
    """Its state is an array of its own, whose layout is the library's: the fingerprints say that it is the same there."""
    return "random.BitGenerator", (
        type(value).__name__,
        int(value._size),
        int(value._seed),
        cupy.asnumpy(value._state).tobytes(),
    )


def _read_bit_generator(state: Any, object_at: ObjectAt) -> Any:
    name, size, seed, data = state
    if name not in _BIT_GENERATORS:
        raise ValueError("no bit generator")
    made = getattr(cupy.random, name)(0, size=int(size))
    if made._state.nbytes != len(data):
        raise ValueError("a state of another size")
    made._state.set(np.frombuffer(data, made._state.dtype))
    made._seed = np.uint32(int(seed))
    return made


def _read_generator(number: Any, object_at: ObjectAt) -> Any:
    source = object_at(int(number))
    if not isinstance(source, cupy.random.BitGenerator):
        raise TypeError("no bit generator")
    return cupy.random.Generator(source)


def _write_source(value: Any, number_of: NumberOf) -> tuple[str, Any]:
    if value.held_by:
        raise TypeError(f"module whose code has {value.held_by}")
    try:
        contents = value.contents()
    except (RuntimeError, ValueError) as error:
        raise TypeError(f"module whose variables cannot be read ({error})") from None
    plain = dict(value.headers), value.options, dict(value.fields)
    return "module", (*plain, contents) if contents else plain


def _read_source(state: Any, object_at: ObjectAt) -> Any:
    headers, options, fields, *rest = state
    names = fields.get("name_expressions")
    made = kernels.kernel_raw(
        str(fields["code"]), tuple(map(str, options)), str(fields["backend"]), bool(fields["translate_cucomplex"]),
        bool(fields["enable_cooperative_groups"]), bool(fields["jitify"]), None if names is None else [str(name) for name in names],
        {str(name): str(text) for name, text in headers.items()},
    )  # fmt: skip
    for contents in rest:
        try:
            made.set_contents({str(name): bytes(data) for name, data in contents.items()})
        except RuntimeError as error:
            raise ValueError(str(error)) from None
    return made


def _write_binary(value: Any, number_of: NumberOf) -> tuple[str, Any]:
    if value.held_by:
        raise TypeError(f"module whose code has {value.held_by}")
    return "binary", value.image


def _read_function(state: Any, object_at: ObjectAt) -> Any:
    number, name, attributes = state
    module = object_at(int(number))
    if not isinstance(module, (kernels.Source, kernels.Binary)):
        raise TypeError("no module")
    made = kernels.Function(module, str(name))
    try:
        made.load()  # now, and not in the program's next launch
    except Exception as error:
        if not is_before_launch(error):
            raise
        return made  # as where it was: each launch says so
    for attribute, value in attributes.items():
        kernels.kernel_set_attribute(made, str(attribute), int(value))
    return made


def _write_generated(value: Any, number_of: NumberOf) -> tuple[str, Any]:
    if value.held_by:
        raise TypeError(f"kernel whose code has {value.held_by}")
    return "generated", (value.kind, value.parts)


def _read_generated(state: Any, object_at: ObjectAt) -> Any:
    kind, parts = state
    return kernels.Generated(str(kind), (*parts[:-1], tuple(map(str, parts[-1]))))


_BIT_GENERATORS = ("XORWOW", "MRG32k3a", "Philox4x3210")


def _writers() -> dict[type, Callable[[Any, NumberOf], tuple[str, Any]]]:
    random: Any = cupy.random
    return {
        random.RandomState: _write_random_state,
        random.Generator: lambda v, n: ("random.Generator", n(v.bit_generator)),
        **{getattr(random, name): _write_bit_generator for name in _BIT_GENERATORS},
        Event: lambda v, n: ("event", v.state()),
        kernels.Source: _write_source,
        kernels.Binary: _write_binary,
        kernels.Function: lambda v, n: ("function", (n(v.module), v.name, dict(v.attributes))),
        kernels.Generated: _write_generated,
    }


_READERS: dict[str, Callable[[Any, ObjectAt], Any]] = {
    "random.RandomState": _read_random_state,
    "random.BitGenerator": _read_bit_generator,
    "random.Generator": _read_generator,
    "event": lambda state, object_at: Event.restored(*state),
    "module": _read_source,
    "binary": lambda state, object_at: kernels.Binary(bytes(state)),
    "function": _read_function,
    "generated": _read_generated,
}


# -- the rest -------------------------------------------------------------------------------------------------------------


def write(streams: Streams, arena: Any, message: Any) -> None:
    """Streams and where the arena is into a `SessionDocument`."""
    message.streams.extend(streams.numbers())
    message.device.CopyFrom(encode({"streams": streams.state()}))
    message.now_ns, message.boot_id = time.monotonic_ns(), hosts.boot_id()
    message.arena.base, message.arena.nbytes = arena.base, arena.nbytes


def read(streams: Streams, arena: Any, message: Any) -> None:
    """The reverse. Raises Inconsistent."""
    found = message.arena
    if (found.base, found.nbytes) != (arena.base, arena.nbytes):
        raise Inconsistent(
            f"its arena is {found.nbytes:#x} bytes at {found.base:#x}, this server's {arena.nbytes:#x} bytes at {arena.base:#x}"
        )
    try:
        streams.restore(decode(message.device)["streams"])
    except (TypeError, ValueError, KeyError) as error:
        raise Inconsistent(f"its streams ({type(error).__name__})") from None
    # Of another host's clock nothing is known but that some time has passed.
    gone_ms = (time.monotonic_ns() - message.now_ns) / 1e6 if message.boot_id == hosts.boot_id() else 0.0
    Event.begin_again(max(gone_ms, 0.0))


__all__ = ["NO_ARENA", "OFF", "Inconsistent", "fixed", "object_of", "object_state", "read", "write"]
