"""Random stencils, whose steps run as the stages of a wave (`apiserver/fusion/waves.py`), beside the same commands one by one."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from cupool.apiserver.fusion import driver
from fusion_programs import THREADS, Side
from wire import H, I, R, V, form, spec, value

from cupool.contract.codec import real_bits

#: Shapes, and how far a step reaches.
KINDS: tuple[tuple[tuple[int, ...], int], ...] = (
    ((6000,), 1), ((6000,), 5), ((60, 70), 1), ((70, 41), 2), ((30, 11, 13), 1),
)  # fmt: skip


class Forms:
    """Forms of one program by what they do."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __call__(self, op: str, args: list[Any], results: list[Any], **kwargs: Any) -> Any:
        key = repr((op, args, results, kwargs))
        if key not in self._made:
            self._made[key] = form(len(self._made) + 1, op, args, results, **kwargs)
        return self._made[key]


def stencils(seed: int, shape: tuple[int, ...], steps: int, reach: int) -> list[Any]:
    """Steps over one array or two in turns, each of random neighbours at most `reach` away, some with other operations between."""
    rng, numbers, forms = random.Random(seed), np.random.default_rng(seed), Forms()
    inner = tuple(n - 2 * reach for n in shape)
    strides = np.empty(shape).strides
    key = tuple(slice(reach, n - reach) for n in shape)
    view, new = spec(inner, "<f8", strides), spec(inner)
    assign = forms("ndarray.__setitem__", [H, key, H], [])
    commands: list[Any] = []
    arrays = [1, 2] if rng.random() < 0.6 else [1]
    for handle in (1, 2):
        data = numbers.standard_normal(shape)
        data[numbers.random(shape) < 0.02] = np.nan
        commands.append((forms("@array", [V], [spec(shape)]), handle, value(data.tobytes())))
    handle = 10
    for step in range(steps):
        source, target = arrays[step % len(arrays)], arrays[(step + 1) % len(arrays)]
        operands = []
        for _ in range(rng.randint(2, 4)):
            place = [rng.randint(0, 2 * reach) for _ in shape]
            offset = sum(p * s for p, s in zip(place, strides, strict=True))
            commands.append((forms("@view", [H, I], [view]), handle, source, offset))
            operands.append(handle)
            handle += 1
        total = operands[0]
        for other in operands[1:]:
            commands.append((forms(rng.choice(("add", "subtract", "maximum")), [H, H], [new]), handle, total, other))
            commands += [(None, total), (None, other)]
            total, handle = handle, handle + 1
        commands.append((forms("multiply", [H, R], [new]), handle, total, real_bits(0.25)))
        commands += [(None, total), (assign, target, handle), (None, handle)]
        handle += 1
        if rng.random() < 0.1:
            commands += [(forms("exp", [H], [spec(shape)]), handle, target), (None, handle)]
            handle += 1
    return commands


def compared(commands: list[Any], threads: int = THREADS, waves: bool = True) -> int:
    """Run them one by one, and in one batch. Returns how many waves there were. Raises AssertionError: something differs."""
    plain, fused = Side(False), Side(True, threads=threads, waves=waves)
    known: set[int] = set()
    for command in commands:
        plain.run([command], known)
    fused.run(commands, set())
    assert plain.state() == fused.state(), "arrays or books differ"
    assert sorted(plain.told) == sorted(fused.told), "answers differ"
    fusion = fused.executor.fusion
    assert fusion is not None
    for side in (plain, fused):
        side.executor.close()
    return fusion.waves


def check(seed: int) -> int:
    """One program; how many waves it came to. Raises AssertionError: something differs."""
    np.seterr(all="ignore")
    driver.prepare(waits=True)
    shape, reach = KINDS[seed % len(KINDS)]
    return compared(stencils(seed, shape, 4 + seed % 17, reach))


__all__ = ["KINDS", "check", "compared", "stencils"]
