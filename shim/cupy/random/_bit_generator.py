"""`cupy.random.Generator` and its bit generators."""

from __future__ import annotations

import threading
from typing import Any, Self

import numpy as np

from cupool.contract.ops import find_row, row

from ..._generated.random import GeneratorMethods, MRG32k3aMethods, Philox4x3210Methods, XORWOWMethods
from ...dispatch import call, construct
from ...objects import RemoteObject
from ._generator import check_bounds

_INTEGERS = row("random.Generator.integers")
_HYPERGEOMETRIC = row("random.Generator.hypergeometric")


def _seed_sequence(seed: Any) -> np.random.SeedSequence:
    if isinstance(seed, np.random.SeedSequence):
        return seed
    if hasattr(seed, "get"):
        seed = seed.get()
    return np.random.SeedSequence(seed)


def _sent_seed(sequence: np.random.SeedSequence) -> Any:
    """What the server makes the same sequence of: the entropy (fresh entropy is drawn here). A spawned sequence, which CuPy takes
    only as an object, travels as words derived from it."""
    if sequence.spawn_key:
        return [int(word) for word in sequence.generate_state(4)]
    entropy: Any = sequence.entropy
    return (
        int(entropy) if isinstance(entropy, (int, np.integer)) else [int(word) for word in np.asarray(entropy).ravel()]
    )


class BitGenerator(RemoteObject):
    """As `cupy.random.BitGenerator`: the base class, which draws nothing itself."""

    __slots__ = ("_seed_seq", "lock")

    def __new__(cls, seed: Any = None, **kwargs: Any) -> Self:
        self = object.__new__(cls)
        self.handle = 0
        self._prepare(seed)
        return self

    def __init__(self, seed: Any = None, **kwargs: Any) -> None:
        # Made in __new__: the handle belongs to the constructor's command.
        pass

    def _prepare(self, seed: Any) -> None:
        self._seed_seq = _seed_sequence(seed)
        self.lock = threading.Lock()

    def random_raw(self, size: Any = None, output: bool = True) -> Any:
        """As `cupy.random.BitGenerator.random_raw`."""
        raise NotImplementedError("Not implemented in base BitGenerator")


class _CurandGenerator(BitGenerator):
    """A bit generator with a state on the server. The row of its name constructs it."""

    __slots__ = ()

    def __new__(cls, seed: Any = None, *, size: int = -1) -> Self:
        sequence = _seed_sequence(seed)
        self = construct(row(f"random.{cls._row_name()}"), (_sent_seed(sequence), size), cls)
        self._seed_seq = sequence  # type: ignore[attr-defined]
        self.lock = threading.Lock()  # type: ignore[attr-defined]
        return self  # type: ignore[return-value]

    def __init__(self, seed: Any = None, *, size: int = -1) -> None:
        pass

    @classmethod
    def _row_name(cls) -> str:
        return next(base.__name__ for base in cls.__mro__ if find_row(f"random.{base.__name__}") is not None)


class XORWOW(XORWOWMethods, _CurandGenerator):
    """As `cupy.random.XORWOW`."""

    __slots__ = ()
    generator = 0


class MRG32k3a(MRG32k3aMethods, _CurandGenerator):
    """As `cupy.random.MRG32k3a`."""

    __slots__ = ()
    generator = 1


class Philox4x3210(Philox4x3210Methods, _CurandGenerator):
    """As `cupy.random.Philox4x3210`."""

    __slots__ = ()
    generator = 2


class Generator(GeneratorMethods, RemoteObject):
    """As `cupy.random.Generator`."""

    __slots__ = ("_bit_generator",)

    def __new__(cls, bit_generator: BitGenerator) -> Self:
        if not isinstance(bit_generator, BitGenerator):
            raise TypeError(f"bit_generator must be a cupy.random.BitGenerator, not {type(bit_generator).__name__}")
        if not bit_generator.handle:
            raise NotImplementedError("Not implemented in base BitGenerator")
        self = construct(row("random.Generator"), (bit_generator,), cls)
        self._bit_generator = bit_generator  # type: ignore[attr-defined]
        return self  # type: ignore[return-value]

    def __init__(self, bit_generator: BitGenerator) -> None:
        pass

    @property
    def bit_generator(self) -> BitGenerator:
        """Where the numbers come from. Assigning another one continues with its stream."""
        return self._bit_generator

    @bit_generator.setter
    def bit_generator(self, bit_generator: BitGenerator) -> None:
        other = Generator(bit_generator)
        # `other` takes the old handle with it.
        self.handle, other.handle = other.handle, self.handle
        self._bit_generator = bit_generator

    def integers(
        self, low: Any, high: Any = None, size: Any = None, dtype: Any = np.int64, endpoint: bool = False
    ) -> Any:
        """As `cupy.random.Generator.integers`."""
        check_bounds(low, high, dtype, endpoint)
        high = None if high is None else int(high)
        return call(_INTEGERS, (self, int(low), high, size, dtype, endpoint))

    def hypergeometric(self, ngood: Any, nbad: Any, nsample: Any, size: Any = None) -> Any:
        """As `cupy.random.Generator.hypergeometric`."""
        for name, value in (("ngood", ngood), ("nbad", nbad), ("nsample", nsample)):
            if type(value) in (float, int) and value < 0:
                raise ValueError(f"{name} < 0")
        return call(_HYPERGEOMETRIC, (self, ngood, nbad, nsample, size))


def default_rng(seed: Any = None) -> Generator:
    """As `cupy.random.default_rng`."""
    if isinstance(seed, Generator):
        return seed
    return Generator(seed if isinstance(seed, BitGenerator) else XORWOW(seed))
