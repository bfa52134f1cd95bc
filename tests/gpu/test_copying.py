"""A session of a GPU goes on in another process as if nothing had been: memory at its addresses, generators, kernels, streams."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cupool.contract.spec import spec_of

SUPPORT = Path(__file__).resolve().parents[1] / "support"


def part(*words: Any) -> list[str]:
    """What `gpu_programs.py` prints: a hash for each batch."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SUPPORT), *filter(None, [os.environ.get("PYTHONPATH")])])}
    done = subprocess.run(
        [sys.executable, SUPPORT / "gpu_programs.py", *map(str, words)], env=env, capture_output=True, text=True, timeout=300, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split()


@pytest.mark.parametrize("seed", range(4))
def test_a_program_goes_on_in_another_process(seed: int, tmp_path: Path) -> None:
    whole, cut = part("whole", seed), 5 + 3 * seed
    first = part("first", seed, cut, tmp_path / "session")
    assert [*first, *part("rest", seed, cut, tmp_path / "session")] == whole


def test_a_fingerprint_is_the_same_on_the_gpu_and_on_the_host(device: Any) -> None:
    host = np.random.default_rng(1).random(300_001)
    root = device.from_bytes(spec_of(host.shape, host.dtype), host.tobytes())
    device.synchronize()
    assert device.hashes(device.bytes_of(root)) == device.hashes(host.view(np.uint8))
    assert device.bytes_of(root)[8:4_000].tobytes() == host.view(np.uint8)[8:4_000].tobytes()


@pytest.mark.parametrize("method", [100, 141, 161])  # XORWOW, MT19937, Philox
def test_a_generator_is_made_again_by_its_calls(device: Any, method: int) -> None:
    import cupy
    from cupool.apiserver.devices.cuda import draws, state

    draws.install()
    rng = cupy.random.RandomState(5, method)
    rng.standard_normal(7)
    rng.random_sample((3, 5), dtype=np.float32)
    for _ in range(3):
        rng.randint(0, 100, 11)
    kind, plain = state.object_state(rng, lambda value: 0)
    again = state.object_of(kind, plain, lambda number: None)
    draws_ = (
        lambda r: r.random_sample(9), lambda r: r.standard_normal(4), lambda r: r.randint(0, 1 << 30, 5), lambda r: r.gamma(2.0, size=3),
    )  # fmt: skip
    for draw in draws_:
        assert np.array_equal(draw(rng).get(), draw(again).get())


@pytest.mark.parametrize("name", ["XORWOW", "MRG32k3a", "Philox4x3210"])
def test_a_bit_generator_is_made_again_of_its_state(device: Any, name: str) -> None:
    import cupy
    from cupool.apiserver.devices.cuda import state

    source = getattr(cupy.random, name)(5)
    cupy.random.Generator(source).standard_normal(1000)
    kind, plain = state.object_state(source, lambda value: 0)
    again = state.object_of(kind, plain, lambda number: None)
    ours, theirs = (cupy.random.Generator(one).random(1000).get() for one in (source, again))
    assert np.array_equal(ours, theirs)
