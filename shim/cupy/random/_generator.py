"""`cupy.random.RandomState` and the global one of each device.

Seeds are minted here and never on a server, so that a replay draws the same numbers.
"""

from __future__ import annotations

import hashlib
import os
import threading
from typing import Any, Self

import numpy as np

from cupool.contract import ids
from cupool.contract.ops import row

from ... import session
from ..._generated.random import RandomStateMethods
from ...dispatch import call, construct
from ...objects import RemoteObject

_NEW = row("random.RandomState")
_SEED = row("random.RandomState.seed")
_RANDINT = row("random.RandomState.randint")
_HYPERGEOMETRIC = row("random.RandomState.hypergeometric")

#: cuRAND's default pseudo-random generator, as CuPy's `method` attribute shows it.
_DEFAULT_METHOD = 100


def mint_seed(seed: Any = None) -> int:
    """The 64-bit integer that a seed argument stands for; fresh entropy for None.

    Raises:
        TypeError, ValueError: as CuPy.
    """
    if seed is None:
        return int.from_bytes(os.urandom(8), "little")
    if isinstance(seed, np.ndarray):
        return int(hashlib.md5(seed.tobytes(), usedforsecurity=False).hexdigest()[:16], 16)
    array = np.asarray(seed)
    if array.dtype.kind not in "biu" or array.ndim:
        raise TypeError("Seed must be an integer.")
    value = int(array)
    if not 0 <= value < 1 << 64:
        raise ValueError("Seed must be an integer between 0 and 2**64 - 1")
    return value


def check_bounds(low: Any, high: Any, dtype: Any, endpoint: bool = False) -> None:
    """The checks of an integer range that need its values. `high` None: 0 up to `low`."""
    first, last = (0, int(low)) if high is None else (int(low), int(high))
    if not endpoint:
        last -= 1
    info = np.iinfo(dtype)
    if first > last:
        raise ValueError("low >= high")
    if first < info.min:
        raise ValueError(f"low is out of bounds for {np.dtype(dtype).name}")
    if last > info.max:
        raise ValueError(f"high is out of bounds for {np.dtype(dtype).name}")


def _whole(value: Any) -> int | None:
    """A scalar bound as a Python integer."""
    return None if value is None else int(value)


class RandomState(RandomStateMethods, RemoteObject):
    """As `cupy.random.RandomState`. The stream depends on the seed and on the kind of device, and differs from NumPy's."""

    __slots__ = ("method",)

    def __new__(cls, seed: Any = None, method: Any = None) -> Self:
        self: Any = construct(_NEW, (mint_seed(seed), method), cls)
        self.method = _DEFAULT_METHOD if method is None else method
        return self  # type: ignore[no-any-return]

    def __init__(self, seed: Any = None, method: Any = None) -> None:
        # Made in __new__: the handle belongs to the constructor's command.
        pass

    def seed(self, seed: Any = None) -> None:
        """As `cupy.random.RandomState.seed`."""
        call(_SEED, (self, mint_seed(seed)))

    def randint(self, low: Any, high: Any = None, size: Any = None, dtype: Any = int) -> Any:
        """As `cupy.random.RandomState.randint`."""
        if np.isscalar(low) and (high is None or np.isscalar(high)):
            check_bounds(low, high, dtype)
            low, high = _whole(low), _whole(high)
        return call(_RANDINT, (self, low, high, size, dtype))

    def hypergeometric(self, ngood: Any, nbad: Any, nsample: Any, size: Any = None, dtype: Any = "l") -> Any:
        """As `cupy.random.RandomState.hypergeometric`."""
        for name, value, least in (("ngood", ngood, 0), ("nbad", nbad, 0), ("nsample", nsample, 1)):
            if isinstance(value, (int, float)) and value < least:
                raise ValueError(f"{name} < {least}")
        return call(_HYPERGEOMETRIC, (self, ngood, nbad, nsample, size, dtype))


#: Device id -> its global state. Replaced by `reset_states`.
_random_states: dict[int, RandomState] = {}

#: One thread at a time makes a global state. In a list: a forked child gets a fresh one.
_making = [threading.Lock()]


def _renew_lock() -> None:
    _making[0] = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)

#: A session has one device for now.
_DEVICE = 0


def get_random_state() -> RandomState:
    """The global RandomState of the current device, made on first use: seeded by CUPY_SEED where that is set."""
    state = _random_states.get(_DEVICE)
    if _is_usable(state):
        return state  # type: ignore[return-value]
    with _making[0]:
        # Another thread may have made it: all threads draw from one.
        state = _random_states.get(_DEVICE)
        if not _is_usable(state):
            text = os.getenv("CUPY_SEED")
            state = _random_states[_DEVICE] = RandomState(None if text is None else np.uint64(int(text)))
    return state  # type: ignore[return-value]


def _is_usable(state: Any) -> bool:
    """Not after a fork: the parent's generator lives in the parent's session."""
    return state is not None and (not isinstance(state, RandomState) or ids.range_of(state.handle) == ids.current_range)


def set_random_state(rs: RandomState) -> None:
    """As `cupy.random.set_random_state`."""
    if not isinstance(rs, RandomState):
        raise TypeError(f"Random state must be an instance of RandomState. Actual: {type(rs)}")
    _random_states[_DEVICE] = rs


def _forget_states() -> None:
    """The session is another one: its generators went with it."""
    reset_states()


session.on_change.append(_forget_states)


def reset_states() -> None:
    """Forget the global states: the next use makes fresh ones."""
    global _random_states
    _random_states = {}


def seed(seed: Any = None) -> None:
    """As `cupy.random.seed`."""
    get_random_state().seed(seed)
