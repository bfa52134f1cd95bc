"""What a server keeps when it is confined, and when that happens. See docs/security.md; `sandbox.py` has the mechanism.

    confine    first of all, in a process with one thread: files, network, other processes, system calls, limits
    seal       when the session is opened, for all threads: no new process, program, socket or connection

A server that is forked by a zygote confines itself in `main`; one that is started cold begins with `cupool.apiserver.sandboxed`, because
the libraries that `__main__` imports start threads.
"""

from __future__ import annotations

import logging
import os
import resource
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from . import pages, sandbox
from .sandbox import DEVICE, EXECUTE, READ, READ_FILE, RUN, WRITE, Entered, Grants

if TYPE_CHECKING:
    from .config import Config

log = logging.getLogger(__name__)

_PROGRAMS = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/opt", "/etc/alternatives")
#: Of /etc: what the loader, the C library and time zones need. Not users, not keys.
_SETTINGS = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/OpenCL",
)
#: Facts of the machine. Of other processes nothing.
_FACTS = (
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/version",
    "/proc/devices",
    "/proc/filesystems",
    "/proc/modules",
    "/proc/sys/vm",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/kernel/random",
    "/proc/driver/nvidia",
    "/sys/devices",
    "/sys/bus",
    "/sys/class/drm",
    "/sys/module/nvidia",
    "/sys/fs/cgroup",
    "/sys/kernel/mm",
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_LIMITS = {
    resource.RLIMIT_CORE: 0,  # a core file would hold the session's data
    resource.RLIMIT_FSIZE: 4 << 30,
}

_entered: Entered | None = None
_sealed = False


def is_confined() -> bool:
    return _entered is not None


def confine(config: Config) -> Entered:
    """Confine this process as `config.sandbox` ("auto" or "required") says; the compiling process is forked first.

    Raises:
        sandbox.SandboxError: it cannot be, as it was demanded.
    """
    global _entered
    demanded = config.sandbox == "required"
    own = own_folder(config)
    temporary = own / "tmp"
    temporary.mkdir(mode=0o700, exist_ok=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    files = _common()
    if config.kind == "cpu":
        _fork_compiler(demanded)
        pages.open_early()
        # Read by name, never listed: a name is the hash of a source, so nobody finds what he has not written.
        files[str(_kernel_cache())] = READ_FILE
    else:
        files |= _for_cuda(own)
    files[str(own)] = WRITE
    files |= {str(folder.resolve()): WRITE for folder in config.checkpoints.values()}
    sandbox.limit(_LIMITS)
    _entered = sandbox.enter(Grants(files, _ports(config)), demanded)
    if sandbox.has_seccomp():
        sandbox.sealing(os.getpid())
    return _entered


def report() -> None:
    """Say what this kernel did not offer, once there is a log."""
    if _entered is not None:
        for missing in _entered.missing:
            log.warning("event=sandbox-incomplete text=%r", missing)
        log.info("event=sandbox landlock=%d seccomp=%s", _entered.landlock, _entered.seccomp)


def seal() -> None:
    """See `sandbox.seal`; once, and only in a confined process."""
    global _sealed
    if _entered is not None and not _sealed:
        _sealed = True
        sandbox.seal()


def own_folder(config: Config) -> Path:
    """The folder that is this server's alone: where its status file or its socket lies, else a fresh one."""
    for path in (config.status_file, config.listen.removeprefix("unix:") if config.listen.startswith("unix:") else ""):
        if path:
            return Path(path).resolve().parent
    return Path(tempfile.mkdtemp(prefix="cupool-server-"))


def _common() -> dict[str, int]:
    files = dict.fromkeys(_PROGRAMS, RUN)
    files |= dict.fromkeys(sandbox.python_paths(), RUN)
    files |= dict.fromkeys((*_SETTINGS, *_FACTS), READ)
    files |= dict.fromkeys(_DEVICES, DEVICE)
    files[os.path.realpath("/proc/self")] = READ
    return files


def _ports(config: Config) -> frozenset[int]:
    if config.listen.startswith(("unix:", "unix-abstract:")):
        return frozenset()
    return frozenset({int(config.listen.rpartition(":")[2])})


def _kernel_cache() -> Path:
    from .devices.cpu.kernels.compiler import default_cache, private_directory

    return private_directory(default_cache()).resolve()


def _fork_compiler(demanded: bool) -> None:
    from .devices.cpu.kernels import compiling

    cache = _kernel_cache()
    compiling.fork_helper(lambda: confine_compiler(cache, demanded))


def confine_compiler(cache: Path, demanded: bool = False) -> Entered:
    """The compiling process: it reads compilers and headers, writes the cache, and reaches no network."""
    temporary = cache / "tmp"
    temporary.mkdir(mode=0o700, exist_ok=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    files = _common()
    files[str(cache)] = WRITE
    sandbox.limit(_LIMITS)
    return sandbox.enter(Grants(files), demanded)


def _for_cuda(own: Path) -> dict[str, int]:
    """What the driver needs: its devices, and places for the kernels that it and CuPy make.

    The driver's ioctls stay open, as in any such sandbox: see docs/security.md for stronger walls.
    """
    nodes = [entry.path for entry in _entries("/dev") if entry.name.startswith("nvidia")]
    files = dict.fromkeys(nodes, DEVICE | READ)
    files |= {"/dev/dri": DEVICE | READ, "/dev/shm": WRITE, "/run/nvidia-persistenced": READ | EXECUTE}
    shared = Path(os.environ.get("CUPY_CACHE_DIR") or os.path.expanduser("~/.cupy/kernel_cache"))
    mine = own / "kernels"
    mine.mkdir(mode=0o700, exist_ok=True)
    # CuPy's own kernels are read from what the host has; what this session's code makes stays with it.
    for entry in _entries(str(shared)):
        if entry.is_file():
            link = mine / entry.name
            if not link.exists():
                link.symlink_to(os.path.realpath(entry.path))
    files[str(shared.resolve())] = READ_FILE
    os.environ["CUPY_CACHE_DIR"] = str(mine)
    os.environ["CUDA_CACHE_PATH"] = str(own / "nv")
    return files


def _entries(folder: str) -> Iterable[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except OSError:
        return ()
