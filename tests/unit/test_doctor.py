"""`cupool doctor`: each check with what it finds, the exit code, the base install, the archive without secrets."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import ssl
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import fake_admin
import pytest
from cupool.pool.cli import app, devices, place
from cupool.pool.doctor import (
    OK,
    Verdict,
    bundle,
    client,
    document,
    examine,
    exit_code,
    failed,
    host,
    line,
    ok,
    reach,
    warning,
)

SECRET = "cupool_client_0123456789ab_" + "s" * 43


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """No variable of this machine counts."""
    for name in [
        n for n in os.environ if (n.startswith("CUPOOL_") and n != "CUPOOL_TEST_RUN") or n.lower().endswith("_proxy")
    ]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("STATE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))


def only(check) -> Verdict:
    """The one verdict of a check."""
    (found,) = list(check())
    assert (found.verdict in ("failed", "warning")) == bool(found.cure), found
    return found


# ---- verdicts


def test_exit_code_is_the_worst_verdict():
    bad = failed("a", "x", "y", 3)
    assert exit_code([ok("a", "x")]) == 0
    assert exit_code([ok("a", "x"), warning("a", "x", "y")]) == 0
    assert exit_code([warning("a", "x", "y")], is_strict=True) == 1
    assert exit_code([warning("a", "x", "y"), bad, failed("b", "x", "y", 4)]) == 3
    assert document([ok("a", "x"), bad])["worst"] == "failed"
    assert document([])["worst"] == OK
    assert line(bad).splitlines() == ["FAILED   a              x", " " * 25 + "try: y"]


def test_a_check_that_fails_itself_is_a_verdict():
    def broken():
        raise KeyError(SECRET)
        yield

    (found,) = examine([("broken", broken)])
    assert found.verdict == "warning" and "KeyError" in found.evidence and "s" * 43 not in found.evidence


def test_every_check_has_a_name_of_its_own():
    names = [n for n, _ in client.checks() + host.checks()]
    assert len(set(names)) == len(names)


def test_json(capsys):
    assert app.main(["doctor", "--json", "--no-host"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert seen["schema"] == "cupool.doctor/1" and seen["worst"] in ("ok", "warning")
    assert all(set(c) == {"check", "verdict", "evidence", "cure"} for c in seen["checks"])
    assert {c["check"] for c in seen["checks"]} >= {n for n, _ in client.checks()}


def test_this_host(capsys):
    """Whatever it is: verdicts, no check that failed itself, and a documented exit code."""
    app.main(["doctor", "--json", "--host"])
    seen = json.loads(capsys.readouterr().out)
    assert {c["check"] for c in seen["checks"]} >= {n for n, _ in host.checks()}
    assert "check itself failed" not in json.dumps(seen)


def test_base_install():
    """Without what the extra brings, it looks at what a program needs."""
    code = (
        "import sys, importlib.util\n"
        "gone = {'click', 'rich', 'cryptography', 'grpc_health', 'grpc_reflection', 'ml_dtypes', 'prometheus_client', 'psutil', 'scipy', 'pynvml'}\n"
        "class Gone:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in gone: raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Gone())\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name in gone else real(name, *a)\n"
        "sys.argv = ['cupool', 'doctor', '--json', *sys.argv[1:]]\n"
        "from cupool.__main__ import main\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code, "--no-host"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {c["check"] for c in json.loads(done.stdout)["checks"]} >= {"libraries", "session"}
    reader, writer = os.pipe()
    os.close(reader)  # as `cupool doctor | head -1` would
    with open(writer, "wb") as gone:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, "--no-host"], stdout=gone, stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run([sys.executable, "-P", "-c", code, "--host"], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    seen = {c["check"]: c for c in json.loads(done.stdout)["checks"]}
    assert "the extra `server` is not whole" in seen["extra"]["evidence"] and seen["pool"]["verdict"] == "skipped"
    for arguments, words in ((["--only", "frob"], "no check 'frob'"), (["--frob"], "unrecognized")):
        done = subprocess.run([sys.executable, "-P", "-c", code, *arguments], capture_output=True, text=True)
        assert done.returncode == 2 and words in done.stderr


# ---- what a program needs


def test_settings(monkeypatch):
    monkeypatch.setenv("CUPOOL_MEMORY", "4 gigs")
    found = only(client.client_settings)
    assert found.code == 2 and "CUPOOL_MEMORY" in found.evidence


@pytest.mark.parametrize("value, verdict", [("0", "warning"), ("False", "warning"), ("1", "ok"), ("", "ok")])
def test_fork(monkeypatch, value, verdict):
    monkeypatch.setenv("GRPC_ENABLE_FORK_SUPPORT", value)
    assert only(client.fork).verdict == verdict


@pytest.mark.parametrize(
    "addr, excluded, verdict",
    [
        ("", "", "ok"),
        ("unix:/x", "", "ok"),
        ("pool.example:1", "", "warning"),
        ("pool.example:1", "other.example", "warning"),
        ("pool.example:1", ".example", "ok"),
        ("pool.example:1", "pool.example", "ok"),
        ("pool.example:1", "*", "ok"),
    ],
)
def test_proxy(monkeypatch, addr, excluded, verdict):
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("CUPOOL_ADDR", addr)
    monkeypatch.setenv("no_proxy", excluded)
    assert only(client.proxy).verdict == verdict


def test_temporary(monkeypatch, tmp_path):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    assert only(client.temporary).verdict == "failed"


def test_shadowing(monkeypatch):
    from importlib import metadata

    class Real:
        metadata = {"Name": "cupy-cuda13x"}  # noqa: RUF012
        version = "14.2.0"

    monkeypatch.setattr(metadata, "distributions", lambda: [Real()])
    assert "cupy-cuda13x 14.2.0 is installed" in only(client.shadowing).evidence
    monkeypatch.setenv("PYTHONPATH", "/x/dropin")
    assert only(client.shadowing).verdict == "ok"


def test_freeze(monkeypatch):
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
    assert "AWS Lambda" in only(client.freeze).evidence


@pytest.mark.parametrize(
    "addr, words, code",
    [
        ("nonsense", "is no address", 2),
        ("127.0.0.1:99999", "is no address", 2),
        ("127.0.0.1:1", "Connection refused", 3),
        ("no-such-host.invalid:7070", "has no address", 3),
        ("unix:/nonexistent/pool.sock", "there is no such socket", 3),
    ],
)
def test_address(monkeypatch, addr, words, code):
    monkeypatch.setenv("CUPOOL_ADDR", addr)
    found = only(client.address)
    assert words in found.evidence and found.code == code


def test_a_socket_that_nobody_serves(monkeypatch, tmp_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))
    monkeypatch.setenv("CUPOOL_ADDR", f"unix:{tmp_path / 's'}")
    assert "no process listens there" in only(client.address).evidence
    found = only(client.token)
    assert found.code == 3


# ---- TLS


@pytest.fixture
def authority(tmp_path):
    certs = pytest.importorskip("cupool.pool.security.certs")
    folder = tmp_path / "certs"
    certs.init(folder)
    certs.issue_server(folder, ["127.0.0.1", "localhost"])
    return certs, folder


@pytest.fixture
def tls_server(authority):
    """Accepts TLS connections with the certificate `server`, and closes them."""
    _, folder = authority
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.set_alpn_protocols(["h2"])
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    raw, _ = listener.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(raw, server_side=True) as channel:
                        channel.recv(1)
                except OSError:
                    raw.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_tls(monkeypatch, authority, tls_server, tmp_path):
    certs, folder = authority
    monkeypatch.setenv("CUPOOL_ADDR", tls_server)
    found = only(client.tls)
    assert found.verdict == "failed" and "CUPOOL_CA is not set" in found.evidence
    monkeypatch.setenv("CUPOOL_CA", str(folder / "trust.pem"))
    found = only(client.tls)
    assert found.verdict == "ok" and "valid for 36" in found.evidence
    monkeypatch.setenv("CUPOOL_ADDR", tls_server.replace("127.0.0.1", "127.0.0.2"))
    certs.init(tmp_path / "other")
    monkeypatch.setenv("CUPOOL_ADDR", tls_server)
    monkeypatch.setenv("CUPOOL_CA", str(tmp_path / "other" / "trust.pem"))
    found = only(client.tls)
    assert found.verdict == "failed" and found.code == 4 and "CUPOOL_CA is another pool's" in found.cure
    monkeypatch.setenv("CUPOOL_CA", str(tmp_path / "none.pem"))
    assert only(client.tls).code == 2
    assert "clock" in reach._certificate_cure("certificate is not yet valid")
    assert "renews" in reach._certificate_cure("certificate has expired")


# ---- a pool's host


def test_devices(monkeypatch):
    rows = [devices.show.plain(d, devices.FIELDS) for d in fake_admin.some_devices()]
    found = [v for r in rows for v in host._device(r)]
    assert [(v.check, v.verdict) for v in found] == [
        ("books", "warning"),
        ("hardware", "failed"),
        ("hardware", "failed"),
        ("hardware", "warning"),
    ]
    assert "1,024 MiB that is no session's" in found[0].evidence and "XID 48" in found[1].evidence


class FakeNvml:
    """What `_gpu` asks of NVML."""

    NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC, NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR = 1, 0, 1
    NVML_COMPUTEMODE_PROHIBITED, NVML_COMPUTEMODE_EXCLUSIVE_PROCESS = 2, 3

    class NVMLError(Exception):
        pass

    def __init__(self, **answers):
        self.answers = {
            "GetName": b"H200",
            "GetUUID": "GPU-1",
            "GetPersistenceMode": 1,
            "GetMigMode": [0, 0],
            "GetComputeMode": 0,
        } | answers

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def __getattr__(self, name):
        def ask(*_):
            try:
                return self.answers[name.removeprefix("nvmlDevice")]
            except KeyError:
                raise self.NVMLError from None

        return ask


@pytest.mark.parametrize(
    "answers, verdict, words",
    [
        ({}, "ok", "H200 GPU-1"),
        ({"GetPersistenceMode": 0}, "warning", "persistence off"),
        ({"GetMigMode": [1, 1]}, "warning", "MIG on"),
        ({"GetComputeMode": 2}, "failed", "prohibited"),
        ({"GetComputeMode": 3}, "warning", "one process"),
        ({"GetTotalEccErrors": 3}, "failed", "3 uncorrected"),
        ({"GetRetiredPages": [7]}, "warning", "retired"),
        ({"GetRemappedRows": (1, 0, 1, 0)}, "warning", "remapped"),
        ({"GetRemappedRows": (1, 0, 0, 0)}, "ok", "H200"),
    ],
)
def test_gpu(answers, verdict, words):
    (found,) = host._gpu(FakeNvml(**answers), 0)
    assert found.verdict == verdict and words in found.evidence


def test_config(monkeypatch):
    monkeypatch.setenv("CUPOOL_POOL_WARM", "many")
    assert only(host.config).code == 2
    monkeypatch.setenv("CUPOOL_POOL_WARM", "2")
    monkeypatch.setenv("CUPOOL_SECURITY_INSECURE", "1")
    first, second = host.config()
    assert first.verdict == "ok" and "pool.warm by environment CUPOOL_POOL_WARM" in first.evidence
    assert second.verdict == "warning" and second.evidence.startswith("INSECURE")


@pytest.fixture
def pool_of_this_host(tmp_path):
    """A pool.json that names a fake, and logs with a secret in them."""
    import tempfile

    folder = place.default_folder()
    (folder / "logs").mkdir(parents=True, mode=0o700)
    folder.chmod(0o700)
    with tempfile.TemporaryDirectory(prefix="dr-") as short, fake_admin.serving(Path(short)) as (fake, addr):
        place.write_secret(folder / "admin-token", fake_admin.TOKENS["admin"])
        place.write_secret(folder / "token", "a-token-in-no-form-at-all")
        (folder / "logs" / "controller.log").write_text(f"Bearer {SECRET}\nsomebody said a-token-in-no-form-at-all\n")
        place.write(
            folder, place.Running(addr=addr, admin_addr=addr, admin_token_file=str(folder / "admin-token"), mark="none")
        )
        yield fake, folder


def test_pool_of_this_host(pool_of_this_host):
    fake, folder = pool_of_this_host
    found = {v.check: v for v in host.pool() if v.verdict != "ok"}
    assert "supervisor is gone" in next(host.pool()).evidence
    assert "controller and the agent of the pool do not run" in found["processes"].evidence
    assert found["pool"].evidence == "gpu-b/cuda:1 has ECC errors"
    assert found["books"].verdict == "warning" and found["hardware"].verdict in ("failed", "warning")
    fake.pool.insecure = True
    assert any(v.evidence.startswith("INSECURE") for v in host.pool())
    folder.chmod(0o755)
    assert any(v.check == "folder" for v in host.pool())
    (folder / place.NAME).write_text('{"version": 9}')
    assert only(host.pool).verdict == "failed"


def test_a_folder_says_which_pool(pool_of_this_host, tmp_path, monkeypatch, capsys):
    _, folder = pool_of_this_host
    there = folder.rename(tmp_path / "there")
    running = place.read(there)
    place.write(there, dataclasses.replace(running, admin_token_file=str(there / "admin-token")))
    asked = ["doctor", "--json", "--host", "--only", "pool"]
    for arguments, checked in ((asked, False), ([*asked, "--folder", str(there)], True)):
        app.main(arguments)
        (first, *others) = json.loads(capsys.readouterr().out)["checks"]
        assert (first["verdict"] == "skipped") is not checked
        assert any("warm servers" in c["evidence"] for c in others) is checked
    app.main(["doctor", "--only", "pool", "--folder", str(there), "--bundle", str(tmp_path / "b.tar.gz")])
    with tarfile.open(tmp_path / "b.tar.gz") as archive:
        assert {"cupool-support/pool.json", "cupool-support/ps.json"} <= set(archive.getnames())
    monkeypatch.setenv("CUPOOL_POOL_FOLDER", str(there))
    assert host.is_host()


def test_bundle_holds_no_secret(pool_of_this_host, tmp_path, monkeypatch, capsys):
    _, _ = pool_of_this_host
    monkeypatch.setenv("CUPOOL_TOKEN", "another-token-of-no-form")
    file = tmp_path / "support.tar.gz"
    app.main(["doctor", "--only", "python", "--only", "settings", "--bundle", str(file)])
    assert "without secrets" in capsys.readouterr().err
    assert file.stat().st_mode & 0o777 == 0o600
    with tarfile.open(file) as archive:
        parts = {m.name.removeprefix("cupool-support/"): archive.extractfile(m).read().decode() for m in archive}
    assert {
        "doctor.json",
        "environment.json",
        "host.txt",
        "settings.json",
        "pool.json",
        "logs/controller.log",
        "status.json",
        "ps.json",
    } <= set(parts)
    assert json.loads(parts["ps.json"])["schema"] == "cupool.ps/1"
    whole = "".join(parts.values())
    for secret in ("s" * 43, "a-token-in-no-form-at-all", "another-token-of-no-form", "admin_a1_secret"):
        assert secret not in whole
    assert "somebody said [redacted]" in parts["logs/controller.log"]
    assert app.main(["doctor", "--only", "python", "--bundle", str(tmp_path / "none" / "x")]) == 1
    assert "No such file" in capsys.readouterr().err


def test_bundle_without_a_pool(tmp_path):
    names = bundle.write(tmp_path / "b.tar.gz", [ok("python", "3")])
    assert "pool.txt" in names and "doctor.json" in names


def test_text_for_people(capsys):
    assert app.main(["doctor", "--only", "python"]) == 0
    assert capsys.readouterr().out.startswith("ok       python         Python 3")
    assert app.main(["doctor", "--only", "frob"]) == 2
    assert dataclasses.asdict(ok("a", "b"))["verdict"] == "ok"
