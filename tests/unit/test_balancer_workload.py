"""Load shapes: the same seed gives the same jobs, and they have the figures that their sources give."""

from __future__ import annotations

import itertools
import random
import statistics

import pytest
from cupool.balancer import workload


@pytest.mark.parametrize("name", workload.SHAPES)
def test_a_seed_gives_the_same_jobs_in_the_order_of_their_arrival(name: str) -> None:
    jobs = workload.SHAPES[name](7, 60)
    assert jobs == workload.SHAPES[name](7, 60)
    assert [j.at_s for j in jobs] == sorted(j.at_s for j in jobs)
    assert len({j.id for j in jobs}) == len(jobs) >= 20
    assert all(j.work_s > 0 and 0 < j.demand <= 1 and j.used_bytes <= j.memory_bytes for j in jobs)
    if name != "dgsf-bursts":
        assert jobs != workload.SHAPES[name](8, 60)


def test_dgsfs_mix_has_ten_of_each_and_its_gaps() -> None:
    jobs = workload.dgsf(1)
    assert len(jobs) == 60
    assert all(sum(j.name == f.name for j in jobs) == 10 for f in workload.DGSF_FUNCTIONS)
    assert [j.name for j in jobs] == [j.name for j in workload.dgsf(2)]
    gaps = [b.at_s - a.at_s for s in range(50) for a, b in itertools.pairwise(workload.dgsf(s, 3.0))]
    assert statistics.mean(gaps) == pytest.approx(3.0, rel=0.05)
    # At the high load four devices are wanted for three quarters of the time.
    assert statistics.mean(f.work_s for f in workload.DGSF_FUNCTIONS) / workload.DGSF_HIGH_S / 4 == pytest.approx(0.75)
    assert [j.at_s for j in workload.dgsf_bursts(3)] == [0.0] * 6 + [2.0] * 6 + [4.0] * 6


def test_shapes_of_requests() -> None:
    seconds = 4000
    sporadic = workload.sporadic(seconds, 1)
    assert 0.02 < sum(r > 0 for r in sporadic) / seconds < 0.04
    periodic = workload.periodic(seconds, 1)
    assert min(periodic) == 0.0 and 300 < max(periodic) <= 400
    bursty = workload.bursty(seconds, 1)
    assert 150 < statistics.median(bursty) < 250 and max(bursty) > 2800
    moments = list(workload.arrivals([3.0, 0.0, 2.0], 5))
    assert [int(m) for m in moments] == [0, 0, 0, 2, 2] and moments == sorted(moments)
    jobs = workload.shaped(workload.bursty, 400, 3, 0.5)
    assert len(jobs) == pytest.approx(200, abs=2)


def test_huaweis_quantiles_and_fits_come_back() -> None:
    table = workload.HUAWEI_START["R1"]
    assert table.at(0.5) == pytest.approx(2.5) and table.at(0.99) == table.at(1.0) == 41.0 and table.at(0.0) == 0.54
    assert 2.5 < table.at(0.6) < 3.8
    draw = random.Random(1)
    starts = sorted(workload.huawei_start_s(draw) for _ in range(20000))
    assert starts[10000] == pytest.approx(1.35, rel=0.05) and starts[18000] == pytest.approx(7.4, rel=0.05)
    gaps = sorted(workload.huawei_gap_s(draw) for _ in range(20000))
    assert gaps[10000] == pytest.approx(0.18, rel=0.1) and gaps[18000] == pytest.approx(3.1, rel=0.1)
    jobs = workload.huawei(1, 500, "R3", mean_gap_s=0.5)
    assert jobs[-1].at_s == pytest.approx(250, rel=0.2)


def test_a_shape_is_the_same_in_a_smaller_world() -> None:
    jobs = workload.dgsf(1)
    small = workload.scaled(jobs, time=0.1, memory=0.01)
    assert small[5].at_s == pytest.approx(jobs[5].at_s / 10) and small[5].alone_s == pytest.approx(jobs[5].alone_s / 10)
    assert small[5].dirty_bytes_a_s * small[5].work_s == pytest.approx(jobs[5].dirty_bytes_a_s * jobs[5].work_s / 100)
