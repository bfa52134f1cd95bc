"""Load shapes are what they say: by seed, at the rate asked for, as bursty as their source."""

from __future__ import annotations

import itertools
import statistics

import pytest
from cupool.balancer import workload


@pytest.mark.parametrize("shape", workload.SHAPES)
def test_the_same_seed_gives_the_same_jobs_in_order(shape):
    jobs = workload.jobs(shape, 7, 200)
    assert jobs == workload.jobs(shape, 7, 200)
    assert len(jobs) == 200 and [j.at_s for j in jobs] == sorted(j.at_s for j in jobs)
    assert all(j.work_s > 0 and 0 < j.duty <= 1 and j.memory_bytes > 0 for j in jobs)
    if shape != "dgsf-burst":
        assert jobs != workload.jobs(shape, 8, 200)


@pytest.mark.parametrize(("shape", "gap_s"), [("dgsf", 3.0), ("dgsf-high", 2.0), ("bursty", 2.0), ("periodic", 2.5)])
def test_the_rate_is_the_one_that_is_said(shape, gap_s):
    jobs = workload.jobs(shape, 1, 20_000)
    assert jobs[-1].at_s / len(jobs) == pytest.approx(gap_s, rel=0.15)
    assert workload.jobs(shape, 1, 20_000, load=2.0)[-1].at_s == pytest.approx(jobs[-1].at_s / 2, rel=0.15)


def test_dgsf_has_ten_of_each_of_its_functions():
    names = [j.function for j in workload.jobs("dgsf", 0, 60)]
    assert all(names.count(f.name) == 10 for f in workload.FUNCTIONS)


@pytest.mark.parametrize(("shape", "low", "high"), [("dgsf", 0.9, 1.1), ("bursty", 9.0, 15.0), ("huawei", 2.3, 3.9)])
def test_gaps_vary_as_in_the_traces(shape, low, high):
    at = [j.at_s for j in workload.jobs(shape, 3, 50_000)]
    gaps = [b - a for a, b in itertools.pairwise(at)]
    assert low < statistics.pstdev(gaps) / statistics.fmean(gaps) < high


def test_huaweis_execution_times_have_its_quantiles():
    work = sorted(j.work_s for j in workload.jobs("huawei", 3, 20_000))
    for part, seconds in ((0.5, 0.094), (0.75, 0.33), (0.9, 1.7)):
        assert work[int(part * len(work))] == pytest.approx(seconds, rel=0.35)


@pytest.mark.parametrize("bad", [("nothing", 1, 1, 1.0), ("dgsf", 1, 0, 1.0), ("dgsf", 1, 1, 0.0)])
def test_what_is_no_load_is_refused(bad):
    with pytest.raises(ValueError, match=r"no load shape|at least one job"):
        workload.jobs(*bad)
