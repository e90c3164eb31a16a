"""How good is a representation: weighted nearest neighbours and a linear probe on frozen features."""

from __future__ import annotations

from pal_plugin.evaluation.features import encode
from pal_plugin.evaluation.knn import knn_accuracy
from pal_plugin.evaluation.linear import linear_probe

__all__ = ["encode", "knn_accuracy", "linear_probe"]
