"""deploy/: alert rules and the dashboard ask for metrics that a real /metrics has, and alerts fire when they should and not else.

What PromQL means is Prometheus's to say: `promtool` and `prometheus` are used where they are at hand (`apt-get install prometheus`).
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cupool.pool import metrics
from cupool.pool.metrics_http import MetricsServer
from pool_snapshot import GIB, snapshot

from cupool.contract.listening import Door

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "cupool-alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "cupool.json"

GPU = 'device="n1/cuda:0", node="n1", kind="cuda"'
#: Alert -> (series that fire it, series that do not); as promtool writes them: name, first value, `+` step, `x` times. A minute a step.
CASES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "CupoolDown": ({'up{job="cupool"}': "0x60"}, {'up{job="cupool"}': "1x60", 'up{job="other"}': "0x60"}),
    "CupoolCannotServe": (
        {'cupool_leases_refused_total{reason="unavailable"}': "0+1x60"},
        {'cupool_leases_refused_total{reason="unavailable"}': "7x60", 'cupool_leases_refused_total{reason="quota-sessions"}': "0+9x60"},
    ),
    "CupoolControllerRestarts": ({"cupool_controller_restarts_total": "0+1x60"}, {"cupool_controller_restarts_total": "5x59 6"}),
    "CupoolInsecure": ({"cupool_pool_insecure": "1x60"}, {"cupool_pool_insecure": "0x60"}),
    "CupoolWarnings": ({"cupool_pool_warnings": "2x60"}, {"cupool_pool_warnings": "0x55 1x5"}),
    "CupoolNodeGone": (
        {'cupool_node_connected{node="n1", host="a"}': "0x60"},
        {'cupool_node_connected{node="n1", host="a"}': "1x59 0"},
    ),
    "CupoolQueueOld": ({"cupool_queue_oldest_seconds": "31x60"}, {"cupool_queue_oldest_seconds": "29x60"}),
    "CupoolRefusesMany": (
        {'cupool_leases_refused_total{reason="capacity"}': "0+20x60", "cupool_leases_given_total": "0+100x60"},
        {
            'cupool_leases_refused_total{reason="capacity"}': "0+5x60",
            'cupool_leases_refused_total{reason="credential"}': "0+100x60",
            "cupool_leases_given_total": "0+100x60",
        },
    ),
    "CupoolLeaseSlow": (
        {'cupool_lease_seconds_bucket{le="1.0"}': "0+90x60", 'cupool_lease_seconds_bucket{le="2.0"}': "0+100x60",
         'cupool_lease_seconds_bucket{le="+Inf"}': "0+100x60"},
        {'cupool_lease_seconds_bucket{le="0.5"}': "0+100x60", 'cupool_lease_seconds_bucket{le="1.0"}': "0+100x60",
         'cupool_lease_seconds_bucket{le="+Inf"}': "0+100x60"},
    ),
    "CupoolNoWarmServers": (
        {"cupool_warm_servers": "0x60", "cupool_queue_length": "3x60"},
        {"cupool_warm_servers": "0x60", "cupool_queue_length": "0x60"},
    ),
    "CupoolSessionsLost": ({"cupool_sessions_lost_total": "0x55 1x5"}, {"cupool_sessions_lost_total": "4x60"}),
    "CupoolManyParked": (
        {'cupool_sessions{state="parked"}': "10x60", 'cupool_sessions{state="attached"}': "5x60"},
        {'cupool_sessions{state="parked"}': "3x60", 'cupool_sessions{state="attached"}': "0x60"},
    ),
    "CupoolCredentialsRefused": (
        {'cupool_leases_refused_total{reason="credential"}': "0+120x60"},
        {'cupool_leases_refused_total{reason="credential"}': "0+3x60"},
    ),
    "CupoolDeviceFault": (
        {f'cupool_device_recent_errors{{{GPU}, xid="79", hardware="1"}}': "1x60"},
        {f'cupool_device_recent_errors{{{GPU}, xid="31", hardware="0"}}': "5x60"},
    ),
    "CupoolDeviceEcc": (
        {f"cupool_device_ecc_uncorrected_total{{{GPU}}}": "0x55 2x5"},
        {f"cupool_device_ecc_uncorrected_total{{{GPU}}}": "9x60"},
    ),
    "CupoolDeviceMemoryUnowned": (
        {f"cupool_device_memory_unowned_bytes{{{GPU}}}": f"{GIB}x60"},
        {f"cupool_device_memory_unowned_bytes{{{GPU}}}": "1000000x60"},
    ),
    "CupoolDeviceCordonedLong": (
        {f"cupool_device_cordoned{{{GPU}}}": "1x90"},
        {f"cupool_device_cordoned{{{GPU}}}": "0x40 1x50"},
    ),
    "CupoolDeviceHot": (
        {f"cupool_device_temperature_celsius{{{GPU}}}": "90x60"},
        {f"cupool_device_temperature_celsius{{{GPU}}}": "80x60"},
    ),
    "CupoolDeviceThrottled": (
        {f"cupool_device_throttled{{{GPU}}}": "1x60"},
        {f"cupool_device_throttled{{{GPU}}}": "0x55 1x5"},
    ),
    "CupoolTenantMemoryNearQuota": (
        {'cupool_tenant_memory_leased_bytes{tenant="a"}': "97x60", 'cupool_tenant_memory_quota_bytes{tenant="a"}': "100x60"},
        {'cupool_tenant_memory_leased_bytes{tenant="a"}': "97x60"},  # no quota
    ),
    "CupoolTenantKernelTimeNearQuota": (
        {'cupool_tenant_kernel_seconds_total{tenant="a"}': "0+1x60", 'cupool_tenant_kernel_quota_seconds{tenant="a"}': "60x60"},
        {'cupool_tenant_kernel_seconds_total{tenant="a"}': "50x60", 'cupool_tenant_kernel_quota_seconds{tenant="a"}': "60x60"},
    ),
}  # fmt: skip
#: When alerts are looked at: long after every `for`.
AT = "60m"


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def dashboard_expressions() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel.get("targets", [])]


def filled(expression: str) -> str:
    """A dashboard's expression as Grafana asks for it when everything is chosen."""
    for variable, value in {
        "$__rate_interval": "10s",
        "$job": "cupool",
        "$node": ".*",
        "$device": ".*",
        "$tenant": ".*",
    }.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression, expression
    return expression


def selectors(expression: str) -> list[tuple[str, dict[str, str]]]:
    """The metrics that an expression reads, each with the labels that it chooses by and the values or patterns."""
    found = re.findall(r"\b(cupool_\w+|up)\b(\{[^}]*\})?", re.sub(r'"[^"]*\bup\b[^"]*"', '""', expression))
    return [(name, dict(re.findall(r'(\w+)=~?"([^"]*)"', labels))) for name, labels in found]


def grouped(expression: str) -> set[str]:
    """Labels that an expression groups by."""
    return {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in group.split(",")}


@pytest.fixture(scope="module")
def known() -> dict[str, list[dict[str, str]]]:
    """What the text of a real /metrics has: sample name -> the labels of each sample."""
    from prometheus_client.parser import text_string_to_metric_families

    server = MetricsServer(Door("metrics", "127.0.0.1:0"), snapshot)
    try:
        connection = http.client.HTTPConnection(server.address, timeout=10)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
    finally:
        server.close()
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


EXPRESSIONS = [rule["expr"] for rule in rules()] + [filled(e) for e in dashboard_expressions()]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_expression_asks_for_what_metrics_has(expression: str, known: dict[str, list[dict[str, str]]]) -> None:
    asked = selectors(expression)
    assert asked, "an expression about nothing"
    for name, labels in asked:
        if name == "up":
            continue
        assert name in known, f"{name} is no metric of /metrics"
        own = {k: v for k, v in labels.items() if k != "job"}
        assert any(all(re.fullmatch(v, sample.get(k, "")) for k, v in own.items()) for sample in known[name]), (
            name,
            own,
        )
        assert grouped(expression) <= {k for sample in known[name] for k in sample}


def test_the_dashboard_shows_every_metric(known: dict[str, list[dict[str, str]]]) -> None:
    text = " ".join(dashboard_expressions())
    shown = {name for name, _ in selectors(text)}
    hidden = {n for n in known if n.removesuffix("_count").removesuffix("_sum") == n} - shown
    # A device's name and UUID, and quotas that the queue and the CLI show.
    assert hidden == {
        "cupool_device_info", "cupool_tenant_kernel_quota_seconds", "cupool_tenant_queue_quota_places",
    }  # fmt: skip


def test_the_dashboard_is_whole() -> None:
    board = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids)) and board["uid"] and board["schemaVersion"] >= 36
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, f"{panel['title']} lies over another panel"
        taken |= cells
        if panel["type"] != "row":
            assert panel["targets"] and panel["datasource"]["uid"] == "${datasource}"
    variables = {v["name"]: v for v in board["templating"]["list"]}
    used = set(re.findall(r"\$(\w+)", " ".join(dashboard_expressions()))) - {"__rate_interval"}
    assert used <= set(variables)


def test_every_query_of_a_variable_finds_its_label(known: dict[str, list[dict[str, str]]]) -> None:
    board = json.loads(DASHBOARD.read_text())
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((\w+)(?:\{[^}]*\})?, (\w+)\)", variable["definition"])
            assert match and match[1] in known, variable
            assert match[2] == "job" or all(match[2] in sample for sample in known[match[1]])


def test_every_alert_tells_what_to_do() -> None:
    found = rules()
    assert len({r["alert"] for r in found}) == len(found)
    for rule in found:
        notes = rule["annotations"]
        assert set(notes) == {"summary", "description", "cure"} and all(notes.values())
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert "`" in notes["cure"] or "--" in notes["cure"] or rule["alert"] == "CupoolDeviceHot", rule["alert"]


def test_every_alert_has_a_case() -> None:
    assert {rule["alert"] for rule in rules()} == set(CASES)


def tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not on PATH: apt-get install prometheus, or put the one of a Prometheus release there")
    return path


def test_promtool_accepts_the_rules_and_the_configuration() -> None:
    for what, file in (("rules", RULES), ("config", RULES.parent / "prometheus.yml")):
        done = subprocess.run([tool("promtool"), "check", what, str(file)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_when_it_should_and_not_else(tmp_path: Path) -> None:
    tests = []
    for alert, cases in CASES.items():
        for series, expected in zip(cases, (True, False), strict=True):
            firing = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})'
            tests.append({
                "interval": "1m",
                "name": f"{alert} {'fires' if expected else 'does not fire'}",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {"expr": firing, "eval_time": AT if alert != "CupoolDeviceCordonedLong" else "80m",
                     "exp_samples": [{"labels": "{}", "value": 1}] if expected else []}
                ],
            })  # fmt: skip
    file = tmp_path / "test.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run([tool("promtool"), "test", "rules", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


class _Growing:
    """A pool whose counters grow from scrape to scrape."""

    def __init__(self) -> None:
        self.scrapes = 0

    def __call__(self) -> metrics.Snapshot:
        self.scrapes += 1
        found = snapshot()
        found.pool.leases_given += self.scrapes
        for refusal in found.pool.refusals:
            refusal.count += self.scrapes
        found.pool.lease_latency.counts[2] += self.scrapes
        found.pool.move_pause.counts[2] += self.scrapes
        for tenant in found.tenants:
            tenant.leases_refused += self.scrapes
        return found


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[str]:
    """A Prometheus that scrapes a pool with our rules: its address."""
    binary = tool("prometheus")
    pool = MetricsServer(Door("metrics", "127.0.0.1:0"), _Growing())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    (tmp_path / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "cupool", "static_configs": [{"targets": [pool.address]}]}],
    }))  # fmt: skip
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            [binary, f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}",
             f"--web.listen-address={address}", "--log.level=warn"],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield address
    finally:
        process.terminate()
        process.wait(10)
        pool.close()


def ask(address: str, expression: str) -> list[Any]:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    assert answer["status"] == "success", (expression, answer)
    found: list[Any] = answer["data"]["result"]
    return found


@pytest.mark.slow
def test_a_real_prometheus_answers_every_panel(prometheus: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            counted = ask(prometheus, "count_over_time(cupool_pool_uptime_seconds[1m])")
        except (OSError, http.client.HTTPException, ValueError):
            counted = []  # it starts
        if counted and int(counted[0]["value"][1]) >= 4:
            break
        assert time.monotonic() < deadline, "Prometheus did not scrape"
        time.sleep(0.2)
    empty = [e for e in dashboard_expressions() if not ask(prometheus, filled(e))]
    assert not empty
    for rule in rules():
        ask(prometheus, rule["expr"])
    firing = {r["metric"]["alertname"] for r in ask(prometheus, 'ALERTS{alertstate="firing"}')}
    assert {"CupoolInsecure", "CupoolDeviceFault"} <= firing
