"""The real features that benchmarks run on: synthetic clusters flatter approximate search and easy bounds.

They are what `PAL_BENCH_FEATURES` names (a `.npy`, or a store of `pal embed`); without it, the 512 leading principal
components of CIFAR-10's train images (`pal embed --prior pca:512`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float32]

FEATURES = "PAL_BENCH_FEATURES"
ROWS = 50_000


def features() -> tuple[Floats, dict[str, Any]]:
    """Return the features, and what they are."""
    given = os.environ.get(FEATURES)
    if given:
        path = Path(given) / "features.npy" if Path(given).is_dir() else Path(given)
        X = np.ascontiguousarray(np.load(path), dtype=np.float32)[:ROWS]
        return X, {
            "source": path.name if path.parent == Path() else str(Path(*path.parts[-2:])),
            "shape": list(X.shape),
        }
    from pal_plugin.data import load_dataset
    from pal_plugin.priors.pca import PCA

    dataset = load_dataset("cifar10", split="train")
    X = np.ascontiguousarray(PCA("512").fitted(dataset).embed(dataset.images[:ROWS]), dtype=np.float32)
    return X, {"source": "cifar10 train, pca:512", "shape": list(X.shape)}
