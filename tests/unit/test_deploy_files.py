"""deploy/: the systemd unit, the container file and the Kubernetes manifest parse, and call the command line that there is."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import pytest
import yaml
from cupool.pool import settings
from cupool.pool.cli import app

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "cupool.service"
CONTAINER = DEPLOY / "container" / "Containerfile"
MANIFEST = DEPLOY / "kubernetes" / "cupool.yaml"
ALERTS = DEPLOY / "prometheus" / "cupool-alerts.yml"


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that `cupool WORDS` runs, and the words left for it."""
    command: click.Command = app.cli
    words = list(words)
    while isinstance(command, click.Group):
        assert words, f"`cupool … {command.name}` needs a subcommand"
        name = words.pop(0)
        found = command.get_command(click.Context(command), name)
        assert found is not None, f"there is no command {name!r} in {command.name}"
        command = found
    return command, words


def check_call(words: list[str]) -> dict[str, Any]:
    """Parse `cupool WORDS` as the command line does, without running it. Returns its parameters."""
    command, rest = resolve(words)
    with command.make_context(command.name, rest) as context:
        return context.params


# -- systemd ----------------------------------------------------------------------------------------------------------
def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(UNIT.read_text())
    return parser


def test_the_unit_calls_the_command_line_that_there_is() -> None:
    words = shlex.split(unit()["Service"]["ExecStart"])
    assert words[0].endswith("/cupool") and words[1:3] == ["up", "--foreground"]
    check_call(words[1:])


def test_the_unit_keeps_its_folders_where_systemd_makes_them() -> None:
    service = unit()["Service"]
    assert f"--folder /var/lib/{service['StateDirectory']}" in service["ExecStart"]
    assert f"XDG_RUNTIME_DIR=/run/{service['RuntimeDirectory']}" in UNIT.read_text()
    assert service["NoNewPrivileges"] == "yes" and service["User"] not in ("", "root")


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on PATH: it comes with systemd")
    binary = tmp_path / "cupool"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    copy = tmp_path / "cupool.service"
    copy.write_text(UNIT.read_text().replace("/opt/cupool/bin/cupool", str(binary)))
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True)
    assert done.returncode == 0 and "cupool.service" not in done.stderr, done.stderr


# -- the container ----------------------------------------------------------------------------------------------------
def instructions() -> list[tuple[str, str]]:
    """Of the container file: (instruction, arguments), continuation lines joined, comments left out."""
    text = re.sub(r"^\s*#.*\n", "", CONTAINER.read_text(), flags=re.M).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def test_the_container_runs_the_command_line_that_there_is() -> None:
    found = dict(instructions())  # the last of each
    entry = json.loads(found["ENTRYPOINT"])
    assert entry == ["cupool"]
    assert check_call(json.loads(found["CMD"]))["foreground"] is True
    check = json.loads(found["HEALTHCHECK"].partition("CMD ")[2])
    assert check[0] == "cupool"
    check_call(check[1:])


def test_the_container_is_not_roots_and_knows_its_extras() -> None:
    found = instructions()
    names = [name for name, _ in found]
    assert set(names) <= {
        "ARG",
        "FROM",
        "WORKDIR",
        "COPY",
        "RUN",
        "ENV",
        "USER",
        "VOLUME",
        "STOPSIGNAL",
        "ENTRYPOINT",
        "CMD",
        "HEALTHCHECK",
    }
    assert dict(found)["USER"] != "0" and names.index("USER") < names.index("ENTRYPOINT")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (chosen,) = [value.partition("=")[2] for name, value in found if name == "ARG" and value.startswith("EXTRAS=")]
    assert set(chosen.split(",")) <= set(extras)


# -- Kubernetes -------------------------------------------------------------------------------------------------------
def manifest() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(MANIFEST.read_text()))


def of_kind(kind: str) -> dict[str, Any]:
    (found,) = [document for document in manifest() if document["kind"] == kind]
    return found


@pytest.mark.parametrize("document", manifest(), ids=lambda document: document["kind"])
def test_kubernetes_knows_every_field(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = of_kind("StatefulSet")["spec"]["template"]["spec"]
    return spec


def test_the_pod_calls_the_command_line_that_there_is() -> None:
    (container,) = pod()["containers"]
    words = [word.replace("$(POD_IP)", "10.1.2.3") for word in container["args"]]
    assert check_call(words)["foreground"] is True
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        program, *rest = container[probe]["exec"]["command"]
        assert program == "cupool"
        check_call(rest)
    variables = {entry["name"] for entry in container["env"]}
    assert set(re.findall(r"\$\((\w+)\)", " ".join(container["args"]))) <= variables


def test_the_pods_settings_are_settings(tmp_path: Path) -> None:
    file = tmp_path / "cupool.toml"
    file.write_text(of_kind("ConfigMap")["data"]["cupool.toml"])
    (container,) = pod()["containers"]
    words = [word.replace("$(POD_IP)", "10.1.2.3") for word in container["args"]]
    flags = dict(word.removeprefix("--").split("=", 1) for word in words if "=" in word)
    given = {
        key.name: flags[key.flag.removeprefix("--")]
        for key in settings.KEYS.values()
        if key.flag.removeprefix("--") in flags
    }
    found = settings.load(str(file), given, {})
    assert found["pool.listen"] == "10.1.2.3:7070" and found["security.tls_cert"]
    assert not found["security.insecure"]


def test_the_pods_parts_fit_together() -> None:
    state, service, spec = of_kind("StatefulSet"), of_kind("Service"), pod()
    (container,) = spec["containers"]
    labels = state["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == labels == state["spec"]["selector"]["matchLabels"]
    assert state["spec"]["serviceName"] == service["metadata"]["name"] and state["spec"]["replicas"] == 1
    volumes = {v["name"] for v in spec["volumes"]} | {
        c["metadata"]["name"] for c in state["spec"]["volumeClaimTemplates"]
    }
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {port["name"]: port["port"] for port in service["spec"]["ports"]} == ports
    for flag, name in (("--listen=", "pool"), ("--metrics-listen=", "metrics")):
        (word,) = [word for word in container["args"] if word.startswith(flag)]
        assert word.endswith(f":{ports[name]}")
    assert spec["securityContext"]["runAsNonRoot"] and not container["securityContext"]["allowPrivilegeEscalation"]
    user = dict(instructions())["USER"]
    assert spec["securityContext"]["runAsUser"] == int(user), "the image's user"
    for kind in ("StatefulSet", "Service", "ConfigMap", "NetworkPolicy", "ServiceAccount"):
        assert of_kind(kind)["metadata"]["namespace"] == of_kind("Namespace")["metadata"]["name"]


# -- commands that people are told to type ----------------------------------------------------------------------------
def told() -> list[tuple[str, str]]:
    """(where, command line) of every `cupool …` that comments and alerts tell people to run."""
    found = []
    for rule in (r for group in yaml.safe_load(ALERTS.read_text())["groups"] for r in group["rules"]):
        found += [(rule["alert"], call) for call in re.findall(r"`cupool ([^`]+)`", rule["annotations"]["cure"])]
    for file in (UNIT, CONTAINER, MANIFEST, DEPLOY / "prometheus" / "prometheus.yml"):
        for line in file.read_text().splitlines():
            if line.lstrip().startswith("#"):
                calls = re.findall(r"(?:`cupool |bin/cupool |-- cupool |\(cupool )([^`)]+)", line)
                found += [(file.name, call.split(";")[0].strip()) for call in calls]
    return found


@pytest.mark.parametrize(("where", "call"), told())
def test_every_command_that_people_are_told_is_one(where: str, call: str) -> None:
    words = shlex.split(call)
    names = [word for word in words if not word.startswith("-")]
    command: click.Command = app.cli
    for name in names:
        if not isinstance(command, click.Group):
            break
        found = command.get_command(click.Context(command), name)
        assert found is not None, f"{where}: there is no `cupool {call}`"
        command = found
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options, f"{where}: cupool {call}"
