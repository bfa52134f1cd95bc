"""What a CUDA device says to whoever wants to copy a session: that it stays.

Without a written form are: streams and events, modules with what their variables hold (`cuModuleGetGlobal` needs names), CuPy's random
states (cuRAND does not tell how far a generator is), FFT plans and library handles. Arrays alone would not be a session.
"""

from __future__ import annotations

from typing import Any, NoReturn

WHY = "Sessions on CUDA devices cannot be moved or saved yet: their streams, modules and random states have no written form."


class Staying:
    """The part of the `Device` protocol that copies sessions; `fixed` is asked first, and nothing else is called then."""

    arena: Any = None

    def fixed(self) -> str:
        return WHY

    def _refuse(self, *args: Any, **named: Any) -> NoReturn:
        raise NotImplementedError(WHY)

    bytes_of = arena_address = place_in = offset_in = offset_of_bytes = _refuse
    object_state = object_of = write_state = read_state = place = shaped = staged = array_over = _refuse


__all__ = ["WHY", "Staying"]
