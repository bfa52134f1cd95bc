"""A confined server runs what a tenant sends, and it gets nowhere: files, network, processes, system calls.

The kernels here are native code that calls the C library: what a session could do to its server at worst.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cupool.apiserver import sandbox
from cupool.shim import cupy as cp

from cupool.contract import statusfile

from .servers import Server, opened

pytestmark = pytest.mark.skipif(
    bool(sandbox.missing_parts()) or platform.machine() not in ("x86_64", "aarch64"),
    reason="this kernel offers no whole sandbox",
)

#: Declarations instead of headers: a source needs no host header to call the host's functions.
DECLARED = r"""
extern "C" {
int open(const char *, int, ...); long read(int, void *, unsigned long); long write(int, const void *, unsigned long); int close(int);
int *__errno_location(); long syscall(long, ...); void *opendir(const char *); void *readdir(void *); int unlink(const char *);
int socket(int, int, int); int connect(int, const void *, unsigned); int bind(int, const void *, unsigned);
int kill(int, int); int fork(); int vfork(); int execve(const char *, char *const *, char *const *); int getppid(); int getpid();
int chmod(const char *, unsigned); int mkdir(const char *, unsigned); int rename(const char *, const char *);
int symlink(const char *, const char *); int system(const char *); int setsid();
}
"""


class Confined(Server):
    """As `Server`, confined; its own folder is `folder`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        statusfile.create(folder / "status")
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cupool.apiserver.sandboxed", "--sandbox", "required", "--assign", "s:t", "--status-file",
             str(folder / "status"), "--listen", "127.0.0.1:0", *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "CUPOOL_TOKEN": "of-the-parent"},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.endpoint = json.loads(self.process.stdout.readline() or b'{"endpoint": ""}')["endpoint"]
        if not self.endpoint:
            self.close()
            raise RuntimeError("the server did not start; its stderr says why")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Confined]:
    # What its command line names is read before it is confined: this file is out of its reach afterwards.
    trust = tmp_path_factory.mktemp("operator") / "trust.pem"
    trust.write_text("the pool's authority")
    confined = Confined(tmp_path_factory.mktemp("server"), "--tls-ca", str(trust))
    with opened(confined.endpoint):
        yield confined
    confined.close()


pytestmark = [pytestmark, pytest.mark.keeps("the module's server and its session")]


def run(body: str, **values: object) -> list[int]:
    """What a kernel's `body` puts into `r[0]`, `r[1]`, ..: -errno for what fails. `R(i, call)` stores a call's result."""
    for name, value in values.items():
        body = body.replace(f"@{name}@", str(value))
    source = (
        DECLARED + "\n#define R(i, call) do { *__errno_location() = 0; long got = (long)(call); r[i] = "
        "got == -1 || (got == 0 && *__errno_location()) "
        "? -*__errno_location() : got; } while (0)\n" + 'extern "C" __global__ void k(long long *r) {' + body + "}"
    )
    result = cp.zeros(32, np.int64)
    cp.RawKernel(source, "k")((1,), (1,), (result,))
    return [int(n) for n in cp.asnumpy(result)]


def assert_all_denied(codes: list[int], names: list[str]) -> None:
    allowed = [name for code, name in zip(codes, names, strict=False) if code not in (-1, -13)]
    assert not allowed, f"not denied: {[(n, codes[names.index(n)]) for n in allowed]}"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("the secret of another tenant")
    path.chmod(0o644)
    return path


def test_a_confined_server_computes(server: Confined) -> None:
    assert float(cp.asarray(np.arange(5.0)).sum()) == 10
    big = np.arange(1 << 18, dtype=np.float64)
    assert np.array_equal(cp.asnumpy(cp.asarray(big) * 2), big * 2)
    assert cp.linalg.svd(cp.eye(3))[1].get().tolist() == [1, 1, 1]
    assert run("r[0] = 7;")[0] == 7, "kernels compile and run"
    doubled = cp.ElementwiseKernel("float64 x", "float64 y", "y = 2 * x", "doubled")
    assert doubled(cp.arange(3.0)).get().tolist() == [0, 2, 4]


def test_no_file_of_the_host_is_read(server: Confined, secret: Path) -> None:
    paths = [
        "/etc/passwd", str(secret), "/root/.bashrc", f"/proc/{os.getpid()}/environ",
        f"/proc/{os.getpid()}/cmdline", f"/proc/{os.getpid()}/maps",
        f"/proc/{os.getpid()}/mem", "/proc/1/environ", "/dev/mem", "/dev/kmsg", "/var/log/dpkg.log", f"/proc/self/root{secret}",
        f"/proc/self/cwd/../../../../../../..{secret}", "/proc/kcore",
    ]  # fmt: skip
    paths = [p for p in paths if os.path.exists(p)]
    body = "".join(f'R({i}, open("{p}", 0));' for i, p in enumerate(paths))
    assert_all_denied(run(body), paths)
    linked = 'symlink("@secret@", "@own@/link"); R(0, open("@own@/link", 0)); R(1, open("@own@/status", 0));'
    through_link, own = run(linked, secret=secret, own=server.folder)[:2]
    assert through_link == -13 and own > 2, "a link of its own leads nowhere, its own files are there"


def test_folders_are_not_listed_and_nothing_is_written(server: Confined, secret: Path) -> None:
    from cupool.apiserver.devices.cpu.kernels.compiler import default_cache

    cache = default_cache().resolve()
    package = Path(sandbox.__file__).parent
    names = ["list /", "list home", "list cache", "list parent", "write secret", "write package", "write cache", "make in cache",
             "unlink", "rename",             "chmod", "write tmp"]  # fmt: skip
    body = """
        R(0, opendir("/")); R(1, opendir("@home@")); R(2, opendir("@cache@")); R(3, opendir("@parent@"));
        R(4, open("@secret@", 1)); R(5, open("@package@/sandbox.py", 1)); R(6, open("@cache@/x.so", 0101, 0600));
        R(7, mkdir("@cache@/d", 0700)); R(8, unlink("@secret@")); R(9, rename("@secret@", "@secret@2")); R(10, chmod("@secret@", 0777));
        R(11, open("/tmp/cupool-written", 0101, 0600));
    """
    assert_all_denied(
        run(body, home=Path.home(), cache=cache, parent=secret.parent, secret=secret, package=package), names
    )
    assert secret.read_text() == "the secret of another tenant" and not Path("/tmp/cupool-written").exists()


def test_nobody_is_reached(server: Confined, tmp_path: Path) -> None:
    """TCP, unix sockets by path and by abstract name, datagrams: not one byte arrives."""
    tcp = socket.create_server(("127.0.0.1", 0))
    by_path, abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with tcp, by_path, abstract, udp:
        by_path.bind(str(tmp_path / "s"))
        abstract.bind("\0cupool-test-abstract")
        udp.bind(("127.0.0.1", 0))
        for listener in (by_path, abstract):
            listener.listen()
        names = ["tcp", "tcp6", "unix", "udp", "netlink", "raw", "packet", "vsock", "bind", "connect an old one"]
        body = """
            R(0, socket(2, 1, 0)); R(1, socket(10, 1, 0)); R(2, socket(1, 1, 0)); R(3, socket(2, 2, 0)); R(4, socket(16, 3, 0));
            R(5, socket(2, 3, 1)); R(6, socket(17, 3, 0)); R(7, socket(40, 1, 0));
            struct { unsigned short family, port; unsigned address; char rest[8]; } at = {2, @port@, 0x0100007f, {}};
            R(8, bind(3, &at, 16)); R(9, connect(3, &at, 16));
        """
        port = socket.htons(tcp.getsockname()[1])
        assert_all_denied(run(body, port=port), names)
        for quiet in (tcp, by_path, abstract, udp):
            quiet.setblocking(False)
            with pytest.raises(BlockingIOError):
                quiet.recv(1) if quiet is udp else quiet.accept()


def test_no_process_no_program_no_signal(server: Confined) -> None:
    names = ["fork", "vfork", "execve", "kill the parent", "kill init", "kill all", "setsid"]
    body = """
        R(0, fork()); R(1, syscall(@vfork@));
        char *const none[] = {0}; R(2, execve("/bin/true", none, none));
        R(3, kill(getppid(), 0)); R(4, kill(1, 0)); R(5, kill(@tester@, 15)); R(6, setsid());
    """
    number = {"x86_64": 58, "aarch64": 221}[platform.machine()]
    assert_all_denied(run(body, tester=os.getpid(), vfork=number), names)
    assert run('R(0, system("true")); ')[0] != 0, "a shell does not start"


def test_system_calls_that_go_around(server: Confined) -> None:
    machine = sandbox._ARCHITECTURES[platform.machine()]
    names = [n for n in ("ptrace", "process_vm_readv", "process_vm_writev", "bpf", "userfaultfd", "perf_event_open", "keyctl", "add_key",
                         "request_key", "io_uring_setup", "mount", "umount2", "unshare", "setns", "pivot_root", "chroot", "init_module",
                         "kexec_load", "open_by_handle_at", "pidfd_getfd", "personality", "shmget", "mknodat", "fsopen", "kcmp", "reboot",
                         "quotactl", "acct", "setpriority", "sched_setparam",
                         "sched_setscheduler", "sched_setattr", "ioprio_set") if n in machine.numbers]  # fmt: skip
    body = "".join(f"R({i}, syscall({machine.numbers[name]}, 0L, 0L, 0L, 0L, 0L, 0L));" for i, name in enumerate(names))
    assert_all_denied(run(body), names)
    codes = run(
        "R(0, syscall(435, 0L, 0L));"
        "R(1, syscall(@clone@, 0x10000000L | 17, 0L, 0L, 0L, 0L)); R(2, syscall(@clone@, 17L, 0L, 0L, 0L, 0L));",
        clone=machine.clone,
    )
    assert codes[0] == -38 and codes[1] == -1 and codes[2] == -1, "clone3 is unknown, clone makes threads alone"


def test_no_other_process_is_limited_pinned_or_signalled(server: Confined) -> None:
    """A process of the same user, which the kernel alone would let it: an agent would die of a limit on its seconds."""
    number = {
        "x86_64": {"prlimit64": 302, "sched_setaffinity": 203, "fcntl": 72, "tkill": 200, "tgkill": 234, "rt_sigqueueinfo": 129},
        "aarch64": {"prlimit64": 261, "sched_setaffinity": 122, "fcntl": 25, "tkill": 130, "tgkill": 131, "rt_sigqueueinfo": 138},
    }[platform.machine()]  # fmt: skip
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        names = ["limits", "cores", "owner of a pipe", "owner by a structure", "owner by ioctl", "its group's owner", "tkill", "tgkill",
                 "queued signal", "kill", "kill the group"]  # fmt: skip
        body = """
            long limit[2] = {1, 1}; unsigned long one = 1; struct { int type, pid; } owner = {1, @pid@}; int to = @pid@;
            char info[128] = {}; ((int *)info)[2] = -1;
            int ends[2]; syscall(@pipe2@, ends, 0);
            R(0, syscall(@prlimit64@, @pid@, 7L, limit, 0L));
            R(1, syscall(@sched_setaffinity@, @pid@, 8L, &one));
            R(2, syscall(@fcntl@, (long)ends[0], 8L, @pid@L)); R(3, syscall(@fcntl@, (long)ends[0], 15L, &owner));
            R(4, syscall(@ioctl@, (long)ends[0], 0x8901L, &to)); R(5, syscall(@ioctl@, (long)ends[0], 0x8902L, &to));
            R(6, syscall(@tkill@, @pid@L, 10L)); R(7, syscall(@tgkill@, @pid@L, @pid@L, 10L));
            R(8, syscall(@rt_sigqueueinfo@, @pid@L, 10L, info)); R(9, kill(@pid@, 10)); R(10, kill(0, 0));
            close(ends[0]); close(ends[1]);
        """
        pipe2 = {"x86_64": 293, "aarch64": 59}[platform.machine()]
        machine = sandbox._ARCHITECTURES[platform.machine()]
        codes = run(body, pid=other.pid, pipe2=pipe2, ioctl=machine.ioctl, **number)
        limits, cores = resource.prlimit(other.pid, resource.RLIMIT_NOFILE), os.sched_getaffinity(other.pid)
        other.communicate(b"\n", timeout=60)
    assert_all_denied(codes[:11], names)
    assert limits != (1, 1) and cores == os.sched_getaffinity(0) and other.returncode == 0
    own = run(
        "long limit[2]; R(0, syscall(@prlimit64@, 0L, 7L, 0L, limit)); r[1] = limit[1]; R(2, kill(getpid(), 0));",
        **number,
    )
    assert own[0] == 0 and own[1] > 0 and own[2] == 0, "of itself it may ask"


def test_what_the_server_was_started_with_holds_no_credential(server: Confined) -> None:
    body = """
        char text[65536]; int fd = open("/proc/self/environ", 0); long n = fd < 0 ? 0 : read(fd, text, sizeof text);
        r[0] = n; for (long i = 0; i + 13 < n; i++) { long same = 1; for (int j = 0; j < 13; j++) same &= text[i + j] == "of-the-parent"[j];
        r[1] += same; }
    """
    assert run(body)[1] == 0


def test_compiling_goes_on_after_all_that(server: Confined) -> None:
    for i in range(3):
        assert run(f"r[0] = {i} + 40;")[0] == i + 40
    with pytest.raises(Exception, match="expected") as caught:
        run("int x = ;")
    assert type(caught.value).__name__ == "CompileException"


class TestUnit:
    """Parts, each in a process of its own."""

    def child(self, code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-c", "from cupool.apiserver import sandbox\nimport os\n" + code],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def test_threads_come_after(self) -> None:
        code = """
import threading
e = threading.Event(); t = threading.Thread(target=e.wait); t.start()
try:
    sandbox.enter(sandbox.Grants({}))
except sandbox.SandboxError as error:
    print(error)
e.set(); t.join()
"""
        assert "before a process has threads" in self.child(code)

    def test_a_missing_part_is_refused_when_demanded_and_told_when_not(self) -> None:
        code = """
sandbox.landlock_version = lambda: 0
print(sandbox.missing_parts())
try:
    sandbox.enter(sandbox.Grants({}), demanded=True)
except sandbox.SandboxError as error:
    print(error)
print(sandbox.enter(sandbox.Grants({})))
"""
        said = self.child(code)
        assert "Landlock" in said and "sandbox=auto" in said and "landlock=0, seccomp=True" in said

    def test_sealing_takes_every_thread_along(self) -> None:
        code = """
import threading, socket
go, found = threading.Event(), []
def work():
    go.wait()
    try:
        socket.socket(); found.append("made")
    except PermissionError:
        found.append("denied")
t = threading.Thread(target=work); t.start()
print(sandbox.seal()); go.set(); t.join(); print(found)
"""
        assert self.child(code) == "True\n['denied']"

    def test_another_architectures_calls_end_the_process(self) -> None:
        if platform.machine() != "x86_64":
            pytest.skip("the 32-bit gate is x86's")
        code = """
import ctypes, mmap
sandbox.enter(sandbox.Grants({}))
m = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
m.write(bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]))  # mov eax, getpid of 32 bit; int 0x80; ret
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()
"""
        done = subprocess.run(
            [sys.executable, "-P", "-c", "from cupool.apiserver import sandbox\n" + code],
            timeout=60,
            capture_output=True,
        )
        assert done.returncode == -31, "SIGSYS"

    def test_wide_paths_are_not_granted(self) -> None:
        code = """
import sys
sys.path += ["/", os.path.expanduser("~"), os.path.dirname(os.path.expanduser("~").rstrip("/")) or "/"]
paths = sandbox.python_paths()
print([p for p in paths if p in ("/", os.path.realpath(os.path.expanduser("~")))])
"""
        assert self.child(code) == "[]"


def test_the_compiling_process_ends_with_its_server(tmp_path: Path) -> None:
    confined = Confined(tmp_path)
    children = children_of(confined.process.pid)
    assert len(children) == 1
    confined.close()
    for pid in children:
        with open_pidfd(pid) as gone:
            assert gone(10)


def children_of(pid: int) -> list[int]:
    return [int(p) for t in Path(f"/proc/{pid}/task").iterdir() for p in (t / "children").read_text().split()]


class open_pidfd:
    def __init__(self, pid: int) -> None:
        try:
            self._fd = os.pidfd_open(pid)
        except ProcessLookupError:
            self._fd = -1

    def __enter__(self) -> Any:
        import select

        return lambda limit_s: self._fd < 0 or bool(select.select([self._fd], [], [], limit_s)[0])

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
