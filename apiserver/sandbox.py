"""What this process may do, taken away for good: Landlock, seccomp and limits, through ctypes alone. The mechanism; `confine.py` says what.

Nothing here needs root or a library. `enter` must come before the process has a second thread, because Landlock binds the thread that
asks and those it starts; `seal` binds all threads. What a kernel does not offer is left out and told, unless it was demanded.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import platform
import resource
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_libc = ctypes.CDLL(None, use_errno=True)
#: Calls that do not let go of the interpreter: others would have it for a while, and a client waits for `seal`.
_at_once = ctypes.PyDLL(None, use_errno=True)

# ---- Landlock

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_PATH_BENEATH, _NET_PORT = 1, 2
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_CHAR, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM = (
    1 << n for n in range(4, 13)
)
_REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
#: What there is to take away, by the version of the interface that brought it.
_FS_SINCE = {1: (1 << 13) - 1, 2: _REFER, 3: TRUNCATE, 5: IOCTL_DEV}
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_SCOPE_ABSTRACT, _SCOPE_SIGNAL = 1 << 0, 1 << 1

READ = READ_FILE | READ_DIR
RUN = READ | EXECUTE
#: Everything but devices, sockets for others to find, and running what was written.
WRITE = (
    READ
    | WRITE_FILE
    | TRUNCATE
    | _REMOVE_DIR
    | _REMOVE_FILE
    | _MAKE_DIR
    | _MAKE_REG
    | _MAKE_SYM
    | _MAKE_FIFO
    | _MAKE_SOCK
    | _REFER
)
DEVICE = READ_FILE | WRITE_FILE | IOCTL_DEV


class SandboxError(OSError):
    """The sandbox cannot be made as it was demanded. The text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Grants:
    """What stays allowed.

    Attributes:
        files: path -> rights. Paths that do not exist are left out; links are followed.
        ports: TCP ports that may be listened at; 0: any free one.
    """

    files: Mapping[str, int]
    ports: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Entered:
    """What holds now.

    Attributes:
        landlock: version of the kernel's interface; 0: none.
        missing: what this kernel does not offer, for logs and `doctor`.
    """

    landlock: int
    seccomp: bool
    missing: tuple[str, ...] = field(default=())


def landlock_version() -> int:
    """Of the kernel's interface; 0 where there is none or it is switched off."""
    return max(0, int(_libc.syscall(_CREATE, None, ctypes.c_size_t(0), 1)))


@functools.cache
def has_seccomp() -> bool:
    if platform.machine() not in _ARCHITECTURES:
        return False
    # Asks with a null program: EFAULT says that filters are known.
    return _libc.syscall(_architecture().seccomp, 1, 0, None) == -1 and ctypes.get_errno() == errno.EFAULT


def missing_parts() -> tuple[str, ...]:
    """What this kernel does not offer, each as a sentence."""
    version, found = landlock_version(), []
    if not version:
        found.append("Landlock (Linux 5.13, lsm=landlock): a server's code can read this user's files.")
    elif version < 4:
        found.append(
            "Landlock for TCP (Linux 6.7): until its session begins, a server could connect to other machines."
        )
    if 0 < version < 6:
        found.append(
            "Landlock's scopes (Linux 6.12): until its session begins, a server could send signals to this user's other processes."
        )
    if not has_seccomp():
        found.append("seccomp filters: a server's code can use every system call.")
    return tuple(found)


def enter(grants: Grants, demanded: bool = False) -> Entered:
    """Take away the rest of the file system, the network but for `grants.ports`, other processes, and the system calls of `DENIED`.

    Args:
        demanded: raise for anything that this kernel does not offer.

    Raises:
        SandboxError: a part is missing and was demanded, or the process has threads already.
    """
    missing = missing_parts()
    if missing and demanded:
        raise SandboxError(
            f"The sandbox was demanded, and this kernel lacks: {' '.join(missing)} Use another kernel, or sandbox=auto."
        )
    if (threads := len(os.listdir("/proc/self/task"))) > 1:
        raise SandboxError(f"The sandbox must be entered before a process has threads; this one has {threads}.")
    _no_new_privileges()
    version = landlock_version()
    if version:
        _landlock(grants, version)
    if has_seccomp():
        _seccomp(_program(denied=DENIED, forbid_clone=_NEW_NAMESPACES, families=_FAMILIES), every_thread=False)
    return Entered(version, has_seccomp(), missing)


def seal() -> bool:
    """From now on: no new process, no program, no socket, no connection, no file's owner or mode, and no other process's limits, cores or
    signals. For all threads of the process, those that run too. False where the kernel has no seccomp.

    Raises:
        SandboxError: the kernel refused.
    """
    if not has_seccomp():
        return False
    _no_new_privileges()
    _seccomp(sealing(os.getpid()), every_thread=True)
    return True


@functools.cache
def sealing(own: int) -> bytes:
    """The filter that `seal` will ask for in the process `own`. Made before a client waits for it."""
    return _program(denied=SEALED, forbid_clone=None, families=None, own=own)


def limit(limits: Mapping[int, int]) -> None:
    """Lower resource limits, soft and hard: RLIMIT_* -> value. One that is lower already stays."""
    for name, value in limits.items():
        soft, hard = resource.getrlimit(name)
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        floor = ceiling if soft == resource.RLIM_INFINITY else min(soft, ceiling)
        resource.setrlimit(name, (floor, ceiling))


def _no_new_privileges() -> None:
    if _at_once.prctl(38, 1, 0, 0, 0):  # PR_SET_NO_NEW_PRIVS
        raise _error("no_new_privs")


def _error(what: str) -> SandboxError:
    number = ctypes.get_errno()
    return SandboxError(number, f"The sandbox cannot be made: {what}: {os.strerror(number)}.")


def _landlock(grants: Grants, version: int) -> None:
    handled = 0
    for since, bits in _FS_SINCE.items():
        handled |= bits if version >= since else 0
    attributes = struct.pack("=Q", handled)
    # A session that moves here is pulled from another server, over TCP or its lane's socket: before `seal`, which forbids every
    # connection for good, and before any code of a tenant runs. Where there will be no seal, Landlock forbids them from the start.
    will_seal = has_seccomp()
    if version >= 4:
        attributes += struct.pack("=Q", _BIND_TCP if will_seal else _BIND_TCP | _CONNECT_TCP)
    if version >= 6:
        attributes += struct.pack("=Q", _SCOPE_SIGNAL if will_seal else _SCOPE_ABSTRACT | _SCOPE_SIGNAL)
    ruleset = _libc.syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        raise _error("landlock_create_ruleset")
    try:
        for path, rights in grants.files.items():
            _allow_path(ruleset, path, rights & handled)
        if version >= 4:
            for port in grants.ports:
                if _libc.syscall(_ADD_RULE, ruleset, _NET_PORT, struct.pack("=QQ", _BIND_TCP, port), 0):
                    raise _error(f"landlock_add_rule for port {port}")
        if _libc.syscall(_RESTRICT, ruleset, 0):
            raise _error("landlock_restrict_self")
    finally:
        os.close(ruleset)


def _allow_path(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there need not be allowed
    try:
        if not os.path.isdir(path):
            rights &= _OF_FILES
        if rights and _libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, fd), 0):
            raise _error(f"landlock_add_rule for {path}")
    finally:
        os.close(fd)


# ---- seccomp: a list of what is denied. A list of what is allowed would break with every driver.


@dataclass(frozen=True, slots=True)
class _Architecture:
    audit: int  #: AUDIT_ARCH_*
    seccomp: int
    clone: int
    socket: int
    ioctl: int
    numbers: Mapping[str, int]


def _numbers(text: str) -> dict[str, int]:
    return {name: int(number) for name, _, number in (word.partition("=") for word in text.split())}


_ANY = _numbers(
    """
    pidfd_getfd=438 open_tree=428 move_mount=429 fsopen=430 fsconfig=431 fsmount=432 fspick=433 mount_setattr=442
    quotactl_fd=443 io_uring_setup=425 io_uring_enter=426 io_uring_register=427 process_madvise=440 fchmodat2=452
    open_tree_attr=467 setxattrat=463 removexattrat=466 pidfd_send_signal=424
    """
)
_X86 = _numbers(
    """
    ptrace=101 mount=165 umount2=166 swapon=167 swapoff=168 reboot=169 sethostname=170 setdomainname=171 iopl=172
    ioperm=173 init_module=175 delete_module=176 quotactl=179 acct=163 settimeofday=164 chroot=161 pivot_root=155
    adjtimex=159 syslog=103 personality=135 uselib=134 kexec_load=246 kexec_file_load=320 add_key=248 request_key=249
    keyctl=250 bpf=321 userfaultfd=323 perf_event_open=298 process_vm_readv=310 process_vm_writev=311 kcmp=312
    finit_module=313 open_by_handle_at=304 name_to_handle_at=303 clock_settime=227 clock_adjtime=305 unshare=272
    setns=308 lookup_dcookie=212 vhangup=153 fanotify_init=300 modify_ldt=154 shmget=29 shmat=30 shmctl=31 msgget=68
    semget=64 mq_open=240 move_pages=279 migrate_pages=256 mknod=133 mknodat=259 fork=57 vfork=58 execve=59
    execveat=322 socket=41 connect=42 bind=49 listen=50 chmod=90 fchmod=91 chown=92 fchown=93 lchown=94 fchmodat=268
    fchownat=260 setxattr=188 lsetxattr=189 fsetxattr=190 removexattr=197 lremovexattr=198 fremovexattr=199
    setpriority=141 sched_setparam=142 sched_setscheduler=144 sched_setattr=314 ioprio_set=251 tkill=200
    utime=132 utimes=235 futimesat=261 utimensat=280 setpgid=109 setsid=112
    """
)
_ARM = _numbers(
    """
    ptrace=117 mount=40 umount2=39 swapon=224 swapoff=225 reboot=142 sethostname=161 setdomainname=162 init_module=105
    delete_module=106 quotactl=60 acct=89 settimeofday=170 chroot=51 pivot_root=41 adjtimex=171 syslog=116
    personality=92 kexec_load=104 kexec_file_load=294 add_key=217 request_key=218 keyctl=219 bpf=280 userfaultfd=282
    perf_event_open=241 process_vm_readv=270 process_vm_writev=271 kcmp=272 finit_module=273 open_by_handle_at=265
    name_to_handle_at=264 clock_settime=112 clock_adjtime=266 unshare=97 setns=268 lookup_dcookie=18 vhangup=58
    fanotify_init=262 shmget=194 shmctl=195 shmat=196 msgget=186 semget=190 mq_open=180 move_pages=239
    migrate_pages=238 mknodat=33 execve=221 execveat=281 socket=198 connect=203 bind=200 listen=201 fchmod=52
    fchmodat=53 fchownat=54 fchown=55 setxattr=5 lsetxattr=6 fsetxattr=7 removexattr=14 lremovexattr=15 fremovexattr=16
    setpriority=140 sched_setparam=118 sched_setscheduler=119 sched_setattr=274 ioprio_set=30 tkill=130
    utimensat=88 setpgid=154 setsid=157
    """
)
_ARCHITECTURES = {
    "x86_64": _Architecture(0xC000003E, 317, 56, 41, 16, {**_X86, **_ANY}),
    "aarch64": _Architecture(0xC00000B7, 277, 220, 198, 29, {**_ARM, **_ANY}),
}
#: Denied only when the process is sealed: its start needs them.
_LATE = frozenset(
    _numbers(
        """
    fork=0 vfork=0 execve=0 execveat=0 socket=0 connect=0 bind=0 listen=0 chmod=0 fchmod=0 chown=0 fchown=0 lchown=0
    fchmodat=0 fchmodat2=0 fchownat=0 setxattr=0 lsetxattr=0 fsetxattr=0 removexattr=0 lremovexattr=0 fremovexattr=0
    setxattrat=0 removexattrat=0 setpriority=0 sched_setparam=0 sched_setscheduler=0 sched_setattr=0 ioprio_set=0
    utime=0 utimes=0 futimesat=0 utimensat=0 setpgid=0 setsid=0 pidfd_send_signal=0 tkill=0
    """
    )
)
#: Denied from the start: other processes' memory, mounts, namespaces, kernel modules, keys, tracing, rings that go around filters.
DENIED = frozenset((*_X86, *_ARM, *_ANY)) - _LATE
SEALED = _LATE
_CLONE3 = 435
_NEW_NAMESPACES = 0x7E020000  # NEWUSER, NEWPID, NEWNET, NEWIPC, NEWUTS, NEWCGROUP, NEWNS
_CLONE_THREAD = 0x00010000
#: Unix, IPv4, IPv6, and netlink, by which the C library lists addresses.
_FAMILIES = (1, 2, 10, 16)
#: Requests that put input into another's terminal, and that say whom a descriptor signals.
_IOCTLS = (0x5412, 0x541C, 0x8901, 0x8902)
#: Of a sealed process: calls whose first argument may be itself alone, by its number or by 0. The kernel would let them reach every process
#: of the same user: end an agent by a limit on its seconds, hold it to one core, signal it.
_OF_ITSELF = {
    "x86_64": _numbers("kill=62 tgkill=234 rt_sigqueueinfo=129 rt_tgsigqueueinfo=297"),
    "aarch64": _numbers("kill=129 tgkill=131 rt_sigqueueinfo=138 rt_tgsigqueueinfo=240"),
}
_OF_ITSELF_BY_0 = {
    "x86_64": _numbers("prlimit64=302 sched_setaffinity=203"),
    "aarch64": _numbers("prlimit64=261 sched_setaffinity=122"),
}
_FCNTL = {"x86_64": 72, "aarch64": 25}
#: Whom a descriptor signals: F_SETOWN and F_SETOWN_EX.
_OWNERS = (8, 15)
_FIRST, _SECOND = 16, 24  #: where a filter finds the low halves of a call's arguments

_LD_WORD, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_X32 = 0x40000000


def _architecture() -> _Architecture:
    return _ARCHITECTURES[platform.machine()]


def _program(
    denied: Iterable[str], forbid_clone: int | None, families: tuple[int, ...] | None, own: int | None = None
) -> bytes:
    """A filter.

    Args:
        forbid_clone: flags that `clone` may not have; None: it may start threads and nothing else.
        families: of sockets that may be made; None: `denied` says.
        own: the one process that may be signalled, limited and held to cores; None: any.
    """
    machine = _architecture()
    code: list[tuple[int, int, int, int]] = []

    def add(operation: int, k: int, jump_true: int = 0, jump_false: int = 0) -> None:
        code.append((operation, jump_true, jump_false, k))

    def choose(call: int, at: int, values: tuple[int, ...], these: int, others: int) -> None:
        add(_JEQ, call, 0, 3 + len(values))
        add(_LD_WORD, at)
        for i, value in enumerate(values):
            add(_JEQ, value, len(values) - i, 0)
        add(_RET, others)
        add(_RET, these)

    def only(call: int, at: int, values: tuple[int, ...]) -> None:
        choose(call, at, values, _ALLOW, refuse)

    def never(call: int, at: int, values: tuple[int, ...]) -> None:
        choose(call, at, values, refuse, _ALLOW)

    refuse = _ERRNO | errno.EPERM
    add(_LD_WORD, 4)
    # Another architecture's calls have other numbers: they would go around the list.
    add(_JEQ, machine.audit, 1, 0)
    add(_RET, _KILL)
    add(_LD_WORD, 0)
    add(_JGE, _X32, 0, 1)
    add(_RET, refuse)
    # Its flags lie in memory, where a filter cannot see them: the C library then uses `clone`.
    add(_JEQ, _CLONE3, 0, 1)
    add(_RET, _ERRNO | errno.ENOSYS)
    for name in sorted(denied):
        number = machine.numbers.get(name)
        if number is not None:
            add(_JEQ, number, 0, 1)
            add(_RET, refuse)
    if forbid_clone is not None:
        add(_JEQ, machine.clone, 0, 4)
        add(_LD_WORD, _FIRST)
        add(_JSET, forbid_clone, 0, 1)
        add(_RET, refuse)
        add(_RET, _ALLOW)
    else:
        add(_JEQ, machine.clone, 0, 4)
        add(_LD_WORD, _FIRST)
        add(_JSET, _CLONE_THREAD, 1, 0)
        add(_RET, refuse)
        add(_RET, _ALLOW)
    if families is not None:
        only(machine.socket, _FIRST, families)
    if own is not None:
        for number in _OF_ITSELF[platform.machine()].values():
            only(number, _FIRST, (own,))
        for number in _OF_ITSELF_BY_0[platform.machine()].values():
            only(number, _FIRST, (0, own))
        never(_FCNTL[platform.machine()], _SECOND, _OWNERS)
    never(machine.ioctl, _SECOND, _IOCTLS)
    add(_RET, _ALLOW)
    return b"".join(struct.pack("=HBBI", *line) for line in code)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _seccomp(code: bytes, every_thread: bool) -> None:
    program = _Program(len(code) // 8, code)
    found = _at_once.syscall(_architecture().seccomp, 1, 1 if every_thread else 0, ctypes.byref(program))
    if found:
        # With TSYNC a positive number is the thread that could not be taken along.
        if found > 0:
            raise SandboxError(f"The sandbox cannot be made: seccomp did not take thread {found} along.")
        raise _error("seccomp")


# ---- what a process needs to live


def python_paths() -> list[str]:
    """Where this interpreter and its modules lie, links resolved."""
    import sys

    found: dict[str, None] = {}
    home = os.path.realpath(os.path.expanduser("~"))
    roots = [sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.path.realpath(sys.executable)), *sys.path]
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with contextlib.suppress(OSError):
        # In a tree of links each component is a link of its own.
        roots += [package, *(entry.path for entry in os.scandir(package) if entry.is_symlink())]
    roots.append(os.path.dirname(os.path.abspath(__file__)))
    for root in roots:
        real = os.path.realpath(root) if root else ""
        # A path as wide as a home opens what the sandbox is there to close.
        if real and real not in ("/", home) and not home.startswith(real.rstrip("/") + "/"):
            found[real] = None
    return list(found)
