"""The graph on disk: what is written is read, what is broken is refused, what was there stays."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pal_plugin.errors import GraphError
from pal_plugin.graph import SimilarityGraph, knn_graph

REFERENCE = {"name": "points", "split": "train", "size": 40, "digest": "0123"}


def example(seed=0):
    points = np.random.default_rng(seed).standard_normal((40, 5))
    return knn_graph(points, 3, manifest=REFERENCE)


def equal(left, right):
    return all(
        np.array_equal(getattr(left, name), getattr(right, name)) for name in ("indptr", "indices", "weights")
    ) and (left.manifest, left.builder) == (right.manifest, right.builder)


@pytest.fixture
def folder(tmp_path):
    return example().save(tmp_path / "graph")


@pytest.mark.parametrize("mmap", [True, False])
def test_round_trip(tmp_path, mmap):
    saved = example()
    folder = saved.save(tmp_path / "graph")
    graph = SimilarityGraph.load(folder, mmap=mmap)
    assert equal(graph, saved)
    assert isinstance(graph.indices.base, np.memmap) == mmap
    assert not graph.indices.flags.writeable
    assert [p.name for p in folder.parent.iterdir()] == ["graph"]


def test_round_trip_of_an_empty_graph(tmp_path):
    graph = SimilarityGraph.load(SimilarityGraph.from_edges(3, [], []).save(tmp_path / "graph"))
    assert (graph.num_nodes, graph.num_edges, graph.manifest) == (3, 0, None)


def test_a_saved_graph_is_replaced_while_it_is_mapped(folder):
    old = SimilarityGraph.load(folder)
    before = old.indices.copy()
    new = example(seed=1)
    new.save(folder)
    assert np.array_equal(old.indices, before)
    assert equal(SimilarityGraph.load(folder), new)
    SimilarityGraph.load(folder).save(folder)  # onto itself
    assert equal(SimilarityGraph.load(folder), new)


def test_the_same_features_give_the_same_bytes(tmp_path):
    first, second = example().save(tmp_path / "a"), example().save(tmp_path / "b")
    for name in ("indptr.npy", "indices.npy", "weights.npy"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    records = [json.loads((f / "graph.json").read_text()) for f in (first, second)]
    assert records[0] == records[1]
    assert records[0]["manifest"] == REFERENCE
    assert records[0]["format"] == 1


def rewrite(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def truncate(path, keep):
    path.write_bytes(path.read_bytes()[:keep])


CORRUPTIONS = {
    "no folder": lambda f: f.rename(f.with_name("elsewhere")),
    "no graph.json": lambda f: (f / "graph.json").unlink(),
    "half a graph.json": lambda f: truncate(f / "graph.json", 30),
    "graph.json of another kind": lambda f: (f / "graph.json").write_text("[]"),
    "graph.json that is not text": lambda f: (f / "graph.json").write_bytes(b"\xff\xfe\x00"),
    "no indices": lambda f: (f / "indices.npy").unlink(),
    "empty indices": lambda f: truncate(f / "indices.npy", 0),
    "half a header": lambda f: truncate(f / "indices.npy", 50),
    "truncated indices": lambda f: truncate(f / "indices.npy", -4),
    "truncated indptr": lambda f: truncate(f / "indptr.npy", 200),
    "wrong dtype": lambda f: np.save(f / "indices.npy", np.load(f / "indices.npy").astype(np.int64)),
    "objects": lambda f: np.save(f / "indices.npy", np.array([{}], dtype=object)),
    "an archive": lambda f: (np.savez(f / "x.npz", a=np.ones(1)), (f / "x.npz").replace(f / "weights.npy")),
    "out of range": lambda f: np.save(f / "indices.npy", np.load(f / "indices.npy") + np.int32(40)),
    "NaN": lambda f: np.save(f / "weights.npy", np.load(f / "weights.npy") * np.float32(np.nan)),
    "another's indptr": lambda f: np.save(f / "indptr.npy", np.arange(41) * 2),
    "fewer nodes": lambda f: np.save(f / "indptr.npy", np.append(np.load(f / "indptr.npy")[:-2], 120)),
    "unknown format": lambda f: rewrite(f / "graph.json", format=99),
    "no format": lambda f: rewrite(f / "graph.json", format=None),
    "other counts": lambda f: rewrite(f / "graph.json", num_edges=7),
    "manifest of another size": lambda f: rewrite(f / "graph.json", manifest={**REFERENCE, "size": 41}),
}


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_a_broken_folder_is_named_with_its_remedy(folder, corruption, mmap):
    CORRUPTIONS[corruption](folder)
    with pytest.raises(GraphError) as caught:
        SimilarityGraph.load(folder, mmap=mmap)
    assert str(folder) in caught.value.what
    assert "pal graph knn" in caught.value.mend


def test_a_mistyped_path_names_the_graph_beside_it(folder):
    (folder.parent / "grapes").mkdir()
    mistyped = folder.with_name(f"{folder.name}s")
    with pytest.raises(GraphError) as caught:
        SimilarityGraph.load(mistyped)
    assert caught.value.what == f"There is no graph at {mistyped}"
    assert caught.value.mend.startswith(f"Did you mean {folder.name}? ")


def test_another_folder_is_not_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(GraphError, match="other files"):
        example().save(tmp_path)
    assert (tmp_path / "thesis.tex").exists()
    (tmp_path / "empty").mkdir()
    example().save(tmp_path / "empty")


@pytest.mark.parametrize(
    "failing",
    [1, 2],
)
def test_a_failing_rename_keeps_the_old_folder(folder, monkeypatch, failing):
    before = SimilarityGraph.load(folder, mmap=False)
    real, calls = Path.replace, []

    def replace(*args):
        calls.append(args)
        if len(calls) == failing:
            raise OSError("no rename today")
        return real(*args)

    monkeypatch.setattr(Path, "replace", replace)  # of which Python 3.10 has a copy that os.replace does not reach
    with pytest.raises(GraphError, match="no rename today"):
        example(seed=1).save(folder)
    monkeypatch.undo()
    assert equal(SimilarityGraph.load(folder), before)
    assert [p.name for p in folder.parent.iterdir()] == ["graph"]


FULL_DISK = """
import resource, signal, sys
import numpy as np
from pal_plugin.errors import GraphError
from pal_plugin.graph import SimilarityGraph
graph = SimilarityGraph.from_edges(30, np.arange(30), (np.arange(30) + 1) % 30)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    graph.save(sys.argv[1])
except GraphError as error:
    print(error)
    sys.exit(2)
"""


@pytest.mark.parametrize("limit", [0, 100, 130, 300])  # in the header, and in the data of each array
def test_a_full_disk_leaves_the_old_graph_and_nothing_else(folder, limit):
    before = SimilarityGraph.load(folder, mmap=False)
    command = [sys.executable, "-c", FULL_DISK, str(folder), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert str(folder) in done.stdout
    assert "Free some space" in done.stdout
    assert equal(SimilarityGraph.load(folder), before)
    assert [p.name for p in folder.parent.iterdir()] == ["graph"]
