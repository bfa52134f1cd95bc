"""Checks of a pool's host: its devices, how well it can fence servers in, its limits, and the pool that runs here."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import resource
import shutil
import time
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from . import Check, Verdict, failed, ok, skipped, warning

#: What the extra `server` brings.
_EXTRA = (
    "click",
    "rich",
    "cryptography",
    "grpc_health",
    "grpc_reflection",
    "ml_dtypes",
    "prometheus_client",
    "psutil",
    "scipy",
)
_LANDLOCK_CREATE_RULESET = 444
_UNOWNED_BYTES = 256 << 20
_FEW_FILES = 8192


def checks(folder: str = "") -> list[tuple[str, Check]]:
    """The checks of a pool's host; folder: of the pool to look at, empty: see `folder_of`."""
    return [
        ("extra", extra),
        ("config", config),
        ("driver", driver),
        ("gpus", gpus),
        ("cupy", cupy),
        ("mps", mps),
        ("compiler", compiler),
        ("sandbox", sandbox),
        ("limits", limits),
        ("memory", memory),
        ("pool", partial(pool, folder)),
    ]


def folder_of(given: str) -> Path:
    """The pool's folder: --folder, else what CUPOOL_POOL_FOLDER or the config file says, else the usual one. Without click."""
    from .. import settings
    from ..cli import place

    try:
        found = given or settings.load()["pool.folder"]
    except settings.BadSetting:
        found = ""  # the check `config` tells
    return Path(found).expanduser() if found else place.default_folder()


def is_host(folder: str = "") -> bool:
    """Whether this machine looks like a pool's: one runs here, or there is an NVIDIA driver."""
    from ..cli import place

    return (folder_of(folder) / place.NAME).exists() or Path("/proc/driver/nvidia/version").exists()


def extra() -> Iterator[Verdict]:
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        yield failed(
            "extra",
            f"the extra `server` is not whole: no {', '.join(missing)}",
            "Install it: pip install 'cupool[server]'.",
        )
    else:
        yield ok("extra", "the extra `server` is installed")


def config() -> Iterator[Verdict]:
    """cupool.toml and the environment."""
    from .. import settings

    try:
        found = settings.load()
    except settings.BadSetting as error:
        yield failed("config", error.what, error.cure, 2)
        return
    given = [f"{n} by {o}" for n, o in found.origins.items() if o != "default"]
    yield ok("config", f"{found.file or 'no file'}; {', '.join(given) if given else 'all settings are defaults'}")
    if found["security.insecure"]:
        yield warning(
            "config",
            "INSECURE: security.insecure is on: others may reach the pool without TLS or without a credential, and run code",
            "Turn it off; `cupool certs init` makes certificates.",
        )


# ---- GPUs


def driver() -> Iterator[Verdict]:
    try:
        text = Path("/proc/driver/nvidia/version").read_text().splitlines()[0]
    except OSError:
        nodes = sorted(p.name for p in Path("/dev").glob("nvidia[0-9]*"))
        if nodes:
            yield failed(
                "driver",
                f"/dev has {', '.join(nodes)}, and no driver is loaded",
                "Load it: modprobe nvidia; look into dmesg.",
            )
        else:
            yield skipped("driver", "no NVIDIA driver: the pool has CPU devices only")
        return
    yield ok("driver", text.removeprefix("NVRM version: ").strip())


@contextlib.contextmanager
def _nvml() -> Iterator[Any]:
    """NVML, or None where there is none."""
    try:
        import pynvml
    except ModuleNotFoundError:
        yield None
        return
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def gpus() -> Iterator[Verdict]:
    """NVML, and each GPU by its UUID: MIG, persistence, ECC, retired pages, clocks."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        metadata.distribution("pynvml")
        yield warning(
            "gpus",
            "the distribution `pynvml` is installed: it is given up, and hides that of nvidia-ml-py",
            "pip uninstall pynvml; pip install nvidia-ml-py.",
        )
    if importlib.util.find_spec("pynvml") is None:
        yield skipped("gpus", "no nvidia-ml-py: GPUs cannot be seen")
        return
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if Path("/proc/driver/nvidia/version").exists():
            yield failed(
                "gpus",
                f"a driver is there, and NVML says: {error}",
                "Do the driver and its library have one version? `nvidia-smi` says; a restart loads the new one.",
            )
        else:
            yield skipped("gpus", "NVML finds no driver")
        return
    try:
        for index in range(pynvml.nvmlDeviceGetCount()):
            yield from _gpu(pynvml, index)
    finally:
        pynvml.nvmlShutdown()


def _gpu(nvml: Any, index: int) -> Iterator[Verdict]:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)

    def ask(name: str, *arguments: Any) -> Any:
        """None: this GPU does not say."""
        try:
            return getattr(nvml, name)(handle, *arguments)
        except nvml.NVMLError:
            return None

    def text(value: Any) -> str:
        return value.decode() if isinstance(value, bytes) else str(value)

    memory = ask("nvmlDeviceGetMemoryInfo")
    mig = ask("nvmlDeviceGetMigMode")
    persistence = ask("nvmlDeviceGetPersistenceMode")
    ecc = ask("nvmlDeviceGetTotalEccErrors", nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC)
    pages = ask("nvmlDeviceGetRetiredPages", nvml.NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR)
    remapped = ask("nvmlDeviceGetRemappedRows")
    mode = ask("nvmlDeviceGetComputeMode")
    name, uuid = text(ask("nvmlDeviceGetName")), text(ask("nvmlDeviceGetUUID"))
    free = f"{memory.free >> 20:,} of {memory.total >> 20:,} MiB free" if memory else "memory unknown"
    seen = f"cuda:{index} {name} {uuid}, {free}, MIG {'on' if mig and mig[0] else 'off'}, persistence {'on' if persistence else 'off'}"
    if ecc:
        yield failed(
            "gpus",
            f"{seen}: {ecc} uncorrected memory errors since the driver was loaded",
            f"cupool cordon cuda:{index} --reason ECC; then reset or replace it.",
        )
    elif (pages is not None and len(pages)) or (remapped and (remapped[2] or remapped[3])):
        yield warning(
            "gpus",
            f"{seen}: memory pages were retired, or a row is to be remapped",
            "Reset the GPU when it is empty (cupool drain); replace it when more follow.",
        )
    elif mig and mig[0]:
        yield warning("gpus", seen, "With MIG on, name the instances you want used; the pool takes whole GPUs.")
    elif mode == nvml.NVML_COMPUTEMODE_PROHIBITED:
        yield failed("gpus", f"{seen}: its compute mode is `prohibited`", f"nvidia-smi -i {index} -c DEFAULT")
    elif mode == nvml.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS:
        yield warning(
            "gpus",
            f"{seen}: its compute mode lets one process use it",
            f"nvidia-smi -i {index} -c DEFAULT, for more than one session.",
        )
    elif not persistence:
        yield warning(
            "gpus",
            seen,
            "nvidia-smi -pm 1, or nvidia-persistenced: without it the first server after a pause starts slowly.",
        )
    else:
        yield ok("gpus", seen)


def cupy() -> Iterator[Verdict]:
    from .. import devices

    has_gpu = bool(devices.gpu_memories())
    real = sorted(
        {
            f"{d.metadata['Name']} {d.version}"
            for d in metadata.distributions()
            if (d.metadata["Name"] or "").startswith("cupy")
        }
    )
    if len({r.split()[0] for r in real}) > 1:
        yield failed(
            "cupy",
            f"{', '.join(real)} are installed, and only one can be",
            "Uninstall all; then pip install 'cupool[cuda12]' or 'cupool[cuda13]'.",
        )
    elif real:
        yield ok("cupy", f"{real[0]} for CUDA devices")
    elif has_gpu:
        yield failed(
            "cupy",
            "there is a GPU and no CuPy: the pool cannot use it",
            "pip install 'cupool[cuda12]' or 'cupool[cuda13]', as the driver has it.",
        )
    else:
        yield skipped("cupy", "no GPU, and no CuPy: CPU devices need neither")


def mps() -> Iterator[Verdict]:
    pipe = Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"))
    if (pipe / "control").exists():
        yield warning(
            "mps",
            f"MPS runs ({pipe}): a fault in one session ends all that share its GPU",
            "End it (echo quit | nvidia-cuda-mps-control), unless one tenant has the GPU.",
        )
    else:
        yield ok("mps", "MPS does not run: a fault ends one session")


def compiler() -> Iterator[Verdict]:
    found = shutil.which("g++")
    if found:
        yield ok("compiler", f"{found}: CPU devices run kernels")
    else:
        yield warning(
            "compiler",
            "no g++: CPU devices cannot run programs' own kernels",
            "Install it, where the pool has CPU devices: apt install g++.",
        )


# ---- the host


def sandbox() -> Iterator[Verdict]:
    """What there is to keep servers from the host's files."""
    libc = ctypes.CDLL(None, use_errno=True)
    abi = libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    has_seccomp = Path("/proc/sys/kernel/seccomp/actions_avail").exists()
    bubblewrap = shutil.which("bwrap")
    seen = f"Landlock {f'ABI {abi}' if abi > 0 else 'missing'}, seccomp {'there' if has_seccomp else 'missing'}, bubblewrap {bubblewrap or 'missing'}"
    if abi <= 0 and not bubblewrap:
        yield warning(
            "sandbox",
            f"{seen}: servers can read what this user can",
            "A kernel of 5.13 or newer with Landlock, or apt install bubblewrap.",
        )
    else:
        yield ok("sandbox", seen)
    if os.getuid() == 0:
        yield warning(
            "sandbox", "you are root here: servers that root starts are root's", "Run the pool as a user of its own."
        )


def limits() -> Iterator[Verdict]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    processes, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    many = "no limit" if processes == resource.RLIM_INFINITY else f"{processes:,}"
    seen = f"{soft:,} open files (up to {hard:,}), {many} of processes"
    if hard < _FEW_FILES and hard != resource.RLIM_INFINITY:
        yield warning("limits", seen, f"Raise it: ulimit -n {_FEW_FILES}, or LimitNOFILE= in the unit.")
    else:
        yield ok("limits", seen)


def memory() -> Iterator[Verdict]:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = 0
    with contextlib.suppress(OSError, ValueError):
        own = Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2]
        limit = int(Path(f"/sys/fs/cgroup{own}/memory.max").read_text())
    if limit and limit < total:
        yield warning(
            "memory",
            f"{total >> 20:,} MiB, of which this control group may use {limit >> 20:,}",
            "Give CPU devices less than that: --devices cpu:1:SIZE.",
        )
    else:
        yield ok("memory", f"{total >> 20:,} MiB")


# ---- the pool that runs here


def pool(given: str = "") -> Iterator[Verdict]:
    """What the pool of this host says of itself, its files, and what GPUs hold beside its books."""
    if importlib.util.find_spec("click") is None:
        yield skipped("pool", "the extra `server` is not installed")
        return
    from .. import belongings
    from ..cli import devices, place, status
    from ..cli.exits import CliError
    from ..cli.link import Admin, find, pool_folder

    try:
        folder = pool_folder(given)
        running = place.read(folder)
    except CliError as error:
        yield failed("pool", error.what, error.cure, int(error.code))
        return
    if running is None:
        yield skipped("pool", f"no pool runs here in {folder}")
        return
    yield from _processes(belongings, folder, running)
    try:
        with Admin(find(folder=str(folder)), 5.0) as admin:
            now, rows = status.document(admin)["pool"], devices.document(admin)["devices"]
    except CliError as error:
        yield failed("pool", error.what, error.cure, int(error.code))
        return
    yield ok(
        "pool",
        f"{now['sessions']} sessions, {now['warm']} warm servers on {now['devices']} devices; up for {now['uptime_s']:.0f} s",
    )
    if now["insecure"]:
        yield warning(
            "pool",
            "INSECURE: others can reach the pool without TLS or without a credential, and run code",
            "Give it certificates (`cupool certs init`), and turn security.insecure off.",
        )
    for text in now["warnings"]:
        yield warning("pool", text, "`cupool gpus`, `cupool nodes` and `cupool logs` show more.")
    for row in rows:
        yield from _device(row)
    yield from _files(folder, running)


def _processes(belongings: Any, folder: Path, running: Any) -> Iterator[Verdict]:
    try:
        os.close(belongings.lock(folder))
        yield warning(
            "processes",
            "the pool's supervisor is gone: what ends is not started again",
            "`cupool down`, then `cupool up`.",
        )
    except BlockingIOError:
        pass
    gone = [n for n in ("controller", "agent") if not belongings.is_of(getattr(running, f"{n}_pid"), running.mark)]
    if gone:
        yield failed(
            "processes",
            f"the {' and the '.join(gone)} of the pool {'do' if len(gone) > 1 else 'does'} not run",
            f"Look into {folder / 'logs'}.",
        )
    else:
        yield ok(
            "processes",
            f"controller {running.controller_pid}, agent {running.agent_pid}, {len(belongings.marked(running.mark))} processes in all",
        )


def _device(row: dict[str, Any]) -> Iterator[Verdict]:
    hardware = [e for e in row["errors"] if e["is_hardware"]]
    if row["unowned_bytes"] > _UNOWNED_BYTES:
        yield warning(
            "books",
            f"{row['device']} holds {row['unowned_bytes'] >> 20:,} MiB that is no session's",
            "`nvidia-smi` lists the processes; one that is not the pool's takes memory that the pool gives away.",
        )
    if hardware:
        yield failed(
            "hardware",
            f"{row['device']}: XID {hardware[0]['xid']}, {hardware[0]['meaning']}",
            f"cupool drain {row['device']} --reason XID{hardware[0]['xid']}; then reset it.",
        )
    if row["ecc_uncorrected"]:
        yield failed(
            "hardware",
            f"{row['device']}: {row['ecc_uncorrected']} uncorrected memory errors",
            f"cupool drain {row['device']} --reason ECC; then reset or replace it.",
        )
    if row["throttle"]:
        yield warning(
            "hardware",
            f"{row['device']}: its clocks are reduced: {row['throttle']}",
            "Look at its cooling and its power limit.",
        )


def _files(folder: Path, running: Any) -> Iterator[Verdict]:
    left = os.statvfs(folder)
    free = left.f_bavail * left.f_frsize
    if free < 256 << 20:
        yield warning(
            "disk", f"{folder} has {free >> 20} MiB free: when it is full, no new leases are given", "Make room."
        )
    else:
        yield ok("disk", f"{folder} has {free >> 20:,} MiB free")
    if folder.stat().st_mode & 0o077:
        yield warning("folder", f"others may enter {folder}, which holds credentials", f"chmod 700 {folder}")
    if importlib.util.find_spec("cryptography") is not None:
        from ..security import certs

        found = {*(folder / "certs").glob("*.pem"), *([Path(running.ca_file)] if running.ca_file else [])}
        for file in sorted(found):
            yield from _certificate(certs, file)


def _certificate(certs: Any, file: Path) -> Iterator[Verdict]:
    try:
        seen = certs.inspect(file)
    except certs.CertsError as error:
        yield warning("certificates", f"{file}: {error}", "Make it again with `cupool certs issue`.")
        return
    until = time.strftime("%Y-%m-%d", time.localtime(seen.expires))
    if seen.left_s < 0:
        yield failed(
            "certificates",
            f"{file} ended on {until}",
            "`cupool certs issue` makes another one, and the pool takes it without a restart.",
        )
    elif seen.is_due:
        yield warning(
            "certificates",
            f"{file} ends on {until}",
            "`cupool certs issue` makes another one, and the pool takes it without a restart.",
        )
    else:
        yield ok("certificates", f"{file} is valid until {until}")
