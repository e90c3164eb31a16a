"""The one place that imports faiss.

faiss and torch each bring an OpenMP runtime; on macOS two of them in one process crash when both start threads
(faiss issues 2555, 3401 and 4273), so faiss keeps to one thread there.
"""

from __future__ import annotations

import sys

import faiss

if sys.platform == "darwin":
    faiss.omp_set_num_threads(1)

knn = faiss.knn

__all__ = ["knn"]
