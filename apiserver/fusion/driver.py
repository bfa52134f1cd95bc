"""The driver: native code that runs a segment's blocks on several cores (`driver.cc`), compiled once on a machine.

    absent      no compiler, or not compiled yet: `programs.py` runs the blocks in the interpreter, with the same results
    loaded      `Team.run`; the interpreter's lock is free meanwhile

Boundary: the compiler's cache and the C call. What the tables say is `lowering.py`'s.
"""

from __future__ import annotations

import ctypes
import logging
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path

from cupool.contract.errors import CompileException, OpMissing

from ..devices.cpu.facts import cores
from ..devices.cpu.kernels.compiling import default_compiler

log = logging.getLogger(__name__)

SOURCE = Path(__file__).parent / "driver.cc"
#: Words of a step and of a slot, as `driver.cc` has them.
STEP_WORDS, SLOT_WORDS = 56, 3
#: Stages of a wave.
MOST_STAGES = 16
#: Elements times steps below which other threads bring less than it costs to tell them.
WORK_OF_A_THREAD = 1 << 17
#: Elements of a command that several cores run though it joins no other.
WORTH_ALONE = 1 << 19
#: And threads that are needed for a command whose operands' way through memory takes longer than what is done with them. Measured on two
#: cores: adding 10^6 numbers takes two threads 0.93 to 1.5 of one's time.
THREADS_OF_CHEAP = 4
MOST_THREADS = 256
#: Of one value of a block: some of them fit into a core's nearest cache. The interpreter, which each block costs more, has larger ones.
BLOCK_BYTES = 16 << 10
#: What a host without a compiler that works gives: everything runs in the interpreter there.
_BROKEN = (CompileException, OpMissing, OSError, RuntimeError, subprocess.SubprocessError)


class Driver:
    """The loaded code."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where it cannot be loaded, or is not the code of this source."""
        library = ctypes.CDLL(str(path))
        layout = library.cupool_fusion_layout
        layout.restype = ctypes.c_int64
        if layout() != (STEP_WORDS * 8) << 32 | SLOT_WORDS * 8:
            raise OSError(0, f"{path} has another layout")
        self._run, self._wave, self._open, self._close, self._added = (
            getattr(library, f"cupool_fusion_{name}") for name in ("run", "wave", "open", "close", "added")
        )
        self._run.restype = ctypes.c_int64
        self._run.argtypes = (ctypes.c_void_p,) * 3
        self._wave.restype, self._wave.argtypes = ctypes.c_int64, (ctypes.c_void_p,) * 3
        self._open.restype, self._open.argtypes = ctypes.c_void_p, (ctypes.c_int64,)
        self._close.restype, self._close.argtypes = None, (ctypes.c_void_p,)
        self._added.restype = None
        self._added.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)

    @contextmanager
    def team(self, threads: int) -> Iterator[Team]:
        """Threads for segments that are run one after another, the caller among them. Raises MemoryError."""
        handle = self._open(threads)
        if not handle:
            raise MemoryError("no memory for the threads of a chain")
        try:
            yield Team(self._run, self._wave, self._added, handle)
        finally:
            self._close(handle)


class Team:
    """Threads of a driver."""

    def __init__(
        self, run: Callable[..., int], wave: Callable[..., int], added: Callable[..., None], handle: int
    ) -> None:
        self._run, self._wave = run, wave
        #: (address of blocks' sums, bytes of each, numbers, numbers of a block, address for the sum), see Note [Sums in blocks]
        self.added = added
        self._handle = handle

    def run(self, words: int, scratch: int) -> bool:
        """Run a segment; whether all loops went well.

        Args:
            words: address of the head that `lowering.py` made.
            scratch: address of the memory for all its threads.
        """
        return not self._run(self._handle, words, scratch)

    def wave(self, words: int, scratch: int) -> bool:
        """Run segments as the stages of a wave; whether all loops went well.

        Args:
            words: address of what `waves.py` made.
            scratch: address of the memory for all threads and stages.
        """
        return not self._wave(self._handle, words, scratch)


_driver: Driver | None = None


def current() -> Driver | None:
    """The driver, where `prepare` has loaded it."""
    return _driver


def prepare(waits: bool = False) -> bool:
    """Load the driver. Where it must be compiled first, that is done by a thread, unless the caller waits.

    Returns:
        whether it is loaded now.
    """
    if _driver is None:
        text = SOURCE.read_text()
        try:
            compiler = default_compiler()
            if not compiler.version:
                return False
            found = compiler.cached(text, (), {})
        except _BROKEN as error:
            log.info("event=no-fusion-driver reason=%r", str(error))
            return False
        if found is not None:
            _load(found)
        elif waits:
            _compile(text)
        else:
            threading.Thread(target=_compile, args=(text,), name="cupool-fusion-driver", daemon=True).start()
    return _driver is not None


def _compile(text: str) -> None:
    try:
        _load(default_compiler().compile(text, (), {}, source=text, name=SOURCE.name))
    except _BROKEN as error:
        log.info("event=no-fusion-driver reason=%r", str(error))


def _load(path: Path) -> None:
    global _driver
    try:
        _driver = Driver(path)
    except OSError as error:
        log.warning("event=no-fusion-driver reason=%r", str(error))


def threads_wanted(given: int) -> int:
    """How many threads a segment may have. `given`: the setting; 0: as many as there are cores."""
    return min(given or _cores(), MOST_THREADS)


def _cores() -> int:
    """Cores that this process may use, its control group's limit among the reasons for fewer."""
    found = cores()
    try:
        with open("/proc/self/cgroup") as file:
            (group,) = [line.strip()[3:] for line in file if line.startswith("0::")]
        with open(f"/sys/fs/cgroup{'' if group == '/' else group}/cpu.max") as file:
            quota, period = file.read().split()
        if quota != "max":
            found = min(found, max(ceil(int(quota) / int(period)), 1))
    except (OSError, ValueError):
        pass  # no such limit here
    return found


__all__ = [
    "BLOCK_BYTES",
    "MOST_STAGES",
    "STEP_WORDS",
    "WORK_OF_A_THREAD",
    "WORTH_ALONE",
    "Driver",
    "Team",
    "current",
    "prepare",
    "threads_wanted",
]
