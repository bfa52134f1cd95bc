"""What generators of cuRAND have drawn: cuRAND does not tell how far a generator is, so that whoever makes one again does the same calls.

`cupy.random.RandomState` looks cuRAND up in its package at each call (`from cupy_backends.cuda.libs import curand`). A `Recorder` in that
place passes every call on and remembers, for each generator, the calls since it was seeded: a few numbers, since equal calls that follow
each other are counted. A generator of the same method and seed that has made the same calls gives the same numbers from there on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

#: What draws -> bytes of one number that it writes.
DRAWS = {
    "generate": 4, "generateLongLong": 8, "generateUniform": 4, "generateUniformDouble": 8, "generateNormal": 4,
    "generateNormalDouble": 8, "generateLogNormal": 4, "generateLogNormalDouble": 8, "generatePoisson": 4,
}  # fmt: skip
#: More is not done again: a generator that has drawn it says that it cannot be written down.
MAX_BYTES = 64 << 30
MAX_RUNS = 100_000
#: A draw's scratch memory is not made larger than this; a larger draw cannot be done again in parts.
MAX_SCRATCH_BYTES = 4 << 30


class Far(Exception):
    """A generator has drawn too much to be made again."""


class History:
    """Of one generator: its seed, and [call, how many numbers, how often]."""

    __slots__ = ("is_far", "nbytes", "offset", "runs", "seed")

    def __init__(self) -> None:
        self.seed: int | None = None
        self.offset: int | None = None
        self.runs: list[list[Any]] = []
        self.nbytes = 0
        self.is_far = False

    def drawn(self, call: str, count: int) -> None:
        nbytes = count * DRAWS[call]
        self.nbytes += nbytes
        if self.is_far or self.nbytes > MAX_BYTES or nbytes > MAX_SCRATCH_BYTES:
            self._give_up()
            return
        last = self.runs[-1] if self.runs else None
        if last is not None and last[0] == call and last[1] == count:
            last[2] += 1
        elif len(self.runs) < MAX_RUNS:
            self.runs.append([call, count, 1])
        else:
            self._give_up()

    def _give_up(self) -> None:
        self.is_far = True
        self.runs = []

    def plain(self) -> tuple[int | None, int | None, list[tuple[str, int, int]]]:
        """As it is written down. Raises Far."""
        if self.is_far:
            raise Far
        return self.seed, self.offset, [(call, count, times) for call, count, times in self.runs]


class Recorder:
    """Stands for the module `cupy_backends.cuda.libs.curand`. Thread-safe as far as a generator is."""

    def __init__(self, curand: Any) -> None:
        self._curand = curand
        self._known: dict[int, History] = {}
        self._lock = threading.Lock()
        for call in DRAWS:
            own = getattr(curand, call, None)
            if own is not None:
                setattr(self, call, self._drawing(call, own))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._curand, name)

    def _drawing(self, call: str, own: Callable[..., Any]) -> Callable[..., Any]:
        def draw(generator: int, pointer: int, count: int, *rest: Any) -> Any:
            result = own(generator, pointer, count, *rest)
            self.history(generator).drawn(call, int(count))
            return result

        return draw

    def history(self, generator: int) -> History:
        with self._lock:
            return self._known.setdefault(int(generator), History())

    def createGenerator(self, method: int) -> int:
        made = int(self._curand.createGenerator(method))
        with self._lock:
            self._known[made] = History()
        return made

    def destroyGenerator(self, generator: int) -> Any:
        with self._lock:
            self._known.pop(int(generator), None)
        return self._curand.destroyGenerator(generator)

    def setPseudoRandomGeneratorSeed(self, generator: int, seed: int) -> Any:
        """A seed begins a generator anew."""
        result = self._curand.setPseudoRandomGeneratorSeed(generator, seed)
        fresh = History()
        fresh.seed = int(seed)
        with self._lock:
            self._known[int(generator)] = fresh
        return result

    def setGeneratorOffset(self, generator: int, offset: int) -> Any:
        """Counted from the seed: what was drawn before says nothing any more."""
        result = self._curand.setGeneratorOffset(generator, offset)
        history = self.history(generator)
        history.offset, history.runs, history.nbytes, history.is_far = int(offset), [], 0, False
        return result

    def repeat(
        self, generator: int, seed: int | None, offset: int | None, runs: Iterable[tuple[str, int, int]],
        scratch: Callable[[int], Any],
    ) -> None:  # fmt: skip
        """Bring a fresh generator to where another one was.

        Args:
            scratch: bytes -> an object whose `ptr` is device memory of that size.

        Raises:
            ValueError: nobody can have drawn so.
        """
        runs = list(runs)
        if any(call not in DRAWS or count < 0 or times < 0 for call, count, times in runs):
            raise ValueError("a draw that cannot be")
        if sum(DRAWS[call] * count * times for call, count, times in runs) > MAX_BYTES or len(runs) > MAX_RUNS:
            raise ValueError("more draws than anybody writes down")
        most = max((DRAWS[call] * count for call, count, _ in runs), default=0)
        if most > MAX_SCRATCH_BYTES:
            raise ValueError("a draw that is larger than anybody writes down")
        if seed is not None:
            self.setPseudoRandomGeneratorSeed(generator, seed)
        if offset is not None:
            self.setGeneratorOffset(generator, offset)
        memory = scratch(max(most, 8))
        for call, count, times in runs:
            draw = getattr(self, call)
            rest = {
                "generateUniform": (),
                "generateUniformDouble": (),
                "generate": (),
                "generateLongLong": (),
                "generatePoisson": (1.0,),
            }
            for _ in range(times):
                draw(generator, memory.ptr, count, *rest.get(call, (0.0, 1.0)))


_lock = threading.Lock()


def install() -> Recorder:
    """Put a recorder in the place of cuRAND, once in a process; later calls return it."""
    import importlib

    libs: Any = importlib.import_module("cupy_backends.cuda.libs")
    with _lock:
        curand = importlib.import_module("cupy_backends.cuda.libs.curand")
        there = libs.curand
        if isinstance(there, Recorder):
            return there
        made = libs.curand = Recorder(curand)
        return made


__all__ = ["DRAWS", "Far", "History", "Recorder", "install"]
