"""Features larger than memory: a process that may not hold them builds the graph of one that can."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from pal_plugin.graph import SimilarityGraph, knn_graph, radius_graph

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA bounds private memory on Linux alone")

SIZE, WIDTH = 4000, 8192  # 125 MiB
BUILD = """
import re, resource, sys
from pathlib import Path
import numpy as np
from pal_plugin.graph import _faiss, knn_graph, radius_graph, space
space.HELD_BYTES, space.BLOCK_BYTES = 1 << 23, 1 << 23  # a small machine's: they bound what is held, not the result
knn_graph(np.random.default_rng(0).random((5000, 64)), 4)  # the libraries' own buffers
features, out = sys.argv[1:3]
held = 1024 * int(re.search(r"VmData:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
size = Path(features).stat().st_size
resource.setrlimit(resource.RLIMIT_DATA, (held + size * 3 // 4, -1))  # read-only maps do not count, copies do
try:
    np.load(features)
except MemoryError:
    print("the features do not fit")
mapped = np.load(features, mmap_mode="r")
knn_graph(mapped, 4).save(f"{out}/knn")
knn_graph(mapped, 4, metric="cosine").save(f"{out}/cosine")
radius_graph(mapped, "adaptive").save(f"{out}/radius")
"""


@pytest.mark.slow
def test_a_memory_map_larger_than_memory_gives_the_same_graph(tmp_path):
    rng = np.random.default_rng(0)
    features = np.lib.format.open_memmap(tmp_path / "f.npy", mode="w+", dtype=np.float32, shape=(SIZE, WIDTH))
    offsets = np.tile([0.2, 0.35, 0.5, 0.65, 0.8], 20)[:, None]  # fives, whose distances float32 can tell apart
    for start in range(0, SIZE, 100):
        centres = np.repeat(rng.standard_normal((20, WIDTH)), 5, axis=0)
        features[start : start + 100] = centres + offsets * rng.standard_normal((100, WIDTH))
    features[700] = features[3]
    features.flush()
    command = [sys.executable, "-c", BUILD, str(tmp_path / "f.npy"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.stdout.split("\n")[0] == "the features do not fit", done.stderr[-2000:]
    assert done.returncode == 0, done.stderr[-2000:]
    for name, expected in (
        ("knn", knn_graph(features, 4)),
        ("cosine", knn_graph(features, 4, metric="cosine")),
        ("radius", radius_graph(features, "adaptive")),
    ):
        found = SimilarityGraph.load(tmp_path / name)
        assert found.digest == expected.digest
        assert found.builder == expected.builder
