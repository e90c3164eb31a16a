"""What every engine has to do, and the seams of those that other libraries are."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch

from pal_plugin.errors import ConfigError, GraphError
from pal_plugin.graph import knn_graph, libraries, recall
from pal_plugin.registry import engines
from pal_plugin.testing import EngineConformance

OURS = ("faiss", "faiss_hnsw", "faiss_ivf", "torch", "pynndescent", "cuvs")
EXACT = {"faiss", "torch"}
REPEATABLE = {"faiss", "torch", "faiss_ivf"}  # what promises the same neighbours each time
SLOW = {"pynndescent"}  # compiles for a minute
METRICS = ("euclidean", "cosine")
pytestmark = pytest.mark.filterwarnings("ignore:Failed to correctly find n_neighbors")  # pynndescent's, of few rows


def clusters(size, width, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((20, width))
    return (centres[rng.integers(0, 20, size)] + 0.7 * rng.standard_normal((size, width)) + 5).astype(np.float32)


def rows(graph):
    return graph.indices.reshape(graph.num_nodes, -1)


@pytest.fixture(
    params=[
        pytest.param(name, marks=[pytest.mark.slow, pytest.mark.timeout(900)] if name in SLOW else ()) for name in OURS
    ]
)
def engine(request):
    """The name of an engine that runs here; cuVS is there with a GPU alone."""
    try:
        engines.get(request.param)(clusters(40, 3), 2, "euclidean")
    except ConfigError as error:
        if request.param != "cuvs":  # everything else is installed here: to be missing is to be broken
            raise
        pytest.skip(f"{request.param}: {error}")
    return request.param


class TestConformance(EngineConformance):
    """What third parties' engines are asked as well."""

    @pytest.fixture(autouse=True)
    def _engine(self, engine):
        self.name = engine
        type(self).exact, type(self).repeatable = engine in EXACT, engine in REPEATABLE

    def make(self):
        return engines.get(self.name)


def test_these_are_all():
    assert {name for name in engines if not name.startswith("test-")} == set(OURS)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("include_self", [False, True])
def test_each_list_is_of_others_in_order(engine, metric, include_self):
    points = clusters(1000, 8)
    nearest = rows(knn_graph(points, 6, metric=metric, include_self=include_self, engine=engine))
    own = np.arange(1000)[:, None]
    assert (nearest[:, :1] == own).all() == include_self
    others = nearest[:, int(include_self) :]
    assert not (others == own).any()
    assert (np.diff(np.sort(others, axis=1), axis=1) > 0).all()
    scaled = points.astype(np.float64)
    if metric == "cosine":
        scaled /= np.linalg.norm(scaled, axis=1, keepdims=True)
    distances = np.square(scaled[others] - scaled[own]).sum(axis=2)
    assert (np.diff(distances, axis=1) >= -1e-6 * distances[:, 1:]).all()  # cosine's points are rounded to float32


def test_duplicates_are_kept(engine):
    points = np.repeat(clusters(250, 8), 4, axis=0)
    nearest = rows(knn_graph(points, 3, engine=engine))
    group = np.arange(1000)[:, None] // 4 * 4 + np.arange(4)
    expected = group[group != np.arange(1000)[:, None]].reshape(1000, 3)
    assert (nearest == expected).all(axis=1).mean() >= (1 if engine in EXACT else 0.99)


@pytest.mark.parametrize("size", [2, 3, 60])
def test_all_others(engine, size):
    points = clusters(size, 3)
    expected = rows(knn_graph(points, size - 1, engine="faiss"))
    assert np.array_equal(rows(knn_graph(points, size - 1, engine=engine)), expected)
    with pytest.warns(UserWarning, match=f"k={size - 1}"):
        assert np.array_equal(rows(knn_graph(points, size + 5, engine=engine)), expected)


@pytest.mark.parametrize(("name", "module"), [("pynndescent", "pynndescent"), ("cuvs", "cuvs.neighbors.all_neighbors")])
def test_a_library_that_is_not_installed(name, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"pip install 'pal-plugin\[{name}\]'"):
        knn_graph(clusters(40, 3), 2, engine=name)


def test_a_recall_below_the_one_asked_for_is_refused(capsys):
    engines.add("test-next", lambda features, k, metric: (np.arange(len(features))[:, None] + 1 + np.arange(k)) % 400)
    points = clusters(400, 16)
    with pytest.raises(GraphError, match=r"recall 0\.\d+ on 256 sampled rows, below min_recall=0.9.*engine=faiss"):
        knn_graph(points, 3, engine="test-next", min_recall=0.9)
    assert "neighbours by test-next: recall 0." in capsys.readouterr().err
    assert knn_graph(points, 3, engine="torch", min_recall=1.0).builder["parameters"]["recall"] == 1
    knn_graph(points, 3, engine="faiss", min_recall=1.0)
    for share in (-0.1, 95, float("nan")):
        with pytest.raises(ConfigError, match="min_recall"):
            knn_graph(points, 3, min_recall=share)


class _OnDevice:
    """What cuVS returns: an array that has to be fetched."""

    def __init__(self, array):
        self._array = array

    def copy_to_host(self):
        return self._array


@pytest.fixture
def cuvs_calls(monkeypatch):
    """Stand in for cuVS, which has no CPU build: float32 distances of all pairs, and a record of what it is asked."""
    calls = []

    class AllNeighborsParams:
        def __init__(self, *, algo="nn_descent", overlap_factor=2, n_clusters=1, metric="sqeuclidean"):
            self.said = {"algo": algo, "overlap_factor": overlap_factor, "n_clusters": n_clusters, "metric": metric}

    def build(dataset, k, params):
        calls.append((dataset, k, params.said))
        norms = np.square(dataset).sum(axis=1)
        return _OnDevice(np.argsort(norms - 2 * dataset @ dataset.T, axis=1, kind="stable")[:, :k])

    library = types.ModuleType("cuvs.neighbors.all_neighbors")
    library.AllNeighborsParams, library.build = AllNeighborsParams, build
    monkeypatch.setitem(sys.modules, "cuvs.neighbors.all_neighbors", library)
    return calls


@pytest.mark.parametrize("metric", METRICS)
def test_what_cuvs_is_asked_and_how_its_answer_is_read(cuvs_calls, metric):
    points = clusters(500, 8)
    found = libraries.cuvs(points, 5, metric)
    assert np.array_equal(found, rows(knn_graph(points, 5, metric=metric, engine="faiss")))
    [(dataset, k, said)] = cuvs_calls
    assert (dataset.dtype, dataset.flags.c_contiguous, dataset.shape) == (np.float32, True, (500, 8))
    assert k == 18
    assert (said["algo"], said["n_clusters"], said["metric"]) == ("brute_force", 1, "sqeuclidean")


def test_what_cuvs_is_asked_for_many_rows(cuvs_calls, monkeypatch):
    monkeypatch.setattr(libraries, "CUVS_EXACT_ROWS", 100)
    libraries.cuvs(clusters(500, 8), 5, "euclidean")
    assert cuvs_calls[0][2] == {"algo": "nn_descent", "overlap_factor": 2, "n_clusters": 4, "metric": "sqeuclidean"}
    monkeypatch.setattr(libraries, "_PART_ROWS", 100)
    libraries.cuvs(clusters(500, 8), 5, "euclidean")
    assert cuvs_calls[1][2]["n_clusters"] == 10  # of 100 rows, each row in two


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("limit", [libraries.CUVS_EXACT_ROWS, 1000])
def test_cuvs_itself(limit, monkeypatch):
    pytest.importorskip("cuvs")
    monkeypatch.setattr(libraries, "CUVS_EXACT_ROWS", limit)
    points = clusters(20_000, 32)
    assert recall(knn_graph(points, 10, engine="cuvs"), points) > 0.95


@pytest.mark.slow
def test_torch_keeps_its_threads():
    """Numba's parallel loops set how many threads OpenMP has, which torch then takes."""
    pytest.importorskip("pynndescent")
    before = torch.get_num_threads()
    knn_graph(np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32), 4, engine="pynndescent")
    assert torch.get_num_threads() == before
