"""g++ for kernels: options, a precompiled header, a cache of shared objects, and limits on what a compilation may read and take.

What a source may read is decided by what the compiler says that it opened (see `messages.py`): whatever else it opened, the source is
refused, and the compiler's text with it.

The cache is keyed by everything that decides the outcome: source, options, header, compiler version. Entries appear by an atomic rename,
so several servers may share it; `eviction.py` says what goes when it grows. It holds native code that this user runs: the directory is
this user's alone (0700).
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from cupool.contract.errors import CompileException, OpMissing

from . import eviction, messages
from .source import POISON, RefusedSource, check_assembly

INCLUDE = Path(__file__).parent / "include"
HEADER = "cupool_cuda.h"
#: The cache's size is looked at once in so many compilations of a server: the first one and from there on.
EVICT_EVERY = 64
#: Seconds that one compilation may take.
TIMEOUT_S = 300.0
#: Address space that one compilation may take: templates can ask for any amount.
MEMORY_KIB = 4 << 20
_FLAGS = (
    "-O2", "-fPIC", "-fvisibility=hidden", "-fno-strict-aliasing", "-fwrapv", "-ffp-contract=off", "-fno-math-errno",
    "-fno-threadsafe-statics", "-fno-semantic-interposition", "-fnon-call-exceptions", "-w", "-fdiagnostics-color=never",
    "-fno-diagnostics-show-caret", "-x", "c++",
)  # fmt: skip
MISSING = (
    "No C++ compiler: this server's device is a CPU, where kernels are compiled by g++, and there is no g++ on the host of the server. "
    "Arrays work without it."
)
CURE = "Install it there: apt-get install g++"

#: NVRTC options that mean nothing here: architecture, debugging, tuning, precision below the host's.
_IGNORED = re.compile(
    r"-{1,2}(gpu-architecture|arch|device-debug|G|generate-line-info|lineinfo|device-int128|use_fast_math|fmad|ftz|prec-div|prec-sqrt"
    r"|maxrregcount|extra-device-vectorization|ptxas-options|Xptxas|restrict|default-device|device-as-default-execution-space"
    r"|disable-warnings|w|relocatable-device-code|rdc|dc|device-c|dw|device-w|display-error-number|err-no|diag-suppress|diag-warn|diag-error"
    r"|builtin-move-forward|builtin-initializer-list|optimization-info|Werror|opt-level|O|dopt|dlto|pch|expt-relaxed-constexpr|time"
    r"|split-compile|minimal|no-source-include|extended-lambda|expt-extended-lambda|m64|std-headers|unroll|cudart|Xcompiler)([=\d].*)?"
)
_STANDARDS = {"c++03": "17", "c++11": "17", "c++14": "17", "c++17": "17", "c++20": "20", "c++23": "23"}
_DEFINE = re.compile(r"[A-Za-z_]\w*(\([^)]*\))?(=.*)?", re.DOTALL)


def default_cache() -> Path:
    """CUPOOL_CACHE_DIR, or `cupool` under the XDG cache directory."""
    given = os.environ.get("CUPOOL_CACHE_DIR")
    if given:
        return Path(given) / "kernels"
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "cupool" / "kernels"


def private_directory(directory: Path) -> Path:
    """Make the directory, for this user alone. Raises PermissionError when somebody else could write there."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        cure = "Set CUPOOL_CACHE_DIR to a directory that can be written."
        raise OSError(error.errno, f"The kernel cache {directory} cannot be made ({error.strerror}). {cure}") from None
    info = directory.stat()
    if info.st_uid != os.geteuid():
        raise PermissionError(
            f"The kernel cache {directory} belongs to another user. Set CUPOOL_CACHE_DIR to a directory of your own."
        )
    if info.st_mode & 0o077:
        directory.chmod(0o700)
    return directory


def translate_options(options: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """NVRTC's options as (C++ standard, g++ arguments). Raises RefusedSource for one that is not known or not allowed."""
    standard, result = "17", []
    items = iter(options)
    for option in items:
        if option in ("-D", "--define-macro", "-U", "--undefine-macro", "-std", "--std", "-arch", "--gpu-architecture", "-Xptxas",
                      "-Xcompiler"):  # fmt: skip
            option = (
                f"{option}={next(items, '')}"
                if option.startswith("--") or len(option) > 2
                else option + next(items, "")
            )
        name, _, value = option.partition("=")
        if name in ("--std", "-std"):
            if value not in _STANDARDS:
                raise RefusedSource(f"option {option}: the standards are {', '.join(_STANDARDS)}.")
            standard = _STANDARDS[value]
        elif name in ("--define-macro", "--undefine-macro"):
            result.append(("-D" if "define-m" in name and not name.startswith("--un") else "-U") + value)
        elif option.startswith(("-D", "-U")):
            if not _DEFINE.fullmatch(option[2:].strip()):
                raise RefusedSource(f"option {option}: not the name of a macro.")
            result.append(option[:2] + option[2:].strip())
        elif option.startswith(("-I", "--include-path")):
            raise RefusedSource(
                f"option {option}: a kernel cannot include files of the server; the client sends headers along."
            )
        elif not _IGNORED.fullmatch(option):
            raise RefusedSource(f"option {option} is not known.")
    return standard, tuple(result)


@functools.cache
def _version_of(path: str) -> str:
    """What the compiler says of itself. Asked once in a process, and in those that it forks."""
    done = subprocess.run(
        [path, "--version"], capture_output=True, text=True, timeout=30, check=False, env=_environment()
    )
    return done.stdout.partition("\n")[0]


class Compiler:
    """Compiles sources to shared objects in a cache directory."""

    def __init__(self, cache: Path | None = None, command: str = "g++") -> None:
        self._cache = cache or default_cache()
        self._command = command
        self._header_ready: dict[str, Path] = {}
        self._made = 0

    @cached_property
    def path(self) -> str | None:
        """Where the compiler is, or None."""
        return shutil.which(self._command)

    @cached_property
    def version(self) -> str:
        """The compiler's first line of --version, "" without a compiler."""
        return "" if self.path is None else _version_of(self.path)

    def probe(self) -> str:
        """Empty when kernels can be compiled; else why not and what to install."""
        return "" if self.version else f"{MISSING} {CURE}"

    @cached_property
    def _header_hash(self) -> bytes:
        h = hashlib.sha256(" ".join(_FLAGS).encode() + self.version.encode())
        for file in sorted(INCLUDE.rglob("*")):
            if file.is_file():
                h.update(str(file.relative_to(INCLUDE)).encode() + b"\0" + file.read_bytes())
        return h.digest()

    def compile(self, text: str, options: Sequence[str], headers: Mapping[str, str], *, source: str, name: str,
                backend: str = "nvrtc") -> Path:  # fmt: skip
        """The shared object of `text`.

        Args:
            text: what g++ reads, with `#line` directives that lead back to `source`.
            options: NVRTC's options.
            headers: name -> text of headers that the client sent along.
            source, name, backend: for the CompileException, with `options`.

        Raises:
            CompileException: with g++'s text, in which no path of this host appears.
            OpMissing: there is no g++.
        """
        try:
            standard, arguments = translate_options(options)
        except RefusedSource as error:
            raise CompileException(f"{name}: error: {error}", source, name, tuple(options), backend) from None
        text = POISON + text
        target = self._target(text, standard, arguments, headers)
        if self._is_ours(target):
            return target
        if not self.version:
            raise OpMissing(MISSING, CURE)
        private_directory(self._cache)
        with tempfile.TemporaryDirectory(dir=self._cache, prefix="build-") as folder:
            build = Path(folder)
            for header, contents in headers.items():
                _write_header(build / "include", header, contents)
            (build / "kernel.cc").write_text(text, encoding="utf-8", errors="surrogateescape")
            command = [
                *self._base(standard),
                *arguments,
                "-I",
                "include",
                "-I",
                str(INCLUDE),
                "-S",
                "-o",
                "kernel.s",
                "kernel.cc",
            ]
            done = self._run(command, build)
            try:
                report = messages.read(done.stderr, (*self._own_folders(build), *self._system_folders))
                if not done.returncode:
                    # What the assembler is given is looked at before it is: it reads files too, however a source came to say so.
                    check_assembly((build / "kernel.s").read_bytes())
                    done = self._run(
                        [str(self.path), "-shared", "-Wl,-z,now", "-Wl,-Bsymbolic", "-o", "kernel.so", "kernel.s"],
                        build,
                    )
                    report += messages.read(done.stderr, (*self._own_folders(build), *self._system_folders))
            except RefusedSource as error:
                raise CompileException(f"{name}: error: {error}", source, name, tuple(options), backend) from None
            if done.returncode:
                message = messages.for_user(report, text, headers, self._own_folders(build))
                raise CompileException(message, source, name, tuple(options), backend)
            os.replace(build / "kernel.so", target)
        if self._made % EVICT_EVERY == 0:
            eviction.evict(self._cache)
        self._made += 1
        return target

    def cached(self, text: str, options: Sequence[str], headers: Mapping[str, str]) -> Path | None:
        """What `compile` would give without compiling; None where it would compile."""
        standard, arguments = translate_options(options)
        target = self._target(POISON + text, standard, arguments, headers)
        return target if self._is_ours(target) else None

    def _target(self, text: str, standard: str, arguments: Sequence[str], headers: Mapping[str, str]) -> Path:
        h = hashlib.sha256(self._header_hash)
        # How many there are of each: an option is no header's name, and the cache is of all tenants.
        h.update(b"%d %d " % (len(arguments), len(headers)))
        for part in (text, standard, *arguments, *(part for item in sorted(headers.items()) for part in item)):
            h.update(len(part).to_bytes(8, "little") + part.encode("utf-8", "surrogateescape"))
        return self._cache / f"{h.hexdigest()[:40]}.so"

    def _is_ours(self, target: Path) -> bool:
        """Whether it is there, and nobody else can have put it there, as a link to another file of ours, say."""
        try:
            folder, file = self._cache.stat(), target.stat()
        except OSError:
            return False
        found = folder.st_uid == file.st_uid == os.geteuid() and not folder.st_mode & 0o022
        if found:
            eviction.touch(target)
        return found

    def warnings(self, text: str, options: Sequence[str], headers: Mapping[str, str]) -> str:
        """What the compiler has to say about a text that it compiles."""
        standard, arguments = translate_options(options)
        text = POISON + text
        private_directory(self._cache)
        with tempfile.TemporaryDirectory(dir=self._cache, prefix="build-") as folder:
            build = Path(folder)
            for header, contents in headers.items():
                _write_header(build / "include", header, contents)
            (build / "kernel.cc").write_text(text, encoding="utf-8", errors="surrogateescape")
            command = [*(o for o in self._base(standard) if o != "-w"), *arguments, "-Wall", "-fsyntax-only", "-I", "include", "-isystem",
                       str(INCLUDE), "kernel.cc"]  # fmt: skip
            done = self._run(command, build)
            report = messages.read(done.stderr, (*self._own_folders(build), *self._system_folders))
        # Our own first line is none of the program's business.
        report = [line for line in report if "poisoning existing macro" not in line]
        return messages.for_user(report, text, headers, self._own_folders(build))

    def _own_folders(self, build: Path) -> tuple[str, ...]:
        """Folders of ours that a compilation reads from."""
        headers = [str(header.parent) for header in self._header_ready.values()]
        return tuple(
            dict.fromkeys(str(p) for f in (str(build), str(INCLUDE), *headers) for p in (Path(f), Path(f).resolve()))
        )

    @cached_property
    def _system_folders(self) -> tuple[str, ...]:
        """Where the compiler's own headers lie."""
        assert self.path is not None
        done = subprocess.run(
            [self.path, "-E", "-v", "-x", "c++", os.devnull], capture_output=True, text=True, timeout=30, check=False,
            env=_environment(),
        )  # fmt: skip
        listed = done.stderr.partition("#include <...> search starts here:")[2].partition("End of search list")[0]
        return tuple(os.path.realpath(line.strip()) for line in listed.splitlines() if line.strip())

    def preprocess(self, text: str, options: Sequence[str]) -> str | None:
        """`text` after the preprocessor, with `__global__` left as `cupool_global`; None when it fails."""
        if self.path is None:
            return None
        try:
            _, arguments = translate_options(options)
        except RefusedSource:
            return None
        private_directory(self._cache)
        with tempfile.TemporaryDirectory(dir=self._cache, prefix="scan-") as folder:
            command = [self.path, *_FLAGS, "-E", "-P", *arguments, "-D__global__=cupool_global", "-D__CUDACC__", "-D__CUDACC_RTC__",
                       "-D__CUDA_ARCH__=900", "-DCUPOOL_CPU", "-"]  # fmt: skip
            bare = POISON + re.sub(r"^[ \t]*#[ \t]*include.*$", "", text, flags=re.MULTILINE)
            done = self._run(command, Path(folder), bare)
        return done.stdout if done.returncode == 0 else None

    def _base(self, standard: str) -> list[str]:
        assert self.path is not None
        return [self.path, *_FLAGS, "-H", f"-std=gnu++{standard}", "-include", str(self._precompiled(standard))]

    def _precompiled(self, standard: str) -> Path:
        """The header, with its compiled form beside it (g++ takes that when it fits)."""
        known = self._header_ready.get(standard)
        if known is not None:
            return known
        folder = self._cache / f"header-{standard}-{self._header_hash.hex()[:32]}"
        header = folder / HEADER
        eviction.touch(folder)
        if not header.exists():
            private_directory(self._cache)
            with tempfile.TemporaryDirectory(dir=self._cache, prefix="header-build-") as temporary:
                made = Path(temporary) / "made"
                shutil.copytree(INCLUDE, made)
                assert self.path is not None
                command = [
                    self.path,
                    *_FLAGS[:-1],
                    "c++-header",
                    f"-std=gnu++{standard}",
                    HEADER,
                    "-o",
                    f"{HEADER}.gch",
                ]
                done = self._run(command, made)
                if done.returncode:
                    raise RuntimeError(f"The kernel header does not compile with {self.version}: {done.stderr[:2000]}")
                try:
                    os.rename(made, folder)
                except OSError:  # another server was first
                    if not header.exists():
                        raise
        self._header_ready[standard] = header
        return header

    def _run(self, command: list[str], folder: Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run the compiler within its limits; it and what it started end together."""
        # Its time too: when this process is killed, nobody else would stop a compilation that does not end.
        limits = f"ulimit -t {int(TIMEOUT_S) + 10}; " + 'ulimit -v "$0"; exec "$@"'
        limited = ["/bin/sh", "-c", limits, str(MEMORY_KIB), *command]
        with subprocess.Popen(
            limited, cwd=folder, stdin=subprocess.DEVNULL if text is None else subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="replace", env=_environment(), start_new_session=True,
        ) as process:  # fmt: skip
            try:
                out, err = process.communicate(text, timeout=TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return subprocess.CompletedProcess(
                    command, 1, "", f"error: the compiler took longer than {TIMEOUT_S:.0f} s and was stopped"
                )
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(command, process.returncode, out, err)


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TMPDIR": tempfile.gettempdir()}


def _write_header(folder: Path, name: str, contents: str) -> None:
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts:
        raise RefusedSource(f"header {name}: headers are named relative to an include directory.")
    target = folder.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(contents, encoding="utf-8", errors="surrogateescape")
