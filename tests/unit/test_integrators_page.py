"""docs/integrators.md tells of everything that the services have: calls, states, statuses, roles; and its example is what the wire has."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import grpc
import pytest
from cupool.pool import states

from cupool.v1 import (
    admin_pb2,
    agent_pb2,
    checkpoint_pb2,
    document_pb2,
    move_pb2,
    pool_pb2,
    server_pb2,
    session_pb2,
    value_pb2,
)

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "integrators.md").read_text()
FILES = (
    pool_pb2, session_pb2, value_pb2, admin_pb2, agent_pb2, server_pb2, move_pb2, document_pb2, checkpoint_pb2,
)  # fmt: skip
CALLS = [
    (service.name, method.name)
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
#: Statuses that gRPC has and nothing of ours gives or tells of.
NOT_OURS = {"OUT_OF_RANGE"}


def section(title: str) -> str:
    """The page's text from a heading to the next of its level."""
    found = re.search(rf"^(#+) {re.escape(title)}.*?$(.*?)(?=^#{{1,2}} |\Z)", PAGE, re.M | re.S)
    assert found, title
    return found[2]


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in `text`."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(("service", "call"), CALLS)
def test_every_call_is_told_of(service: str, call: str) -> None:
    assert re.search(rf"\b{service}\b", PAGE)
    where = {
        "SessionService": "A session from beginning to end",
        "AgentService": "AgentService",
        "ServerService": "AgentService",
    }
    assert f"{call}`" in section(where.get(service, service)), f"{service}.{call}"


def test_no_call_is_invented() -> None:
    known = {call for _, call in CALLS}
    for service in ("PoolService", "AdminService"):
        for cell in (row[0 if service == "PoolService" else 1] for row in rows(section(service))):
            assert set(re.findall(r"`([A-Z][A-Za-z]+)`", cell)) <= known


@pytest.mark.parametrize("status", [code.name for code in grpc.StatusCode if code.name not in NOT_OURS])
def test_every_status_has_a_row(status: str) -> None:
    table = rows(section("Statuses, and what to do about each"))
    assert any(row[0] == f"`{status}`" for row in table)


def test_statuses_that_sources_and_protos_name_are_told_of() -> None:
    names = {code.name for code in grpc.StatusCode}
    found: set[str] = set()
    for folder, pattern in (("proto", "**/*.proto"), ("pool", "**/*.py"), ("apiserver", "*.py"), ("shim", "*.py")):
        for file in (ROOT / folder).glob(pattern):
            if file.name == "http2.py":
                continue  # has gRPC's statuses by number, all of them
            found |= set(re.findall(r"\b[A-Z]{2,}(?:_[A-Z]+)*\b", file.read_text())) & names
    assert {"RESOURCE_EXHAUSTED", "NOT_FOUND", "ABORTED"} <= found
    assert not found & NOT_OURS
    assert not {name for name in found if f"`{name}`" not in PAGE}


@pytest.mark.parametrize(
    ("enum", "sentences", "title"),
    [
        (pool_pb2.SessionState, states.SESSION_STATES, "States of a session"),
        (server_pb2.ServerState, states.SERVER_STATES, "AgentService: how an agent and its controller talk"),
    ],
)
def test_every_state_has_its_sentence(enum: Any, sentences: dict[int, str], title: str) -> None:
    told = {row[0].strip("`"): row[1] for row in rows(PAGE) if "_STATE_" in row[0]}
    for value in enum.DESCRIPTOR.values:
        if value.number:
            assert told[value.name] == sentences[value.number]
            assert f"`{value.name}`" in section(title)


def test_the_diagram_is_the_table_of_changes() -> None:
    drawn = set(re.findall(r"^\s+(\w+) --> (\w+)$", PAGE, re.M))

    def name(state: int) -> str:
        return pool_pb2.SessionState.Name(state).removeprefix("SESSION_STATE_")

    assert drawn == {(name(a), name(b)) for a, b in states.SESSION_CHANGES}
    assert set(re.findall(r"^\s+(\w+) --> \[\*\]$", PAGE, re.M)) == {name(state) for state in states.FINAL}


def test_the_worked_example_is_what_the_wire_has() -> None:
    text = section("The flat batch")
    dump = "".join(line for line in text.splitlines() if line.startswith("    ") and re.fullmatch(r"[ 0-9a-f]+", line))
    batch = session_pb2.Batch.FromString(bytes.fromhex(dump.replace(" ", "")))
    assert (batch.seq, batch.position, batch.count) == (1, 0, 3)
    assert [form.op for form in batch.forms] == ["add", "@fetch"]
    words = [int.from_bytes(batch.commands[i : i + 8], "little", signed=True) for i in range(0, len(batch.commands), 8)]
    said = [int(word) for row in rows(text) if re.fullmatch(r"`[\d ]+`", row[1]) for word in row[1].strip("`").split()]
    assert words == said == [1, 3, 1, 2, 2, 4, 3, 0, 1]


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target


def test_the_files_of_the_table_are_all_there_are() -> None:
    named = set(re.findall(r"`(\w+\.proto)`", PAGE.partition("## A session")[0]))
    assert named == {file.name for file in (ROOT / "proto" / "cupool" / "v1").glob("*.proto")}
    assert {importlib.import_module(f"cupool.v1.{name.removesuffix('.proto')}_pb2") for name in named} == set(FILES)
