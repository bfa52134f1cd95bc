"""The simulation is the same each time, keeps what must be true over random pools and faults, and finds what is broken on purpose."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import subprocess
import sys

import pytest
from cupool.balancer import migration
from cupool.balancer.tuning import Tuning
from cupool.balancer.workload import Job
from cupool.pool import tenants

from cupool import simulate
from cupool.contract.moves import Happening, Instruction, Step
from cupool.simulation import world
from cupool.simulation.clock import Clock
from cupool.simulation.network import SILENCE_S, Network
from cupool.simulation.processor import Processor
from cupool.simulation.scenario import Scenario, random_scenario

#: Of the sample: the campaign has thousands, `make prove PART=simulate`.
SEEDS = 60


def test_random_pools_with_random_faults_keep_what_must_be_true():
    seeds, counts, failures = simulate.campaign(0, SEEDS)
    assert not failures, "\n".join(
        f"{sentence}\n  again: {simulate.replay_command(seed)}" for seed, sentence in failures
    )
    assert seeds == SEEDS and counts["faults"] > SEEDS and counts["recoveries"] > 10


def test_two_runs_of_one_seed_are_the_same_to_the_letter_in_other_processes_too(tmp_path):
    files = []
    for number, hashes in enumerate(("1", "77")):
        file = tmp_path / f"events-{number}"
        command = [sys.executable, "-m", "cupool", "simulate", "--replay", "11", "--events", str(file)]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": hashes})
        files.append(file.read_bytes())
    assert files[0] == files[1] and len(files[0]) > 3000
    _, _, other = simulate.run(random_scenario(12), True)
    assert "\n".join(other.log) + "\n" != files[0].decode()


def test_a_broken_rule_is_found_and_found_again_by_its_seed(monkeypatch, capsys):
    monkeypatch.setattr(tenants, "over_quota", lambda tenant, memory_bytes: None)
    _, _, failures = simulate.campaign(0, 40)
    assert failures and all("quotas at" in sentence for _, sentence in failures)
    seed, sentence = failures[0]
    logs = [simulate.run(random_scenario(seed), True)[2].log for _ in range(2)]
    assert logs[0] == logs[1]
    assert simulate.main(simulate.replay_command(seed).split()[2:]) == 1
    assert sentence.partition(": ")[2] in capsys.readouterr().err


def test_a_session_that_is_taken_back_without_proof_has_two_owners_and_that_is_found(monkeypatch):
    def impatient(move, event, now):
        return dataclasses.replace(move, step=Step.RETURNING), (Instruction.RETURN, Instruction.TAKE_BACK)

    monkeypatch.setitem(migration._RULES, (Step.RELEASED, Happening.TIME), impatient)
    seed = 0
    while (violation := simulate.run(random_scenario(seed))[1]) is None or violation.name != "one-owner":
        seed += 1
        assert seed < 100
    assert str(simulate.run(random_scenario(seed))[1]) == str(violation)


def test_a_load_shape_is_told_in_figures_and_drawn(tmp_path, capsys):
    picture = tmp_path / "run.svg"
    command = ["--policy", "none", "--count", "12", "--hosts", "2", "--json", "--plot", str(picture)]
    assert simulate.main(command) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert run["jobs"] == run["done"] == 12 and run["lost"] == 0 and 0 < run["utilisation"] <= 1
    assert run["slowdown_mean"] >= 1.0
    assert picture.read_text().startswith("<svg") and "polyline" in picture.read_text()
    assert simulate.main([*command[:-3]]) == 0
    assert "queue mean" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (["--shape", "flat"], "no load shape"),
        (["--policy", "best"], "no policy"),
        (["--load", "0"], "--load is positive"),
        (["--plot", "a.gif"], "an SVG file"),
        (["--memory", "much"], "much"),
        (["--events", "/nowhere/at/all", "--count", "2", "--policy", "none"], "cannot be written"),
    ],
)
def test_a_wrong_command_line_is_told_what_is_right(bad, what, capsys):
    assert simulate.main(bad) == 2
    assert what in capsys.readouterr().err


def test_without_faults_a_pool_of_one_device_serves_one_after_the_other():
    scenario = Scenario(seed=3, hosts=1, max_sessions=1, count=6, shape="dgsf-bursts", start_s=0.05)
    found, violation, world = simulate.run(scenario)
    assert violation is None
    assert found.done == 6 and found.slowdown_mean == pytest.approx(1.0, abs=0.05)
    assert found.queue_p95_s == pytest.approx(sum(sorted(c.program.job.alone_s for c in world.clients)[:5]), rel=0.3)


def test_a_session_that_would_be_sent_back_and_forth_by_noise_is_left_where_it_is(monkeypatch):
    """Three alike on two devices: somebody shares, and whoever it is, his measured share makes a move look worth it again and again."""
    jobs = tuple(Job(f"job-{n}", 0.1 * n, "alike", 60.0, 0.7, 1 << 30, 1 << 26, 0.0) for n in range(3))
    found = {}
    for restless_s in (0.0, Tuning().restless_s):
        monkeypatch.setattr(world, "Tuning", lambda restless_s=restless_s: Tuning(restless_s=restless_s))
        runs = [
            simulate.run(Scenario(seed=seed, hosts=2, policy="cost-aware", balance_s=0.25, most_steps=4000, jobs=jobs))
            for seed in (1, 2)
        ]
        assert all(violation is None for _, violation, _ in runs)
        found[bool(restless_s)] = simulate.mean([figures for figures, _, _ in runs])
    assert found[False]["moves"] >= 15 and found[True]["moves"] <= found[False]["moves"] / 3
    # Nobody pays for it: the programs come to their ends no later.
    assert found[True]["total_mean_s"] <= 1.03 * found[False]["total_mean_s"]


# ---- the parts


def test_a_device_is_shared_equally_among_those_who_compute():
    clock, done = Clock(), []
    device = Processor(clock)
    device.begin(1.0, lambda: done.append(("a", clock.now)))
    clock.at(0.5, lambda: device.begin(1.0, lambda: done.append(("b", clock.now))))
    stopped = device.begin(5.0, lambda: done.append(("never", clock.now)))
    clock.at(0.5, device.stop, stopped)
    clock.run(10.0)
    # To 0.5 two share: a has 0.25. Then a and b share: a is done at 2.0, when b has 0.75 of its 1.0.
    assert done == [("a", pytest.approx(2.0)), ("b", pytest.approx(2.25))]
    device.settle()
    assert device.busy_s == pytest.approx(2.25)


def wire() -> tuple[Clock, Network, list, list]:
    clock = Clock()
    net, heard, over = Network(clock, random.Random(1), 0.01), [], []

    def accept(end):
        end.on_message = heard.append
        end.on_closed = lambda: over.append(clock.now)
        return True

    near = net.connect("a", "b", accept)
    near.on_closed = lambda: over.append(clock.now)
    return clock, net, heard, over, near


def test_what_is_sent_between_parted_places_arrives_in_order_when_they_meet_again():
    clock, net, heard, over, near = wire()
    clock.at(1.0, net.part, "a", "b", 3.0)
    for at in (0.5, 2.0, 3.0, 4.5):
        clock.at(at, near.send, at)
    clock.run(3.9)
    assert heard == [0.5]
    clock.run(10.0)
    assert heard == [0.5, 2.0, 3.0, 4.5] and not over


def test_a_long_silence_breaks_a_connection_for_both_sides():
    clock, net, heard, over, near = wire()
    clock.at(1.0, net.part, "a", "b", 60.0)
    clock.at(2.0, near.send, "lost")
    clock.run(100.0)
    assert over == [1.0 + SILENCE_S] * 2 and not heard


def test_what_was_sent_before_a_close_arrives_before_it():
    clock, _, heard, over, near = wire()
    clock.at(1.0, near.send, "last")
    clock.at(1.0, near.close)
    clock.run(2.0)
    assert heard == ["last"] and len(over) == 1
