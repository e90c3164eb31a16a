"""The one place that imports faiss.

faiss and torch each bring an OpenMP runtime; on macOS two of them in one process crash when both start threads
(faiss issues 2555, 3401 and 4273), so faiss keeps to one thread there.
"""

from __future__ import annotations

import sys
from typing import Any

import faiss

if sys.platform == "darwin":
    faiss.omp_set_num_threads(1)

knn = faiss.knn


def ivf(width: int, cells: int) -> Any:
    """Return an untrained index of inverted lists that keeps 8 bits a number."""
    index = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatL2(width), width, cells, faiss.ScalarQuantizer.QT_8bit)
    index.cp.niter = 10  # k-means gains little after; the recall is measured
    return index


def hnsw(width: int, links: int) -> Any:
    """Return an empty index that is a navigable small-world graph."""
    index = faiss.IndexHNSWFlat(width, links)
    index.hnsw.efConstruction = 80
    return index


def set_effort(index: Any, name: str, value: int) -> None:
    """Set how hard an index looks: `nprobe` or `efSearch`."""
    faiss.ParameterSpace().set_index_parameter(index, name, value)


__all__ = ["hnsw", "ivf", "knn", "set_effort"]
