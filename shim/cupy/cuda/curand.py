"""`cupy.cuda.curand`: constants, the error, and generators by handle. Numbers come from `cupy.random`'s generator of that kind.

Output pointers are device addresses; what is drawn is written there.
"""

from __future__ import annotations

from typing import Any, ClassVar

from . import _libraries

globals().update(
    _libraries.constants(
        "CURAND_ORDERING_PSEUDO_BEST=100 CURAND_ORDERING_PSEUDO_DEFAULT=101 CURAND_ORDERING_PSEUDO_SEEDED=102 "
        "CURAND_ORDERING_QUASI_DEFAULT=201 CURAND_RNG_PSEUDO_DEFAULT=100 CURAND_RNG_PSEUDO_MRG32K3A=121 CURAND_RNG_PSEUDO_MT19937=142 "
        "CURAND_RNG_PSEUDO_MTGP32=141 CURAND_RNG_PSEUDO_PHILOX4_32_10=161 CURAND_RNG_PSEUDO_XORWOW=101 CURAND_RNG_QUASI_DEFAULT=200 "
        "CURAND_RNG_QUASI_SCRAMBLED_SOBOL32=202 CURAND_RNG_QUASI_SCRAMBLED_SOBOL64=204 CURAND_RNG_QUASI_SOBOL32=201 "
        "CURAND_RNG_QUASI_SOBOL64=203"
    )
)
STATUS = _libraries.texts(
    "CURAND_STATUS_",
    "0=SUCCESS 100=VERSION_MISMATCH 101=NOT_INITIALIZED 102=ALLOCATION_FAILED 103=TYPE_ERROR 104=OUT_OF_RANGE 105=LENGTH_NOT_MULTIPLE "
    "106=DOUBLE_PRECISION_REQUIRED 201=LAUNCH_FAILURE 202=PREEXISTING_FAILURE 203=INITIALIZATION_FAILED 204=ARCH_MISMATCH "
    "999=INTERNAL_ERROR",
)
_QUASI = range(200, 300)
_NOT_INITIALIZED, _TYPE_ERROR = 101, 103


class CURANDError(_libraries.LibraryError):
    """An error of cuRAND."""

    __module__ = "cupy_backends.cuda.libs.curand"
    TEXTS: ClassVar[dict[int, str]] = STATUS


def check_status(status: int) -> None:
    """Raises CURANDError for a status that is not 0."""
    if status:
        raise CURANDError(status)


class _Generator:
    def __init__(self, rng_type: int) -> None:
        self.rng_type = rng_type
        self.seed = 0
        self.stream = 0
        self._state: Any = None

    @property
    def state(self) -> Any:
        """The `cupy.random.RandomState` that draws."""
        if self._state is None:
            from .. import random

            self._state = random.RandomState(self.seed, method=self.rng_type)
        return self._state

    def reseed(self, seed: int) -> None:
        self.seed, self._state = int(seed), None


_generators: dict[int, _Generator] = {}


def _of(generator: int) -> _Generator:
    found = _generators.get(generator)
    if found is None:
        raise CURANDError(_NOT_INITIALIZED)
    return found


def createGenerator(rng_type: int) -> int:
    """A generator, by its handle. Quasi-random ones are refused."""
    if rng_type in _QUASI:
        raise _libraries.refused("curand", "createGenerator", "quasi-random sequences are not carried")
    if rng_type not in (100, 101, 121, 141, 142, 161):
        raise CURANDError(_TYPE_ERROR)
    number = _libraries.new_handle()
    _generators[number] = _Generator(rng_type)
    return number


def destroyGenerator(generator: int) -> None:
    """Free a generator."""
    _of(generator)
    del _generators[generator]
    _libraries.drop_handle(generator)


def getVersion() -> int:
    """cuRAND's version, as the server's runtime has it."""
    from . import runtime

    return runtime.runtimeGetVersion() // 1000 * 1000


def setStream(generator: int, stream: int) -> None:
    """What is drawn is drawn on this stream."""
    _of(generator).stream = stream


def setPseudoRandomGeneratorSeed(generator: int, seed: int) -> None:
    """Begin again from a seed."""
    _of(generator).reseed(seed)


def setGeneratorOffset(generator: int, offset: int) -> None:
    """An offset of 0 begins again; others are refused."""
    if offset:
        raise _libraries.refused(
            "curand", "setGeneratorOffset", "the state of a generator is the server's, and cannot be moved"
        )
    _of(generator).reseed(_of(generator).seed)


def setGeneratorOrdering(generator: int, order: int) -> None:
    """Noted: it names an order of the results, not their distribution."""
    _of(generator)


def _write(generator: int, address: int, num: int, dtype: str, method: str, *args: Any) -> None:
    import numpy as np

    from cupool.contract.spec import spec_of

    from ... import streams
    from ._memories import array_at
    from ._streams import stream_at

    held = _of(generator)
    with streams.using(stream_at(held.stream)):
        drawn = getattr(held.state, method)(*args, size=int(num))
        array_at(int(address), spec_of((int(num),), np.dtype(dtype)))[...] = drawn.astype(dtype, copy=False)


def _check_even(num: int) -> None:
    if num % 2:
        raise ValueError(
            "curand can only generate even number of random variables simultaneously. See issue #390 for detail."
        )


def generate(generator: int, outputPtr: int, num: int) -> None:
    """32-bit words."""
    _write(generator, outputPtr, num, "u4", "randint", 0, 1 << 32)


def generateLongLong(generator: int, outputPtr: int, num: int) -> None:
    """64-bit words."""
    _write(generator, outputPtr, 2 * num, "u4", "randint", 0, 1 << 32)


def generateUniform(generator: int, outputPtr: int, num: int) -> None:
    """float32 in (0, 1]."""
    _write(generator, outputPtr, num, "f4", "random_sample")


def generateUniformDouble(generator: int, outputPtr: int, num: int) -> None:
    """float64 in (0, 1]."""
    _write(generator, outputPtr, num, "f8", "random_sample")


def generateNormal(generator: int, outputPtr: int, n: int, mean: float, stddev: float) -> None:
    """float32, normal. Raises ValueError for an odd number, as cuRAND does."""
    _check_even(n)
    _write(generator, outputPtr, n, "f4", "normal", mean, stddev)


def generateNormalDouble(generator: int, outputPtr: int, n: int, mean: float, stddev: float) -> None:
    """float64, normal. Raises ValueError for an odd number."""
    _check_even(n)
    _write(generator, outputPtr, n, "f8", "normal", mean, stddev)


def generateLogNormal(generator: int, outputPtr: int, n: int, mean: float, stddev: float) -> None:
    """float32, log-normal. Raises ValueError for an odd number."""
    _check_even(n)
    _write(generator, outputPtr, n, "f4", "lognormal", mean, stddev)


def generateLogNormalDouble(generator: int, outputPtr: int, n: int, mean: float, stddev: float) -> None:
    """float64, log-normal. Raises ValueError for an odd number."""
    _check_even(n)
    _write(generator, outputPtr, n, "f8", "lognormal", mean, stddev)


def generatePoisson(generator: int, outputPtr: int, n: int, lam: float) -> None:
    """32-bit words, Poisson."""
    _write(generator, outputPtr, n, "u4", "poisson", lam)
