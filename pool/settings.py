"""The pool's settings: one table of keys, read from flags, the environment and `cupool.toml`, in that order, else their defaults.

    flag of `cupool up`  >  CUPOOL_<SECTION>_<KEY>  >  the file  >  default

The file is `--config FILE`, else CUPOOL_CONFIG, else the first of $XDG_CONFIG_HOME/cupool/cupool.toml and /etc/cupool/cupool.toml that is
there. It is read, never written. A key or value that is wrong is refused with its name, its line and what is allowed; so is a file whose
`version` is newer than this program's. What is read becomes a frozen `PoolConfig` by `pool_config`, in `cupool.pool.config`'s terms.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cupool.contract import balance
from cupool.contract.errors import CupoolError

from . import setting_kinds as kinds
from .config import DeviceConfig, PoolConfig, Quota, parse_devices
from .setting_kinds import Kind

#: Of the file's form. A file that says more is of a newer cupool.
VERSION = 1


class BadSetting(CupoolError):
    """A setting that makes no sense: `what` names key and place, `cure` says what is allowed.

    Attributes:
        others: what else is wrong beside it.
    """

    others: tuple[BadSetting, ...] = ()


@dataclass(frozen=True, slots=True)
class Key:
    """One setting.

    Attributes:
        name: "section.key", as in the file.
        flag: of `cupool up`; empty: it has none.
    """

    name: str
    kind: Kind
    default: Any
    help: str
    flag: str = ""

    @property
    def variable(self) -> str:
        return "CUPOOL_" + self.name.upper().replace(".", "_")


#: Sections, in the order of the reference, each with a sentence.
SECTIONS = {
    "pool": "What the pool has and where it listens.",
    "limits": "What sessions and servers may take.",
    "security": "Who may come, and what servers may touch.",
    "checkpoints": "What is kept of running sessions, so that they survive a lost server.",
    "tenants": "What a tenant has that nobody set a quota for. Quotas of single tenants are set with `cupool quota set` and kept in the pool's directory.",
    "balance": "Whether and how running sessions are moved between devices.",
    "log": "What the pool writes down.",
}

_DAY = 86400.0

KEYS: dict[str, Key] = {
    key.name: key
    for key in (
        Key("pool.devices", kinds.devices(), "", "Devices of this host; empty: every GPU, or one CPU device where there is none.", "--devices"),
        Key("pool.warm", kinds.whole(0, 1024), 1, "Warm servers kept ready on each device.", "--warm"),
        Key("pool.max_sessions", kinds.whole(1, 4096), 8, "Sessions on a device at once, at most.", "--max-sessions"),
        Key("pool.session_memory", kinds.size(), 0, "What a session gets that asks for no memory; 0: an equal part of its device, by `max_sessions`.", "--session-memory"),
        Key("pool.folder", kinds.path(), "", "The pool's directory, tokens and logs; empty: $XDG_STATE_HOME/cupool, else ~/.local/state/cupool.", "--folder"),
        Key("pool.listen", kinds.address(), "", "Where programs come; empty: a unix socket.", "--listen"),
        Key("pool.cert_listen", kinds.address(), "", "Where programs of tenants come that show a client certificate (`cupool quota set --require-cert`), with TLS; empty: nowhere.", "--cert-listen"),
        Key("pool.admin_listen", kinds.address(), "", "Where operators come; empty: a unix socket.", "--admin-listen"),
        Key("pool.agent_listen", kinds.address(), "", "Where agents of other hosts come; empty: a unix socket, for this host's alone.", "--agent-listen"),
        Key("pool.metrics_listen", kinds.address(), "", "Where /metrics is; empty: nowhere.", "--metrics-listen"),
        Key("pool.node", kinds.text('letters, digits, ".", "_" and "-"; "": chosen once'), "", "This host's name in the pool.", "--node"),
        Key("limits.kernel", kinds.duration(0, _DAY), 120.0, "A server whose kernel runs longer is ended; 0: never."),
        Key("limits.park_grace", kinds.duration(0, 30 * _DAY), 60.0, "How long a session without a client is kept."),
        Key("limits.lease", kinds.duration(1, _DAY), 60.0, "A lease that nobody attaches to or renews ends after this."),
        Key("limits.start", kinds.duration(1, 3600), 60.0, "A server that is not warm by then counts as failed."),
        Key("limits.stop_grace", kinds.duration(0, _DAY), 30.0, "How long sessions are waited for when `cupool up` is told to end by SIGTERM, as systemd and Kubernetes do.", "--stop-grace"),
        Key("limits.queue_places", kinds.whole(0, 1 << 20), 1024, "Requests that may wait, of all tenants together."),
        Key("limits.application_xids", kinds.numbers(1, 100_000), (), "GPU errors (XIDs) that are programs' fault: a session ends, the device stays in service; empty: 13, 31, 43, 45, 68, 109."),
        Key("security.tls_cert", kinds.path(), "", "PEM file of the pool's certificate; empty: no TLS.", "--tls-cert"),
        Key("security.tls_key", kinds.path(), "", "PEM file of its key.", "--tls-key"),
        Key("security.tls_ca", kinds.path(), "", "PEM file of the pool's own authority.", "--tls-ca"),
        Key("security.tls_client_auth", kinds.switch(), False, "Clients show a certificate of that authority.", "--tls-client-auth"),
        Key("security.node_cert", kinds.path(), "", "PEM file of this host's certificate, an authority for its servers (`cupool certs issue node`); empty: issued where the pool's authority is in the folder.", "--node-cert"),
        Key("security.node_key", kinds.path(), "", "PEM file of its key.", "--node-key"),
        Key("security.anonymous", kinds.switch(), False, "Whoever reaches the pool is the tenant `default`, without a credential.", "--anonymous"),
        Key("security.insecure", kinds.switch(), False, "Listen where others can reach the pool, without TLS or without credentials.", "--insecure"),
        Key("security.sandbox", kinds.choice("auto", "required", "off"), "auto", "Servers are confined: as far as the host's kernel can, wholly, or not."),
        Key("security.launch_wrapper", kinds.words(), (), "Words before a server's command line: a sandbox such as runsc."),
        Key("checkpoints.folder", kinds.path(), "", "Where sessions with CUPOOL_DURABILITY=file, and those that are saved, are kept: a folder that every host of the pool sees; empty: there are none with `file`."),
        Key("checkpoints.bytes", kinds.size(), 0, "What the checkpoints of a host's sessions may take; 0: a quarter of its memory."),
        Key("checkpoints.keep", kinds.duration(0, 30 * _DAY), 600.0, "How long the checkpoint of a session whose server was lost waits for its client."),
        Key("tenants.sessions", kinds.whole(0, 1 << 20), 0, "Sessions at once; 0: no limit."),
        Key("tenants.memory", kinds.size(), 0, "Device memory of all its sessions; 0: no limit."),
        Key("tenants.kernel", kinds.duration(0, 3650 * _DAY), 0.0, "Kernel time over all its sessions; 0: no limit."),
        Key("tenants.opens_per_s", kinds.number(0, 1e6), 0.0, "Leases a second; 0: no limit."),
        Key("tenants.queue_places", kinds.whole(0, 1 << 20), 256, "Requests that may wait; 0: it never waits."),
        Key("tenants.weight", kinds.number(0.001, 1000), 1.0, "Share of the queue."),
        Key("tenants.lifetime", kinds.duration(0, 365 * _DAY), 0.0, "Of one session; 0: no limit."),
        Key("tenants.allow_offload", kinds.switch(), False, "It may send functions with cupool.offload, to run in its sessions' processes."),
        Key("tenants.require_cert", kinds.switch(), False, "Its programs show a client certificate of the tenant: a token alone opens nothing."),
        Key("balance.policy", kinds.choice(*balance.POLICIES), balance.DEFAULT, "Which sessions are moved to other devices, until `cupool balance set` chooses otherwise; none: no balancer is started.", "--balance"),
        Key("balance.dry_run", kinds.switch(), False, "The balancer decides and tells what it would do, and moves nothing.", "--balance-dry-run"),
        Key("log.level", kinds.choice("debug", "info", "warning", "error"), "info", "The least severe that is written.", "--log-level"),
        Key("log.format", kinds.choice("text", "json"), "text", "How lines are written.", "--log-format"),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settings:
    """Every key with its value, and where that came from.

    Attributes:
        values: by key; all keys.
        origins: by key: "default", "flag --warm", "environment CUPOOL_POOL_WARM", "/etc/cupool/cupool.toml line 3".
        file: the file that was read; None: none.
    """

    values: Mapping[str, Any]
    origins: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


# ---- where values come from


def config_file(given: str = "", environment: Mapping[str, str] = os.environ) -> Path | None:
    """The file to read. One that was asked for must be there; None: nobody asked, and none of the usual places has one."""
    if asked := given or environment.get("CUPOOL_CONFIG", ""):
        return Path(asked).expanduser()
    home = environment.get("XDG_CONFIG_HOME") or os.path.join(environment.get("HOME") or "/nonexistent", ".config")
    for place in (Path(home) / "cupool" / "cupool.toml", Path("/etc/cupool/cupool.toml")):
        if place.is_file():
            return place
    return None


def load(
    given: str = "", flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] = os.environ
) -> Settings:
    """The settings.

    Args:
        given: `--config`; empty: none.
        flags: values of flags, by key; None: not given.

    Raises:
        BadSetting: a wrong key or value, or a file that cannot be read.
    """
    values = {name: key.default for name, key in KEYS.items()}
    origins = dict.fromkeys(KEYS, "default")
    wrong: list[BadSetting] = []
    file = config_file(given, environment)
    sources = [read_file(file, wrong)] if file else []
    sources.append(_from_environment(environment, wrong))
    sources.append({n: (_typed(KEYS[n], v), f"flag {KEYS[n].flag}") for n, v in (flags or {}).items() if v is not None})
    refused = set()
    for source in sources:
        for name, (value, origin) in source.items():
            try:
                values[name], origins[name] = _read(KEYS[name], value, origin), origin
            except BadSetting as error:
                wrong.append(error)
                refused.add(name)
    settings = Settings(values, origins, file)
    wrong += _wrong_together(settings, refused)
    if wrong:
        wrong[0].others = tuple(wrong[1:])
        raise wrong[0]
    return settings


def read_file(file: Path, wrong: list[BadSetting]) -> dict[str, tuple[Any, str]]:
    """What a file says: key -> (value, origin). `wrong` gets what there is no such thing as.

    Raises:
        BadSetting: it cannot be read as a whole.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BadSetting(
            f"The config file {file} cannot be read: {reason}.", "Name another one with --config."
        ) from None
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadSetting(
            f"{file} is no TOML: {error}.",
            'A line is `key = value`, text in quotes: warm = 2, listen = "127.0.0.1:7070".',
        ) from None
    lines = _lines(text)

    def at(*names: str) -> str:
        line = lines.get(names) or next((n for k, n in lines.items() if k[: len(names)] == names), 0)
        return f"{file} line {line}" if line else str(file)

    _check_version(document.pop("version", 1), at("version"))
    found: dict[str, tuple[Any, str]] = {}
    for section, content in document.items():
        if section not in SECTIONS:
            what = "section" if isinstance(content, dict) else "key"
            wrong.append(
                BadSetting(
                    f"{at(section)}: there is no {what} {section!r} at the top.{_similar(section, SECTIONS)}",
                    f"Allowed: version, and the sections {', '.join(f'[{s}]' for s in SECTIONS)}.",
                )
            )
        elif not isinstance(content, dict):
            wrong.append(
                BadSetting(
                    f"{at(section)}: {section} = {_short(content)}: [{section}] is a section, not a key.",
                    f"Write [{section}] in a line of its own, and below it its keys: {', '.join(_keys_of(section))}.",
                )
            )
        else:
            for key, value in content.items():
                name = f"{section}.{key}"
                if name in KEYS:
                    found[name] = value, at(section, key)
                else:
                    wrong.append(_no_key(name, at(section, key)))
    return found


def _check_version(version: Any, place: str) -> None:
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise BadSetting(
            f"{place}: version = {version!r} is no version of the config file.", f"Allowed: 1 to {VERSION}."
        )
    if version > VERSION:
        raise BadSetting(
            f"{place}: the file has version {version}; this cupool knows up to {VERSION}. It was left as it is.",
            "Upgrade cupool, or use the older file.",
        )


def _from_environment(environment: Mapping[str, str], wrong: list[BadSetting]) -> dict[str, tuple[Any, str]]:
    by_variable = {key.variable: name for name, key in KEYS.items()}
    found: dict[str, tuple[Any, str]] = {}
    for variable, value in environment.items():
        if not variable.startswith(tuple(f"CUPOOL_{section.upper()}_" for section in SECTIONS)):
            continue  # the client's variables, and others
        if variable in by_variable:
            found[by_variable[variable]] = value, f"environment {variable}"
            continue
        wrong.append(
            BadSetting(
                f"There is no setting of the name {variable}.{_similar(variable, by_variable)}",
                "Unset it. `cupool config reference` lists the variables.",
            )
        )
    return found


def _typed(key: Key, value: Any) -> Any:
    """What a flag says. Who types a path means the folder that he is in; a file or a variable may be read anywhere."""
    if key.kind.is_path and isinstance(value, str) and value and not value.startswith(("/", "~")):
        try:
            return os.path.join(os.getcwd(), value)  # not normalised: ".." behind a link is the kernel's to follow
        except OSError:
            return value  # the current folder is gone: refused, as it stands
    return value


def _read(key: Key, value: Any, origin: str) -> Any:
    try:
        return key.kind.read(value)
    except (ValueError, TypeError, OverflowError) as error:
        why = str(error).rstrip(".")
        raise BadSetting(
            f"{origin}: {key.name} = {_short(value)} is not allowed: {why}.", f"Allowed: {key.kind.allowed}."
        ) from None


def _wrong_together(settings: Settings, refused: Set[str]) -> Iterator[BadSetting]:
    """What does not fit beside the rest. Keys in `refused` have been found wrong already."""
    node = settings["pool.node"]
    if node and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", node, re.ASCII):
        yield BadSetting(
            f"{settings.origins['pool.node']}: pool.node = {_short(node)} is no name.",
            f"Allowed: {KEYS['pool.node'].kind.allowed}; up to 63 of them.",
        )
    for pair in ("tls", "node"):
        cert, key = f"security.{pair}_cert", f"security.{pair}_key"
        if bool(settings[cert]) != bool(settings[key]) and not refused & {cert, key}:
            given, other = (cert, key) if settings[cert] else (key, cert)
            yield BadSetting(
                f"{settings.origins[given]}: {given} is set without {other}.",
                "Set both, or neither. `cupool certs issue` makes them.",
            )


def _keys_of(section: str) -> list[str]:
    return [n.partition(".")[2] for n in KEYS if n.startswith(f"{section}.")]


def _no_key(name: str, place: str) -> BadSetting:
    section, _, key = name.partition(".")
    keys = _keys_of(section)
    return BadSetting(
        f"{place}: there is no key {key!r} in [{section}].{_similar(key, keys)}",
        f"Allowed in [{section}]: {', '.join(keys)}.",
    )


def _similar(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), 1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _short(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"


_HEADER = re.compile(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?")
_ASSIGNMENT = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """Line of each table and key, by the names that lead to it. tomllib does not tell; a key inside a multi-line text may fool this."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.fullmatch(line):
            table = _names(header[1])
            found.setdefault(table, number)
        elif assignment := _ASSIGNMENT.match(line):
            found.setdefault(table + _names(assignment[1]), number)
    return found


def _names(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


# ---- the record


def pool_config(settings: Settings, folder: Path, devices: Iterable[DeviceConfig] | None = None) -> PoolConfig:
    """The frozen record that controller and agent read.

    Args:
        folder: the pool's.
        devices: of this host; None: those that the settings name, with the memory that each of them has.
    """
    value = settings.values
    return PoolConfig(
        devices=tuple(host_devices(value["pool.devices"]) if devices is None else devices),
        folder=str(folder),
        listen=value["pool.listen"],
        cert_listen=value["pool.cert_listen"],
        admin_listen=value["pool.admin_listen"],
        agent_listen=value["pool.agent_listen"],
        metrics_listen=value["pool.metrics_listen"],
        node=value["pool.node"],
        anonymous=value["security.anonymous"],
        insecure=value["security.insecure"],
        tls_cert=_whole_path(value["security.tls_cert"]),
        tls_key=_whole_path(value["security.tls_key"]),
        tls_ca=_whole_path(value["security.tls_ca"]),
        tls_client_auth=value["security.tls_client_auth"],
        max_sessions=value["pool.max_sessions"],
        warm=value["pool.warm"],
        session_memory_bytes=value["pool.session_memory"],
        kernel_limit_ms=_ms(value["limits.kernel"]),
        park_grace_ms=_ms(value["limits.park_grace"]),
        start_limit_s=value["limits.start"],
        lease_s=math.ceil(value["limits.lease"]),
        queue_places=value["limits.queue_places"],
        quota=Quota(
            sessions=value["tenants.sessions"],
            memory_bytes=value["tenants.memory"],
            kernel_s=value["tenants.kernel"],
            opens_per_s=value["tenants.opens_per_s"],
            queue_places=value["tenants.queue_places"],
            lifetime_s=math.ceil(value["tenants.lifetime"]),
            weight=value["tenants.weight"],
            allow_offload=value["tenants.allow_offload"],
            require_cert=value["tenants.require_cert"],
        ),
        sandbox=value["security.sandbox"],
        application_xids=value["limits.application_xids"],
        launch_wrapper=value["security.launch_wrapper"],
        balance=value["balance.policy"],
        balance_dry_run=value["balance.dry_run"],
        checkpoint_folder=_whole_path(value["checkpoints.folder"]),
        checkpoint_bytes=value["checkpoints.bytes"],
        checkpoint_keep_s=value["checkpoints.keep"],
        log_level=value["log.level"],
        log_format=value["log.format"],
    )


def host_devices(text: str) -> list[DeviceConfig]:
    """The devices that `pool.devices` names; all GPUs, else one CPU device, when it names none. Each with its memory.

    Raises:
        BadSetting: there is no such GPU here.
    """
    from . import devices

    found = parse_devices(text) if text else _all_devices()
    try:
        return [dataclasses.replace(d, memory_bytes=d.memory_bytes or devices.default_memory_bytes(d)) for d in found]
    except ValueError as error:
        raise BadSetting(str(error)) from None


def _all_devices() -> list[DeviceConfig]:
    from . import devices

    gpus = len(devices.gpu_memories()) if devices.has_cupy() else 0
    return [DeviceConfig("cuda", i, 0) for i in range(gpus)] or [DeviceConfig("cpu", 0, 0)]


def write_record(config: PoolConfig, file: Path) -> None:
    """The record as a file that only this user can read: it may hold credentials. `read_record` reads it."""
    text = json.dumps(dataclasses.asdict(config), indent=1)
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "w", encoding="utf-8") as out:
        os.fchmod(fd, 0o600)  # it may have been there with other rights
        out.write(text)


def read_record(file: Path) -> PoolConfig:
    """What `write_record` wrote. Raises BadSetting when it is something else, or of another version of cupool."""
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        fields["devices"] = tuple(DeviceConfig(**d) for d in fields["devices"])
        fields["quota"] = Quota(**fields["quota"])
        fields["application_xids"] = tuple(fields["application_xids"])
        fields["launch_wrapper"] = tuple(fields["launch_wrapper"])
        return PoolConfig(**fields)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadSetting(
            f"{file} is no record of this version of cupool: {error}.", "Start the pool with `cupool up`."
        ) from None


def _whole_path(text: str) -> str:
    return os.path.expanduser(text)


def _ms(seconds: float) -> int:
    return min(round(seconds * 1000), (1 << 32) - 1)


# ---- the reference


def reference() -> str:
    """Every key as a commented `cupool.toml` with the defaults: `cupool config reference`, and docs/operators.md."""
    out = [f"version = {VERSION}"]
    for section, sentence in SECTIONS.items():
        out += ["", f"# {sentence}", f"[{section}]"]
        for name, key in KEYS.items():
            if name.startswith(f"{section}."):
                flag = f"; {key.flag}" if key.flag else ""
                out += [f"# {key.help}", f"#   {key.kind.allowed}; {key.variable}{flag}"]
                out.append(f"{name.partition('.')[2]} = {key.kind.show(key.default)}")
    return "\n".join(out) + "\n"


def reference_table() -> str:
    """The same as tables in Markdown, for docs/operators.md."""
    out: list[str] = []
    for section, sentence in SECTIONS.items():
        out += [
            f"`[{section}]` {sentence}",
            "",
            "| key | default | allowed | what it is | flag, variable |",
            "|---|---|---|---|---|",
        ]
        for name, key in KEYS.items():
            if name.startswith(f"{section}."):
                where = f"`{key.flag}`, `{key.variable}`" if key.flag else f"`{key.variable}`"
                cells = name.partition(".")[2], f"`{key.kind.show(key.default)}`", key.kind.allowed, key.help, where
                out.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
        out.append("")
    return "\n".join(out).rstrip() + "\n"
