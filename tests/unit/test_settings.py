"""The pool's settings: precedence, every malformed file with its line, the record that comes out."""

from __future__ import annotations

import dataclasses
import stat
import tomllib

import pytest
from cupool.pool import setting_kinds, settings
from cupool.pool.config import DeviceConfig, PoolConfig
from cupool.pool.settings import KEYS, BadSetting
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def write(tmp_path):
    """Write a config file; returns its name."""

    def write(text: str) -> str:
        file = tmp_path / "cupool.toml"
        file.write_text(text)
        return str(file)

    return write


def load(file: str = "", flags=None, **environment: str) -> settings.Settings:
    return settings.load(file, flags, environment)


def test_defaults_are_read_back_from_the_reference(write):
    seen = load(write(settings.reference()))
    assert seen.values == load().values
    assert seen.origins["pool.warm"].endswith("cupool.toml line 10"), seen.origins["pool.warm"]
    for line in settings.reference().splitlines():
        assert not line.startswith("warm") or line == "warm = 1"


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(write):
    file = write("[pool]\nwarm = 2\nmax_sessions = 3\nlisten = '127.0.0.1:1'\n")
    seen = load(file, {"pool.warm": 7, "pool.listen": None}, CUPOOL_POOL_WARM="5", CUPOOL_POOL_MAX_SESSIONS="6")
    assert (seen["pool.warm"], seen["pool.max_sessions"], seen["pool.listen"]) == (7, 6, "127.0.0.1:1")
    assert seen["limits.kernel"] == 120.0
    where = seen.origins
    assert where["pool.warm"] == "flag --warm"
    assert where["pool.max_sessions"] == "environment CUPOOL_POOL_MAX_SESSIONS"
    assert where["pool.listen"] == f"{file} line 4"
    assert where["limits.kernel"] == "default"


def test_places_of_the_file(tmp_path, monkeypatch):
    home = tmp_path / "config"
    (home / "cupool").mkdir(parents=True)
    (home / "cupool" / "cupool.toml").write_text("[pool]\nwarm = 3\n")
    asked = tmp_path / "asked.toml"
    asked.write_text("[pool]\nwarm = 4\n")
    environment = {"XDG_CONFIG_HOME": str(home)}
    assert settings.load(environment=environment)["pool.warm"] == 3
    assert settings.load(environment=environment | {"CUPOOL_CONFIG": str(asked)})["pool.warm"] == 4
    with pytest.raises(BadSetting, match="cannot be read"):
        settings.load(str(tmp_path / "none.toml"), environment=environment)


MALFORMED = {
    "unknown key": ("[pool]\n\nwram = 2\n", "line 3: there is no key 'wram' in [pool]. Did you mean 'warm'?", "Allowed in [pool]: devices, warm"),
    "unknown section": ("[pols]\nwarm = 2\n", "line 1: there is no section 'pols'", "[pool]"),
    "section as a key": ("limits = 3\n", "line 1: limits = 3: [limits] is a section, not a key", "Write [limits] in a line of its own"),
    "key at the top": ("warm = 2\n", "line 1: there is no key 'warm' at the top", "[pool]"),
    "out of range": ("[pool]\nwarm = -1\n", "line 2: pool.warm = -1 is not allowed: it is out of range", "from 0 to 1024"),
    "wrong type": ('[pool]\nwarm = "two"\n', 'line 2: pool.warm = "two" is not allowed', "a whole number"),
    "a boolean is no number": ("[pool]\nwarm = true\n", "line 2: pool.warm = true is not allowed", "a whole number"),
    "word": ('[log]\nlevel = "loud"\n', 'line 2: log.level = "loud" is not allowed', '"debug", "info", "warning", "error"'),
    "switch": ("[security]\ninsecure = 2\n", "line 2: security.insecure = 2 is not allowed", "true or false"),
    "size": ('[tenants]\n# a comment\nmemory = "4 gigs"\n', "line 3: tenants.memory", "a size"),
    "negative size": ("[tenants]\nmemory = -4\n", "line 2: tenants.memory = -4", "a size"),
    "duration": ('[limits]\nlease = "soon"\n', "line 2: limits.lease", "a duration from 1s to 1d"),
    "not finite": ("[limits]\nkernel = nan\n", "line 2: limits.kernel", "a duration"),
    "address": ('[pool]\nlisten = "7070"\n', "line 2: pool.listen", "host:port"),
    "port": ('[pool]\nlisten = "127.0.0.1:70700"\n', "line 2: pool.listen", "host:port"),
    "path": ('[security]\ntls_cert = "cert.pem"\n', "line 2: security.tls_cert", "begins with"),
    "devices": ('[pool]\ndevices = "tpu:1"\n', "line 2: pool.devices", "cpu:4:1GiB"),
    "list": ("[security]\nlaunch_wrapper = [1]\n", "line 2: security.launch_wrapper", "list of words"),
    "half of a pair": ('[security]\ntls_cert = "/c.pem"\n', "line 2: security.tls_cert is set without security.tls_key", "both"),
    "dotted": ("pool.warm = 9999\n", "line 1: pool.warm = 9999", "1024"),
    "no TOML": ("[pool]\nwarm = = 2\n", "is no TOML: Invalid value (at line 2", "key = value"),
    "twice": ("[pool]\nwarm = 1\nwarm = 2\n", "is no TOML: Cannot overwrite a value (at line 3", "key = value"),
    "newer": ("version = 2\n[future]\nx = 1\n", "line 1: the file has version 2; this cupool knows up to 1. It was left as it is", "Upgrade"),
    "no version": ('version = "one"\n', "line 1: version = 'one' is no version", "Allowed: 1"),
    "deep": ("[pool]\nx = " + "[" * 5000 + "\n", "is no TOML", "key = value"),
}  # fmt: skip


@pytest.mark.parametrize("text, what, cure", MALFORMED.values(), ids=MALFORMED)
def test_malformed(write, text, what, cure):
    file = write(text)
    with pytest.raises(BadSetting) as caught:
        load(file)
    assert what in caught.value.what and cure in caught.value.cure, caught.value
    assert file in caught.value.what
    assert "\n" not in str(caught.value)
    with open(file) as now:
        assert now.read() == text, "the file was changed"


def test_all_mistakes_are_named(write):
    file = write(
        'limits = 3\n[pool]\nwarm = "x"\nwram = 2\nlisten = "127.0.0.1:1"\n[foo]\nx = 1\n[security]\ntls_cert = "c.pem"\n'
    )
    with pytest.raises(BadSetting) as caught:
        load(
            file,
            {"pool.max_sessions": 0, "security.node_cert": "/n.pem"},
            CUPOOL_LOG_LEVEL="loud",
            CUPOOL_LOG_COLOUR="1",
        )
    said = [error.what for error in (caught.value, *caught.value.others)]
    expected = [
        "[limits] is a section", "no key 'wram'", "no section 'foo'", "CUPOOL_LOG_COLOUR", "pool.warm", "security.tls_cert", "CUPOOL_LOG_LEVEL",
        "flag --max-sessions", "node_cert is set without",
    ]  # fmt: skip
    assert len(said) == len(expected) and all(e in s for e, s in zip(expected, said, strict=True)), said


def test_what_is_no_text(tmp_path):
    file = tmp_path / "cupool.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(BadSetting, match="not UTF-8"):
        load(str(file))
    with pytest.raises(BadSetting, match="Is a directory"):
        load(str(tmp_path))


def test_environment_and_flags_are_checked():
    with pytest.raises(BadSetting, match=r"environment CUPOOL_POOL_WARM: pool\.warm"):
        load(CUPOOL_POOL_WARM="many")
    with pytest.raises(BadSetting, match=r"CUPOOL_POOL_WARMTH.*Did you mean 'CUPOOL_POOL_WARM'"):
        load(CUPOOL_POOL_WARMTH="1")
    with pytest.raises(BadSetting, match=r"flag --warm: pool\.warm"):
        load(flags={"pool.warm": -3})
    assert load(CUPOOL_ADDR="x", CUPOOL_MEMORY="1GiB")["pool.warm"] == 1, "the client's variables are no settings"


def test_a_path_as_a_flag_is_from_the_current_folder(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pair = {"security.tls_key": "/k.pem"}
    seen = load(flags={"security.tls_cert": "certs/../c.pem", "pool.folder": "~/pool"} | pair)
    assert seen["security.tls_cert"] == f"{tmp_path}/certs/../c.pem"
    assert (seen["pool.folder"], seen["security.tls_key"]) == ("~/pool", "/k.pem")
    with pytest.raises(BadSetting, match="not whole"):
        load(CUPOOL_SECURITY_TLS_CERT="c.pem")
    with pytest.raises(BadSetting, match="not whole"):
        load(write("[pool]\nfolder = 'here'\n"))
    assert load(flags={"pool.folder": ""})["pool.folder"] == ""


@given(st.text(max_size=200))
def test_any_text_is_settings_or_one_sentence(text):
    """Whatever a file holds, what comes out is settings or BadSetting."""
    import tempfile
    from pathlib import Path

    with tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8", errors="surrogatepass") as file:
        Path(file.name).write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            load(file.name)
        except BadSetting as error:
            assert error.what and error.cure


@given(
    st.sampled_from(list(KEYS.values())),
    st.text(max_size=30)
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.none()
    | st.lists(st.integers(), max_size=2),
)
def test_any_value_is_read_or_refused(key, value):
    """A value that is read is shown as TOML that reads back the same; every other is BadSetting."""
    try:
        seen = settings._read(key, value, "here")
    except BadSetting:
        return
    back = tomllib.loads(f"x = {key.kind.show(seen)}")["x"]
    again = key.kind.read(back)
    assert again == seen or abs(again - seen) < 1e-6 * max(1.0, abs(seen)), (seen, back)


def test_durations_and_sizes_read_back():
    for seconds in (0.0, 0.25, 1.0, 1.5, 59.0, 60.0, 5400.0, 86400.0):
        assert setting_kinds.parse_duration(setting_kinds.show_duration(seconds)) == seconds
    for size in (0, 1, 1023, 1024, 3 << 20, 5 << 30, (5 << 30) + 1):
        assert setting_kinds.parse_size(setting_kinds.show_size(size)) == size


def test_the_record(write, tmp_path):
    file = write(
        '[pool]\ndevices = ["cpu:2:1GiB"]\nwarm = 3\nmax_sessions = 5\n[limits]\npark_grace = "5m"\nlease = 1.5\n'
        '[security]\nlaunch_wrapper = ["runsc", "do"]\n[tenants]\nmemory = "2GiB"\nkernel = "1h"\nsessions = 4\n'
    )
    config = settings.pool_config(load(file), tmp_path)
    assert config.devices == (DeviceConfig("cpu", 0, 1 << 30), DeviceConfig("cpu", 1, 1 << 30))
    assert (config.warm, config.max_sessions, config.park_grace_ms, config.lease_s) == (3, 5, 300_000, 2)
    assert (config.quota.memory_bytes, config.quota.kernel_s, config.quota.sessions) == (2 << 30, 3600.0, 4)
    assert config.launch_wrapper == ("runsc", "do") and config.folder == str(tmp_path)
    record = tmp_path / "record.json"
    record.write_text("")
    record.chmod(0o644)
    settings.write_record(config, record)
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert settings.read_record(record) == config
    record.write_text('{"devices": [], "quota": {}, "launch_wrapper": [], "newer": 1}')
    with pytest.raises(BadSetting, match="no record of this version"):
        settings.read_record(record)


def test_defaults_are_those_of_the_record(tmp_path):
    """Where a setting and the record's own default could differ unseen, they do not; those that shall are named."""
    # A controller alone has no balancer: it is the supervisor of `cupool up` that starts one.
    wanted = {"devices", "folder", "max_sessions", "log_level", "balance"}
    made = settings.pool_config(load(), tmp_path, devices=())
    for field in dataclasses.fields(PoolConfig):
        if field.name not in wanted:
            assert getattr(made, field.name) == getattr(PoolConfig(), field.name), field.name


def test_no_gpu_here_is_said(monkeypatch):
    from cupool.pool import devices

    monkeypatch.setattr(devices, "gpu_memories", list)
    with pytest.raises(BadSetting, match="no GPU 0"):
        settings.host_devices("cuda:1")
    assert [d.kind for d in settings.host_devices("")] == ["cpu"]
    monkeypatch.setattr(devices, "gpu_memories", lambda: [10 << 30] * 3)
    monkeypatch.setattr(devices, "has_cupy", lambda: True)
    assert [d.id for d in settings.host_devices("")] == ["cuda:0", "cuda:1", "cuda:2"]
    assert {d.memory_bytes for d in settings.host_devices("")} == {9 << 30}


def test_numbers_come_as_a_list_or_with_commas() -> None:
    read = setting_kinds.numbers(1, 100).read
    assert read("13, 31") == read([13, 31]) == (13, 31) and read("") == () == read([])
    for bad in ("thirteen", "13,,x", [True], [0], ["13"], 13):
        with pytest.raises(ValueError, match=r"."):
            read(bad)
