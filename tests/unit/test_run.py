"""`cupool run` is like `python`: arguments, paths, `__main__`, tracebacks and exit status. No array is made here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_pool(monkeypatch):
    """No program here makes an array; an address keeps `cupool run` from starting a pool for it."""
    monkeypatch.setenv("CUPOOL_ADDR", "unix:/nowhere")


def run(*arguments: str, command=("-m", "cupool"), **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command, *arguments], capture_output=True, text=True, timeout=60, **options)


@pytest.fixture
def script(tmp_path: Path):
    def write(text: str, name: str = "program.py") -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize("words", [["run"], []], ids=["cupool run", "python -m cupool"])
def test_program_sees_what_it_sees_under_python(script, words):
    path = script(
        "import sys, __main__\n"
        "print(sys.argv[1:], sys.argv[0] == __file__, __name__, __main__.__file__ == __file__, __package__, __spec__)\n"
        "print(sys.path[0])\n"
        "import helper\n"
        "print(helper.here)\n"
        "class Pickled: pass\n"
        "print(sys.modules[Pickled.__module__].Pickled is Pickled)\n"
    )
    script("here = 'beside the program'", "helper.py")
    ours = run(*words, path, "--stats", "-x", "y")
    pythons = subprocess.run([sys.executable, path, "--stats", "-x", "y"], capture_output=True, text=True, timeout=60)
    assert ours.stdout == pythons.stdout
    assert ours.returncode == 0 and not ours.stderr


@pytest.mark.parametrize(
    "body",
    ["raise SystemExit(7)", "raise SystemExit('words')", "import sys; sys.exit()", "1/0", "def f():\n  g()\ndef g():\n  [][3]\nf()",
     "x = (", "raise KeyboardInterrupt", "try:\n  1/0\nexcept ZeroDivisionError as e:\n  raise ValueError('x') from e",
     "import atexit; atexit.register(print, 'at exit')"],
    ids=["status", "words", "no status", "error", "nested", "syntax", "interrupt", "chain", "atexit"],
)  # fmt: skip
def test_exit_status_and_traceback_are_pythons(script, body):
    path = script(body + "\n")
    ours = run("run", path)
    pythons = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=60)
    assert (ours.returncode, ours.stdout, ours.stderr) == (pythons.returncode, pythons.stdout, pythons.stderr)


def test_module_code_folder_and_standard_input(script, tmp_path):
    script("import sys; print('module', sys.argv[1:], __package__, __spec__.name)", "package/__main__.py")
    script("", "package/__init__.py")
    for words in (["-m", "package", "1", "-m"], ["-c", "import sys; print(sys.argv, repr(sys.path[0]))", "a"]):
        ours = run("run", *words, cwd=tmp_path)
        pythons = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=tmp_path)
        assert ours.stdout == pythons.stdout and ours.stdout and ours.returncode == 0, ours.stderr
    folder = run("run", "package", "x", cwd=tmp_path)
    assert "module ['x']" in folder.stdout, folder.stderr
    assert run("run", "-", "q", input="import sys; print(sys.argv)").stdout == "['-', 'q']\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [(["run", "nowhere.py"], "can't open file"), (["run", "-m", "no_such_module"], "No module named no_such_module"),
     (["run"], "name a script"), (["frobnicate"], "no command 'frobnicate'"), ([], "usage: cupool"),
     (["run", "--nonsense", "x.py"], "--nonsense")],
)  # fmt: skip
def test_refusals_say_what_is_wrong(words, says, tmp_path):
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr


def test_interrupt_from_outside_ends_by_the_signal(script):
    path = script("import signal, sys\nprint('ready', flush=True)\nsignal.pause()\n")
    with subprocess.Popen(
        [sys.executable, "-m", "cupool", "run", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        assert program.stdout is not None and program.stdout.readline() == b"ready\n"
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=30)
    assert program.returncode == -signal.SIGINT
    assert b"KeyboardInterrupt" in errors and b"cupool" not in errors


def test_a_setting_that_makes_no_sense_is_one_line(script):
    path = script("print('never')")
    done = run("run", path, env={**os.environ, "CUPOOL_COMPRESSION": "lz4"})
    said = "cupool: CUPOOL_COMPRESSION='lz4' is none of 'zlib'. Set it to one of them, or leave it out.\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


def test_statistics_of_a_program_without_arrays(script, tmp_path):
    out = tmp_path / "stats.json"
    done = run("run", "--stats", "--stats-json", str(out), script("print('hello')\n"))
    assert done.returncode == 0 and done.stdout == "hello\n"
    assert '"commands": 0' in out.read_text() and "0 commands" in done.stderr


def test_statistics_that_cannot_be_written_are_told_before_the_program_runs(script, tmp_path):
    done = run("run", "--stats-json", str(tmp_path / "none" / "stats.json"), script("print('hello')\n"))
    assert (done.returncode, done.stdout) == (2, "") and "stats.json cannot be written: No such file" in done.stderr


def test_an_old_numpy_is_named(tmp_path):
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text("__version__ = '1.26.4'\n")
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    for code in ("import cupool; cupool.install(); import cupy", "from cupool import cupy"):
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        said = "ImportError: cupool needs NumPy 2 or newer, and this Python has 1.26.4."
        assert done.returncode == 1 and said in done.stderr, done.stderr


def test_children_of_the_program_get_the_shim(script):
    path = script(
        "import subprocess, sys\n"
        "code = 'import importlib.util as u; print(u.find_spec(\"cupy\").origin)'\n"
        "subprocess.run([sys.executable, '-c', code], check=True)\n"
    )
    done = run("run", path)
    assert os.path.join("dropin", "cupy") in done.stdout, done.stderr


def test_version_and_dropin_path():
    version = run("version")
    assert version.returncode == 0 and version.stdout.startswith("cupool ") and "numpy" in version.stdout
    record = json.loads(run("version", "--json").stdout)
    assert (
        set(record) == {"schema", "version", "protocols", "python", "libraries"}
        and record["schema"] == "cupool.version/1"
    )
    assert run("version", "--frob").returncode == 2
    for command in ("version", "dropin-path"):
        helped = run(command, "--help")
        assert helped.returncode == 0 and helped.stdout.startswith(f"usage: cupool {command}"), helped.stderr
    assert run("dropin-path", "--frob").returncode == 2
    path = run("dropin-path").stdout.strip()
    assert (Path(path) / "cupy" / "__init__.py").is_file()


def test_without_the_extra_other_verbs_name_it(tmp_path):
    # A stand-in for an install without click: importing it fails as if it were not there.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('click', 'grpc_health', 'scipy'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    environment = dict(os.environ, PYTHONPATH=str(tmp_path))
    done = run("ps", env=environment)
    assert done.returncode == 2 and "cupool[server]" in done.stderr and "click" in done.stderr
    assert run("version", env=environment).returncode == 0
    assert run("run", "-c", "print(1)", env=environment).stdout == "1\n"
