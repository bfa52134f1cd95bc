"""Distances, k-d trees and triangulations of the CPU device against SciPy and against what they are by definition."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.spatial
from cupool.apiserver.devices import distances
from cupool.apiserver.devices.cpu.scipy import spatial

from cupool.contract.ops.scipy._rules_spatial import METRICS

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_formulas_are_what_scipy_computes(metric: str) -> None:
    """The formulas serve the GPU, and the CPU where SciPy has none."""
    a, b = RNG.random((6, 4)), RNG.random((5, 4))
    if metric in ("jensenshannon", "kl_divergence", "hellinger"):
        a, b = a / a.sum(axis=1, keepdims=True), b / b.sum(axis=1, keepdims=True)
    if metric in ("hamming", "russellrao", "canberra"):
        a, b = np.round(a), np.round(b)
    ours = distances.pairwise(np, a, b, metric, 3.0, np.dtype(np.float64))
    if metric == "hellinger":
        theirs = np.sqrt(((np.sqrt(a)[:, None] - np.sqrt(b)[None]) ** 2).sum(axis=-1) / 2)
    elif metric == "kl_divergence":
        theirs = (a[:, None] * np.log(a[:, None] / b[None])).sum(axis=-1)
    elif metric == "russellrao":
        theirs = scipy.spatial.distance.cdist(a.astype(bool), b.astype(bool), "russellrao")
    elif metric == "minkowski":
        theirs = scipy.spatial.distance.cdist(a, b, metric, p=3.0)
    else:
        theirs = scipy.spatial.distance.cdist(a, b, metric)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(spatial.cdist(a, b, metric, 3.0), theirs, rtol=1e-12, atol=1e-12)


def test_formulas_work_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = RNG.random((7, 3)), RNG.random((5, 3))
    whole = distances.pairwise(np, a, b, "cityblock", 2.0, np.dtype(np.float64))
    monkeypatch.setattr(distances, "BLOCK", 2 * b.size)
    np.testing.assert_array_equal(distances.pairwise(np, a, b, "cityblock", 2.0, np.dtype(np.float64)), whole)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6, 7, 8, 63, 64, 65, 200])
@pytest.mark.parametrize("has_ties", [False, True])
def test_trees_are_left_balanced(n: int, has_ties: bool) -> None:
    data = RNG.random((n, 2))
    if has_ties:
        data = np.round(data * 3)
    tree, index, _ = spatial.kdtree_build(data)
    assert sorted(index) == list(range(n))
    np.testing.assert_array_equal(tree, data[index])

    def check(node: int, level: int) -> list[int]:
        if node >= n:
            return []
        left, right = check(2 * node + 1, level + 1), check(2 * node + 2, level + 1)
        axis = level % 2
        assert all(tree[i, axis] <= tree[node, axis] for i in left)
        assert all(tree[i, axis] >= tree[node, axis] for i in right)
        return [node, *left, *right]

    assert len(check(0, 0)) == n


@pytest.mark.parametrize("box", [None, 1.0])
def test_neighbours_are_those_of_brute_force(box: float | None) -> None:
    data, x = RNG.random((50, 3)), RNG.random((20, 3))
    tree, index, bounds = spatial.kdtree_build(data, box is not None)
    boxsize = np.full(3, np.inf if box is None else box)
    difference = np.abs(x[:, None] - data[None])
    if box is not None:
        difference = np.minimum(difference, box - difference)
    far = np.sqrt((difference**2).sum(axis=-1))
    found, places = spatial.kdtree_query(x, tree, index, boxsize, bounds, 4, 0.0, 2.0, np.inf)
    np.testing.assert_allclose(found, np.sort(far, axis=1)[:, :4])
    np.testing.assert_array_equal(places, np.argsort(far, axis=1)[:, :4])
    flat, counts = spatial.kdtree_ball(x, tree, index, boxsize, bounds, 0.3, 2.0, 0.0, "neighbors")
    np.testing.assert_array_equal(counts, (far <= 0.3).sum(axis=1))
    np.testing.assert_array_equal(flat, np.nonzero(far <= 0.3)[1])


@pytest.mark.parametrize("n", [4, 30, 500])
def test_points_are_found_in_the_triangles_that_scipy_finds(n: int) -> None:
    points, x = RNG.random((n, 2)), RNG.random((300, 2)) * 1.4 - 0.2
    theirs = scipy.spatial.Delaunay(points)
    simplices, neighbors = spatial.delaunay(points)
    np.testing.assert_array_equal(simplices, theirs.simplices)
    found, weights = spatial.delaunay_find(points, simplices, neighbors, x, 1e-13, True)
    np.testing.assert_array_equal(found, theirs.find_simplex(x))
    inside = found >= 0
    rebuilt = np.einsum("ni,nij->nj", weights[inside], points[simplices[found[inside]]])
    np.testing.assert_allclose(rebuilt, x[inside], atol=1e-12)
    assert np.isnan(weights[~inside]).all()


def test_what_is_no_place_is_in_no_triangle() -> None:
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    x = np.array([[np.nan, 0.2], [np.inf, 0.2], [0.2, 0.2]])
    assert spatial.delaunay_find(points, *spatial.delaunay(points), x, 1e-13, False).tolist() == [-1, -1, 0]


def test_points_on_a_line_have_no_triangulation() -> None:
    with pytest.raises(RuntimeError, match="no triangulation"):
        spatial.delaunay(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]))


def test_neighbouring_vertices_are_those_of_scipy() -> None:
    points = RNG.random((40, 2))
    theirs = scipy.spatial.Delaunay(points)
    pointers, places = spatial.delaunay_vertices(points, spatial.delaunay(points)[0])
    their_pointers, their_places = theirs.vertex_neighbor_vertices
    np.testing.assert_array_equal(pointers, their_pointers)
    for i in range(40):
        mine = places[pointers[i] : pointers[i + 1]]
        assert sorted(mine) == sorted(their_places[their_pointers[i] : their_pointers[i + 1]])
