"""A graph larger than memory: the loader draws neighbours from it in a process that may not hold it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from pal_plugin.graph import checks
from pal_plugin.graph.similarity import SimilarityGraph

NODES, K = 10_000_000, 8
LOAD = """
import re, resource, sys, warnings
from pathlib import Path
import numpy as np
from pal_plugin.data import ImageDataset
from pal_plugin.data.loader import pair_loader
from pal_plugin.data.policy import Policy
from pal_plugin.graph import SimilarityGraph
folder, size, share = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])

def loader(count, graph):
    images = np.broadcast_to(np.zeros((1, 8, 8, 3), np.uint8), (count, 8, 8, 3))
    labels = np.broadcast_to(np.array([-1]), (count,))
    data = ImageDataset("many", "train", images, labels, range(count), (), (0.5,) * 3, (0.5,) * 3)
    return lambda: pair_loader(data, [Policy(crop_size=8, num_crops=2)], batch_size=256, seed=3, graph=graph(),
                               pair_batch=True)

warnings.simplefilter("ignore")  # the graph names no data set
next(iter(loader(512, lambda: None)()))  # the libraries' own buffers
make = loader(size, lambda: SimilarityGraph.load(folder))
held = 1024 * int(re.search(r"VmData:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
bytes_ = sum(file.stat().st_size for file in folder.glob("*.npy"))
resource.setrlimit(resource.RLIMIT_DATA, (held + int(share * bytes_), -1))  # read-only maps do not count, copies do
try:
    SimilarityGraph.load(folder, mmap=False)
except MemoryError:
    print("the graph does not fit")
batches = iter(make())
for _ in range(20):
    print(*next(batches)[0].reshape(-1).tolist())
"""


def neighbour(node, place):
    """What neighbour number `place` of a node is in this graph: spread out, never itself, no two the same."""
    return (node + 1 + place * 2_000_003 + node % 7) % NODES


@pytest.fixture
def folder(tmp_path):
    """The graph on disk, written in parts: no process ever holds it."""
    out = tmp_path / "graph"
    out.mkdir()
    shapes = {"indptr": (np.int64, NODES + 1), "indices": (np.int32, NODES * K), "weights": (np.float32, NODES * K)}
    maps = {
        name: np.lib.format.open_memmap(out / f"{name}.npy", mode="w+", dtype=dtype, shape=(size,), version=(1, 0))
        for name, (dtype, size) in shapes.items()
    }
    for start in range(0, NODES, 500_000):
        nodes = np.arange(start, start + 500_000)
        maps["indptr"][nodes + 1] = (nodes + 1) * K
        edges = slice(start * K, (start + 500_000) * K)
        maps["indices"][edges] = neighbour(nodes[:, None], np.arange(K)).reshape(-1)
        maps["weights"][edges] = 1
    for array in maps.values():
        array.flush()
    record = {"format": 1, "num_nodes": NODES, "num_edges": NODES * K, "manifest": None, "builder": {}}
    (out / "graph.json").write_text(json.dumps(record))
    return out


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA bounds private memory on Linux alone")
def test_a_loader_draws_from_a_graph_that_does_not_fit_in_memory(folder):
    command = [sys.executable, "-c", LOAD, str(folder), str(NODES), "0.5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    first, *batches = done.stdout.splitlines()
    assert first == "the graph does not fit"
    drawn = np.array([batch.split() for batch in batches], dtype=np.int64).reshape(-1, 2)
    assert len(np.unique(drawn[:, 0])) == 20 * 256
    allowed = neighbour(drawn[:, :1], np.arange(K))
    places = (allowed == drawn[:, 1:]).argmax(axis=1)
    assert (allowed == drawn[:, 1:]).any(axis=1).all()
    assert np.bincount(places, minlength=K).min() > 5120 / K * 0.78  # spread over all of them


@pytest.mark.parametrize("block", [1, 3, 7, 1000])
def test_blocks_change_nothing_that_is_refused(block, monkeypatch):
    """Faults are found and named in whichever block they are, also beside empty rows and long ones."""
    monkeypatch.setattr(checks, "BLOCK", block)
    degree = np.array([0, 0, 5, 1, 0, 12, 2, 0, 0, 0, 3, 0])
    indptr = np.concatenate([[0], np.cumsum(degree)])
    indices = np.concatenate([np.arange(count) for count in degree]).astype(np.int32)
    weights = np.ones(indices.size, dtype=np.float32)
    SimilarityGraph(indptr, indices, weights)
    for edge in range(indices.size):
        for value, said in ((12, "leads to node 12, outside"), (-1, "leads to node -1, outside")):
            wrong = indices.copy()
            wrong[edge] = value
            with pytest.raises(checks.GraphError, match=f"Edge {edge} of the graph {said}"):
                SimilarityGraph(indptr, wrong, weights)
        wrong = weights.copy()
        wrong[edge] = np.inf
        with pytest.raises(checks.GraphError, match=f"Edge {edge} of the graph has the weight inf"):
            SimilarityGraph(indptr, indices, wrong)
        row = int(np.searchsorted(indptr, edge, side="right")) - 1
        if edge > indptr[row]:
            wrong = indices.copy()
            wrong[edge] = wrong[indptr[row]]
            with pytest.raises(checks.GraphError, match=f"edge from node {row} to node {wrong[edge]} twice"):
                SimilarityGraph(indptr, wrong, weights)


@pytest.mark.parametrize("block", [1, 4, 1000])
def test_positive_rows_in_blocks(block, monkeypatch):
    monkeypatch.setattr(checks, "BLOCK", block)
    for place in range(6):
        weights = np.ones(6)
        assert SimilarityGraph.from_edges(3, [0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1], weights).positive_rows[1].size == 6
        weights[place] = -1
        assert SimilarityGraph.from_edges(3, [0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1], weights).positive_rows[1].size == 5
